/**
 * One circuit for each token: when the server refuses it, asks for fewer requests or fails again and
 * again, everybody stops asking, and one probe at a time finds out whether that has passed.
 */
import { type ErrorCode, isKeyferryError, KeyferryError } from '../errors.ts'
import type { Transport } from './transport.ts'

/** Time and chance, passed in so that tests are exact. */
export interface CircuitOptions {
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** The token of this moment: with another one everything starts anew. */
  readonly token: () => string
}

/** Failures in a row that open the circuit, by code; what is not listed counts as an answer. */
const THRESHOLDS: Partial<Record<ErrorCode, number>> = {
  CONNECT_UNAUTHORIZED: 1,
  CONNECT_RATE_LIMITED: 1,
  CONNECT_FORBIDDEN: 10,
  CONNECT_UNREACHABLE: 5,
  CONNECT_TIMEOUT: 5,
  CONNECT_UNAVAILABLE: 5,
}
/** Milliseconds until the first probe; doubled after each that fails. */
const FIRST_MS = 5_000
const MAX_MS = 300_000

type State =
  | { readonly kind: 'closed'; readonly failures: number }
  | {
      readonly kind: 'open'
      readonly error: KeyferryError
      readonly until: number
      readonly probes: number
      readonly probing: boolean
    }

/** A transport that stops asking when asking is useless. */
export function withCircuit(transport: Transport, options: CircuitOptions): Transport {
  const { now, random, token } = options
  let state: State = { kind: 'closed', failures: 0 }
  let knownToken = ''

  function admit(): void {
    if (token() !== knownToken) {
      knownToken = token()
      state = { kind: 'closed', failures: 0 }
    }
    if (state.kind === 'closed') return
    const { error, until, probing } = state
    if (probing || now() < until) throw refusal(error, Math.max(until - now(), 1_000))
    state = { ...state, probing: true }
  }

  function failed(error: KeyferryError): void {
    const threshold = THRESHOLDS[error.code]
    if (threshold === undefined) return succeeded()
    const failures = state.kind === 'closed' ? state.failures + 1 : threshold
    const probes = state.kind === 'open' ? state.probes + 1 : 0
    if (failures < threshold) state = { kind: 'closed', failures }
    else {
      const waitMs = Math.min(MAX_MS, FIRST_MS * 2 ** probes) * (0.75 + 0.5 * random())
      const until = now() + Math.max(error.retryAfterMs ?? 0, waitMs)
      state = { kind: 'open', error, until, probes, probing: false }
    }
  }

  function succeeded(): void {
    state = { kind: 'closed', failures: 0 }
  }

  return {
    async send(request, signal) {
      admit()
      try {
        const answer = await transport.send(request, signal)
        succeeded()
        return answer
      } catch (error) {
        if (isKeyferryError(error)) failed(error)
        else if (state.kind === 'open') state = { ...state, probing: false }
        throw error
      }
    },
    close: () => transport.close(),
  }
}

/** What everybody else is told while the circuit is open. */
function refusal(error: KeyferryError, retryAfterMs: number): KeyferryError {
  const { code, message, remedy, retry, status } = error
  return new KeyferryError(code, {
    message,
    remedy,
    retry,
    retryAfterMs,
    ...(status === undefined ? {} : { status }),
  })
}
