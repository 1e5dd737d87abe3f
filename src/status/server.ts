/**
 * The HTTP side of the status page. It is bound to the loopback of its pod and reached through the
 * API server, so whoever may forward a port to the pod may read it. It only reads; and a page of
 * some other origin in the same browser, which can reach loopback as well, gets nothing from it.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { ObjectKey } from '../kube/resource.ts'
import { listen, PATIENCE } from '../telemetry/http.ts'
import type { Feed } from './feed.ts'
import type { Details } from './model.ts'

/** A file of the page. */
export interface Asset {
  readonly type: string
  readonly text: string
}

/** What is served. */
export interface StatusSite {
  readonly feed: Feed
  /** All of one resource; undefined when there is none. */
  readonly details: (resource: ObjectKey) => Details | undefined
  /** By path. */
  readonly assets: Readonly<Record<string, Asset>>
}

/** Nothing from elsewhere, no inline script or style, no frame around it, no form. */
const HEADERS = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; '),
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  // A later operator may answer at this address.
  'cache-control': 'no-store',
} as const

/** Names that no foreign DNS server can point here. */
const OWN_HOST = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/i
/** Who looks at it: a few people with a few tabs each. */
const MAX_CONNECTIONS = 64

/**
 * Serves until `signal` aborts.
 *
 * @throws KeyferryError SETTING_INVALID when the address cannot be listened on
 */
export async function serveStatus(
  address: { readonly host: string; readonly port: number },
  site: StatusSite,
  signal: AbortSignal,
): Promise<{ readonly port: number }> {
  const server = createServer(PATIENCE, (request, response) => {
    try {
      answer(site, request, response)
    } catch {
      // What cannot be shown must not end the operator.
      plain(response, 500, 'failed')
    }
  })
  server.maxConnections = MAX_CONNECTIONS
  return listen(server, { ...address, settings: 'STATUS_ADDRESS' }, signal)
}

function answer(site: StatusSite, request: IncomingMessage, response: ServerResponse): void {
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
  const refusal = refusalOf(request)
  if (refusal) return plain(response, ...refusal)
  const path = (request.url ?? '').split('?', 1)[0] ?? ''
  const asset = Object.hasOwn(site.assets, path) ? site.assets[path] : undefined
  if (asset) return send(response, asset)
  if (path === '/api/status') return json(response, site.feed.snapshot())
  if (path === '/api/events') return stream(site.feed, request, response)
  const resource = resourceIn(path)
  const details = resource && site.details(resource)
  return details ? json(response, details) : plain(response, 404, 'not found')
}

function refusalOf({ method, headers }: IncomingMessage): [number, string] | undefined {
  // DNS rebinding: a name of the attacker's that means this machine by now.
  if (!OWN_HOST.test(headers.host ?? '')) return [421, 'only as localhost']
  if (method !== 'GET' && method !== 'HEAD') return [405, 'only GET']
  // Another origin could not read the answer, but it could have it made. Pages may link here, but
  // hold no frame of it: whole tables would be made for one.
  const site = headers['sec-fetch-site'] ?? 'none'
  const isOwn = site === 'same-origin' || site === 'none'
  return isOwn || headers['sec-fetch-dest'] === 'document' ? undefined : [403, 'only this page']
}

/** The resource in `/api/resources/<namespace>/<name>`. */
function resourceIn(path: string): ObjectKey | undefined {
  const [, namespace, name] = /^\/api\/resources\/([^/]+)\/([^/]+)$/.exec(path) ?? []
  if (namespace === undefined || name === undefined) return undefined
  // Names of Kubernetes need no escapes.
  return { namespace, name }
}

function plain(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status
  if (status === 405) response.setHeader('allow', 'GET, HEAD')
  send(response, { type: 'text/plain; charset=utf-8', text: `${text}\n` })
}

function json(response: ServerResponse, body: unknown): void {
  send(response, { type: 'application/json', text: JSON.stringify(body) })
}

/** To HEAD Node sends the headers alone. */
function send(response: ServerResponse, { type, text }: Asset): void {
  response.setHeader('content-type', type)
  response.setHeader('content-length', Buffer.byteLength(text))
  response.end(text)
}

function stream(feed: Feed, { method }: IncomingMessage, response: ServerResponse): void {
  response.setHeader('content-type', 'text/event-stream')
  if (method === 'HEAD') return void response.end()
  const reader = feed.join((event) => response.write(event))
  response.on('drain', () => reader.resume())
  response.on('close', () => reader.leave())
}
