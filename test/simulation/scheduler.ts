/**
 * Virtual time: everything that happens in a history is a task with its time, and between two of
 * them whatever can settle settles. Nothing else decides what comes before what.
 */
import type { Clock } from '../../src/kube/clock.ts'
import { createHeap } from '../../src/kube/heap.ts'

/** A process as the scheduler sees it: it can stand still, and it can die. */
export interface Host {
  /** Whether it has died: nothing of it happens any more. */
  dead: boolean
  /** Until when it stands still, in virtual milliseconds: what is due before then is late. */
  pausedUntil: number
  /** Milliseconds by which its clocks are wrong, and go on being. */
  readonly skewMs: number
}

/** See the head of this file. */
export interface Scheduler {
  /** Milliseconds since the beginning. */
  now(): number
  /** Does `run` in `ms`; as part of a process, or, without, as part of the world. */
  after(ms: number, run: () => void, host?: Host): void
  /** Lets time pass up to `until`, or until `isOver` says so. */
  run(until: number, isOver?: () => boolean): Promise<void>
  /** Time as that process sees it. */
  clockOf(host: Host): Clock
}

interface Task {
  due: number
  /** Of tasks that are due together the older one comes first. */
  readonly order: number
  readonly host: Host | undefined
  run: (() => void) | undefined
}

/** The date at which histories begin. Milliseconds since the epoch. */
export const BEGINNING = Date.UTC(2024, 0, 1)

/** Virtual time from 0. */
export function createScheduler(): Scheduler {
  let now = 0
  let orders = 0
  const tasks = createHeap<Task>((a, b) => a.due < b.due || (a.due === b.due && a.order < b.order))

  function add(ms: number, run: () => void, host: Host | undefined): Task {
    // Whole milliseconds: what happens in one of them settles together.
    const due = now + Math.max(0, Math.ceil(ms))
    const task = { due, order: (orders += 1), host, run }
    tasks.push(task)
    return task
  }

  /** Does all that is due by now. */
  function perform(): void {
    for (let task = tasks.peek(); task && task.due <= now; task = tasks.peek()) {
      tasks.pop()
      const { host, run } = task
      if (run === undefined || host?.dead) continue
      if (host && host.pausedUntil > now) {
        task.due = host.pausedUntil
        tasks.push(task)
      } else run()
    }
  }

  return {
    now: () => now,
    after: (ms, run, host) => void add(ms, run, host),
    async run(until, isOver = () => false) {
      await settled()
      for (;;) {
        const next = tasks.peek()
        if (next === undefined || next.due > until || isOver()) break
        now = next.due
        perform()
        await settled()
      }
      if (!isOver()) now = until
    },
    clockOf: (host) => ({
      now: () => now + 1e6 + host.skewMs,
      wall: () => BEGINNING + now + host.skewMs,
      timer(ms, run) {
        const task = add(ms, run, host)
        return () => {
          task.run = undefined
        }
      },
    }),
  }
}

/**
 * Resolves when every promise that depends on nothing outside has settled: Node runs ticks when no
 * microtask is left, and this costs no turn of the event loop.
 */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    process.nextTick(resolve)
  })
}
