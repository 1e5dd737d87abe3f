/** Milliseconds for which a state is waited for: far more than it takes, so that load never fails a test. */
const PATIENCE_MS = 240_000
const INTERVAL_MS = 25
/** No more than this counts between two looks: while a machine stands still, nobody waits. */
const LONGEST_LOOK_MS = 5_000

/** How often a timeout looks at the clock until it is over. */
const TIMEOUT_LOOKS = 10

/** Tells whether so many milliseconds have passed since; to be asked all the time. */
export function patience(ms: number): () => boolean {
  let left = ms
  let last = Date.now()
  return () => {
    const now = Date.now()
    left -= Math.min(now - last, LONGEST_LOOK_MS)
    last = now
    return left < 0
  }
}

/**
 * Waits until `probe` gives a value that is not undefined or false.
 *
 * @param explain called when it never did, for the message
 */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined | false>,
  explain?: () => Promise<string>,
): Promise<T> {
  const isOver = patience(PATIENCE_MS)
  let failure: unknown
  for (;;) {
    try {
      const value = await probe()
      if (value !== undefined && value !== false) return value
      failure = undefined
    } catch (error) {
      failure = error
    }
    if (isOver()) {
      const detail = failure instanceof Error ? failure.message : await explain?.()
      throw new Error(`it never happened that ${what}${detail ? `: ${detail}` : ''}`)
    }
    await pause(INTERVAL_MS)
  }
}

/**
 * A signal for a request that is given up after so many milliseconds in which this process ran, as
 * `AbortSignal.timeout` does it without regard to that.
 */
export function timeout(ms: number): AbortSignal {
  const controller = new AbortController()
  const isOver = patience(ms)
  const timer = setInterval(() => {
    if (!isOver()) return
    clearInterval(timer)
    controller.abort(new Error(`no answer within ${ms} ms`))
  }, ms / TIMEOUT_LOOKS)
  timer.unref()
  return controller.signal
}

/** Lets time pass where a test needs it to: between two looks at something that must not change. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
