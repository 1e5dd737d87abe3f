/**
 * What a Connect server, or something between, may answer instead of what was asked for. Each fault
 * is a function of the answer that would have been right.
 */
import type { ServerResponse } from 'node:http'

/** @param good the right body, as JSON */
export type Fault = (response: ServerResponse, good: string) => void

/** Whole answers with status 200 whose body is not what the API promises: neither item nor list. */
export const MALFORMED: Readonly<Record<string, (good: string) => string | Uint8Array>> = {
  nothing: () => '',
  'a space': () => ' ',
  null: () => 'null',
  true: () => 'true',
  'a number': () => '7',
  'a text': () => '"item"',
  'an empty object': () => '{}',
  'an error': () => '{"status":500,"message":"no"}',
  'a page': () => '<!doctype html><html></html>',
  'a cut value': (good) => good.slice(0, -5),
  'two values': (good) => good.repeat(2),
  'a mark of byte order': (good) => `\ufeff${good}`,
  'UTF-16': (good) => Buffer.from(good, 'utf16le'),
  'no UTF-8': (good) => Buffer.from(good.replace('{', '{"note":"é",'), 'latin1'),
  NaN: (good) => good.replace('{', '{"note":NaN,'),
  'a comment': (good) => `${good}// the end`,
  'a list too deep': () => '['.repeat(100_000),
  'an object too deep': () => '{"a":'.repeat(100_000),
}

/** Whole answers that are JSON, but no item. */
export const NO_ITEM: typeof MALFORMED = {
  'an empty list': () => '[]',
  'a list of it': (good) => `[${good}]`,
  'no id': changed({ id: undefined }),
  'an id of another form': changed({ id: '../../x' }),
  'another id': changed({ id: 'z'.repeat(26) }),
  'no vault': changed({ vault: undefined }),
  'another vault': changed({ vault: { id: 'z'.repeat(26) } }),
  'a version that is text': changed({ version: '3' }),
  'fields that are an object': changed({ fields: {} }),
  'a field that is text': changed({ fields: ['password'] }),
  'a value that is an object': changed({ fields: [{ label: 'a', value: {} }] }),
}

function changed(change: Record<string, unknown>): (good: string) => string {
  return (good) => JSON.stringify({ ...(JSON.parse(good) as object), ...change })
}

/** A whole answer of that body. */
export function says(body: (good: string) => string | Uint8Array, status = 200): Fault {
  return (response, good) => {
    const bytes = Buffer.from(body(good))
    response.writeHead(status, { 'content-length': bytes.length })
    response.end(bytes)
  }
}

const raw =
  (text: (good: string) => string): Fault =>
  (response, good) =>
    void response.socket?.end(text(good))

/** Answers that end before they should, or not at all, and those that lead elsewhere. */
export const BROKEN: Readonly<Record<string, Fault>> = {
  'a reset': (response) => void response.socket?.resetAndDestroy(),
  'half of its length': raw(
    (good) => `HTTP/1.1 200 OK\r\ncontent-length: ${good.length * 2}\r\n\r\n${good}`,
  ),
  'chunks without an end': raw(
    (good) =>
      `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${good.length.toString(16)}\r\n${good}\r\n`,
  ),
  'a body that the connection ends': raw((good) => `HTTP/1.0 200 OK\r\n\r\n${good}`),
  'headers without an end': raw(() => 'HTTP/1.1 200 OK\r\ncontent-le'),
  'no HTTP': raw(() => 'SSH-2.0-OpenSSH_9.9\r\n'),
  'a body without an end': (response) => {
    response.writeHead(200)
    const more = () => {
      while (response.write(Buffer.alloc(2 ** 16, ' ')));
    }
    response.on('drain', more)
    response.on('error', () => {})
    more()
  },
  'a compressed body': (response) => {
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': 20 })
    response.end(Buffer.alloc(20))
  },
  'a way elsewhere': (response) => {
    response.writeHead(302, { location: 'http://169.254.169.254/' })
    response.end()
  },
}

/** Answers that say what is wrong. */
export const REFUSALS: Readonly<Record<string, Fault>> = Object.fromEntries(
  [403, 404, 408, 500, 502, 503, 504].map((status) => [
    `the status ${status}`,
    says(() => `{"status":${status},"message":"not now"}`, status),
  ]),
)

/** Answers that say who may ask, and how often. */
export const LIMITS: Readonly<Record<string, Fault>> = {
  'the status 401': says(() => '{"status":401,"message":"Invalid bearer token"}', 401),
  'a pause in seconds': (response) => {
    response.writeHead(429, { 'retry-after': '1' }).end()
  },
  'a pause until a date': (response) => {
    const now = Date.now()
    const text = (ms: number) => new Date(ms).toUTCString()
    response.writeHead(429, { date: text(now), 'retry-after': text(now + 1_000) }).end()
  },
}

/** Answers that keep their asker waiting: for ever, or a byte at a time. */
export const SLOW: Readonly<Record<string, Fault>> = {
  'no answer': () => {},
  'a byte now and then': (response) => {
    response.writeHead(200, { 'content-length': 1_000 })
    const timer = setInterval(() => response.write(' '), 200)
    response.on('close', () => clearInterval(timer))
  },
}
