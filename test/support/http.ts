import { type IncomingHttpHeaders, request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'

/** An answer, read whole. */
export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly bytes: Buffer
  readonly text: string
  /** The body as JSON, of the type the test expects; fails the test when it is none. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
  json<T = Record<string, unknown>>(): T
}

export interface CallOptions {
  readonly token?: string | undefined
  /** Sent as JSON; a string is sent as it is. */
  readonly body?: unknown
  readonly headers?: Record<string, string>
  readonly ca?: Buffer
}

/**
 * One request with its path sent exactly as written, which fetch and URL would correct.
 * @param path from the first slash; may be malformed on purpose
 */
export function call(
  host: string,
  method: string,
  path: string,
  options: CallOptions = {},
): Promise<Answer> {
  const { hostname, port, protocol } = new URL(host)
  const send = protocol === 'https:' ? httpsRequest : httpRequest
  const { body, token } = options
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  const headers: Record<string, string> = {
    ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
    ...(text === undefined ? {} : { 'Content-Type': 'application/json' }),
    ...options.headers,
  }
  if (text !== undefined) headers['Content-Length'] = String(Buffer.byteLength(text))
  return new Promise((resolve, reject) => {
    const ca = options.ca ? { ca: options.ca } : {}
    const host = hostname.replace(/^\[|\]$/g, '')
    const request = send({ host, port, method, path, headers, ...ca }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const bytes = Buffer.concat(chunks)
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          bytes,
          text: bytes.toString('utf8'),
          json: () => JSON.parse(bytes.toString('utf8')),
        })
      })
    })
    request.on('error', reject)
    request.end(text)
  })
}
