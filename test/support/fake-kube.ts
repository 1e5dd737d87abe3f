/**
 * A Kubernetes API server for one collection, in memory, as far as list-watches can tell; and all
 * the ways in which one fails them.
 */
import { parseKey } from '../../src/kube/resource.ts'
import type { KubeRequest, KubeRest } from '../../src/kube/rest.ts'
import { statusError } from '../../src/kube/status.ts'

/** An object of the collection. */
export interface FakeObject {
  readonly metadata: {
    readonly namespace: string
    readonly name: string
    readonly uid: string
    readonly resourceVersion: string
  }
}

/** What can befall the streams that are open. */
export type StreamFault = 'end' | 'cut' | 'garble' | 'expire' | 'mute'

/** What can befall a request: a connection that is refused, or an answer with that status. */
export type RequestFault = 'refuse' | 403 | 404 | 410 | 422 | 429 | 500

/** See the head of this file. */
export interface FakeKube extends KubeRest {
  /** Changes an object, or creates it, by `namespace/name`. */
  write(key: string): void
  remove(key: string): void
  /** `namespace/name@version` of each object, in order. */
  content(): string[]
  /** Forgets what happened so far: who watches from before is told 410. */
  compact(): void
  /** Goes back to the objects and the version of that moment; all connections break. */
  restore(backup: Backup): void
  backup(): Backup
  /** Sends bookmarks, as a server does about once a minute. */
  bookmarks(): void
  /** Strikes the open streams. */
  strike(fault: StreamFault): void
  /** Strikes the requests to come, one fault each. */
  readonly faults: RequestFault[]
  readonly requests: KubeRequest[]
}

/** A moment in the life of the collection. */
export interface Backup {
  readonly version: number
  readonly objects: ReadonlyMap<string, FakeObject>
}

/** Objects a page holds, however many are asked for. */
const PAGE = 2

interface Stream {
  readonly writer: WritableStreamDefaultWriter<Uint8Array>
  /** Version up to which it has been told everything. */
  told: number
  muted: boolean
}

interface HistoryEvent {
  readonly version: number
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: FakeObject
}

/** See the head of this file. */
export function createFakeKube(): FakeKube {
  let version = 1
  let uids = 0
  let compacted = 0
  let objects = new Map<string, FakeObject>()
  let history: HistoryEvent[] = []
  const streams = new Set<Stream>()
  const ignore = () => {}

  function say(stream: Stream, text: string): void {
    if (!stream.muted) stream.writer.write(Buffer.from(text)).catch(ignore)
  }

  function sayEvent(stream: Stream, type: string, object: unknown): void {
    say(stream, `${JSON.stringify({ type, object })}\n`)
  }

  function catchUp(stream: Stream): void {
    for (const { version, type, object } of history) {
      if (version <= stream.told) continue
      sayEvent(stream, type, object)
      stream.told = version
    }
  }

  function record(type: HistoryEvent['type'], object: FakeObject): void {
    history.push({ version, type, object })
    for (const stream of streams) catchUp(stream)
  }

  function fail(request: KubeRequest, signal: AbortSignal): void {
    fake.requests.push(request)
    signal.throwIfAborted()
    const fault = fake.faults.shift()
    if (fault === 'refuse') throw new Error('connection refused')
    if (fault !== undefined) throw statusError('GET', fault, '')
  }

  function close(stream: Stream, reason?: Error): void {
    streams.delete(stream)
    const end = reason ? stream.writer.abort(reason) : stream.writer.close()
    end.catch(ignore)
  }

  const fake: FakeKube = {
    faults: [],
    requests: [],
    write(key) {
      version += 1
      const before = objects.get(key)
      const uid = before?.metadata.uid ?? `uid-${(uids += 1)}`
      const object = { metadata: { ...parseKey(key), uid, resourceVersion: `${version}` } }
      objects.set(key, object)
      record(before ? 'MODIFIED' : 'ADDED', object)
    },
    remove(key) {
      const before = objects.get(key)
      if (!before) return
      version += 1
      objects.delete(key)
      record('DELETED', { metadata: { ...before.metadata, resourceVersion: `${version}` } })
    },
    content: () =>
      [...objects].map(([key, { metadata }]) => `${key}@${metadata.resourceVersion}`).toSorted(),
    compact() {
      compacted = version
      history = []
    },
    backup: () => ({ version, objects: new Map(objects) }),
    restore(backup) {
      version = backup.version
      objects = new Map(backup.objects)
      history = []
      compacted = 0
      for (const stream of streams) close(stream, new Error('connection reset'))
    },
    bookmarks() {
      for (const stream of streams) {
        // A server sends no bookmark below the version that was asked for.
        if (version >= stream.told) sayEvent(stream, 'BOOKMARK', bookmark(version))
        stream.told = Math.max(stream.told, version)
      }
    },
    strike(fault) {
      for (const stream of streams) {
        if (fault === 'mute') stream.muted = true
        if (fault === 'garble') say(stream, '{"type":"ADD\u0000\n')
        if (fault === 'expire') sayEvent(stream, 'ERROR', { kind: 'Status', code: 410 })
        if (fault === 'end') close(stream)
        if (fault === 'cut') {
          say(stream, '{"type":"MODIFIED","object":{"meta')
          close(stream, new Error('connection reset'))
        }
      }
    },
    send: async (request, signal) => {
      fail(request, signal)
      const { continue: token } = request.query ?? {}
      const [from = 0, asOf = version] = token ? String(token).split(':').map(Number) : []
      if (asOf < compacted) throw statusError('GET', 410, '')
      // Pages after the first show the state of the first; here, nothing happens in between.
      const rest = [...objects.values()].slice(from)
      const next = rest.length > PAGE ? `${from + PAGE}:${asOf}` : ''
      return {
        metadata: { resourceVersion: `${asOf}`, continue: next },
        items: rest.slice(0, PAGE),
      }
    },
    stream: async (request, signal) => {
      fail(request, signal)
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>(undefined, {
        highWaterMark: Number.POSITIVE_INFINITY,
      })
      const { sendInitialEvents, resourceVersion } = request.query ?? {}
      const writer = writable.getWriter()
      writer.closed.catch(ignore)
      const stream = {
        writer,
        told: sendInitialEvents ? version : Number(resourceVersion),
        muted: false,
      }
      signal.addEventListener('abort', () => close(stream, new Error('aborted')))
      streams.add(stream)
      if (sendInitialEvents) {
        for (const object of objects.values()) sayEvent(stream, 'ADDED', object)
        sayEvent(stream, 'BOOKMARK', bookmark(version, { 'k8s.io/initial-events-end': 'true' }))
      } else if (stream.told < compacted) {
        sayEvent(stream, 'ERROR', { kind: 'Status', code: 410 })
      } else catchUp(stream)
      return readable
    },
    serverTime: () => 0,
    close: () => Promise.resolve(),
  }
  return fake
}

const bookmark = (version: number, annotations = {}) => ({
  metadata: { resourceVersion: `${version}`, annotations },
})
