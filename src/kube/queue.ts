/**
 * The work queue: keys, not events. A key that is added twice is worked once; a key is never
 * worked twice at the same time; a key added while it is being worked is worked once more.
 * Lower priorities wait for higher ones, and inside a priority the groups (namespaces) take
 * turns, so that one group with thousands of keys delays another group's key by one.
 * Runs may take long, so turns are not enough: groups share the workers (`shares.ts`).
 */
import { type Backoff, backoffMs } from './backoff.ts'
import type { Clock } from './clock.ts'
import { createDelays } from './delays.ts'
import { createReady, type Waiting } from './ready.ts'

/** What becomes of a key after a run. */
export type Requeue =
  /** Wait for the next event. */
  | { readonly kind: 'forget' }
  /** Run again after `ms`; the failures so far are forgotten. */
  | { readonly kind: 'after'; readonly ms: number }
  /**
   * Run again after a back-off that grows with each failure in a row: at least `ms`, and some more
   * so that not all who were told the same come at once; at most `mostMs`.
   */
  | { readonly kind: 'backoff'; readonly ms?: number; readonly mostMs?: number }

/** When and how urgently a key is to be worked. */
export interface AddOptions {
  /** 0 is the most urgent. Default: the least urgent. */
  readonly priority?: number
  /** Earliest start from now. Of several adds the earliest counts. Default 0. */
  readonly afterMs?: number
}

/** See the head of this file. */
export interface KeyedQueue {
  add(key: string, options?: AddOptions): void
  /** The next key to work, as soon as there is one; undefined once `signal` aborts. */
  next(signal: AbortSignal): Promise<string | undefined>
  /** Ends the run of a key that {@link KeyedQueue.next} gave. */
  done(key: string, requeue: Requeue): void
  /** Keys that could be worked now but wait for a worker. */
  readonly waiting: number
  /** Failures in a row of a key. */
  failures(key: string): number
  /** Keys that may be worked at the same time. */
  readonly workers: number
}

/** What a queue needs to know. */
export interface QueueOptions {
  readonly clock: Clock
  readonly random: () => number
  /** Number of priorities. */
  readonly priorities: number
  readonly backoff: Backoff
  /** Group of a key: groups of one priority take turns. */
  readonly groupOf: (key: string) => string
  /** Keys that may be worked at the same time. */
  readonly workers: number
  /** Milliseconds between two starts of the least urgent keys; 0 unless told. */
  readonly spacingMs?: number
}

interface Run {
  /** 0 is the most urgent. */
  priority: number
  /** Earliest start, in monotonic milliseconds. */
  due: number
}

interface Entry extends Run, Waiting {
  /** Added while running: one more run, then. */
  again: Run | undefined
}

/** Queue without bounds: its size is the number of objects, which is bounded elsewhere. */
export function createQueue(options: QueueOptions): KeyedQueue {
  const { clock, random, priorities, workers } = options
  const entries = new Map<string, Entry>()
  const failures = new Map<string, number>()
  const lines = createReady(options)
  const delays = createDelays<Entry>(clock, (entry, due) => {
    // A key that was hurried or dropped has left a stale delay behind.
    if (entries.get(entry.key) === entry && entry.state === 'delayed' && entry.due === due) {
      lines.push(entry)
    }
  })

  function schedule(entry: Entry): void {
    if (entry.due <= clock.now()) return lines.push(entry)
    entry.state = 'delayed'
    delays.add(entry, entry.due)
  }

  function merge(entry: Entry, { priority, due }: Run): void {
    const moreUrgent = priority < entry.priority
    entry.priority = Math.min(entry.priority, priority)
    if (entry.state === 'running') entry.again = earlier(entry.again, { priority, due })
    else if (entry.state === 'ready' && moreUrgent) lines.push(entry)
    else if (entry.state === 'delayed' && due < entry.due) {
      entry.due = due
      schedule(entry)
    }
  }

  function add(key: string, run: Run): void {
    const entry = entries.get(key)
    if (entry !== undefined) return merge(entry, run)
    const fresh: Entry = { key, ...run, state: 'delayed', again: undefined, share: undefined }
    entries.set(key, fresh)
    schedule(fresh)
  }

  return {
    add(key, { priority = priorities - 1, afterMs = 0 } = {}) {
      add(key, { priority, due: clock.now() + afterMs })
    },
    async next(signal) {
      for (; !signal.aborted; await lines.filled(signal)) {
        const key = lines.take(entries)
        if (key !== undefined) return key
      }
      return undefined
    },
    done(key, requeue) {
      const entry = entries.get(key)
      if (entry === undefined) return
      entries.delete(key)
      lines.free(entry)
      const count = countFailure(failures, key, requeue)
      const waitMs = waitOf(requeue, () => backoffMs(count, options.backoff, random), random)
      if (waitMs !== undefined) add(key, { priority: entry.priority, due: clock.now() + waitMs })
      if (entry.again) add(key, entry.again)
    },
    get waiting() {
      return lines.size
    },
    failures: (key) => failures.get(key) ?? 0,
    workers,
  }
}

/** @returns failures in a row */
function countFailure(failures: Map<string, number>, key: string, { kind }: Requeue): number {
  const count = kind === 'backoff' ? (failures.get(key) ?? 0) + 1 : 0
  if (count === 0) failures.delete(key)
  else failures.set(key, count)
  return count
}

function earlier(a: Run | undefined, b: Run): Run {
  if (a === undefined) return b
  return { priority: Math.min(a.priority, b.priority), due: Math.min(a.due, b.due) }
}

/** Milliseconds until the next run; undefined when none is wanted. */
function waitOf(requeue: Requeue, backoff: () => number, random: () => number): number | undefined {
  switch (requeue.kind) {
    case 'forget':
      return undefined
    case 'after':
      return requeue.ms
    case 'backoff': {
      const { ms = 0, mostMs = Number.POSITIVE_INFINITY } = requeue
      return Math.min(mostMs, Math.max(ms * (1 + 0.25 * random()), backoff()))
    }
  }
}
