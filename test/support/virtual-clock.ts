import type { Clock } from '../../src/kube/clock.ts'

/** A clock that moves only when a test says so. */
export interface VirtualClock extends Clock {
  /**
   * Lets `ms` pass: timers run in the order of their time, and after each of them whatever can
   * settle without waiting settles.
   */
  advance(ms: number): Promise<void>
  /** As if the whole process had been paused for `ms`: timers that are due run late. */
  pause(ms: number): Promise<void>
  /** Milliseconds until each timer that is set, the next first. */
  readonly timers: readonly number[]
}

interface Timer {
  readonly due: number
  readonly run: () => void
}

/** Wall time at the start: any date will do, as long as it is not the epoch. */
const START = Date.UTC(2024, 0, 1)

/** Virtual time that starts at 0. */
export function createVirtualClock(): VirtualClock {
  let now = 0
  // In order of creation: of two timers that are due together, the older one runs first.
  const timers = new Set<Timer>()
  const next = (until: number) =>
    [...timers].filter(({ due }) => due <= until).toSorted((a, b) => a.due - b.due)[0]
  return {
    now: () => now,
    wall: () => START + now,
    timer(ms, run) {
      const timer = { due: now + Math.max(0, ms), run }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    async advance(ms) {
      const until = now + ms
      await settled()
      for (let timer = next(until); timer; timer = next(until)) {
        timers.delete(timer)
        now = Math.max(now, timer.due)
        timer.run()
        await settled()
      }
      now = until
    },
    pause(ms) {
      now += ms
      return this.advance(0)
    },
    get timers() {
      return [...timers].map(({ due }) => due - now).toSorted((a, b) => a - b)
    },
  }
}

/** Resolves when every promise that depends on nothing outside has settled. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
