/**
 * What a term guarantees, on virtual time and a Lease in memory.
 */
import { beforeEach, expect, test } from 'vitest'
import { isKeyferryError } from '../../../src/errors.ts'
import {
  type ElectionOptions,
  guardWrites,
  type LeaseView,
  leaseStep,
  parseLease,
  type Term,
  type Watched,
  winElection,
} from '../../../src/kube/lease.ts'
import type { KubeRequest, KubeRest } from '../../../src/kube/rest.ts'
import { statusError } from '../../../src/kube/status.ts'
import { createVirtualClock, settled, type VirtualClock } from '../../support/virtual-clock.ts'

interface Body {
  readonly metadata: { readonly resourceVersion: string; readonly labels?: object }
  readonly spec: Readonly<Record<string, unknown>>
}

let clock: VirtualClock
let held: Body | undefined
let version: number
let requests: KubeRequest[]
let failures: unknown[]
/** What befalls the next requests; `lost` carries the request out and loses the answer. */
let fate: (request: KubeRequest) => 'answer' | 'hang' | 'lost'

beforeEach(() => {
  clock = createVirtualClock()
  held = undefined
  version = 1
  requests = []
  failures = []
  fate = () => 'answer'
})

const late = new Error('no answer in time')

function carryOut({ method, body }: KubeRequest): unknown {
  const sent = body as Body
  if (method === 'GET' && !held) throw statusError('GET', 404, '')
  if (method === 'POST' && held) {
    throw statusError('POST', 409, '{"kind":"Status","reason":"AlreadyExists"}')
  }
  if (method === 'PUT') {
    if (!held) throw statusError('PUT', 404, '')
    const outdated = sent.metadata.resourceVersion !== held.metadata.resourceVersion
    if (outdated) throw statusError('PUT', 409, '{"kind":"Status","reason":"Conflict"}')
  }
  if (method === 'PUT' || method === 'POST') store(sent)
  return structuredClone(held)
}

function store(body: Body): void {
  version += 1
  held = structuredClone({
    ...body,
    metadata: { ...body.metadata, resourceVersion: String(version) },
  })
}

const rest: KubeRest = {
  async send(request, signal) {
    signal.throwIfAborted()
    request.check?.()
    requests.push(request)
    const how = fate(request)
    if (how !== 'hang') {
      const answer = carryOut(request)
      if (how === 'answer') return answer
    }
    return new Promise((_resolve, reject) => {
      if (request.timeoutMs !== undefined) clock.timer(request.timeoutMs, () => reject(late))
      signal.addEventListener('abort', () => reject(signal.reason))
    })
  },
  stream: () => Promise.reject(new Error('nothing is watched')),
  serverTime: () => clock.wall(),
  close: () => Promise.resolve(),
}

const options = (identity: string): ElectionOptions => ({
  rest,
  clock,
  lease: { namespace: 'ns', name: 'keyferry' },
  identity,
  onFailure: (error) => failures.push(error),
})

async function won(identity: string, signal = new AbortController().signal): Promise<Term> {
  const term = winElection(options(identity), signal)
  await settled()
  const won = await Promise.race([term, settled()])
  if (!won) throw new Error(`${identity} is not elected`)
  return won
}

const holder = () => parseLease(held).holder

test.each<[string, string | undefined, Watched, string]>([
  ['there never was one', undefined, { unchangedMs: Infinity, durationMs: 0 }, 'create'],
  ['it was given back', '', { unchangedMs: 0, durationMs: 1_000 }, 'acquire'],
  ['its holder is silent for long', 'b', { unchangedMs: 15_000, durationMs: 15_000 }, 'acquire'],
  ['its holder may renew it', 'b', { unchangedMs: 14_999, durationMs: 15_000 }, 'wait'],
  ['it was just deleted', undefined, { unchangedMs: 14_999, durationMs: 15_000 }, 'wait'],
  ['it was deleted long ago', undefined, { unchangedMs: 15_000, durationMs: 15_000 }, 'create'],
  ['it is our own', 'a', { unchangedMs: 0, durationMs: 15_000 }, 'renew'],
])('a candidate decides rightly when %s', (_when, holder, watched, step) => {
  const lease = holder === undefined ? undefined : ({ holder } as LeaseView)
  expect(leaseStep(lease, 'a', watched)).toBe(step)
})

test('a Lease that is deleted stays with its holder, whoever looks first', async () => {
  const term = await won('a')
  const second = new AbortController()
  const rival = winElection(options('b'), second.signal)
  await clock.advance(1_500)
  held = undefined
  await clock.advance(60_000)
  expect(holder()).toBe('a')
  expect(term.signal.aborted).toBe(false)
  second.abort()
  expect(await rival).toBeUndefined()
})

test('a holder that is never seen again is succeeded between 15 and 17 seconds later', async () => {
  const first = new AbortController()
  await won('a', first.signal)
  fate = ({ body }) => (JSON.stringify(body ?? '').includes('"a"') ? 'hang' : 'answer')
  const second = winElection(options('b'), new AbortController().signal)
  await clock.advance(14_999)
  expect(holder()).toBe('a')
  await clock.advance(2_001)
  expect(holder()).toBe('b')
  expect(await second).toBeDefined()
})

test('a renewal keeps when the Lease was acquired, and what others put on it', async () => {
  await won('a')
  const acquired = held?.spec['acquireTime']
  if (held) store({ ...held, metadata: { ...held.metadata, labels: { team: 'theirs' } } })
  await clock.advance(6_000)
  expect(held?.spec['acquireTime']).toBe(acquired)
  expect(held?.spec['renewTime']).not.toBe(acquired)
  expect(held?.metadata.labels).toEqual({ team: 'theirs' })
})

test('no write starts later than five seconds before the deadline, and none after it', async () => {
  const term = await won('a')
  const guarded = guardWrites(rest, term)
  const write = () => guarded.send({ method: 'PATCH', path: '/x' }, term.signal)
  fate = ({ method }) => (method === 'PUT' ? 'hang' : 'answer')
  await clock.advance(4_999)
  await expect(write()).resolves.toBeDefined()
  await clock.advance(1)
  await expect(write()).rejects.toThrow('overdue')
  await expect(
    guarded.send({ method: 'GET', path: '/x' }, new AbortController().signal),
  ).resolves.toBeDefined()
})

test('a renewal that hangs does not put the end of the term off', async () => {
  const term = await won('a')
  fate = ({ method }) => (method === 'PUT' ? 'hang' : 'answer')
  await clock.advance(9_999)
  expect(term.signal.aborted).toBe(false)
  await clock.advance(1)
  expect(isKeyferryError(term.signal.reason, 'LEASE_LOST')).toBe(true)
})

test('after a renewal that hung the next one follows at once, with seconds to spare', async () => {
  const term = await won('a')
  fate = ({ method }) => (method === 'PUT' ? 'hang' : 'answer')
  await clock.advance(2_000)
  fate = () => 'answer'
  const before = requests.length
  await clock.advance(5_000)
  expect(failures).toEqual([late])
  expect(requests.length).toBe(before + 1)
  expect(term.signal.aborted).toBe(false)
  await clock.advance(60_000)
  expect(term.signal.aborted).toBe(false)
})

test('after a pause of the process nothing is written and the Lease is not renewed', async () => {
  const term = await won('a')
  const before = requests.length
  await clock.pause(12_000)
  await expect(
    guardWrites(rest, term).send({ method: 'PATCH', path: '/x' }, new AbortController().signal),
  ).rejects.toThrow('overdue')
  expect(requests).toHaveLength(before)
  expect(isKeyferryError(term.signal.reason, 'LEASE_LOST')).toBe(true)
})

test('a Lease that somebody else took ends the term at once', async () => {
  const term = await won('a')
  if (held) store({ ...held, spec: { ...held.spec, holderIdentity: 'b' } })
  await clock.advance(2_000)
  expect(term.signal.aborted).toBe(true)
  expect(holder()).toBe('b')
})

test('an edit by a stranger does not end the term', async () => {
  const term = await won('a')
  if (held) store(held)
  await clock.advance(2_000)
  expect(term.signal.aborted).toBe(false)
  expect(failures).toEqual([])
})

test('a Lease that was deleted is made again by its holder', async () => {
  const term = await won('a')
  held = undefined
  await clock.advance(2_000)
  expect(term.signal.aborted).toBe(false)
  expect(holder()).toBe('a')
})

test('a Lease that is given back is taken within a second', async () => {
  const stop = new AbortController()
  const term = await won('a', stop.signal)
  const successor = winElection(options('b'), new AbortController().signal)
  stop.abort()
  await term.release()
  expect(holder()).toBe('')
  await clock.advance(1_000)
  expect(holder()).toBe('b')
  expect(await successor).toBeDefined()
})

test('a Lease is given back although the answer to its last renewal was lost', async () => {
  const stop = new AbortController()
  const term = await won('a', stop.signal)
  fate = () => 'lost'
  await clock.advance(2_000)
  fate = () => 'answer'
  stop.abort()
  await term.release()
  expect(holder()).toBe('')
  expect(failures).toEqual([])
})

test('a Lease that somebody else holds by now is not given back', async () => {
  const stop = new AbortController()
  const term = await won('a', stop.signal)
  if (held) store({ ...held, spec: { ...held.spec, holderIdentity: 'b' } })
  stop.abort()
  await term.release()
  expect(holder()).toBe('b')
})

test('who is told to stop while it is being elected holds no endless term', async () => {
  const stop = new AbortController()
  fate = ({ method }) => {
    if (method === 'POST') queueMicrotask(() => stop.abort())
    return 'answer'
  }
  const term = await winElection(options('a'), stop.signal)
  expect(term?.signal.aborted ?? true).toBe(true)
  await term?.release()
  expect(holder()).toBe('')
})
