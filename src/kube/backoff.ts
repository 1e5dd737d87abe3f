/** Bounds of an exponential back-off, in milliseconds. */
export interface Backoff {
  readonly firstMs: number
  readonly maxMs: number
}

/**
 * Milliseconds to wait before repetition `n` (the first is 1): half fixed, half random, doubling
 * from `firstMs`, never more than `maxMs`. Half of it stays fixed so that a repetition never
 * follows at once.
 *
 * @param random uniform in [0, 1); passed in so that tests are exact
 * Source: Brooker, "Exponential Backoff and Jitter" (AWS, 2015), "equal jitter"
 */
export function backoffMs(n: number, { firstMs, maxMs }: Backoff, random: () => number): number {
  const ceiling = Math.min(maxMs, firstMs * 2 ** Math.min(n - 1, 30))
  return ceiling / 2 + (ceiling / 2) * random()
}
