import { KeyferryError } from '../errors.ts'

/** A request that cannot be served, with the status and text its caller gets. */
export function refuse(status: number, message: string): KeyferryError {
  return new KeyferryError('REQUEST_REFUSED', {
    message,
    remedy: 'Correct the request.',
    retry: 'on-change',
    status,
  })
}

/** 400: the request cannot mean anything. */
export const badInput = (message: string): KeyferryError => refuse(400, message)

/** 404, with the text that clients look for. */
export const notFound = (kind: 'vault' | 'item' | 'file' | 'token', id: string): KeyferryError =>
  refuse(404, `${kind} ${id} not found`)
