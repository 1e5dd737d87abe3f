import { createServer, type Server, type ServerResponse } from 'node:http'
import { KeyferryError } from '../errors.ts'

/** A page: status, content type and text. */
export interface Page {
  readonly status: number
  readonly type: string
  readonly text: string
}

/** Pages by path. */
export type Pages = Readonly<Record<string, () => Promise<Page> | Page>>

/** A line of plain text. */
export function plain(status: number, text: string): Page {
  return { status, type: 'text/plain; charset=utf-8', text: `${text}\n` }
}

/**
 * Serves pages by GET until `signal` aborts: small, without a framework, because every pod carries
 * it.
 *
 * @param address an empty host means all interfaces
 * @throws KeyferryError SETTING_INVALID when the address cannot be listened on
 */
export async function servePages(
  address: { readonly host: string; readonly port: number },
  pages: Pages,
  signal: AbortSignal,
): Promise<{ readonly port: number }> {
  const server = createServer(PATIENCE, (request, response) => {
    void answer(pages, request.method ?? '', request.url ?? '', response)
  })
  server.maxConnections = 256
  return listen(server, { ...address, settings: 'METRICS_ADDRESS or PROBE_ADDRESS' }, signal)
}

/** Milliseconds for which a client may take to ask. */
export const PATIENCE = { requestTimeout: 10_000, headersTimeout: 5_000 }

/**
 * Lets a server listen until `signal` aborts.
 *
 * @param address `settings` names what it can be changed with
 * @throws KeyferryError SETTING_INVALID when the address cannot be listened on
 */
export async function listen(
  server: Server,
  address: { readonly host: string; readonly port: number; readonly settings: string },
  signal: AbortSignal,
): Promise<{ readonly port: number }> {
  const { host, port, settings } = address
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  // Stays: an error later on, such as of a connection that cannot be accepted, ends nothing.
  server.on('error', reject)
  // Without a host Node takes all interfaces, of IPv6 too where the machine has it.
  server.listen({ port, ...(host === '' ? {} : { host }) }, resolve)
  await promise.catch((cause: unknown) => {
    throw new KeyferryError('SETTING_INVALID', {
      message: `cannot listen on ${host}:${port} (${(cause as { code?: string }).code})`,
      remedy: `Choose another address with ${settings}, or off.`,
      retry: 'on-change',
    })
  })
  const stop = () => {
    server.close()
    server.closeAllConnections()
  }
  if (signal.aborted) stop()
  else signal.addEventListener('abort', stop)
  const bound = server.address()
  return { port: typeof bound === 'object' && bound ? bound.port : port }
}

async function answer(pages: Pages, method: string, url: string, response: ServerResponse) {
  const path = url.split('?', 1)[0] ?? ''
  const page = Object.hasOwn(pages, path) ? pages[path] : undefined
  const { status, type, text } = await produce(method, page)
  response.writeHead(status, { 'content-type': type, 'x-content-type-options': 'nosniff' })
  response.end(method === 'HEAD' ? '' : text)
}

async function produce(method: string, page: Pages[string] | undefined): Promise<Page> {
  if (page === undefined) return plain(404, 'not found')
  if (method !== 'GET' && method !== 'HEAD') return plain(405, 'only GET')
  try {
    return await page()
  } catch {
    return plain(500, 'failed')
  }
}
