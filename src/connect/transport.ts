/**
 * Requests to a Connect server, made so that no answer can hurt: one fixed origin, no redirect, no
 * decompression, a deadline for the whole exchange and a bound on its size. Only reads are
 * repeated.
 */
import { isUtf8 } from 'node:buffer'
import { Agent, type Dispatcher } from 'undici'
import { isKeyferryError, KeyferryError } from '../errors.ts'
import { errorBodySchema, parse } from './model.ts'

/** Where a Connect server is and how it is spoken to. */
export interface TransportOptions {
  /** Origin with an optional path prefix: `https://connect.example:8443`. */
  readonly host: string
  /** The token of this moment: it may rotate. */
  readonly token: () => string
  /** PEM of the authorities to trust; the system's without. */
  readonly ca?: string
  readonly userAgent: string
  /** Milliseconds for a whole exchange, repetitions included; 30 s unless told. */
  readonly deadlineMs?: number
  /** Called after each answer or failure: for metrics. `status` 0 is a failed connection. */
  readonly onAnswer?: (operation: string, status: number, ms: number) => void
}

/** One request, as data. */
export interface ConnectRequest {
  /** The operation's name in the API description: for messages and metrics, never for a URL. */
  readonly operation: string
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Path below the host, made of literals and checked ids. */
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly body?: unknown
  /** Bytes the answer may have; {@link DEFAULT_LIMIT} unless told. */
  readonly limit?: number
}

type Headers = Readonly<Record<string, string | string[] | undefined>>

/** An answer with status 2xx. */
export interface ConnectAnswer {
  readonly status: number
  readonly headers: Headers
  readonly body: Buffer
}

/** See the head of this file. */
export interface Transport {
  /** @throws KeyferryError with a CONNECT_ code for everything but a whole answer with 2xx */
  send(request: ConnectRequest, signal: AbortSignal): Promise<ConnectAnswer>
  close(): Promise<void>
}

const DEADLINE_MS = 30_000
/** Bytes of an ordinary answer: an item whose fields fill a Secret several times over. */
export const DEFAULT_LIMIT = 8 * 2 ** 20
const ATTEMPTS = 3
const RETRY_MS = 200

/** @throws KeyferryError SETTING_INVALID for a host that is no http(s) URL */
export function createTransport(options: TransportOptions): Transport {
  const base = parseHost(options.host)
  const agent = new Agent({
    // More than callers make requests at a time: they wait for nobody whose request hangs.
    connections: 256,
    pipelining: 1,
    allowH2: false,
    keepAliveTimeout: 20_000,
    headersTimeout: 15_000,
    bodyTimeout: 15_000,
    connect: { timeout: 5_000, ...(options.ca === undefined ? {} : { ca: options.ca }) },
  })

  async function attempt(request: ConnectRequest, signal: AbortSignal): Promise<ConnectAnswer> {
    const started = performance.now()
    let status = 0
    try {
      const token = options.token()
      const headers = headersOf(request, token, options.userAgent)
      const answer = await agent.request({ ...toDispatch(request, base), headers, signal })
      status = answer.statusCode
      const body = await readBody(answer, request)
      if (status < 200 || status > 299) throw answerError(request, answer, body, token)
      return { status, headers: answer.headers, body }
    } catch (error) {
      throw transportError(request, error, signal)
    } finally {
      if (status > 0 || !isTakenBack(signal)) {
        options.onAnswer?.(request.operation, status, performance.now() - started)
      }
    }
  }

  return {
    async send(request, signal) {
      const deadline = AbortSignal.timeout(options.deadlineMs ?? DEADLINE_MS)
      const both = AbortSignal.any([signal, deadline])
      for (let n = 1; ; n += 1) {
        try {
          return await attempt(request, both)
        } catch (error) {
          if (n === ATTEMPTS || request.method !== 'GET' || !worthRepeating(error)) throw error
          await pause(RETRY_MS * 2 ** n * (0.5 + Math.random()), both)
          signal.throwIfAborted()
          if (both.aborted) throw error
        }
      }
    },
    close: () => agent.destroy(),
  }
}

/** Failures that pass within a second, unless the server says when. */
function worthRepeating(error: unknown): boolean {
  const passes = isKeyferryError(error, 'CONNECT_UNREACHABLE', 'CONNECT_UNAVAILABLE')
  return passes && error.retryAfterMs === undefined
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}

function parseHost(host: string): URL {
  const url = URL.canParse(host) ? new URL(host) : undefined
  const plain = url && !url.username && !url.password && !url.search && !url.hash
  if (plain && ['http:', 'https:'].includes(url.protocol)) return url
  throw new KeyferryError('SETTING_INVALID', {
    message: 'OP_CONNECT_HOST is not the address of a Connect server',
    remedy: 'Set it to a URL such as http://onepassword-connect:8080, without user or query.',
    retry: 'on-change',
  })
}

function toDispatch({ method, path, query, body }: ConnectRequest, base: URL) {
  const search = query ? `?${new URLSearchParams(query).toString()}` : ''
  return {
    origin: base.origin,
    path: `${base.pathname.replace(/\/+$/, '')}${path}${search}`,
    method,
    body: body === undefined ? null : JSON.stringify(body),
  }
}

function headersOf({ body }: ConnectRequest, token: string, userAgent: string) {
  return {
    authorization: `Bearer ${token}`,
    accept: 'application/json',
    'accept-encoding': 'identity',
    'user-agent': userAgent,
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
  }
}

async function readBody(
  { headers, body }: Dispatcher.ResponseData,
  { operation, limit = DEFAULT_LIMIT }: ConnectRequest,
): Promise<Buffer> {
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity') {
    // Its error has nobody else to go to, and would end the process.
    body.on('error', () => {}).destroy()
    throw badAnswer(operation, 'it is compressed although that was not asked for')
  }
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > limit) {
      throw new KeyferryError('CONNECT_ANSWER_TOO_LARGE', {
        message: `${operation}: the answer is larger than ${limit} bytes`,
        remedy: 'Make the item or file smaller: a Secret holds at most 1 MiB.',
        retry: 'on-change',
      })
    }
    chunks.push(chunk)
  }
  // Without either, the end of the connection ends the body, and a cut one looks whole.
  const framed = headers['content-length'] !== undefined || isChunked(headers)
  if (!framed && size > 0) throw badAnswer(operation, 'its length is not given')
  return Buffer.concat(chunks)
}

/** Any other transfer coding compresses, or ends with the connection. */
function isChunked({ 'transfer-encoding': coding }: Headers): boolean {
  return typeof coding === 'string' && coding.toLowerCase() === 'chunked'
}

/** The answer cannot be used: it is not what the API description promises. */
export function badAnswer(operation: string, why: string): KeyferryError {
  return new KeyferryError('CONNECT_BAD_ANSWER', {
    message: `${operation}: the answer cannot be used: ${why}`,
    remedy: 'Check that OP_CONNECT_HOST is a Connect server and that no proxy changes its answers.',
    retry: 'soon',
  })
}

type Failure = Pick<KeyferryError, 'code' | 'remedy' | 'retry'>

const FAILURES: Readonly<Record<number, Failure>> = {
  400: {
    code: 'CONNECT_REFUSED_INPUT',
    remedy: 'Correct what the message names.',
    retry: 'on-change',
  },
  401: {
    code: 'CONNECT_UNAUTHORIZED',
    remedy: 'Check OP_CONNECT_TOKEN: it must be a valid token of this Connect server.',
    retry: 'soon',
  },
  403: {
    code: 'CONNECT_FORBIDDEN',
    remedy: 'Give the Connect token access to the vault.',
    retry: 'soon',
  },
  404: { code: 'CONNECT_NOT_FOUND', remedy: 'Check the vault and the item.', retry: 'soon' },
  413: {
    code: 'CONNECT_ANSWER_TOO_LARGE',
    remedy: 'Read the content of the file on its own.',
    retry: 'on-change',
  },
  429: {
    code: 'CONNECT_RATE_LIMITED',
    remedy: 'Nothing to do: requests pause as long as the server asks.',
    retry: 'soon',
  },
}

const UNAVAILABLE: Failure = {
  code: 'CONNECT_UNAVAILABLE',
  remedy: 'Check the Connect server: its /health says what it waits for.',
  retry: 'soon',
}
const NOT_CONNECT: Failure = {
  code: 'CONNECT_BAD_ANSWER',
  remedy: 'Set OP_CONNECT_HOST to the Connect server itself: redirects are not followed.',
  retry: 'soon',
}

function failureOf(status: number): Failure {
  const passes = status >= 500 || status === 408 || status === 425
  return FAILURES[status] ?? (passes ? UNAVAILABLE : NOT_CONNECT)
}

function answerError(
  { operation }: ConnectRequest,
  { statusCode, headers }: Dispatcher.ResponseData,
  body: Buffer,
  token: string,
): KeyferryError {
  const { code, remedy, retry } = failureOf(statusCode)
  const message = errorMessage(body, token)
  const retryAfterMs = retryAfter(headers['retry-after'], headers['date'])
  return new KeyferryError(code, {
    message: `${operation}: Connect answered ${statusCode}${message ? ` (${message})` : ''}`,
    remedy,
    retry,
    status: statusCode,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })
}

/**
 * The server's own words, cut short, on one line of visible characters; nothing when it is no
 * Connect error. A server that repeats our token is not repeated.
 */
function errorMessage(body: Buffer, token: string): string {
  const { message = '' } = parse(errorBodySchema, tryJson(body)) ?? {}
  const line = message.replaceAll(token, '[redacted]').replace(/[\s\p{C}]+/gu, ' ')
  // The cut may leave half a character.
  return line.slice(0, 200).toWellFormed().trim()
}

/**
 * Parsed JSON; undefined when it is none, or made of brackets. Decoding must not change a value, so
 * nor is bad UTF-8.
 */
export function tryJson(body: Buffer): unknown {
  if (!isUtf8(body) || isMadeOfBrackets(body)) return undefined
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}

/** Bytes from which on brackets are counted: fewer make no parser need much. */
const COUNTED_FROM = 2 ** 18
/** Deeper than any answer of Connect, several times. */
const MAX_DEPTH = 64
/** Bytes for each object or list that an answer of Connect has more than, several times. */
const BYTES_PER_BRACKET = 16
const [QUOTE, BACKSLASH, LIST, LIST_END, OBJECT, OBJECT_END] = Buffer.from('"\\[]{}')

/**
 * Whether an answer is nested deeper, or has more objects and lists for its size, than any that
 * means something: a parser needs up to forty times its size for it, and seconds.
 */
function isMadeOfBrackets(body: Buffer): boolean {
  if (body.length < COUNTED_FROM) return false
  let [depth, count, inText] = [0, 0, false]
  for (let at = 0; at < body.length; at += 1) {
    const byte = body[at]
    if (byte === QUOTE) inText = !inText
    else if (inText) at += byte === BACKSLASH ? 1 : 0
    else if (byte === LIST || byte === OBJECT) {
      depth += 1
      count += 1
      if (depth > MAX_DEPTH || count > body.length / BYTES_PER_BRACKET) return true
    } else if (byte === LIST_END || byte === OBJECT_END) depth -= 1
  }
  return false
}

/**
 * Milliseconds of a Retry-After header, in seconds or as a date (against the answer's own Date),
 * at most an hour. Source: RFC 9110 §10.2.3.
 */
function retryAfter(
  value: string | string[] | undefined,
  date: string | string[] | undefined,
): number | undefined {
  // What Date.parse makes of other texts is anybody's guess.
  if (typeof value !== 'string' || !/^(\d{1,9}$|[A-Z])/.test(value)) return undefined
  const seconds = /^\d/.test(value)
    ? Number(value)
    : (Date.parse(value) - Date.parse(typeof date === 'string' ? date : '')) / 1000
  return Number.isNaN(seconds) ? undefined : Math.min(Math.max(seconds, 0), 3600) * 1000
}

/** Whether the caller has given up, and not the clock. */
function isTakenBack(signal: AbortSignal): boolean {
  const { name } = (signal.reason ?? {}) as { name?: string }
  return signal.aborted && name !== 'TimeoutError'
}

function transportError(request: ConnectRequest, error: unknown, signal: AbortSignal): unknown {
  if (error instanceof KeyferryError) return error
  const { code, name } = error as { code?: string; name?: string }
  if (isTakenBack(signal)) return signal.reason
  const timedOut =
    signal.aborted || code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT'
  // The error itself is left behind: undici puts header values into some of its messages.
  return new KeyferryError(timedOut ? 'CONNECT_TIMEOUT' : 'CONNECT_UNREACHABLE', {
    message: timedOut
      ? `${request.operation}: Connect did not answer in time`
      : `${request.operation}: Connect cannot be reached (${code ?? name ?? 'connection failed'})`,
    remedy: 'Check OP_CONNECT_HOST, the network policy, and that the Connect server runs.',
    retry: 'soon',
  })
}
