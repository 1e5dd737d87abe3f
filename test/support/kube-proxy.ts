/**
 * A proxy in front of the real API server that sees every request of an operator, and lets happen to
 * it what a test says. Watches pass line by line.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { buffer } from 'node:stream/consumers'
import { Agent, type Dispatcher } from 'undici'
import { loadAccess } from '../../src/kube/config.ts'
import { lines } from '../../src/kube/lines.ts'

/** A request as it came, and what became of it. */
export interface Call {
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly query: URLSearchParams
  /** Parsed JSON; undefined without a body, or with one in another form. */
  readonly body: unknown
  readonly isWatch: boolean
  /** Milliseconds since the epoch. */
  readonly cameAt: number
  /** Status that the API server answered; undefined while it has not, or was never asked. */
  status: number | undefined
  /** What it answered; undefined for watches. */
  answer: unknown
}

/** An answer that the API server did not give. */
export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as JSON. */
  readonly body?: unknown
  /** Sent as it is, in place of a body. */
  readonly text?: string
  /** Breaks the connection after so many characters of what it said it would send. */
  readonly cutAt?: number
}

/** What takes the place of an answer: `drop` is silence for ever, `reset` a broken connection. */
export type Instead = Answer | 'drop' | 'reset' | undefined

/** Where requests go on to. */
export interface Upstream {
  readonly server: string
  readonly agent: Agent
  /** Those of its kubeconfig's user. */
  readonly headers: Readonly<Record<string, string>>
}

/**
 * What a test does to a request. Each part may take its time, which holds the request up.
 */
export interface Fate {
  /** Before it is sent: something else takes the place of the whole request. */
  readonly before?: () => Promise<Instead> | Instead
  /** Another API server than the usual one. */
  readonly upstream?: Upstream
  /** What of the query is sent on. */
  readonly query?: (query: URLSearchParams) => void
  /** When the API server has answered: something else takes the place of that answer. */
  readonly committed?: (answer: string) => Promise<Instead> | Instead
  /** When the answer has been passed on. */
  readonly after?: () => void
  /** For each event of a watch, as a line: another line, or none. */
  readonly line?: (text: string) => Promise<string | undefined> | string | undefined
}

/** See the head of this file. */
export interface KubeProxy extends AsyncDisposable {
  /** Every request so far, in the order in which they came. */
  readonly calls: readonly Call[]
  /** What befalls the next requests; undefined: nothing. */
  fate: ((call: Call) => Fate | undefined) | undefined
  /** A copy of a kubeconfig that leads through the proxy. */
  kubeconfigFor(file: string): Promise<string>
  /** One more API server of the same cluster, to which a fate may send requests. */
  upstream(admin: string): Promise<Upstream>
  /** Cuts the open watches, or some of them, after some text that is no whole event. */
  cutWatches(text?: string, which?: (call: Call) => boolean): void
  /** Says on open watches that nothing happened up to this version, as a server does in time. */
  bookmark(resourceVersion: string, which: (call: Call) => boolean): void
}

/**
 * @param admin kubeconfig of the cluster: its address and authority count; its user only for clients
 *   that send no credentials over plain HTTP, as programs in Go do
 */
export async function startKubeProxy(admin: string): Promise<KubeProxy> {
  const upstreams: Upstream[] = []
  const usual = await open(admin)
  const admins = lowerCased(usual.headers)
  const calls: Call[] = []
  const watches = new Map<ServerResponse, Call>()
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-proxy-'))
  let copies = 0
  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy())
  })
  server.requestTimeout = 0
  server.keepAliveTimeout = 120_000

  async function open(kubeconfig: string): Promise<Upstream> {
    const access = loadAccess(kubeconfig)
    const { tls, headers } = await access.credentials(false)
    const agent = new Agent({ connect: tls, bodyTimeout: 0, headersTimeout: 0, pipelining: 1 })
    const upstream = { server: access.server, agent, headers }
    upstreams.push(upstream)
    return upstream
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const bytes = await buffer(request)
    const call = describe(request, bytes)
    calls.push(call)
    const fate = proxy.fate?.(call) ?? {}
    const instead = await fate.before?.()
    if (instead !== undefined) return give(response, instead)
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    const answer = await forward({ request, bytes, call }, fate, gone.signal)
    call.status = answer.statusCode
    const streams = call.isWatch && answer.statusCode === 200
    const body = streams ? '' : await answer.body.text()
    call.answer = body.startsWith('{') ? JSON.parse(body) : body
    const other = await fate.committed?.(body)
    if (streams && other === undefined) return stream(answer, response, { call, fate })
    if (streams) answer.body.on('error', () => {}).destroy()
    if (other !== undefined) return give(response, other)
    response.on('finish', () => fate.after?.())
    response.writeHead(answer.statusCode, headersOf(answer.headers))
    response.end(body)
  }

  /** A watch ends with its client; a write that was sent goes on without it. */
  function forward(
    { request, bytes, call }: { request: IncomingMessage; bytes: Buffer; call: Call },
    { upstream = usual, query }: Fate,
    gone: AbortSignal,
  ) {
    const { connection: _c, host: _h, 'content-length': _l, ...headers } = request.headers
    // Programs in Go ask for a binary form: what passes here is to be read, and they read JSON, too.
    const readable = headers.accept?.includes(BINARY) ? { accept: 'application/json' } : {}
    const sent = new URLSearchParams(call.query)
    query?.(sent)
    return upstream.agent.request({
      origin: upstream.server,
      path: query ? `${call.path}?${sent.toString()}` : (request.url ?? '/'),
      method: call.method,
      headers: { ...admins, ...headers, ...readable },
      body: bytes.length === 0 ? null : bytes,
      ...(call.isWatch ? { signal: gone } : {}),
    })
  }

  async function stream(
    answer: Dispatcher.ResponseData,
    response: ServerResponse,
    { call, fate: { line = (text) => text } }: { readonly call: Call; readonly fate: Fate },
  ): Promise<void> {
    response.writeHead(answer.statusCode, headersOf(answer.headers))
    response.flushHeaders()
    watches.set(response, call)
    response.on('close', () => watches.delete(response))
    for await (const text of lines(answer.body)) {
      const passed = await line(text)
      // Once it is cut, what was cut off must not become a line by the next one.
      if (passed !== undefined && watches.has(response)) response.write(`${passed}\n`)
    }
    response.end()
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const proxy: KubeProxy = {
    calls,
    fate: undefined,
    async kubeconfigFor(file) {
      const config = JSON.parse(await readFile(file, 'utf8'))
      config.clusters[0].cluster = {
        server: `http://127.0.0.1:${port}`,
        // Without it the client would not speak plain HTTP.
        'insecure-skip-tls-verify': true,
      }
      copies += 1
      const copy = path.join(folder, `kubeconfig-${copies}`)
      await writeFile(copy, JSON.stringify(config), { mode: 0o600 })
      return copy
    },
    upstream: open,
    cutWatches(text = '', which = () => true) {
      for (const [response, call] of watches) {
        if (!which(call)) continue
        watches.delete(response)
        response.write(text)
        setImmediate(() => response.destroy())
      }
    },
    bookmark(resourceVersion, which) {
      const event = { type: 'BOOKMARK', object: { metadata: { resourceVersion } } }
      for (const [response, call] of watches) {
        if (which(call)) response.write(`${JSON.stringify(event)}\n`)
      }
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      for (const { agent } of upstreams) await agent.destroy()
      await rm(folder, { recursive: true })
    },
  }
  return proxy
}

const BINARY = 'application/vnd.kubernetes.protobuf'

function describe({ method = '', url = '', headers }: IncomingMessage, bytes: Buffer): Call {
  const { pathname, searchParams } = new URL(url, 'http://proxy')
  const isJson = bytes.length > 0 && headers['content-type'] !== BINARY
  const body: unknown = isJson ? JSON.parse(bytes.toString()) : undefined
  const isWatch = searchParams.get('watch') === 'true'
  return {
    method,
    path: pathname,
    query: searchParams,
    body,
    isWatch,
    cameAt: Date.now(),
    status: undefined,
    answer: undefined,
  }
}

/** Of the next hop's own making, or no longer true. */
const HOP = new Set(['connection', 'transfer-encoding', 'content-length', 'keep-alive'])

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  )
}

function headersOf(headers: Dispatcher.ResponseData['headers']) {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined || HOP.has(name) ? [] : [[name, value]],
    ),
  )
}

function give(response: ServerResponse, instead: Exclude<Instead, undefined>): void {
  if (instead === 'drop') return
  if (instead === 'reset') return void response.destroy()
  const { status, headers = {}, body = {}, text = JSON.stringify(body), cutAt } = instead
  const length = String(Buffer.byteLength(text))
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': length,
    ...headers,
  })
  if (cutAt === undefined) return void response.end(text)
  response.write(text.slice(0, cutAt), () => response.destroy())
}

/** Whether a request is to change something that lasts: not the Lease, which is renewed for ever. */
export function changes({ method, path: target, query }: Call): boolean {
  return method !== 'GET' && query.get('dryRun') === null && !target.includes('/leases')
}
