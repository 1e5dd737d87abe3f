/**
 * The view of one kind of objects, kept by list-watches and by the answers to our own writes:
 * a decision that follows a write always sees it, however far the watch lags behind.
 */
import { compareVersions, keyOf, type ObjectKey, type Tracked } from './resource.ts'
import type { WatchEvent } from './watch.ts'

/** A change of the view: one of both is undefined when the object came or went. */
export type ChangeListener<T> = (before: T | undefined, after: T | undefined) => void

/** Index name → the values under which an object is found. */
export type Indexers<T> = Readonly<Record<string, (object: T) => readonly string[]>>

/** A view of a kind of objects. */
export interface Store<T extends Tracked> {
  get(key: ObjectKey): T | undefined
  /** Objects that `index` files under `value`, in no particular order. */
  find(index: string, value: string): readonly T[]
  values(): Iterable<T>
  readonly size: number
  /** Takes in the answer to an own write; older than what is held, it is ignored. */
  observe(object: T): void
  /** Takes in that the object with this uid is gone, as a GET or DELETE answered. */
  forget(key: ObjectKey, uid: string): void
  /** Tells all that is held, as if it came just now, then each change. @returns ends that */
  subscribe(listener: ChangeListener<T>): () => void
  /**
   * A sink for the events of one list-watch, of all namespaces or of one: several may feed one
   * store.
   */
  feed(namespace?: string): (event: WatchEvent<T>) => void
  /** Resolves once every feed has delivered a whole state. */
  readonly synced: Promise<void>
  /** Version up to which every feed has told all that happened; empty before `synced`. */
  readonly progress: string
  /** Whether any list-watch feeds it. */
  readonly isFed: boolean
}

interface Feed<T> {
  /** Undefined: all namespaces. */
  readonly namespace: string | undefined
  /** What was named since `listing`, by key; undefined outside a listing. */
  listed: Map<string, T> | undefined
  /** Version up to which it has told all that happened; empty before its first whole state. */
  progress: string
}

/** @param indexers how objects are found other than by name */
export function createStore<T extends Tracked>(indexers: Indexers<T> = {}): Store<T> {
  const view = createView(indexers)
  const feeds: Feed<T>[] = []
  const synced = Promise.withResolvers<void>()
  /** Whether the feeds have told all that happened up to the version of `object`. */
  const isTold = (object: T) =>
    feeds.some(
      ({ namespace, progress }) =>
        covers(namespace, object) && !isNewer(object.resourceVersion, progress),
    )
  return {
    get: (key) => view.get(keyOf(key)),
    find: (name, value) => view.find(name, value),
    values: () => view.values(),
    get size() {
      return view.size
    },
    observe(object) {
      // An answer that comes late: its object is not held because it is gone by now.
      if (isTold(object) && !view.get(keyOf(object))) return
      view.put(object)
    },
    forget(key, uid) {
      if (view.get(keyOf(key))?.uid === uid) view.bury(keyOf(key), uid)
    },
    subscribe: (listener) => view.subscribe(listener),
    feed(namespace) {
      const feed: Feed<T> = { namespace, listed: undefined, progress: '' }
      feeds.push(feed)
      return (event) => {
        take(feed, view, event)
        if (feeds.every(({ progress }) => progress !== '')) synced.resolve()
      }
    },
    synced: synced.promise,
    get progress() {
      return feeds.map(({ progress }) => progress).toSorted(compareVersions)[0] ?? ''
    },
    get isFed() {
      return feeds.length > 0
    },
  }
}

const isNewer = (version: string, than: string | undefined) =>
  than === undefined || compareVersions(version, than) > 0

const covers = (namespace: string | undefined, object: ObjectKey) =>
  namespace === undefined || namespace === object.namespace

function take<T extends Tracked>(feed: Feed<T>, view: View<T>, event: WatchEvent<T>): void {
  const advance = (version: string) => {
    if (isNewer(version, feed.progress)) feed.progress = version
  }
  switch (event.kind) {
    case 'listing':
      feed.listed = new Map()
      return view.unbury()
    case 'synced':
      view.keep(feed, event.resourceVersion)
      feed.listed = undefined
      feed.progress = event.resourceVersion
      return
    case 'bookmark':
      return advance(event.resourceVersion)
    case 'applied':
      feed.listed?.set(keyOf(event.object), event.object)
      view.put(event.object)
      break
    case 'deleted':
      view.drop(event.object)
      break
  }
  // The objects of a list come in any order, and before the first list nothing is complete.
  if (feed.listed === undefined && feed.progress !== '') advance(event.object.resourceVersion)
}

type View<T extends Tracked> = ReturnType<typeof createView<T>>

/** The objects by key, their indexes, and who listens. */
function createView<T extends Tracked>(indexers: Indexers<T>) {
  const objects = new Map<string, T>()
  const indexes = createIndexes(indexers)
  const listeners = new Set<ChangeListener<T>>()
  /** UIDs of objects that are gone, of which a feed may still tell older news. */
  const buried = new Set<string>()

  function replace(key: string, after: T | undefined): void {
    const before = objects.get(key)
    if (before !== undefined) indexes.remove(before)
    if (after === undefined) objects.delete(key)
    else {
      objects.set(key, after)
      indexes.add(after)
    }
    for (const listener of listeners) listener(before, after)
  }

  return {
    get: (key: string) => objects.get(key),
    find: (name: string, value: string) => indexes.find(name, value),
    values: () => objects.values(),
    get size() {
      return objects.size
    },
    subscribe(listener: ChangeListener<T>) {
      for (const object of objects.values()) listener(undefined, object)
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    /** Takes the object in unless a younger one is held. */
    put(object: T): void {
      const key = keyOf(object)
      const held = objects.get(key)
      if (buried.has(object.uid) || !isNewer(object.resourceVersion, held?.resourceVersion)) return
      // Its predecessor is gone, although a feed that lags may still tell of it.
      if (held && held.uid !== object.uid) buried.add(held.uid)
      replace(key, object)
    },
    /** Takes the object out unless a younger one is held: an own write, or a successor. */
    drop(object: T): void {
      buried.delete(object.uid)
      const key = keyOf(object)
      const held = objects.get(key)
      if (held && !isNewer(held.resourceVersion, object.resourceVersion)) replace(key, undefined)
    },
    /** Takes the object out, for good. */
    bury(key: string, uid: string): void {
      buried.add(uid)
      replace(key, undefined)
    },
    /** A new list tells no news of what was gone before. */
    unbury: () => buried.clear(),
    /** Takes out what the complete list of a feed, as of `upTo`, does not name. */
    keep({ namespace, progress, listed = new Map() }: Feed<T>, upTo: string): void {
      // Versions went back: the cluster was restored from a backup, and only the list is true.
      const restored = isNewer(progress, upTo)
      for (const [key, held] of objects) {
        if (!covers(namespace, held)) continue
        if (restored) replace(key, listed.get(key))
        else if (!listed.has(key) && !isNewer(held.resourceVersion, upTo)) replace(key, undefined)
      }
    },
  }
}

function createIndexes<T>(indexers: Indexers<T>) {
  // Nearly every value files one object, and a set of one takes many times its memory.
  const indexes = new Map(
    Object.keys(indexers).map((name) => [name, new Map<string, T | Set<T>>()]),
  )
  function* placesOf(object: T): Generator<[Map<string, T | Set<T>>, string]> {
    for (const [name, entries] of indexes) {
      for (const value of indexers[name]?.(object) ?? []) yield [entries, value]
    }
  }
  return {
    add(object: T): void {
      for (const [entries, value] of placesOf(object)) {
        const found = entries.get(value)
        if (found === undefined) entries.set(value, object)
        else if (found instanceof Set) found.add(object)
        else if (found !== object) entries.set(value, new Set([found, object]))
      }
    },
    remove(object: T): void {
      for (const [entries, value] of placesOf(object)) {
        const found = entries.get(value)
        if (found instanceof Set) found.delete(object)
        if (found === object || (found instanceof Set && found.size === 0)) entries.delete(value)
      }
    },
    find(name: string, value: string): readonly T[] {
      const found = indexes.get(name)?.get(value)
      if (found === undefined) return []
      return found instanceof Set ? [...found] : [found]
    },
  }
}
