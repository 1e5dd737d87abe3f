/**
 * What is in a cluster right now, as watches of all its namespaces tell: hundreds of plots ask all
 * the time whether they are done, and asking here costs the API server nothing.
 */
import { systemClock } from '../../src/kube/clock.ts'
import type { Tracked } from '../../src/kube/resource.ts'
import type { KubeRest } from '../../src/kube/rest.ts'
import { createStore, type Store } from '../../src/kube/store.ts'
import { listWatch } from '../../src/kube/watch.ts'
import { type Cluster, clusterOf, type Kind, type KubeObject, RESOURCES } from './cluster.ts'
import { END_KINDS } from './whole-end.ts'

/** See the head of this file. */
export interface Mirror extends AsyncDisposable {
  /**
   * Operations in a namespace. Reads of what a plot is about come from the mirror, which has at once
   * what is written this way.
   */
  clusterOf(namespace: string): Cluster
  /** Calls back at each change in a namespace. @returns ends that */
  listen(namespace: string, listener: () => void): () => void
}

/** Kinds that are mirrored. */
const KINDS = [...END_KINDS, 'events'] as const
const BY_NAMESPACE = 'namespace'

interface Held extends Tracked {
  readonly object: KubeObject
}

/** @param rest with the administrator's rights */
export async function openMirror(rest: KubeRest): Promise<Mirror> {
  const listeners = new Map<string, Set<() => void>>()
  const stop = new AbortController()
  const views = new Map(KINDS.map((kind) => [kind as Kind, viewOf()]))
  const watches = KINDS.map((kind) => watch(kind))
  await Promise.all([...views.values()].map(({ synced }) => synced))

  function viewOf(): Store<Held> {
    const view = createStore<Held>({ [BY_NAMESPACE]: ({ namespace }) => [namespace] })
    view.subscribe((before, after) => {
      for (const tell of listeners.get((after ?? before)?.namespace ?? '') ?? []) tell()
    })
    return view
  }

  function watch(kind: (typeof KINDS)[number]): Promise<void> {
    const onEvent = views.get(kind)?.feed() ?? (() => {})
    const what = { rest, clock: systemClock, random: Math.random, resource: RESOURCES[kind] }
    return listWatch({ ...what, reduce: held(kind), onEvent }, stop.signal)
  }

  return {
    clusterOf: (namespace) => mirrored(clusterOf(rest, namespace), views),
    listen(namespace, listener) {
      const all = listeners.get(namespace) ?? new Set()
      listeners.set(namespace, all.add(listener))
      return () => {
        all.delete(listener)
        if (all.size === 0) listeners.delete(namespace)
      }
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await Promise.all(watches)
    },
  }
}

const held =
  (kind: Kind) =>
  (raw: unknown): Held => {
    const object = raw as KubeObject
    const { namespace, name, uid, resourceVersion } = object.metadata
    return { namespace, name, uid, resourceVersion, object: kinded(kind, object) }
  }

/** Lists of built-in kinds name the kind once; here each object does. */
function kinded(kind: Kind, object: KubeObject): KubeObject {
  return { ...object, kind: RESOURCES[kind].kind }
}

function mirrored(live: Cluster, views: ReadonlyMap<Kind, Store<Held>>): Cluster {
  const { namespace } = live
  const observed = (kind: Kind, object: KubeObject) => {
    views.get(kind)?.observe(held(kind)(object))
    return object
  }
  const reading = readingFrom(live, (kind) => {
    const found = views.get(kind)?.find(BY_NAMESPACE, namespace)
    const objects = found?.map(({ object }) => object)
    // As the API server sorts them.
    return objects?.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
  })
  return {
    ...reading,
    create: async (kind, object) => observed(kind, await live.create(kind, object)),
    apply: async (kind, object) => observed(kind, await live.apply(kind, object)),
    patch: async (kind, name, body) => observed(kind, await live.patch(kind, name, body)),
    replace: async (kind, object) => observed(kind, await live.replace(kind, object)),
    async delete(kind, name) {
      const uid = views.get(kind)?.get({ namespace, name })?.uid
      await live.delete(kind, name)
      if (uid !== undefined) views.get(kind)?.forget({ namespace, name }, uid)
    },
  }
}

/**
 * A cluster of which each kind is read from lists.
 *
 * @param listOf undefined: the API server is asked
 */
export function readingFrom(
  live: Cluster,
  listOf: (kind: Kind) => readonly KubeObject[] | Promise<readonly KubeObject[]> | undefined,
): Cluster {
  const find = async (kind: Kind, name: string) => {
    const list = await listOf(kind)
    return list ? list.find(({ metadata }) => metadata.name === name) : live.find(kind, name)
  }
  return {
    ...live,
    list: async (kind) => [...((await listOf(kind)) ?? (await live.list(kind)))],
    find,
    async get(kind, name) {
      const object = await find(kind, name)
      if (object === undefined) throw new Error(`${kind}/${name} is not there`)
      return object
    },
  }
}

/** A namespace as the API server has it: each kind is asked for once. */
export function asItIs(live: Cluster): Cluster {
  const lists = new Map<Kind, Promise<readonly KubeObject[]>>()
  return readingFrom(live, (kind) => {
    const list =
      lists.get(kind) ?? live.list(kind).then((all) => all.map((one) => kinded(kind, one)))
    lists.set(kind, list)
    return list
  })
}
