import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from '../log.ts'
import type { Store } from '../store/store.ts'
import type { Grant, Tokens } from '../tokens.ts'
import type { Metrics } from './metrics.ts'
import type { OperationId } from './operations.ts'

/** Version of the Connect API that is served: three integers, at least 1.3.0 for Go clients. */
export const CONNECT_VERSION = '1.8.1'
/** The header that names the version, on every answer. */
export const VERSION_HEADER = '1Password-Connect-Version'

/** Everything the handlers work with. */
export interface AppContext {
  readonly store: Store
  readonly tokens: Tokens
  readonly log: Logger
  readonly metrics: Metrics
  /** Largest file that is answered inline, in bytes. */
  readonly maxInlineBytes: number
  /** Largest request body, in bytes. */
  readonly maxBodyBytes: number
  /** Unix milliseconds. */
  readonly now: () => number
  readonly stopping: () => boolean
}

/** What is known about a request besides its text. */
export interface RequestState {
  operation?: OperationId
  grant?: Grant
  /** The item an answer is about, where the path does not say it. */
  item?: string
  itemVersion?: number
}

declare module 'fastify' {
  interface FastifyRequest {
    state: RequestState
  }
}

/** Answers an operation. */
export type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>

/** An id of the path, already checked by the guard. */
export function pathId(
  request: FastifyRequest,
  name: 'vaultUuid' | 'itemUuid' | 'fileUuid',
): string {
  return (request.params as Record<string, string>)[name] ?? ''
}

/** The grant of a request on an operation that needs a token. */
export function grantOf(request: FastifyRequest): Grant {
  const { grant } = request.state
  if (grant === undefined) throw new Error('an operation with a token was reached without one')
  return grant
}

/** Sends JSON that is already text. */
export function sendJson(reply: FastifyReply, text: string): FastifyReply {
  return reply.type('application/json; charset=utf-8').send(text)
}
