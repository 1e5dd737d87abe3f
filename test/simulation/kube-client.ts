/**
 * The way of one process to the API server: requests take their time, watches lag, each stream by
 * itself, and a test decides what befalls them. What was sent arrives also when its sender has died.
 */
import { KeyferryError } from '../../src/errors.ts'
import type { KubeRequest, KubeRest } from '../../src/kube/rest.ts'
import { statusError } from '../../src/kube/status.ts'
import {
  type ApiServer,
  type Change,
  isSelected,
  type Reply,
  type StoredObject,
  targetOf,
} from './api-server.ts'
import type { Random } from './random.ts'
import { BEGINNING, type Host, type Scheduler } from './scheduler.ts'

/** What befalls a request. */
export type Fate =
  /** Nothing. */
  | 'answer'
  /** It does not arrive; the connection is refused. */
  | 'refuse'
  /** It is carried out, and the connection breaks before the answer is there. */
  | 'lose'
  /** It is carried out, and nothing is ever heard of it. */
  | 'silence'
  /** Statuses that the API server answers without having carried it out. */
  | 429
  | 500
  | 503
  | 504

/** What can befall streams that are open. */
export type StreamFault = 'end' | 'cut' | 'garble' | 'mute' | 'expire'

/** Hooks of a test into a client. */
export interface Hooks {
  /** Asked when a request goes onto the wire. */
  fate(request: KubeRequest): Fate
  /** Told when one was carried out, before its answer is on its way. */
  committed(request: KubeRequest): void
  /** Told when an answer has come. */
  answered(request: KubeRequest): void
  /** Milliseconds by which a watch lags. */
  lagMs(kind: string): number
}

/** See the head of this file. */
export interface SimulatedRest extends KubeRest {
  /** Strikes the streams that are open. */
  strike(fault: StreamFault): void
  /** Versions up to this one are forgotten: who resumes from before is told 410. */
  compact(version: number): void
}

/** What a client needs. */
export interface ClientOptions {
  readonly server: ApiServer
  readonly scheduler: Scheduler
  readonly random: Random
  readonly host: Host
  /** Name under which its changes are logged. */
  readonly user: string
  readonly hooks: Hooks
}

const TIMEOUT_MS = 10_000
/** Milliseconds between two bookmarks, on average. */
const BOOKMARK_MS = 8_000
/** Milliseconds for which a request under way may be held by the server: that is its `timeout`. */
const HELD_MS = 3_500

interface Stream {
  readonly kind: string
  readonly namespace: string
  readonly selector: unknown
  readonly metadataOnly: boolean
  readonly lines: Uint8Array[]
  /** Version that it was told of by a bookmark. */
  told: number
  /** When the newest of its lines arrives. */
  due: number
  muted: boolean
  ended: boolean
  error: Error | undefined
  wake: () => void
}

/** A client of the API server in memory. */
export function createSimulatedRest(options: ClientOptions): SimulatedRest {
  const { server, scheduler, random, host, user, hooks } = options
  const clock = scheduler.clockOf(host)
  const streams = new Set<Stream>()
  let offset = clock.wall() - clock.now()
  let compacted = 0
  const latency = () => (random.chance(0.03) ? random.between(20, HELD_MS) : random.between(1, 9))

  server.onChange.add(pass)

  function pass(change: Change): void {
    if (host.dead) return void server.onChange.delete(pass)
    for (const stream of streams) {
      if (stream.kind !== change.kind || stream.ended) continue
      const event = eventFor(stream, change)
      if (event !== undefined) tell(stream, event)
    }
  }

  function tell(stream: Stream, text: string): void {
    const { kind } = stream
    stream.due = Math.max(stream.due, scheduler.now() + hooks.lagMs(kind))
    scheduler.after(stream.due - scheduler.now(), () => arrive(stream, text), host)
  }

  function arrive(stream: Stream, text: string): void {
    if (stream.muted || stream.ended) return
    stream.lines.push(Buffer.from(text))
    stream.wake()
  }

  function close(stream: Stream, error?: Error): void {
    stream.ended = true
    stream.error = error
    streams.delete(stream)
    stream.wake()
  }

  function bookmark(stream: Stream): void {
    if (stream.ended || host.dead) return
    if (server.version > stream.told) tell(stream, bookmarkAt(server.version))
    stream.told = server.version
    scheduler.after(random.between(1, 2 * BOOKMARK_MS), () => bookmark(stream))
  }

  function open(request: KubeRequest): Stream {
    const { path, query = {}, metadataOnly } = request
    const { kind, namespace } = targetOf(path) as { kind: string; namespace: string }
    const { sendInitialEvents, resourceVersion, labelSelector: selector } = query
    const stream: Stream = {
      kind,
      namespace,
      selector,
      metadataOnly: metadataOnly !== undefined,
      lines: [],
      told: 0,
      due: 0,
      muted: false,
      ended: false,
      error: undefined,
      wake: () => {},
    }
    if (sendInitialEvents) {
      for (const object of server.all(kind).values()) {
        if (isSelected(object, namespace, selector)) tell(stream, line(stream, 'ADDED', object))
      }
      tell(stream, bookmarkAt(server.version, { 'k8s.io/initial-events-end': 'true' }))
    } else if (Number(resourceVersion) < compacted) {
      tell(stream, `${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410 } })}\n`)
    } else {
      for (const change of changesSince(server, Number(resourceVersion))) {
        const event = change.kind === kind ? eventFor(stream, change) : undefined
        if (event !== undefined) tell(stream, event)
      }
    }
    streams.add(stream)
    scheduler.after(random.between(1, 2 * BOOKMARK_MS), () => bookmark(stream))
    return stream
  }

  /** Sends a request; `act` is what the server does with it. */
  function exchange<T>(
    request: KubeRequest,
    signal: AbortSignal,
    act: () => { readonly value: T } | { readonly error: unknown },
  ): Promise<T> {
    const { method, path, timeoutMs = TIMEOUT_MS } = request
    const what = `${method} ${path}`
    return new Promise<T>((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      const giveUp = () => reject(signal.reason)
      signal.addEventListener('abort', giveUp, { once: true })
      const done = (settle: () => void) => {
        signal.removeEventListener('abort', giveUp)
        settle()
      }
      const fail = (ms: number, error: () => unknown) =>
        scheduler.after(ms, () => done(() => reject(error())), host)
      const send = () => {
        if (signal.aborted) return
        try {
          request.check?.()
        } catch (error) {
          return done(() => reject(error))
        }
        const fate = hooks.fate(request)
        if (fate === 'refuse') return fail(1, () => unreachable(what))
        if (typeof fate === 'number') return fail(latency(), () => statusError(what, fate, ''))
        const held = latency()
        scheduler.after(held, () => arriveAt(fate, held))
      }
      const arriveAt = (fate: Fate, held: number) => {
        const result = act()
        hooks.committed(request)
        if (fate === 'lose') return fail(random.between(1, 200), () => unreachable(what))
        if (fate === 'silence') return fail(timeoutMs - held, () => timedOut(what))
        const date = Math.floor((BEGINNING + scheduler.now()) / 1000) * 1000
        const back = random.between(0, 9)
        scheduler.after(
          back,
          () => {
            offset = date - clock.now()
            done(() => ('value' in result ? resolve(result.value) : reject(result.error)))
            hooks.answered(request)
          },
          host,
        )
      }
      scheduler.after(random.between(0, 2), send, host)
    })
  }

  return {
    send: (request, signal) =>
      exchange(request, signal, () => {
        const reply = server.handle(request, user)
        return outcomeOf(request, reply)
      }),
    stream: (request, signal) =>
      exchange(request, signal, () => {
        const stream = open(request)
        signal.addEventListener('abort', () => close(stream, new Error('aborted')))
        return { value: chunksOf(stream) }
      }),
    serverTime: () => offset + clock.now(),
    close: () => Promise.resolve(),
    strike(fault) {
      for (const stream of streams) {
        if (fault === 'mute') stream.muted = true
        if (fault === 'garble') arrive(stream, '{"type":"ADD\u0000\n')
        if (fault === 'expire') {
          arrive(stream, `${JSON.stringify({ type: 'ERROR', object: { code: 410 } })}\n`)
        }
        if (fault === 'cut') arrive(stream, '{"type":"MODIFIED","object":{"meta')
        if (fault === 'end') close(stream)
        else if (fault === 'cut') close(stream, new Error('connection reset'))
      }
    },
    compact: (version) => void (compacted = version),
  }
}

function outcomeOf({ method, path, metadataOnly }: KubeRequest, { status, body }: Reply) {
  if (status >= 400) {
    return { error: statusError(`${method} ${path}`, status, JSON.stringify(body)) }
  }
  if (metadataOnly !== 'object') return { value: body }
  const { metadata } = body as StoredObject
  return { value: { metadata } }
}

function* changesSince({ log }: ApiServer, version: number): Iterable<Change> {
  // The log is in the order of versions: the newest ones are at its end.
  let first = log.length
  while (first > 0 && (log[first - 1] as Change).version > version) first -= 1
  for (let n = first; n < log.length; n += 1) yield log[n] as Change
}

/** What a watch tells of a change: objects that leave its selector are gone. */
function eventFor(stream: Stream, { before, after, version }: Change): string | undefined {
  const { namespace, selector } = stream
  const was = before !== undefined && isSelected(before, namespace, selector)
  const is = after !== undefined && isSelected(after, namespace, selector)
  if (is) return line(stream, was ? 'MODIFIED' : 'ADDED', after)
  if (!was) return undefined
  const metadata = { ...(after ?? before).metadata, resourceVersion: `${version}` }
  return line(stream, 'DELETED', { ...(after ?? before), metadata })
}

function line({ metadataOnly }: Stream, type: string, object: StoredObject): string {
  const told = metadataOnly ? { metadata: object.metadata } : object
  return `${JSON.stringify({ type, object: told })}\n`
}

function bookmarkAt(version: number, annotations = {}): string {
  const object = { metadata: { resourceVersion: `${version}`, annotations } }
  return `${JSON.stringify({ type: 'BOOKMARK', object })}\n`
}

async function* chunksOf(stream: Stream): AsyncGenerator<Uint8Array> {
  for (;;) {
    for (let chunk = stream.lines.shift(); chunk; chunk = stream.lines.shift()) yield chunk
    if (stream.error) throw stream.error
    if (stream.ended) return
    await new Promise<void>((resolve) => {
      stream.wake = resolve
    })
  }
}

function unreachable(what: string): KeyferryError {
  return new KeyferryError('KUBE_UNREACHABLE', {
    message: `${what}: ECONNRESET`,
    remedy: 'None in a simulation.',
    retry: 'soon',
  })
}

function timedOut(what: string): KeyferryError {
  return new KeyferryError('KUBE_TIMEOUT', {
    message: `${what}: no answer in time`,
    remedy: 'None in a simulation.',
    retry: 'soon',
  })
}
