import { type ErrorInit, isKeyferryError, KeyferryError } from '../errors.ts'

/** The parts of a `meta.k8s.io/v1 Status` that decisions need. */
interface Status {
  readonly kind: 'Status'
  readonly message?: string
  readonly reason?: string
  readonly details?: { readonly retryAfterSeconds?: number }
}

const REMEDIES: Readonly<Record<number, string>> = {
  401: 'Check the credentials in the kubeconfig or the mounted ServiceAccount token.',
  403: 'Grant the missing verb to the ServiceAccount (the message names verb and resource).',
  404: 'Check that the object, its namespace and its CustomResourceDefinition exist.',
  409: 'Nothing to do: the object is read again and the decision is made anew.',
  413: 'Make the object smaller.',
  422: 'Correct the field that the message names.',
}

/**
 * The error for an answer of the API server other than 2xx.
 *
 * @param body the answer as text; anything that is no Status is not quoted
 * @param what verb and path, for the message
 */
export function statusError(
  what: string,
  status: number,
  body: string,
  retryAfter?: string,
): KeyferryError {
  const parsed = parseStatus(body)
  const passes = status === 409 || status === 408 || status === 429 || status >= 500
  const init: ErrorInit = {
    message: `${what}: ${status}${parsed.message ? ` ${parsed.message}` : ''}`,
    remedy: REMEDIES[status] ?? 'The API server is asked again.',
    retry: passes || status === 401 ? 'soon' : 'on-change',
    status,
  }
  const waitMs = retryAfterMs(retryAfter ?? String(parsed.details?.retryAfterSeconds))
  return new KeyferryError('KUBE_STATUS', {
    ...init,
    ...(parsed.reason === undefined ? {} : { reason: parsed.reason }),
    ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
  })
}

function parseStatus(body: string): Partial<Status> {
  try {
    const value: unknown = JSON.parse(body)
    const isStatus =
      typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'Status'
    return isStatus ? (value as Status) : {}
  } catch {
    return {}
  }
}

/** Milliseconds of a Retry-After in seconds, at most 5 min. Source: RFC 9110 §10.2.3. */
function retryAfterMs(seconds: string): number | undefined {
  if (!/^\d+$/.test(seconds)) return undefined
  return Math.min(Number(seconds), 300) * 1000
}

const hasStatus = (error: unknown, status: number): error is KeyferryError =>
  isKeyferryError(error, 'KUBE_STATUS') && error.status === status

/** 404: the object, or its whole resource, is not there. */
export const isNotFound = (error: unknown) => hasStatus(error, 404)
/** 409 with reason AlreadyExists: the answer to a POST over an existing object. */
export const isAlreadyExists = (error: unknown) =>
  hasStatus(error, 409) && error.reason === 'AlreadyExists'
/** 409 of any other kind: the object has moved on since it was read. */
export const isConflict = (error: unknown) =>
  hasStatus(error, 409) && error.reason !== 'AlreadyExists'
/** 504 that says so: the resourceVersion is of a time that the server has not reached. */
export const isTooNew = (error: unknown) =>
  hasStatus(error, 504) && error.message.includes('Too large resource version')
/** 403: the right is missing, or the namespace is being deleted. */
export const isForbidden = (error: unknown) => hasStatus(error, 403)
/** 403 because the namespace is going away: final, nothing can be created in it any more. */
export const isNamespaceTerminating = (error: unknown) =>
  hasStatus(error, 403) && error.message.includes('is being terminated')
/** 422 or 413: the object as sent can never be stored. */
export const isInvalid = (error: unknown) => hasStatus(error, 422) || hasStatus(error, 413)
/**
 * The request as sent is refused, and would be again: by rights (403), by validation (422, 413), or
 * by an admission webhook, which answers 400 unless it says otherwise.
 */
export const isRefused = (error: unknown) =>
  hasStatus(error, 400) || isForbidden(error) || isInvalid(error)
