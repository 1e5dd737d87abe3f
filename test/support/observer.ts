/**
 * Sees every version of every object that an API server ever stores, independently of any operator:
 * what was there for a moment is judged like what stays.
 */
import { lines } from '../../src/kube/lines.ts'
import { collectionPath } from '../../src/kube/resource.ts'
import type { KubeRest } from '../../src/kube/rest.ts'
import { type Kind, type KubeObject, RESOURCES } from './cluster.ts'
import { eventually } from './eventually.ts'

/** Something that was stored. */
export interface Sighting {
  readonly kind: Kind
  /** As it was stored; as it was last, when it went. */
  readonly object: KubeObject
  readonly isGone: boolean
  /** Of the cluster: whatever was stored later has a higher one, whichever kind it is of. */
  readonly version: number
  /** When it was told of. Milliseconds since the epoch. */
  readonly at: number
}

/** See the head of this file. */
export interface Observer extends AsyncDisposable {
  /** The newest version that was told of so far. */
  readonly newest: number
}

/**
 * Watches these kinds in all namespaces; what is there already is told of first.
 *
 * @param tell told of each version, those of one kind in order
 */
export async function observe(
  rest: KubeRest,
  kinds: readonly Kind[],
  tell: (sighting: Sighting) => void,
): Promise<Observer> {
  const end = new AbortController()
  let newest = 0
  const see = (kind: Kind, { type, object }: RawEvent): number => {
    const version = Number(object.metadata.resourceVersion)
    // Nobody may miss anything here: a watch that fails fails the test.
    if (type === 'ERROR')
      throw new Error(`the observer missed something: ${JSON.stringify(object)}`)
    if (type === 'BOOKMARK') return version
    newest = Math.max(newest, version)
    tell({ kind, object, isGone: type === 'DELETED', version, at: Date.now() })
    return version
  }
  const watch = async (kind: Kind, begun: () => void): Promise<void> => {
    const path = collectionPath(RESOURCES[kind])
    let query: Query = FROM_NOW
    while (!end.signal.aborted) {
      // A server that has just begun takes a moment.
      const stream = await eventually(`${kind} can be watched`, () =>
        rest.stream({ method: 'GET', path, query }, end.signal),
      )
      for await (const line of lines(stream)) {
        const event = JSON.parse(line) as RawEvent
        const resourceVersion = see(kind, event)
        // Where the server ends it in time, it goes on from there.
        query = { watch: true, allowWatchBookmarks: true, resourceVersion }
        if (event.type === 'BOOKMARK') begun()
      }
    }
  }
  const running: Promise<void>[] = []
  const beginnings = kinds.map((kind) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    running.push(
      watch(kind, resolve).catch((error: unknown) => {
        if (end.signal.aborted) return
        reject(error)
        throw error
      }),
    )
    return promise
  })
  await Promise.all(beginnings)
  return {
    get newest() {
      return newest
    },
    async [Symbol.asyncDispose]() {
      end.abort()
      await Promise.all(running)
    },
  }
}

interface RawEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  readonly object: KubeObject
}

type Query = NonNullable<Parameters<KubeRest['stream']>[0]['query']>

/** All that is there, a bookmark that says so, and then what comes. */
const FROM_NOW: Query = {
  watch: true,
  sendInitialEvents: true,
  resourceVersionMatch: 'NotOlderThan',
  allowWatchBookmarks: true,
}
