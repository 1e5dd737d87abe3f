/**
 * Sees every version of every object that an API server ever stores, independently of any operator:
 * what was there for a moment is judged like what stays.
 */
import { lines } from '../../src/kube/lines.ts'
import { collectionPath } from '../../src/kube/resource.ts'
import type { KubeRest } from '../../src/kube/rest.ts'
import { type Kind, type KubeObject, RESOURCES } from './cluster.ts'
import { timeout } from './eventually.ts'

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
 * Watches these kinds in all namespaces, from now on.
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
  const see = (kind: Kind, line: string): number => {
    const { type, object } = JSON.parse(line) as { type: string; object: KubeObject }
    const version = Number(object.metadata.resourceVersion)
    // Nobody may miss anything here: a watch that fails fails the test.
    if (type === 'ERROR') throw new Error(`the observer missed something: ${line}`)
    if (type === 'BOOKMARK') return version
    newest = Math.max(newest, version)
    tell({ kind, object, isGone: type === 'DELETED', version, at: Date.now() })
    return version
  }
  const watch = async (kind: Kind, from: number): Promise<void> => {
    const path = collectionPath(RESOURCES[kind])
    let version = from
    while (!end.signal.aborted) {
      const query = { watch: true, allowWatchBookmarks: true, resourceVersion: version }
      const stream = await rest.stream({ method: 'GET', path, query }, end.signal)
      for await (const line of lines(stream)) version = see(kind, line)
    }
  }
  const watches = kinds.map(async (kind) => {
    const path = collectionPath(RESOURCES[kind])
    const list = await rest.send({ method: 'GET', path, query: { limit: 1 } }, timeout(20_000))
    return [kind, Number((list as KubeObject).metadata.resourceVersion)] as const
  })
  const running = (await Promise.all(watches)).map(async ([kind, version]) => {
    try {
      await watch(kind, version)
    } catch (error) {
      if (!end.signal.aborted) throw error
    }
  })
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
