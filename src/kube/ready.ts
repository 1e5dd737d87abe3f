import type { Clock } from './clock.ts'
import { createShares, type Share } from './shares.ts'
import { createTurns } from './turns.ts'

/** A key of the queue. */
export interface Waiting {
  readonly key: string
  /** 0 is the most urgent. */
  priority: number
  state: 'delayed' | 'ready' | 'running'
  /** What its run counts against while it lasts. */
  share: Share | undefined
}

/** The keys that could be worked now, and the workers that wait for them. */
export interface Ready {
  /** A key that moves to a more urgent line leaves a stale place behind, which `take` skips. */
  push(entry: Waiting): void
  /** The next key; undefined when none may be worked now. Its run must be ended by `free`. */
  take(entries: ReadonlyMap<string, Waiting>): string | undefined
  /** A run has ended: its worker is free, and so may be those that its group was denied. */
  free(entry: Waiting): void
  /** Resolves when it is worth to `take` again, or when `signal` aborts. */
  filled(signal: AbortSignal): Promise<void>
  readonly size: number
}

/** A line of groups for each priority. */
export function createReady(options: {
  readonly clock: Clock
  readonly priorities: number
  readonly groupOf: (key: string) => string
  readonly workers: number
  /** Milliseconds between two starts of the least urgent keys. */
  readonly spacingMs?: number
}): Ready {
  const { clock, priorities, groupOf, workers, spacingMs = 0 } = options
  const lines = Array.from({ length: priorities }, () => createTurns())
  const shares = createShares(workers)
  const sleepers = createSleepers()
  const spacing = createSpacing(clock, spacingMs, sleepers.wake)
  const isLeast = (priority: number) => priority === priorities - 1
  let size = 0

  return {
    push(entry) {
      if (entry.state !== 'ready') size += 1
      entry.state = 'ready'
      lines[entry.priority]?.push(groupOf(entry.key), entry.key)
      sleepers.wake()
    },
    take(entries) {
      if (size === 0) return undefined
      for (const [priority, line] of lines.entries()) {
        if (isLeast(priority) && !spacing.isOver()) continue
        const mayGo = (group: string) => shares.mayStart(`${priority} ${group}`)
        for (let key = line.shift(mayGo); key !== undefined; key = line.shift(mayGo)) {
          const entry = entries.get(key)
          if (entry?.state !== 'ready' || entry.priority !== priority) continue
          entry.state = 'running'
          entry.share = shares.start(`${priority} ${groupOf(key)}`)
          size -= 1
          if (isLeast(priority)) spacing.start()
          return key
        }
      }
      return undefined
    },
    free({ share }) {
      if (share) shares.end(share)
      if (size > 0) sleepers.wake()
    },
    filled: sleepers.sleep,
    get size() {
      return size
    },
  }
}

/** Workers that found nothing to do. */
function createSleepers() {
  const sleepers = new Set<() => void>()
  return {
    /** All of them: one that was chosen might be gone, and those that come too late sleep again. */
    wake(): void {
      for (const wakeOne of sleepers) wakeOne()
    },
    sleep(signal: AbortSignal): Promise<void> {
      return new Promise((resolve) => {
        const wakeOne = () => {
          sleepers.delete(wakeOne)
          signal.removeEventListener('abort', wakeOne)
          resolve()
        }
        sleepers.add(wakeOne)
        signal.addEventListener('abort', wakeOne)
      })
    },
  }
}

/** Time that must pass between two starts. */
function createSpacing(clock: Clock, ms: number, onOver: () => void) {
  let until = Number.NEGATIVE_INFINITY
  let timed = false
  return {
    start(): void {
      until = clock.now() + ms
    },
    /** When it is not, `onOver` is called once it is. */
    isOver(): boolean {
      const left = until - clock.now()
      if (left <= 0) return true
      if (!timed) {
        timed = true
        clock.timer(left, () => {
          timed = false
          onOver()
        })
      }
      return false
    },
  }
}
