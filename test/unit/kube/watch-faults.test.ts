import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { keyOf } from '../../../src/kube/resource.ts'
import { createStore } from '../../../src/kube/store.ts'
import { listWatch } from '../../../src/kube/watch.ts'
import {
  createFakeKube,
  type FakeKube,
  type FakeObject,
  type RequestFault,
} from '../../support/fake-kube.ts'
import { createVirtualClock, type VirtualClock } from '../../support/virtual-clock.ts'

type Thing = FakeObject['metadata']

/** A store that is kept by a list-watch of a fake server. */
function aView(kube: FakeKube) {
  const clock = createVirtualClock()
  const store = createStore<Thing>()
  const stop = new AbortController()
  const options = {
    rest: kube,
    clock,
    random: () => 0.5,
    resource: { group: '', version: 'v1', plural: 'things', kind: 'Thing' },
    reduce: (raw: unknown) => (raw as FakeObject).metadata,
    onEvent: store.feed(),
  }
  const ended = listWatch(options, stop.signal)
  const end = async () => {
    stop.abort()
    await ended
  }
  const content = () =>
    [...store.values()].map((one) => `${keyOf(one)}@${one.resourceVersion}`).toSorted()
  return { clock, store, content, end }
}

/** Lets minutes pass in which the server sends bookmarks. */
async function minutes(clock: VirtualClock, kube: FakeKube, count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    await clock.advance(60_000)
    kube.bookmarks()
    await clock.advance(0)
  }
}

const key = fc.constantFrom('a/one', 'a/two', 'b/one', 'b/two', 'c/one')
const happening = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('write' as const), key }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), key }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('strike' as const),
      fault: fc.constantFrom('end', 'cut', 'garble', 'expire', 'mute'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('answer' as const),
      fault: fc.constantFrom<RequestFault[]>('refuse', 403, 404, 410, 422, 429, 500),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'compact' as const }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      ms: fc.constantFrom(0, 100, 1_000, 20_000, 100_000),
    }),
  },
)

test('once the faults are over the view is the cluster, and no fault makes a storm', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { maxLength: 40 }), async (happenings) => {
      const kube = createFakeKube()
      const { clock, content, end } = aView(kube)
      let faults = 0
      for (const one of happenings) {
        if (one.kind === 'write') kube.write(one.key)
        if (one.kind === 'remove') kube.remove(one.key)
        if (one.kind === 'strike') kube.strike(one.fault)
        if (one.kind === 'answer') kube.faults.push(one.fault)
        if (one.kind === 'compact') kube.compact()
        if (one.kind === 'wait') await clock.advance(one.ms)
        if (one.kind === 'strike' || one.kind === 'answer') faults += 1
      }
      await minutes(clock, kube, 10)
      expect(content()).toEqual(kube.content())
      // A list of this collection takes up to three pages, and a quiet minute up to two requests.
      expect(kube.requests.length).toBeLessThan(30 + 7 * (faults + happenings.length))
      await end()
    }),
    { numRuns: 200 },
  )
})

test('a cluster that is restored from a backup is seen as it is now', async () => {
  const kube = createFakeKube()
  const { clock, content, end } = aView(kube)
  kube.write('a/one')
  kube.write('a/two')
  await minutes(clock, kube, 1)
  const backup = kube.backup()
  for (let n = 0; n < 20; n += 1) kube.write('a/one')
  kube.remove('a/two')
  kube.write('a/three')
  await minutes(clock, kube, 1)
  expect(content()).toEqual(kube.content())
  kube.restore(backup)
  kube.write('b/new')
  await minutes(clock, kube, 4)
  expect(content()).toEqual(kube.content())
  kube.write('a/one')
  await minutes(clock, kube, 1)
  expect(content()).toEqual(kube.content())
  await end()
})

test('a server that is started anew is asked for one list, if any', async () => {
  const kube = createFakeKube()
  const { clock, content, end } = aView(kube)
  for (const name of ['a/one', 'a/two', 'b/one']) kube.write(name)
  await minutes(clock, kube, 1)
  kube.requests.length = 0
  kube.faults.push('refuse', 'refuse', 500, 429, 403)
  kube.strike('cut')
  await minutes(clock, kube, 3)
  kube.write('b/two')
  await clock.advance(0)
  expect(content()).toEqual(kube.content())
  const lists = kube.requests.filter(({ query }) => query?.['sendInitialEvents'])
  expect(lists).toHaveLength(1)
  await end()
})
