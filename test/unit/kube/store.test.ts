import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createStore } from '../../../src/kube/store.ts'
import { settled } from '../../support/virtual-clock.ts'

interface Thing {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  readonly colours: readonly string[]
}

/** `team/name@version`, with more if need be. */
function thing(text: string, more: Partial<Thing> = {}): Thing {
  const [, namespace = '', name = '', resourceVersion = ''] = /^(.*)\/(.*)@(\d+)$/.exec(text) ?? []
  return { namespace, name, uid: `uid-${name}`, resourceVersion, colours: [], ...more }
}

const textOf = ({ namespace, name, resourceVersion }: Thing) =>
  `${namespace}/${name}@${resourceVersion}`
const contentOf = (store: { values(): Iterable<Thing> }) =>
  [...store.values()].map(textOf).toSorted()

/** A store that is fed a list of things as of `version`. */
function aStore(version: string, ...texts: string[]) {
  const store = createStore<Thing>({ colour: ({ colours }) => colours })
  const take = store.feed()
  const list = (upTo: string, ...listed: string[]) => {
    take({ kind: 'listing' })
    for (const text of listed) take({ kind: 'applied', object: thing(text) })
    take({ kind: 'synced', resourceVersion: upTo })
  }
  list(version, ...texts)
  return { store, take, list }
}

test('a list, then events, make the view', () => {
  const { store, take } = aStore('10', 'team/a@1', 'team/b@2')
  take({ kind: 'applied', object: thing('team/b@11') })
  take({ kind: 'applied', object: thing('team/c@12') })
  take({ kind: 'deleted', object: thing('team/a@13') })
  expect(contentOf(store)).toEqual(['team/b@11', 'team/c@12'])
  expect(store.get({ namespace: 'team', name: 'b' })).toEqual(thing('team/b@11'))
  expect([store.size, store.progress]).toEqual([2, '13'])
})

test('a list that is complete takes out what it does not name, an unfinished one nothing', () => {
  const { store, take } = aStore('10', 'team/a@1', 'team/b@2')
  take({ kind: 'listing' })
  take({ kind: 'applied', object: thing('team/b@2') })
  take({ kind: 'listing' })
  expect(contentOf(store)).toEqual(['team/a@1', 'team/b@2'])
  take({ kind: 'applied', object: thing('team/b@2') })
  take({ kind: 'synced', resourceVersion: '20' })
  expect(contentOf(store)).toEqual(['team/b@2'])
})

test('an own write is seen at once, and older news do not undo it', () => {
  const { store, take } = aStore('10', 'team/a@1')
  store.observe(thing('team/a@15'))
  take({ kind: 'applied', object: thing('team/a@12') })
  expect(contentOf(store)).toEqual(['team/a@15'])
  store.observe(thing('team/a@13'))
  expect(contentOf(store)).toEqual(['team/a@15'])
})

test('an own write outlives a list that is older, and not one that is younger', () => {
  const { store, list } = aStore('10')
  store.observe(thing('team/new@15'))
  list('12')
  expect(contentOf(store)).toEqual(['team/new@15'])
  list('16')
  expect(contentOf(store)).toEqual([])
})

test('an answer that comes after the news that its object is gone does not bring it back', () => {
  const { store, take } = aStore('10', 'team/a@1')
  take({ kind: 'deleted', object: thing('team/a@20') })
  store.observe(thing('team/a@15'))
  expect(contentOf(store)).toEqual([])
  store.observe(thing('team/a@21', { uid: 'successor' }))
  expect(contentOf(store)).toEqual(['team/a@21'])
})

test('an object whose successor came and went does not come back with older news', () => {
  const { store, take } = aStore('10', 'team/a@1')
  store.observe(thing('team/a@13', { uid: 'successor' }))
  store.forget({ namespace: 'team', name: 'a' }, 'successor')
  // The watch has yet to tell what became of the first one.
  take({ kind: 'applied', object: thing('team/a@11') })
  expect(contentOf(store)).toEqual([])
  take({ kind: 'deleted', object: thing('team/a@12') })
  take({ kind: 'applied', object: thing('team/a@15', { uid: 'third' }) })
  expect(contentOf(store)).toEqual(['team/a@15'])
})

test('an object that is known to be gone does not come back with older news', () => {
  const { store, take } = aStore('10', 'team/a@1')
  store.forget({ namespace: 'team', name: 'a' }, 'uid-a')
  take({ kind: 'applied', object: thing('team/a@12') })
  expect(contentOf(store)).toEqual([])
  take({ kind: 'deleted', object: thing('team/a@13') })
  take({ kind: 'applied', object: thing('team/a@14', { uid: 'successor' }) })
  expect(contentOf(store)).toEqual(['team/a@14'])
})

test('an object is forgotten by its uid: a successor of the same name stays', () => {
  const { store } = aStore('10', 'team/a@1')
  store.forget({ namespace: 'team', name: 'a' }, 'predecessor')
  store.forget({ namespace: 'team', name: 'unknown' }, 'uid-unknown')
  expect(contentOf(store)).toEqual(['team/a@1'])
})

test('the deletion of a predecessor does not take out its successor', () => {
  const { store, take } = aStore('10', 'team/a@1')
  store.observe(thing('team/a@15', { uid: 'successor' }))
  take({ kind: 'deleted', object: thing('team/a@12') })
  expect(contentOf(store)).toEqual(['team/a@15'])
})

test('a list whose version went back is the truth: the cluster was restored', () => {
  const { store, take, list } = aStore('100', 'team/a@90', 'team/b@95', 'team/same@20')
  list('50', 'team/a@40', 'team/same@20', 'team/old@30')
  expect(contentOf(store)).toEqual(['team/a@40', 'team/old@30', 'team/same@20'])
  expect(store.progress).toBe('50')
  take({ kind: 'applied', object: thing('team/a@51') })
  expect(contentOf(store)).toContain('team/a@51')
})

test('listeners hear what is there, then what an object was and is, once for each change', () => {
  const { store, take, list } = aStore('10', 'team/a@1')
  const heard: string[] = []
  const text = (one: Thing | undefined) => (one ? textOf(one) : 'nothing')
  const end = store.subscribe((before, after) => heard.push(`${text(before)} → ${text(after)}`))
  take({ kind: 'applied', object: thing('team/a@11') })
  store.observe(thing('team/a@11'))
  store.observe(thing('team/b@12'))
  take({ kind: 'applied', object: thing('team/b@12') })
  take({ kind: 'bookmark', resourceVersion: '13' })
  list('14', 'team/b@12')
  end()
  take({ kind: 'applied', object: thing('team/c@15') })
  expect(heard).toEqual([
    'nothing → team/a@1',
    'team/a@1 → team/a@11',
    'nothing → team/b@12',
    'team/a@11 → nothing',
  ])
})

test('an index finds objects by what they are now', () => {
  const { store, take } = aStore('10')
  const red = thing('team/a@11', { colours: ['red', 'blue', 'red'] })
  take({ kind: 'applied', object: red })
  take({ kind: 'applied', object: thing('team/b@12', { colours: ['red'] }) })
  expect(store.find('colour', 'red').map(textOf).toSorted()).toEqual(['team/a@11', 'team/b@12'])
  take({ kind: 'applied', object: thing('team/a@13', { colours: ['green'] }) })
  take({ kind: 'deleted', object: thing('team/b@14') })
  const found = ['red', 'blue', 'green'].map((colour) => store.find('colour', colour).map(textOf))
  expect(found).toEqual([[], [], ['team/a@13']])
  expect(store.find('unknown index', 'red')).toEqual([])
})

test('a store of several feeds is complete when each of them is, and as far as the slowest', async () => {
  const store = createStore<Thing>()
  const [one, two] = [store.feed('one'), store.feed('two')]
  let synced = false
  void store.synced.then(() => (synced = true))
  one({ kind: 'listing' })
  one({ kind: 'applied', object: thing('one/a@1') })
  one({ kind: 'synced', resourceVersion: '10' })
  await settled()
  expect([synced, store.progress]).toEqual([false, ''])
  two({ kind: 'listing' })
  two({ kind: 'synced', resourceVersion: '9' })
  await settled()
  expect([synced, store.progress]).toEqual([true, '9'])
  two({ kind: 'bookmark', resourceVersion: '12' })
  expect(store.progress).toBe('10')
})

test('a list of one namespace says nothing about another', () => {
  const store = createStore<Thing>()
  const [one, two] = [store.feed('one'), store.feed('two')]
  one({ kind: 'applied', object: thing('one/a@1') })
  two({ kind: 'applied', object: thing('two/b@2') })
  one({ kind: 'listing' })
  one({ kind: 'synced', resourceVersion: '10' })
  expect(contentOf(store)).toEqual(['two/b@2'])
})

test('an object that comes before the first whole state does not count as one', async () => {
  const store = createStore<Thing>()
  const take = store.feed()
  let synced = false
  void store.synced.then(() => (synced = true))
  take({ kind: 'applied', object: thing('/a@7') })
  await settled()
  expect([synced, store.progress]).toEqual([false, ''])
  take({ kind: 'bookmark', resourceVersion: '1' })
  await settled()
  expect([synced, store.progress]).toEqual([true, '1'])
})

/** A cluster of a few objects, its history, and a watch that lags behind it. */
function createCluster() {
  const store = createStore<Thing>({ name: ({ name }) => [name] })
  const take = store.feed()
  const objects = new Map<string, Thing>()
  let version = 0
  let uids = 0
  let untold: (() => void)[] = []
  return {
    store,
    objects,
    /** Changes an object, or creates it; an own write is told to the store at once. */
    write(name: string, own: boolean): void {
      version += 1
      const uid = objects.get(name)?.uid ?? `uid-${(uids += 1)}`
      const object = thing(`team/${name}@${version}`, { uid })
      objects.set(name, object)
      if (own) store.observe(object)
      untold.push(() => take({ kind: 'applied', object }))
    },
    remove(name: string, own: boolean): void {
      const object = objects.get(name)
      if (!object) return
      version += 1
      objects.delete(name)
      if (own) store.forget(object, object.uid)
      const last = { ...object, resourceVersion: `${version}` }
      untold.push(() => take({ kind: 'deleted', object: last }))
    },
    /** The watch catches up by so many events. */
    tell(count: number): void {
      for (const event of untold.splice(0, count)) event()
    },
    /** The watch is lost: what it had not told comes by a list; `meanwhile` happens during it. */
    relist(meanwhile: () => void): void {
      untold = []
      take({ kind: 'listing' })
      const [seen, upTo] = [[...objects.values()], `${version}`]
      for (const object of seen) take({ kind: 'applied', object })
      meanwhile()
      take({ kind: 'synced', resourceVersion: upTo })
    },
  }
}

const NAMES = ['a', 'b', 'c']
const change = fc.record({
  kind: fc.constantFrom('write' as const, 'write' as const, 'remove' as const),
  name: fc.constantFrom(...NAMES),
  own: fc.boolean(),
})
const happening = fc.oneof(
  { weight: 4, arbitrary: change },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('tell' as const),
      count: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('relist' as const), meanwhile: fc.array(change) }),
  },
)

test('own writes are always seen, and when the watch has caught up the view is the cluster', () => {
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 60 }), (happenings) => {
      const cluster = createCluster()
      cluster.relist(() => {})
      const mirror = new Map<string, Thing>()
      const heard = new Set<string>()
      cluster.store.subscribe((before, after) => {
        if (after && removed.has(after.uid)) missed.push('return of the dead', after)
        if (after) heard.add(after.uid)
        if (after) mirror.set(after.name, after)
        else if (before) mirror.delete(before.name)
      })
      const removed = new Set<string>()
      const missed: unknown[] = []
      const apply = ({
        kind,
        name,
        own,
      }: {
        kind: 'write' | 'remove'
        name: string
        own: boolean
      }) => {
        const uid = cluster.objects.get(name)?.uid
        cluster[kind](name, own)
        if (!own) return
        const held = cluster.store.get({ namespace: 'team', name })
        if (kind === 'write' && held !== cluster.objects.get(name)) missed.push('write', held)
        if (kind === 'remove' && uid !== undefined && held?.uid === uid)
          missed.push('removal', held)
        if (kind === 'remove' && uid !== undefined && heard.has(uid)) removed.add(uid)
      }
      for (const one of happenings) {
        if (one.kind === 'tell') cluster.tell(one.count)
        else if (one.kind === 'relist') cluster.relist(() => one.meanwhile.forEach(apply))
        else apply(one)
      }
      cluster.tell(1_000)
      expect(missed).toEqual([])
      expect(contentOf(cluster.store)).toEqual([...cluster.objects.values()].map(textOf).toSorted())
      expect([...mirror.values()].map(textOf).toSorted()).toEqual(contentOf(cluster.store))
      const indexed = NAMES.flatMap((name) => cluster.store.find('name', name))
      expect(indexed.map(textOf).toSorted()).toEqual(contentOf(cluster.store))
    }),
    { numRuns: 500 },
  )
})
