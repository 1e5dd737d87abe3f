import { performance } from 'node:perf_hooks'

/**
 * The time as this process sees it. Everything in the operator that waits takes a Clock, so that
 * tests can run on virtual time.
 */
export interface Clock {
  /** Milliseconds on a monotonic scale: for intervals, never for a date. */
  now(): number
  /** Milliseconds since the epoch: for dates that people read. */
  wall(): number
  /** Calls `run` once after `ms`; the returned function takes the call back. */
  timer(ms: number, run: () => void): () => void
}

/** Longest time that the machine can count, in milliseconds (24 days); a longer one ends then. */
const LONGEST_MS = 2 ** 31 - 1

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  timer(ms, run) {
    const handle = setTimeout(run, Math.min(Math.max(0, ms), LONGEST_MS))
    return () => clearTimeout(handle)
  },
}

/** Resolves after `ms`, or at once when `signal` aborts: callers look at the signal themselves. */
export function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const wake = () => {
      cancel()
      signal.removeEventListener('abort', wake)
      resolve()
    }
    const cancel = clock.timer(ms, wake)
    signal.addEventListener('abort', wake)
  })
}
