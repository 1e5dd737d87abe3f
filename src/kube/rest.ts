import { createHash } from 'node:crypto'
import { Agent, type Dispatcher } from 'undici'
import { KeyferryError } from '../errors.ts'
import type { Clock } from './clock.ts'
import type { Access, Credentials } from './config.ts'
import { statusError } from './status.ts'

/** The three ways to patch. Source: Kubernetes API concepts, "Patch". */
export type PatchKind = 'merge' | 'json' | 'apply'

const PATCH_TYPES: Record<PatchKind, string> = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  apply: 'application/apply-patch+yaml',
}

/** One request, as data. */
export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Path below the server's origin, already encoded. */
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  readonly body?: unknown
  /** Kind of patch; required with PATCH. */
  readonly patch?: PatchKind
  /** Ask for `PartialObjectMetadata`: the answer carries no data, so no secret value. */
  readonly metadataOnly?: 'object' | 'list'
  /** Milliseconds without a sign of the answer after which it is given up; 10 s unless told. */
  readonly timeoutMs?: number
  /**
   * Called when the request has its socket and is about to be written to it; an exception refuses
   * it. Before that moment it may have waited: for credentials, for a socket, or because the whole
   * process was paused.
   */
  readonly check?: () => void
}

/** The Kubernetes API as plain JSON. */
export interface KubeRest {
  /**
   * Sends one request and gives the parsed answer.
   *
   * @throws KeyferryError KUBE_STATUS for an answer other than 2xx, KUBE_UNREACHABLE,
   *   KUBE_TIMEOUT, KUBE_BAD_ANSWER
   */
  send(request: KubeRequest, signal: AbortSignal): Promise<unknown>
  /** Opens a streaming answer (a watch): chunks of bytes until the server ends it. */
  stream(request: KubeRequest, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>
  /**
   * The API server's clock now, in milliseconds since the epoch: the Date header of the last
   * answer plus the time since. Up to one second behind, as the header has whole seconds.
   */
  serverTime(): number
  close(): Promise<void>
}

/** What a REST client needs besides {@link Access}. */
export interface RestOptions {
  readonly access: Access
  readonly clock: Clock
  readonly userAgent: string
  /** Called after each answer or failure: for metrics. `status` 0 is a failed connection. */
  readonly onAnswer?: (method: string, status: number, ms: number) => void
}

/** Milliseconds for which credentials are used before they are looked at again. */
const CREDENTIALS_MS = 10_000
const DEFAULT_TIMEOUT_MS = 10_000
/** A watch must answer with its headers within this time; its body has its own idle timer. */
const WATCH_HEADERS_MS = 30_000

type Pool = 'calls' | 'watches'

interface Connection {
  readonly fingerprint: string
  readonly origin: string
  /** Path prefix of the server, without a slash at the end. */
  readonly prefix: string
  readonly headers: Readonly<Record<string, string>>
  /** Separate pools: a full set of watches never makes a write wait for a socket. */
  readonly calls: Agent
  readonly watches: Agent
}

/** REST over undici, with credentials and TLS of a kubeconfig, re-read as they rotate. */
export function createRest(options: RestOptions): KubeRest {
  const { access, clock, userAgent, onAnswer } = options
  const connections = createConnections(access, clock)
  let serverOffset = clock.wall() - clock.now()

  async function dispatch(
    request: KubeRequest,
    pool: Pool,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const started = clock.now()
    const once = async (fresh: boolean) => {
      const connection = await connections.current(fresh)
      const agent = checked(connection[pool], request.check)
      return agent.request(toDispatch(request, userAgent, connection, signal))
    }
    try {
      let answer = await once(false)
      if (answer.statusCode === 401) {
        // A rotated token: one more try with what the files hold now.
        await answer.body.dump()
        answer = await once(true)
      }
      const date = Date.parse(header(answer.headers['date']) ?? '')
      if (!Number.isNaN(date)) serverOffset = date - clock.now()
      onAnswer?.(request.method, answer.statusCode, clock.now() - started)
      return answer
    } catch (error) {
      const failure = transportError(describe(request), error, signal)
      if (failure !== signal.reason) onAnswer?.(request.method, 0, clock.now() - started)
      throw failure
    }
  }

  return {
    async send(request, signal) {
      const answer = await dispatch(request, 'calls', signal)
      const text = await textOf(describe(request), answer, signal)
      if (isGood(answer)) return parseBody(describe(request), text)
      throw refusal(describe(request), answer, text)
    },
    async stream(request, signal) {
      const answer = await dispatch(request, 'watches', signal)
      if (isGood(answer)) return answer.body
      throw refusal(describe(request), answer, await textOf(describe(request), answer, signal))
    },
    serverTime: () => serverOffset + clock.now(),
    close: () => connections.close(),
  }
}

/** Nothing comes between the start of a request and its first byte: both are one step of undici. */
function checked(agent: Agent, check: KubeRequest['check']): Dispatcher {
  if (check === undefined) return agent
  return agent.compose((dispatch) => (options, handler) => {
    const start = handler.onRequestStart?.bind(handler)
    handler.onRequestStart = (controller, context) => {
      check()
      start?.(controller, context)
    }
    return dispatch(options, handler)
  })
}

const isGood = ({ statusCode }: Dispatcher.ResponseData) => statusCode >= 200 && statusCode < 300

/** Keeps one set of connections per set of credentials. */
function createConnections(access: Access, clock: Clock) {
  let connection: Connection | undefined
  let checkedAt = Number.NEGATIVE_INFINITY
  return {
    async current(fresh: boolean): Promise<Connection> {
      if (connection && !fresh && clock.now() - checkedAt < CREDENTIALS_MS) return connection
      checkedAt = clock.now()
      let credentials: Credentials
      try {
        credentials = await access.credentials(fresh)
      } catch (error) {
        // Files are missing for a moment while they rotate: what they held may serve until then.
        if (connection && !fresh) return connection
        throw error
      }
      const fingerprint = fingerprintOf(credentials)
      if (connection?.fingerprint === fingerprint) return connection
      // Requests under way end on the old sockets; nothing new is sent over them.
      void Promise.allSettled([connection?.calls.close(), connection?.watches.close()])
      connection = open(access.server, credentials, fingerprint)
      return connection
    },
    async close(): Promise<void> {
      await Promise.all([connection?.calls.destroy(), connection?.watches.destroy()])
    },
  }
}

function open(server: string, credentials: Credentials, fingerprint: string): Connection {
  const { origin, pathname } = new URL(server)
  const connect = { ...credentials.tls, timeout: 5_000 }
  // HTTP/2 would put every watch and every write on one connection that can die as a whole.
  const common = { connect, allowH2: false, pipelining: 1, keepAliveTimeout: 20_000 }
  return {
    fingerprint,
    origin,
    prefix: pathname.replace(/\/+$/, ''),
    headers: credentials.headers,
    calls: new Agent({ ...common, connections: 32 }),
    watches: new Agent({ ...common, headersTimeout: WATCH_HEADERS_MS, bodyTimeout: 0 }),
  }
}

function fingerprintOf({ headers, tls }: Credentials): string {
  const parts = [
    headers,
    { ...tls, ca: String(tls.ca), cert: String(tls.cert), key: String(tls.key) },
  ]
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64')
}

function toDispatch(
  request: KubeRequest,
  userAgent: string,
  connection: Connection,
  signal: AbortSignal,
): Dispatcher.RequestOptions {
  const { origin, prefix, headers } = connection
  const timeout = request.timeoutMs ?? DEFAULT_TIMEOUT_MS
  const watching = request.query?.['watch'] === true
  return {
    origin,
    path: `${prefix}${request.path}${queryOf(request)}`,
    method: request.method,
    headers: { ...headers, ...contentHeaders(request), 'user-agent': userAgent },
    body: request.body === undefined ? null : JSON.stringify(request.body),
    signal,
    ...(watching ? {} : { headersTimeout: timeout, bodyTimeout: timeout }),
  }
}

function queryOf({ query }: KubeRequest): string {
  const parts: string[] = []
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) parts.push(`${name}=${encodeURIComponent(value)}`)
  }
  return parts.length === 0 ? '' : `?${parts.join('&')}`
}

function contentHeaders({
  method,
  patch,
  metadataOnly,
  body,
}: KubeRequest): Record<string, string> {
  const kind = metadataOnly === 'list' ? 'PartialObjectMetadataList' : 'PartialObjectMetadata'
  const accept = metadataOnly
    ? `application/json;as=${kind};g=meta.k8s.io;v=v1`
    : 'application/json'
  const type = method === 'PATCH' && patch ? PATCH_TYPES[patch] : 'application/json'
  return body === undefined ? { accept } : { accept, 'content-type': type }
}

async function textOf(
  what: string,
  { body }: Dispatcher.ResponseData,
  signal: AbortSignal,
): Promise<string> {
  try {
    return await body.text()
  } catch (error) {
    throw transportError(what, error, signal)
  }
}

function refusal(what: string, { statusCode, headers }: Dispatcher.ResponseData, text: string) {
  return statusError(what, statusCode, text, header(headers['retry-after']))
}

function parseBody(what: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // What the parser says quotes the text around the fault, which may be a Secret.
    throw new KeyferryError('KUBE_BAD_ANSWER', {
      message: `${what}: the answer is no JSON (${text.length} characters)`,
      remedy: 'Check that the address in the kubeconfig is the Kubernetes API server.',
      retry: 'soon',
    })
  }
}

function transportError(what: string, error: unknown, signal: AbortSignal): unknown {
  if (error instanceof KeyferryError) return error
  if (signal.aborted) return signal.reason
  const { code } = error as { code?: string }
  const timedOut = code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT'
  return new KeyferryError(timedOut ? 'KUBE_TIMEOUT' : 'KUBE_UNREACHABLE', {
    message: timedOut ? `${what}: no answer in time` : `${what}: ${causeText(error)}`,
    remedy: 'Check that the Kubernetes API server can be reached from here.',
    retry: 'soon',
    cause: error,
  })
}

function causeText(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string }
  return code ?? message ?? 'connection failed'
}

function describe({ method, path }: KubeRequest): string {
  return `${method} ${path}`
}

function header(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}
