import type { Clock } from './clock.ts'
import { createHeap } from './heap.ts'

/** Things that become due later, on one timer. */
export interface Delays<T> {
  /** @param due on the clock's monotonic scale, in milliseconds */
  add(thing: T, due: number): void
}

/** Calls `onDue` with each thing and the time it was added for, when that time has come. */
export function createDelays<T>(clock: Clock, onDue: (thing: T, due: number) => void): Delays<T> {
  const heap = createHeap<{ due: number; thing: T }>((a, b) => a.due < b.due)
  let cancel: (() => void) | undefined
  let armedFor = Number.POSITIVE_INFINITY

  function arm(): void {
    const first = heap.peek()
    if (first === undefined || first.due >= armedFor) return
    cancel?.()
    armedFor = first.due
    cancel = clock.timer(first.due - clock.now(), fire)
  }

  function fire(): void {
    armedFor = Number.POSITIVE_INFINITY
    const now = clock.now()
    for (let first = heap.peek(); first && first.due <= now; first = heap.peek()) {
      heap.pop()
      onDue(first.thing, first.due)
    }
    arm()
  }

  return {
    add(thing, due) {
      heap.push({ due, thing })
      arm()
    },
  }
}
