/**
 * List and watch of one collection, for as long as its AbortSignal lets it: a small state machine
 * that always knows how it goes on. What comes before: {@link KubeRest}. What comes after: a
 * store that turns the events into a view of the cluster.
 *
 * It starts with a streaming list (WatchList) where the server has one, else with pages; it asks
 * for bookmarks and resumes from the last version it saw; it lists again when that version is
 * gone, when a right was missing or when the stream made no sense; and it leaves a stream that is
 * silent for 90 s, because bookmarks come about once a minute. After a connection that broke it
 * asks first whether the versions went back: a server takes a watch from a version that it has
 * not reached, and tells nothing of what was before.
 * Source: Kubernetes API concepts, "Efficient detection of changes", "Streaming lists".
 */
import { isKeyferryError, KeyferryError } from '../errors.ts'
import { type Backoff, backoffMs } from './backoff.ts'
import { type Clock, sleep } from './clock.ts'
import { lines } from './lines.ts'
import { collectionPath, compareVersions, type Resource } from './resource.ts'
import type { KubeRequest, KubeRest } from './rest.ts'
import { isTooNew, statusError } from './status.ts'

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
  /**
   * Reduces an object to what is kept of it; `undefined` drops the object. So does an exception,
   * which is told to `onFailure`: one odd object must not hide the others.
   */
  readonly reduce: (raw: unknown) => T | undefined
  /** Takes an event. After an exception the event comes again, or a whole new list does. */
  readonly onEvent: (event: WatchEvent<T>) => void
  /** Called for each failure, with the time until the watch goes on; 0 when nothing waits. */
  readonly onFailure?: (error: unknown, waitMs: number) => void
}

/** Silence after which a stream is left. */
const IDLE_MS = 90_000
/** Silence after which a streaming list counts as not supported. */
const WATCH_LIST_SILENCE_MS = 15_000
const PAGE_SIZE = 500
/** A stream that lived this long was in order: the failures before it are forgotten. */
const LONG_LIVED_MS = 5_000
const BACKOFF: Backoff = { firstMs: 500, maxMs: 30_000 }

type State =
  | { readonly kind: 'list'; readonly by: 'stream' | 'pages' }
  | {
      readonly kind: 'watch'
      readonly resourceVersion: string
      /** Whether the server was away: it may come back with what a backup has. */
      readonly wasAway?: true
    }

const BY_STREAM: State = { kind: 'list', by: 'stream' }
const BY_PAGES: State = { kind: 'list', by: 'pages' }

/** How a state ended. */
type End =
  /** As it is meant to: the next one follows at once. */
  | { readonly kind: 'passed'; readonly next: State }
  /** Of its own accord or by a failure: a wait comes first, unless `lived` without an error. */
  | {
      readonly kind: 'ended'
      readonly next: State
      readonly lived: boolean
      readonly error?: unknown
    }

/** Lists and watches until `signal` aborts; failures never end it. */
export async function listWatch<T>(options: WatchOptions<T>, signal: AbortSignal): Promise<void> {
  const { clock, random, onFailure } = options
  let state = BY_STREAM
  let failures = 0
  while (!signal.aborted) {
    const end: End = await run(options, state, signal)
    if (signal.aborted) return
    state = end.next
    if (end.kind === 'passed') continue
    failures = end.lived ? 0 : failures + 1
    if (end.lived && end.error === undefined) continue
    const error = end.error ?? badStream('the watch was ended as soon as it had begun')
    const asked = isKeyferryError(error) ? (error.retryAfterMs ?? 0) : 0
    const waitMs = Math.max(asked, backoffMs(Math.max(1, failures), BACKOFF, random))
    onFailure?.(error, waitMs)
    await sleep(clock, waitMs, signal)
  }
}

function run<T>(options: WatchOptions<T>, state: State, signal: AbortSignal): Promise<End> {
  if (state.kind === 'list' && state.by === 'pages') return listPages(options, signal)
  if (state.kind === 'watch' && state.wasAway) return askWhetherBack(options, state, signal)
  return follow(options, state, signal)
}

/** Lists in pages; a watch from the version of the list comes next. */
async function listPages<T>(options: WatchOptions<T>, signal: AbortSignal): Promise<End> {
  try {
    options.onEvent({ kind: 'listing' })
    let page: ListPage = { resourceVersion: '', next: undefined, items: [] }
    do {
      page = await readPage(options, { limit: PAGE_SIZE, continue: page.next }, signal)
      for (const raw of page.items) pass(options, 'applied', raw)
    } while (page.next !== undefined)
    const { resourceVersion } = page
    options.onEvent({ kind: 'synced', resourceVersion })
    return { kind: 'passed', next: { kind: 'watch', resourceVersion } }
  } catch (error) {
    return { kind: 'ended', next: BY_PAGES, lived: false, error }
  }
}

interface ListPage {
  readonly resourceVersion: string
  /** Token of the next page. */
  readonly next: string | undefined
  readonly items: readonly unknown[]
}

async function readPage<T>(
  { rest, resource, namespace, labelSelector, metadataOnly }: WatchOptions<T>,
  query: { readonly limit: number; readonly continue?: string | undefined },
  signal: AbortSignal,
): Promise<ListPage> {
  const request: KubeRequest = {
    method: 'GET',
    path: collectionPath(resource, namespace),
    query: { labelSelector, ...query },
    timeoutMs: 60_000,
    ...(metadataOnly ? { metadataOnly: 'list' } : {}),
  }
  const { metadata, items } = (await rest.send(request, signal)) as {
    readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string }
    readonly items?: readonly unknown[] | null
  }
  const resourceVersion = metadata?.resourceVersion
  if (!resourceVersion) throw badStream('the server sent a list without a version')
  return { resourceVersion, next: metadata.continue || undefined, items: items ?? [] }
}

function pass<T>(options: WatchOptions<T>, kind: 'applied' | 'deleted', raw: unknown): void {
  let object: T | undefined
  try {
    object = options.reduce(raw)
  } catch (error) {
    options.onFailure?.(error, 0)
  }
  if (object !== undefined) options.onEvent({ kind, object })
}

/** One stream: a watch from a version, or a streaming list that becomes a watch. */
async function follow<T>(
  options: WatchOptions<T>,
  state: State,
  signal: AbortSignal,
): Promise<End> {
  const { clock, rest, onEvent } = options
  const cursor = new Cursor(state)
  const silence = new AbortController()
  let cancel: (() => void) | undefined
  const listen = () => {
    cancel?.()
    const limit = cursor.synced ? IDLE_MS : WATCH_LIST_SILENCE_MS
    cancel = clock.timer(limit, () => silence.abort())
  }
  let opened = Number.POSITIVE_INFINITY
  const lived = () => clock.now() - opened >= LONG_LIVED_MS
  try {
    listen()
    if (!cursor.synced) onEvent({ kind: 'listing' })
    const both = AbortSignal.any([signal, silence.signal])
    const stream = await rest.stream(watchRequest(options, state), both)
    opened = clock.now()
    for await (const line of lines(stream)) {
      cursor.take(options, parseEvent(line))
      listen()
    }
    if (cursor.synced) return { kind: 'ended', next: cursor.resume(), lived: lived() }
    const error = badStream('the streaming list ended before it was complete')
    return { kind: 'ended', next: BY_PAGES, lived: false, error }
  } catch (error) {
    if (silence.signal.aborted) return await afterSilence(options, cursor.resume(), signal)
    return afterFailure(error, cursor.resume(), lived())
  } finally {
    cancel?.()
  }
}

/** How far a stream has come. */
class Cursor {
  /** Version up to which everything was told; undefined while the list is not complete. */
  #resourceVersion: string | undefined

  constructor(state: State) {
    this.#resourceVersion = state.kind === 'watch' ? state.resourceVersion : undefined
  }

  get synced(): boolean {
    return this.#resourceVersion !== undefined
  }

  /** Passes one event on, then remembers its version. */
  take<T>(options: WatchOptions<T>, { type, object }: RawEvent): void {
    if (type === 'BOOKMARK') return this.#bookmark(options, object.metadata)
    pass(options, type === 'DELETED' ? 'deleted' : 'applied', object)
    if (this.synced) this.#resourceVersion = object.metadata.resourceVersion
  }

  #bookmark<T>({ onEvent }: WatchOptions<T>, metadata: RawMetadata): void {
    const { resourceVersion, annotations } = metadata
    const complete = annotations?.['k8s.io/initial-events-end'] === 'true'
    if (!this.synced && !complete) return
    onEvent({ kind: this.synced ? 'bookmark' : 'synced', resourceVersion })
    this.#resourceVersion = resourceVersion
  }

  /** Where to go on after the stream. */
  resume(): State {
    const resourceVersion = this.#resourceVersion
    return resourceVersion === undefined ? BY_STREAM : { kind: 'watch', resourceVersion }
  }
}

/**
 * A streaming list that is silent is not supported. A watch that is silent can be dead, or its
 * collection quiet: a server sends no bookmark below the version that was asked for. That can
 * also be for ever, when versions went back; so the server is asked.
 */
async function afterSilence<T>(
  options: WatchOptions<T>,
  next: State,
  signal: AbortSignal,
): Promise<End> {
  if (next.kind === 'list') return { kind: 'passed', next: BY_PAGES }
  return askWhetherBack(options, next, signal)
}

/** Lists again when versions went back, as in a cluster that was restored from a backup. */
async function askWhetherBack<T>(
  options: WatchOptions<T>,
  state: State & { readonly kind: 'watch' },
  signal: AbortSignal,
): Promise<End> {
  const next: State = { kind: 'watch', resourceVersion: state.resourceVersion }
  try {
    const { resourceVersion } = await readPage(options, { limit: 1 }, signal)
    const wentBack = compareVersions(resourceVersion, next.resourceVersion) < 0
    return { kind: 'passed', next: wentBack ? BY_STREAM : next }
  } catch (error) {
    return afterFailure(error, state, false)
  }
}

function afterFailure(error: unknown, next: State, lived: boolean): End {
  const away: State = next.kind === 'watch' ? { ...next, wasAway: true } : next
  if (isKeyferryError(error, 'KUBE_STATUS')) {
    const { status = 0 } = error
    // A server without streaming lists.
    const unsupported = status === 400 || status === 422
    if (unsupported && next.kind === 'list') return { kind: 'passed', next: BY_PAGES }
    // Overload says nothing about our version; anything else (gone, forbidden, unknown) does.
    if (status === 429) return { kind: 'ended', next, lived, error }
    const overloaded = status >= 500 && !isTooNew(error)
    return { kind: 'ended', next: overloaded ? away : BY_STREAM, lived, error }
  }
  // A connection that broke says nothing about our version; a line that made no sense does.
  const garbled = isKeyferryError(error, 'KUBE_BAD_ANSWER')
  return { kind: 'ended', next: garbled ? BY_STREAM : away, lived, error }
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

const TYPES = ['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK'] as const

interface RawEvent {
  readonly type: (typeof TYPES)[number]
  readonly object: { readonly metadata: RawMetadata }
}

interface RawMetadata {
  readonly resourceVersion: string
  readonly annotations?: Readonly<Record<string, string>>
}

/** @throws KeyferryError KUBE_STATUS for an ERROR event, KUBE_BAD_ANSWER for anything odd */
function parseEvent(line: string): RawEvent {
  const { type, object } = parseLine(line)
  if (type === 'ERROR') throw statusError('watch', object?.code ?? 500, JSON.stringify(object))
  const known = (TYPES as readonly unknown[]).includes(type)
  if (known && object?.metadata?.resourceVersion) return { type, object } as RawEvent
  throw badStream('the watch sent a line that is no event')
}

interface RawLine {
  readonly type?: string
  readonly object?: {
    readonly code?: number
    readonly metadata?: { readonly resourceVersion?: string }
  }
}

function parseLine(line: string): RawLine {
  try {
    return (JSON.parse(line) as RawLine | null) ?? {}
  } catch {
    return {}
  }
}

function badStream(message: string): KeyferryError {
  return new KeyferryError('KUBE_BAD_ANSWER', {
    message,
    remedy: 'The collection is listed or watched again.',
    retry: 'soon',
  })
}
