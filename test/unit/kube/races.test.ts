/**
 * Races inside the process: the queue and its workers, the view of a cluster, the Lease, in whatever
 * order what they wait for comes. `KEYFERRY_SEED=… npm run test:unit -- races` tries the same orders.
 */
import * as fc from 'fast-check'
import { describe, expect } from 'vitest'
import { runController } from '../../../src/kube/controller.ts'
import { type Term, winElection } from '../../../src/kube/lease.ts'
import { createQueue } from '../../../src/kube/queue.ts'
import { keyOf, type Tracked } from '../../../src/kube/resource.ts'
import type { KubeRequest, KubeRest } from '../../../src/kube/rest.ts'
import { statusError } from '../../../src/kube/status.ts'
import { createStore } from '../../../src/kube/store.ts'
import { KeyferryError } from '../../../src/errors.ts'
import { race } from '../../support/property.ts'
import { createVirtualClock, type VirtualClock } from '../../support/virtual-clock.ts'

/** Lets everything come that still can, as time goes by. */
async function drain(s: fc.Scheduler, clock: VirtualClock, isOver: () => boolean): Promise<void> {
  for (let n = 0; n < 100; n += 1) {
    await s.waitIdle()
    if (isOver()) return
    await clock.advance(1_000)
  }
  throw new Error('it never ends')
}

describe('workers of a queue', () => {
  interface Add {
    readonly key: string
    readonly priority: number
    readonly afterMs: number
  }
  const anyAdds = fc.array(
    fc.record({
      key: fc.constantFrom('a/1', 'a/2', 'b/1'),
      priority: fc.nat(1),
      afterMs: fc.constantFrom(0, 0, 0, 500),
    }),
    { minLength: 1, maxLength: 12 },
  )

  /** Adds keys while three workers work them; the first `failures` runs fail. */
  async function work(s: fc.Scheduler, adds: readonly Add[], failures = 0, stopAfter = Infinity) {
    const clock = createVirtualClock()
    const seen = { adds: new Map<string, number>(), starts: new Map<string, number>() }
    const counts = { runs: 0, overlaps: 0, failed: 0, late: 0, underWay: 0 }
    const running = new Set<string>()
    const good = new Set<string>()
    let tick = 0
    const queue = createQueue({
      clock,
      random: () => 0.5,
      priorities: 2,
      backoff: { firstMs: 100, maxMs: 1_000 },
      groupOf: (key) => key.slice(0, 1),
      workers: 3,
    })
    const stop = new AbortController()
    const reconcile = async (key: string) => {
      if (stop.signal.aborted) counts.late += 1
      if (running.has(key)) counts.overlaps += 1
      running.add(key)
      seen.starts.set(key, ++tick)
      counts.runs += 1
      const isBad = counts.runs <= failures
      await s.schedule(Promise.resolve(), `work ${key}`)
      running.delete(key)
      if (isBad) {
        counts.failed += 1
        good.delete(key)
        throw new Error('this run fails')
      }
      good.add(key)
      return { kind: 'forget' } as const
    }
    const controller = runController({ queue, reconcile, onCrash: () => undefined }, stop.signal)
    s.scheduleSequence(
      adds.map(({ key, ...how }, n) => ({
        label: `add ${key}`,
        builder: async () => {
          queue.add(key, how)
          seen.adds.set(key, ++tick)
          if (n === stopAfter) stop.abort()
        },
      })),
    )
    const isOver = () =>
      stop.signal.aborted ||
      (running.size === 0 && queue.waiting === 0 && clock.timers.length === 0)
    await drain(s, clock, isOver)
    stop.abort()
    await s.waitFor(controller.then(() => (counts.underWay = running.size)))
    return { ...counts, ...seen, good, queue }
  }

  race(
    'never work a key twice at the same time',
    fc.asyncProperty(fc.scheduler(), anyAdds, async (s, adds) => {
      expect((await work(s, adds)).overlaps).toBe(0)
    }),
  )

  race(
    'start a key once more after it was added the last time',
    fc.asyncProperty(fc.scheduler(), anyAdds, async (s, adds) => {
      const { adds: added, starts } = await work(s, adds)
      for (const [key, at] of added) expect(starts.get(key)).toBeGreaterThan(at)
    }),
  )

  race(
    'work no key more often than it was added',
    fc.asyncProperty(fc.scheduler(), anyAdds, fc.nat(3), async (s, adds, failures) => {
      const { runs, failed } = await work(s, adds, failures)
      expect(runs).toBeLessThanOrEqual(adds.length + failed)
    }),
  )

  race(
    'try again what failed, until it is done, and forget the failures then',
    fc.asyncProperty(
      fc.scheduler(),
      anyAdds,
      fc.integer({ min: 1, max: 4 }),
      async (s, adds, n) => {
        const { good, adds: added, queue } = await work(s, adds, n)
        expect([...good].toSorted()).toEqual([...added.keys()].toSorted())
        for (const key of added.keys()) expect(queue.failures(key)).toBe(0)
      },
    ),
  )

  race(
    'start nothing once they are to stop, and end what runs',
    fc.asyncProperty(fc.scheduler(), anyAdds, fc.nat(11), async (s, adds, at) => {
      const { late, underWay } = await work(s, adds, 0, at % adds.length)
      expect([late, underWay]).toEqual([0, 0])
    }),
  )
})

describe('the view of a cluster', () => {
  interface Thing extends Tracked {
    readonly colour: string
  }
  interface Change {
    readonly name: string
    readonly kind: 'write' | 'delete'
    /** Made by this process, which gets an answer besides the watch's event. */
    readonly isOwn: boolean
    readonly colour: string
  }
  const anyChanges = fc.array(
    fc.record({
      name: fc.constantFrom('x', 'y'),
      kind: fc.constantFrom('write', 'write', 'delete'),
      isOwn: fc.boolean(),
      colour: fc.constantFrom('red', 'blue'),
    }),
    { minLength: 1, maxLength: 10 },
  )
  const watchable = (change: Change, n: number, held: Thing | undefined): Thing => ({
    namespace: 'ns',
    name: change.name,
    uid: held?.uid ?? `${change.name}${n}`,
    resourceVersion: String(n + 1),
    colour: change.colour,
  })

  interface Told {
    /** The version that the change made. */
    readonly version: number
    readonly kind: 'applied' | 'deleted'
    readonly object: Thing
    readonly isOwn: boolean
  }

  /** What the server does: its changes, and all that it has after each version. */
  function history(changes: readonly Change[]) {
    const states: Map<string, Thing>[] = [new Map()]
    const told: Told[] = []
    for (const [n, change] of changes.entries()) {
      const state = new Map(states.at(-1))
      const held = state.get(change.name)
      const kind = change.kind === 'delete' ? 'deleted' : 'applied'
      const object = watchable(change, n, held)
      if (kind === 'applied') state.set(change.name, object)
      else state.delete(change.name)
      states.push(state)
      const { isOwn } = change
      if (kind === 'applied' || held) told.push({ version: n + 1, kind, object, isOwn })
    }
    return { states, told }
  }

  /**
   * Tells a view all of it: the watch in order, once with a new list, and the answers to own writes
   * at any time between, those about one object in order: who writes it waits for the answer before.
   * A list is as young as what was answered before it was asked for.
   */
  async function view(s: fc.Scheduler, changes: readonly Change[], relistAt: number) {
    const { states, told } = history(changes)
    const store = createStore<Thing>({ colour: ({ colour }) => [colour] })
    const steps: (readonly [Thing | undefined, Thing | undefined])[] = []
    store.subscribe((before, after) => steps.push([before, after]))
    const feed = store.feed()
    let position = 0
    let answered = 0
    const list = (version: number) => [
      step('a list is asked for', () => {
        feed({ kind: 'listing' })
        position = Math.max(version, answered)
        for (const object of states[position]?.values() ?? []) feed({ kind: 'applied', object })
      }),
      step('the list is whole', () => feed({ kind: 'synced', resourceVersion: String(position) })),
    ]
    const events = told.flatMap(({ version, kind, object }, n) => [
      step(`${kind} ${version}`, () => {
        // What a list told, the watch does not tell.
        if (version > position) feed({ kind, object })
      }),
      ...(n === relistAt ? list(version) : []),
    ])
    s.scheduleSequence([...list(0), ...events])
    const own = told.filter(({ isOwn }) => isOwn)
    const answer = ({ version, kind, object }: Told) =>
      step(`answer ${version}`, () => {
        answered = Math.max(answered, version)
        if (kind === 'applied') store.observe(object)
        else store.forget(object, object.uid)
      })
    for (const all of Map.groupBy(own, ({ object }) => object.name).values()) {
      s.scheduleSequence(all.map(answer))
    }
    await s.waitIdle()
    return { truth: states.at(-1) ?? new Map<string, Thing>(), store, steps }
  }
  const versionOf = (one: Thing) => `${keyOf(one)}@${one.resourceVersion}`
  const step = (label: string, run: () => void) => ({ label, builder: async () => run() })

  race(
    'is what the server has when all is told, however late the answers to own writes come',
    fc.asyncProperty(fc.scheduler(), anyChanges, fc.nat(12), async (s, changes, relistAt) => {
      const { truth, store } = await view(s, changes, relistAt)
      const held = [...store.values()].map(versionOf)
      const wanted = [...truth.values()].map(versionOf)
      expect(held.toSorted()).toEqual(wanted.toSorted())
    }),
  )

  race(
    'never shows an older state of an object after a newer one',
    fc.asyncProperty(fc.scheduler(), anyChanges, fc.nat(12), async (s, changes, relistAt) => {
      const { steps } = await view(s, changes, relistAt)
      const newest = new Map<string, number>()
      for (const [, after] of steps) {
        if (after === undefined) continue
        const version = Number(after.resourceVersion)
        expect(version).toBeGreaterThan(newest.get(after.uid) ?? 0)
        newest.set(after.uid, version)
      }
    }),
  )

  race(
    'finds by its indexes what it holds',
    fc.asyncProperty(fc.scheduler(), anyChanges, fc.nat(12), async (s, changes, relistAt) => {
      const { store } = await view(s, changes, relistAt)
      for (const colour of ['red', 'blue']) {
        const scanned = [...store.values()].filter((one) => one.colour === colour).map(keyOf)
        expect(store.find('colour', colour).map(keyOf).toSorted()).toEqual(scanned.toSorted())
      }
    }),
  )
})

describe('two who want a Lease', () => {
  /** A Lease in memory; requests and answers take as long as the order of the race says. */
  function leaseServer(s: fc.Scheduler, clock: VirtualClock): KubeRest {
    let held: { metadata: { resourceVersion: string }; spec: object } | undefined
    let version = 0
    const apply = ({ method, body }: KubeRequest): unknown => {
      const given = body as { metadata: { resourceVersion?: string }; spec: object } | undefined
      if (method === 'POST' && held) throw statusError('POST', 409, STATUS('AlreadyExists'))
      if (method !== 'POST' && !held) throw statusError(method, 404, STATUS('NotFound'))
      if (method === 'GET') return structuredClone(held)
      if (method === 'PUT' && given?.metadata.resourceVersion !== held?.metadata.resourceVersion) {
        throw statusError('PUT', 409, STATUS('Conflict'))
      }
      version += 1
      held = {
        metadata: { ...given?.metadata, resourceVersion: String(version) },
        spec: { ...given?.spec },
      }
      return structuredClone(held)
    }
    const carried = async (request: KubeRequest) => {
      await s.schedule(Promise.resolve(), `${request.method} arrives`)
      try {
        return apply(request)
      } finally {
        await s.schedule(Promise.resolve(), `${request.method} is answered`)
      }
    }
    const send = (request: KubeRequest, signal: AbortSignal) =>
      new Promise((resolve, reject) => {
        const cancel = clock.timer(request.timeoutMs ?? 10_000, () => reject(silence()))
        signal.addEventListener('abort', () => reject(signal.reason as Error))
        carried(request).then(resolve, reject).finally(cancel)
      })
    return { send } as unknown as KubeRest
  }
  const STATUS = (reason: string) => JSON.stringify({ kind: 'Status', reason, message: reason })
  const silence = () =>
    new KeyferryError('KUBE_TIMEOUT', { message: 'no answer', remedy: 'none', retry: 'soon' })

  const anySteps = fc.array(fc.constantFrom(300, 1_000, 2_000, 4_000, 6_000, 11_000, 16_000), {
    minLength: 3,
    maxLength: 12,
  })

  /** Lets both stand for election again and again while time goes by. */
  async function rule(s: fc.Scheduler, steps: readonly number[], handsOver: boolean) {
    const clock = createVirtualClock()
    const rest = leaseServer(s, clock)
    const stop = new AbortController()
    const terms = new Map<string, Term>()
    const seen = { most: 0, zombies: 0, ruled: 0 }
    const ended: Term[] = []
    let released = Promise.resolve()
    const look = () => {
      const writable = [...terms.values()].filter((term) => term.isWritable())
      seen.most = Math.max(seen.most, writable.length)
      seen.zombies += ended.filter((term) => term.isWritable()).length
      seen.ruled += writable.length
    }
    const stand = async (identity: string) => {
      while (!stop.signal.aborted) {
        const lease = { namespace: 'ns', name: 'lease' }
        const options = { rest, clock, lease, identity, onFailure: () => undefined }
        const term = await winElection(options, stop.signal)
        if (term === undefined) return
        terms.set(identity, term)
        await new Promise((resolve) => term.signal.addEventListener('abort', resolve))
        terms.delete(identity)
        ended.push(term)
        // Nobody stands again before its Lease is given back: that would give the new term away.
        await released
      }
    }
    const standing = ['one', 'two'].map(stand)
    s.scheduleSequence(
      steps.map((ms, n) => ({
        label: `${ms} ms go by`,
        builder: async () => {
          await clock.advance(ms)
          look()
          const [first] = terms.values()
          if (handsOver && n % 3 === 2 && first) released = first.release('two')
        },
      })),
    )
    await s.waitIdle()
    return {
      seen,
      /** Time goes by with every answer in time. */
      async calm(seconds: number) {
        const before = seen.ruled
        for (let n = 0; n < seconds * 4 && seen.ruled === before; n += 1) {
          await clock.advance(250)
          await s.waitIdle()
          look()
        }
        return seen.ruled > before
      },
      async end() {
        stop.abort()
        await s.waitFor(Promise.all(standing))
        look()
      },
    }
  }

  race(
    'never both may write',
    fc.asyncProperty(fc.scheduler(), anySteps, fc.boolean(), async (s, steps, handsOver) => {
      const { seen, end } = await rule(s, steps, handsOver)
      await end()
      expect(seen.most).toBeLessThanOrEqual(1)
    }),
  )

  race(
    'may never write again in a term that has ended',
    fc.asyncProperty(fc.scheduler(), anySteps, fc.boolean(), async (s, steps, handsOver) => {
      const { seen, end } = await rule(s, steps, handsOver)
      await end()
      expect(seen.zombies).toBe(0)
    }),
  )

  race(
    'do not both wait for ever once answers come in time',
    fc.asyncProperty(fc.scheduler(), anySteps, fc.boolean(), async (s, steps, handsOver) => {
      const { calm, end, seen } = await rule(s, steps, handsOver)
      expect(await calm(60)).toBe(true)
      await end()
      expect(seen.most).toBeLessThanOrEqual(1)
    }),
  )
})
