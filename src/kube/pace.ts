import type { Clock } from './clock.ts'

/** Spaces actions evenly: never more than so many in any minute, and none at once. */
export interface Pace {
  /** Milliseconds until the next action may start; 0 takes the turn. */
  take(): number
}

/** @param perMinute actions in a minute; Infinity for no limit */
export function createPace(clock: Clock, perMinute: number): Pace {
  const spacingMs = 60_000 / perMinute
  let next = Number.NEGATIVE_INFINITY
  return {
    take() {
      const now = clock.now()
      if (now < next) return next - now
      next = now + spacingMs
      return 0
    },
  }
}
