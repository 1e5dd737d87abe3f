/**
 * One circuit for each token: when the server refuses it, asks for fewer requests or fails as a
 * whole, everybody stops asking, and one probe at a time finds out whether that has passed.
 *
 * Whether it fails as a whole, or only a vault or an item does, the list of vaults tells, on which
 * everything rests: it is asked for after failures in a row, and it is the probe. So whoever asks
 * for broken things again and again harms nobody else.
 */
import { type ErrorCode, isKeyferryError, KeyferryError } from '../errors.ts'
import type { ConnectRequest, Transport } from './transport.ts'

/** Time and chance, passed in so that tests are exact. */
export interface CircuitOptions {
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** The token of this moment: with another one everything starts anew. */
  readonly token: () => string
}

interface Cause {
  /** Failures in a row after which the list of vaults is asked for. */
  readonly suspicious: number
  /** Milliseconds that lie between two probes at most. */
  readonly maxMs: number
  /** Whether the server knows best when it wants to be asked again. */
  readonly obeyed?: true
}

/** A token that is refused may be locked out for it; a server that is down does not mind. */
const TOKEN_MS = 300_000
const SERVER_MS = 30_000
const FIRST_MS = 5_000
/** A server that asks for less of a pause than this asks for none. */
const LEAST_MS = 1_000

/** What may be the matter with the whole; any other error is an answer. */
const CAUSES: Partial<Record<ErrorCode, Cause>> = {
  CONNECT_UNAUTHORIZED: { suspicious: 1, maxMs: TOKEN_MS },
  CONNECT_RATE_LIMITED: { suspicious: 1, maxMs: TOKEN_MS, obeyed: true },
  CONNECT_FORBIDDEN: { suspicious: 10, maxMs: TOKEN_MS },
  CONNECT_UNREACHABLE: { suspicious: 5, maxMs: SERVER_MS },
  CONNECT_TIMEOUT: { suspicious: 5, maxMs: SERVER_MS },
  CONNECT_UNAVAILABLE: { suspicious: 5, maxMs: SERVER_MS, obeyed: true },
}

const PROBE: ConnectRequest = { operation: 'vaults', method: 'GET', path: '/v1/vaults' }

type State =
  | { readonly kind: 'closed'; readonly failures: number }
  | {
      readonly kind: 'open'
      readonly error: KeyferryError
      readonly until: number
      readonly probes: number
    }

const CLOSED: State = { kind: 'closed', failures: 0 }

/** What is known of the whole. */
function createBreaker({ now, random }: CircuitOptions) {
  let state = CLOSED
  return {
    close() {
      state = CLOSED
    },
    /** Takes a failure of the list of vaults for what it is: one of the whole, or an answer. */
    judge(error: KeyferryError) {
      const cause = CAUSES[error.code]
      if (cause === undefined) {
        state = CLOSED
        return
      }
      const { maxMs, obeyed } = cause
      const { retryAfterMs = 0 } = error
      const probes = state.kind === 'open' ? state.probes + 1 : 0
      const backoffMs = Math.min(maxMs, FIRST_MS * 2 ** probes) * (0.75 + 0.5 * random())
      const askedMs = retryAfterMs * (1 + 0.1 * random())
      const told = obeyed && retryAfterMs >= LEAST_MS
      const waitMs = told ? askedMs : Math.max(askedMs, backoffMs)
      state = { kind: 'open', error, until: now() + waitMs, probes }
    },
    /** Why, and for how many milliseconds, nobody may ask. */
    pause(): { readonly error: KeyferryError; readonly ms: number } | undefined {
      return state.kind === 'open' ? { error: state.error, ms: state.until - now() } : undefined
    },
    /** Requests that were under way when the circuit opened tell nothing new. */
    worked() {
      if (state.kind === 'closed') state = CLOSED
    },
    /** @returns failures in a row; 0 while the circuit is open */
    failed(): number {
      if (state.kind === 'open') return 0
      state = { kind: 'closed', failures: state.failures + 1 }
      return state.failures
    },
  }
}

/** A transport that stops asking when asking is useless. */
export function withCircuit(transport: Transport, options: CircuitOptions): Transport {
  const { now, token } = options
  const breaker = createBreaker(options)
  const ended = new AbortController()
  let probing = false
  /** Until then a failure is that of a vault or an item: the list was there a moment ago. */
  let soundUntil = Number.NEGATIVE_INFINITY
  let knownToken = token()

  async function probe(signal: AbortSignal): Promise<void> {
    const asked = knownToken
    probing = true
    try {
      await transport.send(PROBE, signal)
      breaker.close()
      soundUntil = now() + FIRST_MS
    } catch (error) {
      if (isKeyferryError(error) && asked === knownToken) breaker.judge(error)
      throw error
    } finally {
      probing = false
    }
  }

  async function admit(signal: AbortSignal): Promise<void> {
    if (token() !== knownToken) {
      knownToken = token()
      breaker.close()
    }
    const pause = breaker.pause()
    if (pause === undefined) return
    if (probing || pause.ms > 0) throw refusal(pause.error, Math.max(pause.ms, 1_000))
    await probe(signal)
  }

  function failed({ path }: ConnectRequest, error: KeyferryError): void {
    const cause = CAUSES[error.code]
    if (cause === undefined) return breaker.worked()
    if (breaker.failed() < cause.suspicious) return
    if (error.code === 'CONNECT_RATE_LIMITED' || path === PROBE.path) breaker.judge(error)
    else if (!probing && now() >= soundUntil) probe(ended.signal).catch(() => {})
  }

  return {
    async send(request, signal) {
      await admit(signal)
      const asked = knownToken
      try {
        const answer = await transport.send(request, signal)
        breaker.worked()
        return answer
      } catch (error) {
        if (isKeyferryError(error) && asked === knownToken) failed(request, error)
        throw error
      }
    },
    close() {
      ended.abort()
      return transport.close()
    },
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
