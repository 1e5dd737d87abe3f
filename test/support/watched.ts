/**
 * A store of ConfigMaps that a list-watch of a real API server keeps, and what it asked for.
 */
import { type Clock, systemClock } from '../../src/kube/clock.ts'
import { keyOf, type Tracked } from '../../src/kube/resource.ts'
import type { KubeRequest, KubeRest } from '../../src/kube/rest.ts'
import { statusError } from '../../src/kube/status.ts'
import { createStore, type Store } from '../../src/kube/store.ts'
import { listWatch, type WatchOptions } from '../../src/kube/watch.ts'
import { type KubeObject, RESOURCES } from './cluster.ts'

/** What is kept of a ConfigMap. */
export interface Seen extends Tracked {
  /** Members that the API server sent. */
  readonly members: readonly string[]
  readonly text: string | undefined
}

/** See the head of this file. */
export interface Watched {
  readonly store: Store<Seen>
  readonly requests: readonly KubeRequest[]
  /** Names of the objects that are held, in order. */
  names(): string[]
  /** Text of an object. */
  text(name: string): string | undefined
  /** Requests for whole lists, in one stream or in pages (counted by their first). */
  lists(): number
  stop(): Promise<void>
}

/** What to watch and how. */
export interface WatchedOptions
  extends Pick<WatchOptions<Seen>, 'namespace' | 'labelSelector' | 'metadataOnly'> {
  /** Refuses streaming lists, as old servers do. */
  readonly pages?: boolean
  /** How many times faster its clock runs. */
  readonly speed?: number
}

/** Starts a list-watch of ConfigMaps. */
export function watchConfigMaps(rest: KubeRest, options: WatchedOptions): Watched {
  const { pages = false, speed = 1, ...watch } = options
  const requests: KubeRequest[] = []
  const recorded: KubeRest = {
    ...rest,
    send: (request, signal) => {
      requests.push(request)
      return rest.send(request, signal)
    },
    stream: (request, signal) => {
      requests.push(request)
      if (!pages || !isStreamingList(request)) return rest.stream(request, signal)
      return Promise.reject(statusError('GET', 422, ''))
    },
  }
  const store = createStore<Seen>()
  const stop = new AbortController()
  const ended = listWatch(
    {
      ...watch,
      rest: recorded,
      clock: fasterClock(speed),
      random: Math.random,
      resource: RESOURCES.configmaps,
      reduce,
      onEvent: store.feed(watch.namespace),
    },
    stop.signal,
  )
  const held = () => [...store.values()]
  return {
    store,
    requests,
    names: () =>
      held()
        .map(({ name }) => name)
        .toSorted(),
    text: (name) => held().find((one) => one.name === name)?.text,
    lists: () =>
      requests.filter(
        (one) => isStreamingList(one) || (one.query?.['limit'] === 500 && !one.query['continue']),
      ).length,
    async stop() {
      stop.abort()
      await ended
    },
  }
}

const isStreamingList = ({ query }: KubeRequest) => query?.['sendInitialEvents'] === true

function reduce(raw: unknown): Seen {
  const { metadata, ...rest } = raw as KubeObject
  const { namespace, name, uid, resourceVersion } = metadata
  const members = Object.keys(rest).toSorted()
  const text = (rest['data'] as Record<string, string> | undefined)?.['text']
  return { namespace, name, uid, resourceVersion, members, text }
}

/** Waits pass faster, so that a test need not wait for a minute of silence. */
function fasterClock(speed: number): Clock {
  return { ...systemClock, timer: (ms, run) => systemClock.timer(ms / speed, run) }
}

/** Key and version of every ConfigMap, as the store has it or as a list has it. */
export function versionsOf(objects: Iterable<Seen> | readonly KubeObject[]): string[] {
  return [...objects]
    .map((one) => ('metadata' in one ? one.metadata : one))
    .map((one) => `${keyOf(one)}@${one.resourceVersion}`)
    .toSorted()
}
