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
  subscribe(listener: ChangeListener<T>): void
  /**
   * A sink for the events of one list-watch, of all namespaces or of one: several may feed one
   * store.
   */
  feed(namespace?: string): (event: WatchEvent<T>) => void
  /** Resolves once every feed has delivered a whole state. */
  readonly synced: Promise<void>
  /** Version up to which every feed has told all that happened; empty before `synced`. */
  readonly progress: string
}

interface Feed {
  /** Undefined: all namespaces. */
  readonly namespace: string | undefined
  /** Keys named since `listing`; undefined outside a listing. */
  listed: Set<string> | undefined
  progress: string
}

/** @param indexers how objects are found other than by name */
export function createStore<T extends Tracked>(indexers: Indexers<T> = {}): Store<T> {
  const objects = new Map<string, T>()
  const indexes = createIndexes(indexers)
  const listeners: ChangeListener<T>[] = []
  const feeds: Feed[] = []
  const synced = Promise.withResolvers<void>()

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

  const view: View<T> = {
    put(object) {
      const held = objects.get(keyOf(object))
      if (isNewer(object.resourceVersion, held?.resourceVersion)) replace(keyOf(object), object)
    },
    drop(key, upTo) {
      // A younger version is an own write, or a successor of the same name.
      const held = objects.get(key)
      if (held && !isNewer(held.resourceVersion, upTo)) replace(key, undefined)
    },
    keep(namespace, listed, upTo) {
      for (const [key, object] of objects) {
        const ours = namespace === undefined || namespace === object.namespace
        if (ours && !listed.has(key)) view.drop(key, upTo)
      }
    },
    advanced() {
      if (feeds.every(({ progress }) => progress !== '')) synced.resolve()
    },
  }

  return {
    get: (key) => objects.get(keyOf(key)),
    find: (name, value) => indexes.find(name, value),
    values: () => objects.values(),
    get size() {
      return objects.size
    },
    observe: (object) => view.put(object),
    forget(key, uid) {
      if (objects.get(keyOf(key))?.uid === uid) replace(keyOf(key), undefined)
    },
    subscribe: (listener) => void listeners.push(listener),
    feed(namespace) {
      const feed: Feed = { namespace, listed: undefined, progress: '' }
      feeds.push(feed)
      return (event) => take(feed, view, event)
    },
    synced: synced.promise,
    get progress() {
      return feeds.map(({ progress }) => progress).toSorted(compareVersions)[0] ?? ''
    },
  }
}

const isNewer = (version: string, than: string | undefined) =>
  than === undefined || compareVersions(version, than) > 0

/** What a feed may do to the view. */
interface View<T> {
  put(object: T): void
  /** Takes the object out unless it is younger than `upTo`. */
  drop(key: string, upTo: string): void
  /** Takes out what a complete list of `namespace` as of `upTo` did not name. */
  keep(namespace: string | undefined, listed: ReadonlySet<string>, upTo: string): void
  advanced(): void
}

function take<T extends Tracked>(feed: Feed, view: View<T>, event: WatchEvent<T>): void {
  const advance = (version: string) => {
    if (isNewer(version, feed.progress)) feed.progress = version
    view.advanced()
  }
  switch (event.kind) {
    case 'listing':
      feed.listed = new Set()
      return
    case 'synced':
      view.keep(feed.namespace, feed.listed ?? new Set(), event.resourceVersion)
      feed.listed = undefined
      return advance(event.resourceVersion)
    case 'bookmark':
      return advance(event.resourceVersion)
    case 'applied':
      feed.listed?.add(keyOf(event.object))
      view.put(event.object)
      return feed.listed ? undefined : advance(event.object.resourceVersion)
    case 'deleted':
      view.drop(keyOf(event.object), event.object.resourceVersion)
      return advance(event.object.resourceVersion)
  }
}

function createIndexes<T>(indexers: Indexers<T>) {
  const indexes = new Map(Object.keys(indexers).map((name) => [name, new Map<string, Set<T>>()]))
  function* placesOf(object: T): Generator<[Map<string, Set<T>>, string]> {
    for (const [name, entries] of indexes) {
      for (const value of indexers[name]?.(object) ?? []) yield [entries, value]
    }
  }
  return {
    add(object: T): void {
      for (const [entries, value] of placesOf(object)) {
        const found = entries.get(value)
        if (found) found.add(object)
        else entries.set(value, new Set([object]))
      }
    },
    remove(object: T): void {
      for (const [entries, value] of placesOf(object)) {
        const found = entries.get(value)
        found?.delete(object)
        if (found?.size === 0) entries.delete(value)
      }
    },
    find: (name: string, value: string): readonly T[] => [...(indexes.get(name)?.get(value) ?? [])],
  }
}
