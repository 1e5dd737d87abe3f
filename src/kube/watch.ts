/**
 * List and watch of one collection, for as long as its AbortSignal lets it: a small state machine
 * that always knows how it goes on. What comes before: {@link KubeRest}. What comes after: a
 * store that turns the events into a view of the cluster.
 *
 * It starts with a streaming list (WatchList) where the server has one, else with pages; it asks
 * for bookmarks and resumes from the last version it saw; it lists again when that version is
 * gone, when a right was missing or when the stream made no sense; and it takes a stream that is
 * silent for 90 s for dead, because bookmarks come about once a minute.
 * Source: Kubernetes API concepts, "Efficient detection of changes", "Streaming lists".
 */
import { isKeyferryError, KeyferryError } from '../errors.ts'
import { type Backoff, backoffMs } from './backoff.ts'
import { type Clock, sleep } from './clock.ts'
import { lines } from './lines.ts'
import { collectionPath, type Resource } from './resource.ts'
import type { KubeRequest, KubeRest } from './rest.ts'
import { statusError } from './status.ts'

/** What happens in a watched collection. */
export type WatchEvent<T> =
  /** A whole new state follows, up to the next `synced`. */
  | { readonly kind: 'listing' }
  /** The state is complete as of `resourceVersion`: what was not named since `listing` is gone. */
  | { readonly kind: 'synced'; readonly resourceVersion: string }
  /** The object exists and looks like this. */
  | { readonly kind: 'applied'; readonly object: T }
  /** The object is gone, or has left the selector. */
  | { readonly kind: 'deleted'; readonly object: T }
  /** Nothing of interest happened up to this version. */
  | { readonly kind: 'bookmark'; readonly resourceVersion: string }

/** What to watch and how. */
export interface WatchOptions<T> {
  readonly rest: KubeRest
  readonly clock: Clock
  readonly random: () => number
  readonly resource: Resource
  /** Undefined: all namespaces. */
  readonly namespace?: string
  readonly labelSelector?: string
  readonly metadataOnly?: boolean
  /** Reduces an object to what is kept of it; `undefined` drops the object. */
  readonly reduce: (raw: unknown) => T | undefined
  readonly onEvent: (event: WatchEvent<T>) => void
  /** Called for each failure that makes the watch wait before it goes on. */
  readonly onFailure?: (error: unknown, waitMs: number) => void
  /** Called with every sign of life: for readiness. */
  readonly onAlive?: () => void
}

/** Silence after which a stream counts as dead. Bookmarks come about once a minute. */
const IDLE_MS = 90_000
/** Silence after which a streaming list counts as not supported. */
const WATCH_LIST_SILENCE_MS = 15_000
const PAGE_SIZE = 500
/** A stream that lived this long ended in the ordinary way: no back-off before the next. */
const LONG_LIVED_MS = 5_000
const BACKOFF: Backoff = { firstMs: 500, maxMs: 30_000 }

type State =
  | { readonly kind: 'list'; readonly by: 'stream' | 'pages' }
  | { readonly kind: 'watch'; readonly resourceVersion: string }

/** Why a stream stopped without being told to. */
class Silence extends Error {}

/** Lists and watches until `signal` aborts; failures never end it. */
export async function listWatch<T>(options: WatchOptions<T>, signal: AbortSignal): Promise<void> {
  const { clock, random, onFailure } = options
  let state: State = { kind: 'list', by: 'stream' }
  let failures = 0
  while (!signal.aborted) {
    const started = clock.now()
    const end: Ended = await run(options, state, signal)
    if (signal.aborted) return
    state = end.next
    // A stream that lived or delivered ended in the ordinary way; one that did neither would
    // otherwise be opened again in a hot loop.
    if (end.progressed || clock.now() - started >= LONG_LIVED_MS) failures = 0
    else failures += 1
    if (failures === 0 && end.error === undefined) continue
    const asked = isKeyferryError(end.error) ? (end.error.retryAfterMs ?? 0) : 0
    const waitMs = Math.max(asked, backoffMs(Math.max(1, failures), BACKOFF, random))
    onFailure?.(end.error, waitMs)
    await sleep(clock, waitMs, signal)
  }
}

interface Ended {
  readonly next: State
  /** Whether at least one event arrived, or the way to list was settled. */
  readonly progressed: boolean
  readonly error?: unknown
}

async function run<T>(options: WatchOptions<T>, state: State, signal: AbortSignal): Promise<Ended> {
  if (state.kind === 'list' && state.by === 'pages') return listPages(options, signal)
  return follow(options, state, signal)
}

/** Lists in pages, then watches from the version of the list. */
async function listPages<T>(options: WatchOptions<T>, signal: AbortSignal): Promise<Ended> {
  const { rest, resource, namespace, metadataOnly, onEvent, onAlive } = options
  const restart: State = { kind: 'list', by: 'pages' }
  try {
    onEvent({ kind: 'listing' })
    let next: string | undefined
    let resourceVersion: string
    do {
      const request: KubeRequest = {
        method: 'GET',
        path: collectionPath(resource, namespace),
        query: { labelSelector: options.labelSelector, limit: PAGE_SIZE, continue: next },
        timeoutMs: 60_000,
        ...(metadataOnly ? { metadataOnly: 'list' } : {}),
      }
      const page = (await rest.send(request, signal)) as ListPage
      onAlive?.()
      for (const raw of page.items ?? []) apply(options, raw)
      resourceVersion = page.metadata.resourceVersion
      next = page.metadata.continue || undefined
    } while (next !== undefined)
    onEvent({ kind: 'synced', resourceVersion })
    return { next: { kind: 'watch', resourceVersion }, progressed: true }
  } catch (error) {
    return { next: restart, progressed: false, error }
  }
}

interface ListPage {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string }
  readonly items?: readonly unknown[] | null
}

function apply<T>({ reduce, onEvent }: WatchOptions<T>, raw: unknown): void {
  const object = reduce(raw)
  if (object !== undefined) onEvent({ kind: 'applied', object })
}

/** One stream: a watch from a version, or a streaming list that becomes a watch. */
async function follow<T>(
  options: WatchOptions<T>,
  state: State,
  signal: AbortSignal,
): Promise<Ended> {
  const listing = state.kind === 'list'
  const cursor = new Cursor(state)
  const idle = new AbortController()
  let cancelIdle: (() => void) | undefined
  const alive = () => {
    cancelIdle?.()
    const limit = listing && !cursor.synced ? WATCH_LIST_SILENCE_MS : IDLE_MS
    cancelIdle = options.clock.timer(limit, () => idle.abort(new Silence()))
    options.onAlive?.()
  }
  try {
    alive()
    const both = AbortSignal.any([signal, idle.signal])
    const stream = await options.rest.stream(watchRequest(options, state), both)
    if (listing) options.onEvent({ kind: 'listing' })
    for await (const line of lines(stream)) {
      cursor.take(options, parseEvent(line))
      alive()
    }
    return { next: cursor.resume(), progressed: cursor.progressed }
  } catch (error) {
    return afterFailure(idle.signal.aborted ? idle.signal.reason : error, cursor)
  } finally {
    cancelIdle?.()
  }
}

/** How far a stream has come. */
class Cursor {
  synced: boolean
  progressed = false
  #resourceVersion: string | undefined
  readonly #start: State

  constructor(state: State) {
    this.#start = state
    this.synced = state.kind === 'watch'
    this.#resourceVersion = state.kind === 'watch' ? state.resourceVersion : undefined
  }

  /** Passes one event on and remembers its version. */
  take<T>(options: WatchOptions<T>, { type, object }: RawEvent): void {
    this.progressed = true
    const { resourceVersion } = object.metadata
    if (type === 'ADDED' || type === 'MODIFIED') apply(options, object)
    if (type === 'DELETED') {
      const gone = options.reduce(object)
      if (gone !== undefined) options.onEvent({ kind: 'deleted', object: gone })
    }
    if (type === 'BOOKMARK') this.#bookmark(options, object.metadata)
    if (this.synced) this.#resourceVersion = resourceVersion
  }

  #bookmark<T>({ onEvent }: WatchOptions<T>, metadata: RawMetadata): void {
    const { resourceVersion, annotations } = metadata
    const end = annotations?.['k8s.io/initial-events-end'] === 'true'
    if (!this.synced && end) {
      this.synced = true
      onEvent({ kind: 'synced', resourceVersion })
    } else if (this.synced) onEvent({ kind: 'bookmark', resourceVersion })
  }

  /** Where to go on after the stream ended without an error. */
  resume(): State {
    if (!this.synced || this.#resourceVersion === undefined) return this.#start
    return { kind: 'watch', resourceVersion: this.#resourceVersion }
  }
}

function afterFailure(error: unknown, cursor: Cursor): Ended {
  const { progressed } = cursor
  const next = cursor.resume()
  const relist: State = { kind: 'list', by: 'stream' }
  const pages: State = { kind: 'list', by: 'pages' }
  if (error instanceof Silence) {
    const dead = new KeyferryError('KUBE_TIMEOUT', {
      message: 'the watch was silent for too long',
      remedy: 'The watch is opened again.',
      retry: 'soon',
    })
    return next.kind === 'list'
      ? { next: pages, progressed: true }
      : { next, progressed, error: dead }
  }
  if (!isKeyferryError(error, 'KUBE_STATUS')) {
    // A connection that broke says nothing about our version; a line that made no sense does.
    const broken = isKeyferryError(error, 'KUBE_BAD_ANSWER')
    return { next: broken ? relist : next, progressed, error }
  }
  const status = error.status ?? 0
  if (status === 400 || status === 422) {
    // A server without streaming lists.
    return next.kind === 'list'
      ? { next: pages, progressed: true }
      : { next: relist, progressed: false, error }
  }
  // Overload says nothing about our version; anything else (gone, forbidden, no such resource) does.
  const overloaded = status === 429 || status >= 500
  return { next: overloaded ? next : relist, progressed: false, error }
}

function watchRequest<T>(options: WatchOptions<T>, state: State): KubeRequest {
  const start =
    state.kind === 'watch'
      ? { resourceVersion: state.resourceVersion }
      : { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' }
  return {
    method: 'GET',
    path: collectionPath(options.resource, options.namespace),
    query: {
      watch: true,
      allowWatchBookmarks: true,
      // The server ends the stream after this long: spread, so that watches do not end together.
      timeoutSeconds: Math.round(300 + 300 * options.random()),
      labelSelector: options.labelSelector,
      ...start,
    },
    ...(options.metadataOnly ? { metadataOnly: 'object' } : {}),
  }
}

interface RawMetadata {
  readonly resourceVersion: string
  readonly annotations?: Readonly<Record<string, string>>
}

interface RawEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'
  readonly object: { readonly metadata: RawMetadata }
}

/** @throws KeyferryError KUBE_STATUS for an ERROR event, KUBE_BAD_ANSWER for anything odd */
function parseEvent(line: string): RawEvent {
  let event: { type?: string; object?: { code?: number; metadata?: { resourceVersion?: string } } }
  try {
    event = JSON.parse(line)
  } catch {
    throw badEvent()
  }
  if (event.type === 'ERROR') {
    throw statusError('watch', event.object?.code ?? 500, JSON.stringify(event.object))
  }
  if (typeof event.object?.metadata?.resourceVersion !== 'string') throw badEvent()
  return event as RawEvent
}

function badEvent(): KeyferryError {
  return new KeyferryError('KUBE_BAD_ANSWER', {
    message: 'the watch sent a line that is no event',
    remedy: 'The collection is listed again.',
    retry: 'soon',
  })
}
