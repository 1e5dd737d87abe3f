import type { Clock } from '../../kube/clock.ts'

/**
 * Sights that may be an old answer: several replicas of Connect answer in turn, some behind the
 * others. A doubtful sight counts once it was seen often or long enough.
 */
export interface Doubts {
  /** Notes one more sight; true once it counts. */
  confirm(key: string): boolean
  /** The opposite was seen. */
  clear(key: string): void
}

const MAX_MS = 120_000

/** @param reads sights that make a fact, if two minutes do not pass before */
export function createDoubts(clock: Clock, reads: number): Doubts {
  const doubts = new Map<string, { reads: number; readonly since: number }>()
  return {
    confirm(key) {
      const doubt = doubts.get(key) ?? { reads: 0, since: clock.now() }
      doubt.reads += 1
      doubts.set(key, doubt)
      const counts = doubt.reads >= reads || clock.now() - doubt.since >= MAX_MS
      if (counts) doubts.delete(key)
      return counts
    },
    clear: (key) => void doubts.delete(key),
  }
}
