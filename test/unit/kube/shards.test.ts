/**
 * Divided work, on virtual time and Leases in memory: who works which shard at each moment.
 */
import fc from 'fast-check'
import { beforeEach, expect, test } from 'vitest'
import { isKeyferryError } from '../../../src/errors.ts'
import { parseLease } from '../../../src/kube/lease.ts'
import type { KubeRequest, KubeRest } from '../../../src/kube/rest.ts'
import {
  type Foreign,
  type Mandate,
  shardLease,
  shardOf,
  shardToAsk,
  workShards,
} from '../../../src/kube/shards.ts'
import { statusError } from '../../../src/kube/status.ts'
import { createVirtualClock, settled, type VirtualClock } from '../../support/virtual-clock.ts'

interface Body {
  readonly metadata: { readonly resourceVersion: string; readonly name: string }
}

const NAME = 'keyferry'

let clock: VirtualClock
let leases: Map<string, Body>
let version: number
/** Who works which shard now; a shard that two work at once fails the test. */
let workers: Map<number, string>
let clashes: string[]
let failures: unknown[]

beforeEach(reset)

function reset(): void {
  clock = createVirtualClock()
  leases = new Map()
  version = 0
  workers = new Map()
  clashes = []
  failures = []
}

function carryOut({ method, path, body }: KubeRequest): unknown {
  const sent = body as Body
  const name = method === 'POST' ? sent.metadata.name : (path.split('/').at(-1) ?? '')
  const held = leases.get(name)
  if (method === 'POST' && held) {
    throw statusError('POST', 409, '{"kind":"Status","reason":"AlreadyExists"}')
  }
  if (method !== 'POST' && !held) throw statusError(method, 404, '')
  if (method === 'PUT' && sent.metadata.resourceVersion !== held?.metadata.resourceVersion) {
    throw statusError('PUT', 409, '{"kind":"Status","reason":"Conflict"}')
  }
  if (method !== 'GET') {
    version += 1
    const metadata = { ...sent.metadata, resourceVersion: String(version) }
    leases.set(name, structuredClone({ ...sent, metadata }))
  }
  return structuredClone(leases.get(name))
}

interface Replica {
  readonly identity: string
  readonly ended: Promise<unknown>
  stop(): void
  /** As SIGKILL does: it works on until that, and nothing of it is heard any more. */
  kill(): void
  /** Its requests are not answered any more; it lives. */
  cutOff(): void
}

function startReplica(identity: string, shards: number): Replica {
  const stop = new AbortController()
  let [alive, reachable] = [true, true]
  const rest: KubeRest = {
    async send(request, signal) {
      signal.throwIfAborted()
      if (alive && reachable) return carryOut(request)
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
      })
    },
    stream: () => Promise.reject(new Error('nothing is watched')),
    serverTime: () => clock.wall(),
    close: () => Promise.resolve(),
  }
  async function work(shard: number, { signal, isWritable }: Mandate): Promise<void> {
    const other = workers.get(shard)
    if (other !== undefined) clashes.push(`${other} and ${identity} work shard ${shard}`)
    workers.set(shard, identity)
    expect(isWritable()).toBe(true)
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    if (alive) workers.delete(shard)
  }
  const options = {
    rest,
    clock,
    lease: { namespace: 'ns', name: NAME },
    shards,
    identity,
    onFailure: (error: unknown) => alive && reachable && failures.push(error),
  }
  const member = { ended: Promise.resolve(), work }
  const ended = workShards(options, () => Promise.resolve(member), stop.signal).catch(
    (error: unknown) => error,
  )
  return {
    identity,
    ended,
    stop: () => stop.abort(),
    kill() {
      alive = false
      for (const [shard, worker] of workers) if (worker === identity) workers.delete(shard)
    },
    cutOff() {
      reachable = false
    },
  }
}

/** How many shards each works, in order. */
function shares(): number[] {
  const counts = new Map<string, number>()
  for (const worker of workers.values()) counts.set(worker, (counts.get(worker) ?? 0) + 1)
  return [...counts.values()].toSorted((a, b) => a - b)
}

const holderOf = (shard: number) => parseLease(leases.get(shardLease(NAME, shard))).holder

test('a namespace is in one shard, whoever asks, and namespaces spread evenly', () => {
  const names = Array.from({ length: 10_000 }, (_, n) => `team-${n}`)
  const counts = Map.groupBy(names, (name) => shardOf(name, 4))
  expect(new Set(counts.keys())).toEqual(new Set([0, 1, 2, 3]))
  for (const { length } of counts.values()) expect(Math.abs(length - 2_500)).toBeLessThan(250)
  // The contract between replicas of different versions.
  expect(
    ['default', 'kube-system', 'shop'].map((name) => shardOf(name, 64)),
  ).toMatchInlineSnapshot(`
    [
      1,
      48,
      19,
    ]
  `)
})

test.each<[string, Partial<Foreign>[], number, number | undefined]>([
  ['nobody has any', [{ holder: '' }, { holder: '' }], 0, undefined],
  ['somebody has two more', [{ holder: 'b' }, { holder: 'b' }], 0, 1],
  ['the last one is asked for', [{ holder: 'b' }, { holder: 'b', wantedBy: 'c' }], 0, 0],
  ['we have asked already', [{ holder: 'b', wantedBy: 'a' }, { holder: 'b' }], 0, undefined],
  ['somebody has one more', [{ holder: 'b' }, { holder: 'b' }], 1, undefined],
  ['one of several has most', [{ holder: 'c' }, { holder: 'b' }, { holder: 'b' }], 0, 2],
])('whom to ask when %s', (_when, foreign, own, wanted) => {
  const all = foreign.map((one, shard) => ({ shard, holder: '', wantedBy: undefined, ...one }))
  expect(shardToAsk(all, own, 'a')?.shard).toBe(wanted)
})

test('one works all shards, two half of them, four one each', async () => {
  startReplica('a', 4)
  await clock.advance(2_000)
  expect(shares()).toEqual([4])
  startReplica('b', 4)
  await clock.advance(10_000)
  expect(shares()).toEqual([2, 2])
  startReplica('c', 4)
  startReplica('d', 4)
  await clock.advance(10_000)
  expect(shares()).toEqual([1, 1, 1, 1])
  startReplica('e', 4)
  await clock.advance(60_000)
  expect(shares()).toEqual([1, 1, 1, 1])
  expect({ clashes, failures }).toEqual({ clashes: [], failures: [] })
})

test('a shard that is handed over is worked again within two seconds', async () => {
  startReplica('a', 2)
  await clock.advance(2_000)
  startReplica('b', 2)
  let idle = 0
  for (let ms = 0; ms < 10_000; ms += 100) {
    await clock.advance(100)
    if (workers.size < 2) idle += 100
  }
  expect(shares()).toEqual([1, 1])
  expect(idle).toBeLessThan(2_000)
})

test('the shards of one that stops are worked by another within two seconds', async () => {
  const first = startReplica('a', 4)
  startReplica('b', 4)
  await clock.advance(15_000)
  expect(shares()).toEqual([2, 2])
  first.stop()
  await clock.advance(2_000)
  expect(shares()).toEqual([4])
  expect(await first.ended).toBeUndefined()
  expect({ clashes, failures }).toEqual({ clashes: [], failures: [] })
})

test('the shards of one that is killed are worked by others within twenty seconds', async () => {
  const replicas = ['a', 'b', 'c'].map((name) => startReplica(name, 8))
  await clock.advance(30_000)
  expect(shares()).toEqual([2, 3, 3])
  replicas[0]?.kill()
  await clock.advance(20_000)
  expect(workers.size).toBe(8)
  await clock.advance(20_000)
  expect(shares()).toEqual([4, 4])
  expect(clashes).toEqual([])
})

test('one that cannot renew ends before another works its shards', async () => {
  const first = startReplica('a', 2)
  await clock.advance(2_000)
  startReplica('b', 2)
  await clock.advance(10_000)
  first.cutOff()
  await clock.advance(30_000)
  expect(isKeyferryError(await first.ended, 'LEASE_LOST')).toBe(true)
  expect(shares()).toEqual([2])
  expect(clashes).toEqual([])
})

test('those who divide the work otherwise wait until all others are gone', async () => {
  const old = [startReplica('a', 2), startReplica('b', 2)]
  await clock.advance(10_000)
  startReplica('c', 4)
  startReplica('d', 1)
  await clock.advance(60_000)
  expect([...workers.values()].toSorted()).toEqual(['a', 'b'])
  old[0]?.stop()
  await clock.advance(60_000)
  expect([...workers.values()]).toEqual(['b', 'b'])
  old[1]?.stop()
  await clock.advance(20_000)
  expect(new Set(workers.values()).size).toBe(1)
  expect(['c', 'd']).toContain([...workers.values()][0])
  expect(clashes).toEqual([])
})

test('a failure of the work ends everything and gives all shards back', async () => {
  const boom = new Error('boom')
  const stop = new AbortController()
  const options = {
    rest: { send: async (request: KubeRequest) => carryOut(request) } as unknown as KubeRest,
    clock,
    lease: { namespace: 'ns', name: NAME },
    shards: 2,
    identity: 'a',
    onFailure: (error: unknown) => failures.push(error),
  }
  const work = (shard: number) => (shard === 1 ? Promise.reject(boom) : Promise.resolve())
  const member = { ended: Promise.resolve(), work }
  const ended = workShards(options, () => Promise.resolve(member), stop.signal).catch(
    (error: unknown) => error,
  )
  await clock.advance(5_000)
  expect(await ended).toBe(boom)
  expect([holderOf(0), holderOf(1)]).toEqual(['', ''])
})

const ENDS = ['stop', 'kill', 'cutOff'] as const

test('whatever comes and goes, no shard is worked twice, and none is left for long', async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('start' as const) }),
    fc.record({ kind: fc.constantFrom(...ENDS), index: fc.nat(4) }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 20_000 }) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      reset()
      let [replicas, started] = [[startReplica('r0', 6)], 1]
      for (const one of steps) {
        if (one.kind === 'wait') await clock.advance(one.ms)
        else if (one.kind === 'start') {
          if (replicas.length < 5) replicas = [...replicas, startReplica(`r${started++}`, 6)]
        } else {
          const chosen = replicas[one.index]
          chosen?.[one.kind]()
          replicas = replicas.filter((other) => other !== chosen)
        }
        await settled()
      }
      if (replicas.length === 0) replicas = [startReplica('last', 6)]
      await clock.advance(60_000)
      expect(clashes).toEqual([])
      expect(workers.size).toBe(6)
      const counts = replicas.map(
        ({ identity }) => [...workers.values()].filter((worker) => worker === identity).length,
      )
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThan(2)
    }),
    { numRuns: 60 },
  )
}, 60_000)
