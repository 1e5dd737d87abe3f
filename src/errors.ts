/**
 * What went wrong, for programs. The list is closed: every code has one meaning, and callers
 * switch over it instead of reading messages.
 */
export type ErrorCode =
  // Connect API
  | 'CONNECT_UNREACHABLE'
  | 'CONNECT_TIMEOUT'
  | 'CONNECT_UNAUTHORIZED'
  | 'CONNECT_FORBIDDEN'
  | 'CONNECT_NOT_FOUND'
  | 'CONNECT_REFUSED_INPUT'
  | 'CONNECT_RATE_LIMITED'
  | 'CONNECT_UNAVAILABLE'
  | 'CONNECT_BAD_ANSWER'
  | 'CONNECT_ANSWER_TOO_LARGE'
  // Kubernetes API
  | 'KUBE_UNREACHABLE'
  | 'KUBE_TIMEOUT'
  | 'KUBE_STATUS'
  | 'KUBE_BAD_ANSWER'
  | 'KUBE_CONFIG'
  | 'LEASE_LOST'
  | 'CRD_UNFIT'
  // Input of a person
  | 'PATH_INVALID'
  | 'REFERENCE_INVALID'
  | 'REFERENCE_VOLATILE'
  | 'FIELD_NOT_FOUND'
  | 'VALUE_UNFIT'
  | 'SETTING_INVALID'
  | 'INPUT_INVALID'
  // Embedded Connect server
  | 'REQUEST_REFUSED'
  | 'STORE_KEY'
  | 'STORE_DAMAGED'
  | 'STORE_BUSY'
  | 'STORE_UNAVAILABLE'

/**
 * What a caller may expect of a repetition:
 * - `soon`: the cause passes by itself (network, overload, a token in rotation)
 * - `on-change`: only a change by a person helps, repeating the same call is useless
 */
export type Retry = 'soon' | 'on-change'

/** Everything an error carries besides its code. */
export interface ErrorInit {
  /** One sentence: what happened. Never a secret value, token, header or response body. */
  readonly message: string
  /** One sentence: what a person can do about it. */
  readonly remedy: string
  readonly retry: Retry
  /** HTTP status of the answer, where there was one. */
  readonly status?: number
  /** `reason` of a Kubernetes Status, where there was one. */
  readonly reason?: string
  /** Milliseconds the server asked to wait (Retry-After). */
  readonly retryAfterMs?: number
  readonly cause?: unknown
}

/** The one error class of the program: a stable code, what happened, what to do, the cause. */
export class KeyferryError extends Error {
  readonly code: ErrorCode
  readonly remedy: string
  readonly retry: Retry
  readonly status: number | undefined
  readonly reason: string | undefined
  readonly retryAfterMs: number | undefined

  constructor(code: ErrorCode, init: ErrorInit) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause })
    this.name = 'KeyferryError'
    this.code = code
    this.remedy = init.remedy
    this.retry = init.retry
    this.status = init.status
    this.reason = init.reason
    this.retryAfterMs = init.retryAfterMs
  }
}

/** Whether `error` is a KeyferryError, of one of `codes` when any are given. */
export function isKeyferryError(error: unknown, ...codes: ErrorCode[]): error is KeyferryError {
  return error instanceof KeyferryError && (codes.length === 0 || codes.includes(error.code))
}
