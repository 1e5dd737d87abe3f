import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  createQueue,
  type KeyedQueue,
  type QueueOptions,
  type Requeue,
} from '../../../src/kube/queue.ts'
import { createVirtualClock, settled, type VirtualClock } from '../../support/virtual-clock.ts'

const BACKOFF = { firstMs: 1_000, maxMs: 60_000 }

/** A queue of three priorities whose groups are the letters that keys begin with. */
function aQueue(more: Partial<QueueOptions> = {}): { queue: KeyedQueue; clock: VirtualClock } {
  const clock = createVirtualClock()
  const groupOf = (key: string) => key.slice(0, 1)
  const options = { random: () => 0, priorities: 3, backoff: BACKOFF, groupOf, workers: 100 }
  return { clock, queue: createQueue({ clock, ...options, ...more }) }
}

/** The next key if there is one now. */
function take(queue: KeyedQueue): Promise<string | undefined> {
  const stop = new AbortController()
  const key = queue.next(stop.signal)
  stop.abort()
  return key
}

async function takeAll(queue: KeyedQueue): Promise<string[]> {
  const keys: string[] = []
  for (let key = await take(queue); key !== undefined; key = await take(queue)) keys.push(key)
  return keys
}

const FORGET: Requeue = { kind: 'forget' }

test('a key that is added twice is worked once', async () => {
  const { queue } = aQueue()
  queue.add('a')
  queue.add('a')
  expect(queue.waiting).toBe(1)
  expect(await takeAll(queue)).toEqual(['a'])
})

test('a key that is added while it is worked is worked once more, afterwards', async () => {
  const { queue } = aQueue()
  queue.add('a')
  expect(await takeAll(queue)).toEqual(['a'])
  queue.add('a')
  queue.add('a')
  expect(await takeAll(queue)).toEqual([])
  queue.done('a', FORGET)
  expect(await takeAll(queue)).toEqual(['a'])
  queue.done('a', FORGET)
  expect(await takeAll(queue)).toEqual([])
})

test('a worker that waits gets the key as soon as there is one', async () => {
  const { queue, clock } = aQueue()
  const next = queue.next(new AbortController().signal)
  queue.add('a', { afterMs: 500 })
  await clock.advance(499)
  expect(queue.waiting).toBe(0)
  await clock.advance(1)
  expect(await next).toBe('a')
})

test('a worker whose signal aborts gets nothing and takes nothing from the others', async () => {
  const { queue } = aQueue()
  const stop = new AbortController()
  const quitter = queue.next(stop.signal)
  const worker = queue.next(new AbortController().signal)
  stop.abort()
  expect(await quitter).toBeUndefined()
  queue.add('a')
  expect(await worker).toBe('a')
})

test('a key goes to another worker when the first to hear of it quits at that moment', async () => {
  const { queue } = aQueue()
  const stop = new AbortController()
  const quitter = queue.next(stop.signal)
  const worker = queue.next(new AbortController().signal)
  queue.add('a')
  stop.abort()
  expect(await quitter).toBeUndefined()
  expect(await worker).toBe('a')
})

test('a worker under an aborted signal gets nothing even if keys wait', async () => {
  const { queue } = aQueue()
  queue.add('a')
  expect(await queue.next(AbortSignal.abort())).toBeUndefined()
  expect(queue.waiting).toBe(1)
})

test('urgent keys come first, and a key that becomes urgent overtakes', async () => {
  const { queue } = aQueue()
  queue.add('c')
  queue.add('b', { priority: 1 })
  queue.add('d')
  queue.add('a', { priority: 0 })
  queue.add('d', { priority: 0 })
  expect(await takeAll(queue)).toEqual(['a', 'd', 'b', 'c'])
})

test('a key keeps its urgency until it is forgotten', async () => {
  const { queue, clock } = aQueue()
  queue.add('a', { priority: 0 })
  await take(queue)
  queue.done('a', { kind: 'after', ms: 10 })
  queue.add('b', { priority: 1 })
  await clock.advance(10)
  expect(await takeAll(queue)).toEqual(['a', 'b'])
})

test('groups take turns: a group with many keys delays the key of another by one', async () => {
  const { queue } = aQueue()
  for (const n of [1, 2, 3]) queue.add(`a${n}`)
  queue.add('b1')
  expect(await takeAll(queue)).toEqual(['a1', 'b1', 'a2', 'a3'])
})

test('of several delays the earliest counts', async () => {
  const { queue, clock } = aQueue()
  queue.add('a', { afterMs: 1_000 })
  queue.add('a', { afterMs: 300 })
  queue.add('a', { afterMs: 700 })
  await clock.advance(299)
  expect(await takeAll(queue)).toEqual([])
  await clock.advance(1)
  expect(await takeAll(queue)).toEqual(['a'])
  queue.done('a', FORGET)
  await clock.advance(10_000)
  expect(await takeAll(queue)).toEqual([])
})

test('a key is worked again after the time that its run asked for', async () => {
  const { queue, clock } = aQueue()
  queue.add('a')
  await take(queue)
  queue.done('a', { kind: 'after', ms: 5_000 })
  await clock.advance(4_999)
  expect(await takeAll(queue)).toEqual([])
  await clock.advance(1)
  expect(await takeAll(queue)).toEqual(['a'])
})

test('each failure in a row waits longer, and a success forgets them', async () => {
  const { queue, clock } = aQueue()
  queue.add('a')
  const waits: number[] = []
  for (let n = 0; n < 8; n += 1) {
    await take(queue)
    queue.done('a', { kind: 'backoff' })
    waits.push(clock.timers[0] ?? 0)
    await clock.advance(waits.at(-1) ?? 0)
  }
  expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
  expect(queue.failures('a')).toBe(8)
  await take(queue)
  queue.done('a', { kind: 'after', ms: 0 })
  expect(queue.failures('a')).toBe(0)
})

test('a back-off is at least as long as its run asked for', async () => {
  const { queue, clock } = aQueue()
  queue.add('a')
  await take(queue)
  queue.done('a', { kind: 'backoff', ms: 9_000 })
  expect(clock.timers).toEqual([9_000])
})

test('those who were told to wait for the same time do not all come at once, nor too late', async () => {
  const { queue, clock } = aQueue({ random: () => 0.8 })
  queue.add('a')
  queue.add('b')
  await takeAll(queue)
  queue.done('a', { kind: 'backoff', ms: 10_000 })
  queue.done('b', { kind: 'backoff', ms: 10_000, mostMs: 7_000 })
  expect(clock.timers).toEqual([7_000])
  await clock.advance(7_000)
  expect(await takeAll(queue)).toEqual(['b'])
  expect(clock.timers).toEqual([5_000])
})

test('runs that hang leave a worker to other groups, and to other priorities of their own', async () => {
  const { queue } = aQueue({ workers: 8 })
  for (let n = 0; n < 100; n += 1) queue.add(`a${n}`, { priority: 2 })
  expect(await takeAll(queue)).toHaveLength(4)
  queue.add('b1', { priority: 2 })
  queue.add('a new', { priority: 0 })
  expect(await takeAll(queue)).toEqual(['a new', 'b1'])
  queue.done('a0', FORGET)
  queue.done('a1', FORGET)
  expect(await takeAll(queue)).toEqual(['a4'])
})

test('a worker that waits for its group goes on once a run has ended', async () => {
  const { queue } = aQueue({ workers: 2 })
  queue.add('a1')
  queue.add('a2')
  expect(await takeAll(queue)).toEqual(['a1'])
  const next = queue.next(new AbortController().signal)
  await settled()
  queue.done('a1', FORGET)
  expect(await next).toBe('a2')
})

test('the least urgent keys start one after the other, and hold up nobody', async () => {
  const { queue, clock } = aQueue({ spacingMs: 100 })
  const stop = new AbortController()
  const started: [string, number][] = []
  async function work(): Promise<void> {
    for (let key = await queue.next(stop.signal); key; key = await queue.next(stop.signal)) {
      started.push([key, clock.now()])
      queue.done(key, FORGET)
    }
  }
  const workers = [work(), work()]
  for (const key of ['a1', 'a2', 'b1']) queue.add(key)
  await clock.advance(50)
  queue.add('c1', { priority: 1 })
  await clock.advance(1_000)
  queue.add('d1')
  await clock.advance(0)
  stop.abort()
  await Promise.all(workers)
  expect(started).toEqual([
    ['a1', 0],
    ['c1', 50],
    ['b1', 100],
    ['a2', 200],
    ['d1', 1_050],
  ])
})

test('news during a run that fails do not wait for the back-off', async () => {
  const { queue } = aQueue()
  queue.add('a')
  await take(queue)
  queue.add('a')
  queue.done('a', { kind: 'backoff' })
  expect(await takeAll(queue)).toEqual(['a'])
})

test('the end of a run that never began changes nothing', async () => {
  const { queue } = aQueue()
  queue.done('a', { kind: 'backoff' })
  expect([queue.waiting, queue.failures('a')]).toEqual([0, 0])
})

interface Run {
  priority: number
  due: number
}

/** What a queue promises, without lines, timers and turns. */
function createModel() {
  const entries = new Map<string, Run & { running: boolean; again: Run | undefined }>()
  const merged = (a: Run | undefined, b: Run): Run => ({
    priority: Math.min(a?.priority ?? b.priority, b.priority),
    due: Math.min(a?.due ?? b.due, b.due),
  })
  const model = {
    add(key: string, run: Run): void {
      const entry = entries.get(key)
      if (entry === undefined) entries.set(key, { ...run, running: false, again: undefined })
      else if (!entry.running) Object.assign(entry, merged(entry, run))
      else {
        entry.again = merged(entry.again, run)
        entry.priority = Math.min(entry.priority, run.priority)
      }
    },
    /** Keys that may come out now: due, not being worked, of the most urgent kind. */
    ready(now: number): string[] {
      const due = [...entries].filter(([, entry]) => !entry.running && entry.due <= now)
      const first = Math.min(...due.map(([, { priority }]) => priority))
      return due.filter(([, { priority }]) => priority === first).map(([key]) => key)
    },
    waiting: (now: number) =>
      [...entries.values()].filter((entry) => !entry.running && entry.due <= now).length,
    start(key: string): void {
      const entry = entries.get(key)
      if (entry) entry.running = true
    },
    running: () => [...entries].filter(([, entry]) => entry.running).map(([key]) => key),
    done(key: string, waitUntil: number | undefined): void {
      const entry = entries.get(key)
      entries.delete(key)
      if (!entry) return
      if (waitUntil !== undefined) model.add(key, { priority: entry.priority, due: waitUntil })
      if (entry.again) model.add(key, entry.again)
    },
    size: () => entries.size,
  }
  return model
}

const KEYS = ['a1', 'a2', 'b1', 'b2', 'c1']
const command = fc.oneof(
  fc.record({
    kind: fc.constant('add' as const),
    key: fc.constantFrom(...KEYS),
    priority: fc.nat(2),
    afterMs: fc.constantFrom(0, 0, 10, 25, 40),
  }),
  fc.record({ kind: fc.constant('take' as const) }),
  fc.record({ kind: fc.constant('advance' as const), ms: fc.constantFrom(5, 10, 30) }),
  fc.record({
    kind: fc.constant('done' as const),
    which: fc.nat(10),
    ms: fc.constantFrom(undefined, 0, 20),
  }),
)

test('whatever happens: one run of a key at a time, none before its time, none is lost', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 60 }), async (commands) => {
      const { queue, clock } = aQueue()
      const model = createModel()
      const surprises: unknown[] = []
      const takeOne = async () => {
        const ready = model.ready(clock.now())
        const key = await take(queue)
        if (key === undefined ? ready.length > 0 : !ready.includes(key)) surprises.push(key, ready)
        if (key !== undefined) model.start(key)
        return key
      }
      const finish = (key: string, ms: number | undefined) => {
        queue.done(key, ms === undefined ? FORGET : { kind: 'after', ms })
        model.done(key, ms === undefined ? undefined : clock.now() + ms)
      }
      for (const one of commands) {
        if (one.kind === 'add') {
          queue.add(one.key, one)
          model.add(one.key, { priority: one.priority, due: clock.now() + one.afterMs })
        } else if (one.kind === 'take') await takeOne()
        else if (one.kind === 'advance') await clock.advance(one.ms)
        else {
          const running = model.running()
          const key = running[one.which % Math.max(1, running.length)]
          if (key !== undefined) finish(key, one.ms)
        }
        const wanted = model.waiting(clock.now())
        if (queue.waiting !== wanted) surprises.push(one, queue.waiting, wanted)
      }
      // In the end everything that was added has been worked.
      await clock.advance(100)
      for (const key of model.running()) finish(key, undefined)
      for (let key = await takeOne(); key !== undefined; key = await takeOne())
        finish(key, undefined)
      expect([surprises, model.size(), queue.waiting, clock.timers]).toEqual([[], 0, 0, []])
    }),
    { numRuns: 300 },
  )
})

test('workers share the keys: each is worked, none by two at once', async () => {
  const { queue, clock } = aQueue()
  const stop = new AbortController()
  const running = new Set<string>()
  const runs = new Map<string, number>()
  let clashes = 0
  async function work(ms: number): Promise<void> {
    for (let key = await queue.next(stop.signal); key; key = await queue.next(stop.signal)) {
      if (running.has(key)) clashes += 1
      running.add(key)
      await new Promise<void>((resolve) => void clock.timer(ms, resolve))
      running.delete(key)
      runs.set(key, (runs.get(key) ?? 0) + 1)
      queue.done(key, FORGET)
    }
  }
  const workers = [3, 5, 7, 11].map(work)
  for (let n = 0; n < 200; n += 1) {
    queue.add(`${'abc'[n % 3]}${n % 20}`, { afterMs: n % 4 })
    await clock.advance(1)
  }
  await clock.advance(1_000)
  stop.abort()
  await Promise.all(workers)
  await settled()
  expect([clashes, queue.waiting, runs.size]).toEqual([0, 0, 60])
})
