import { createServer } from 'node:https'
import type net from 'node:net'
import { inspect } from 'node:util'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import {
  tryJson,
  type ConnectRequest,
  createTransport,
  type TransportOptions,
} from '../../../src/connect/transport.ts'
import { CERTIFICATE, PRIVATE_KEY } from '../../support/certificate.ts'
import { failureOf } from '../../support/failure.ts'
import { bodyOf, type Handler, startHttp, startRaw } from '../../support/loopback.ts'

const CANARY = 'canary-93ab41'
const GET: ConnectRequest = { operation: 'item', method: 'GET', path: '/v1/item' }

const closing: (() => Promise<unknown>)[] = []
beforeEach(() => {
  // The shortest pauses between repetitions.
  vi.spyOn(Math, 'random').mockReturnValue(0)
})
afterEach(async () => {
  vi.restoreAllMocks()
  for (const close of closing.splice(0).toReversed()) await close()
})

function aTransport(host: string, more: Partial<TransportOptions> = {}) {
  const answers: string[] = []
  const transport = createTransport({
    host,
    token: () => CANARY,
    userAgent: 'tests/1',
    onAnswer: (operation, status) => void answers.push(`${operation} ${status}`),
    ...more,
  })
  closing.push(() => transport.close())
  const send = (request: Partial<ConnectRequest> = {}, signal = new AbortController().signal) =>
    transport.send({ ...GET, ...request }, signal)
  const fails = (request?: Partial<ConnectRequest>, signal?: AbortSignal) =>
    failureOf(send(request, signal))
  return { transport, answers, send, fails }
}

async function httpTransport(handler: Handler, more?: Partial<TransportOptions>) {
  const server = await startHttp(handler)
  closing.push(server.close)
  return aTransport(server.url, more)
}

async function rawTransport(
  answer: (socket: net.Socket, nth: number) => void,
  more?: Partial<TransportOptions>,
) {
  const server = await startRaw(answer)
  closing.push(server.close)
  return aTransport(server.url, more)
}

/** Answers every request with these bytes and closes the connection. */
const says = (text: string) => (socket: net.Socket) => void socket.end(text)

test('a request carries the token, and asks for plain JSON', async () => {
  let seen: unknown
  const handler: Handler = async (request, response) => {
    seen = {
      method: request.method,
      url: request.url,
      headers: request.headers,
      body: await bodyOf(request),
    }
    response.end('done')
  }
  const server = await startHttp(handler)
  closing.push(server.close)
  const { send, answers } = aTransport(`${server.url}/connect/`)
  const query = { filter: 'title eq "a b"' }
  const answer = await send({ method: 'POST', query, body: { a: 1 } })
  expect(answer.status).toBe(200)
  expect(answer.body.toString()).toBe('done')
  expect(seen).toMatchObject({
    method: 'POST',
    url: '/connect/v1/item?filter=title+eq+%22a+b%22',
    body: '{"a":1}',
    headers: {
      authorization: `Bearer ${CANARY}`,
      accept: 'application/json',
      'accept-encoding': 'identity',
      'content-type': 'application/json',
      'user-agent': 'tests/1',
    },
  })
  expect(answers).toEqual(['item 200'])
})

test('each request carries the token of its moment', async () => {
  const tokens = ['one', 'two']
  const seen: (string | undefined)[] = []
  const { send } = await httpTransport(
    (request, response) => {
      seen.push(request.headers.authorization)
      response.end()
    },
    { token: () => tokens.shift() ?? '' },
  )
  await send()
  await send()
  expect(seen).toEqual(['Bearer one', 'Bearer two'])
})

test.each([
  '',
  'connect',
  'localhost:8080',
  'ftp://connect',
  'file:///etc/passwd',
  'http://user@connect',
  'http://:pass@connect',
  'http://connect?a=b',
  'http://connect#a',
])('the host "%s" is refused by the name of its setting', (host) => {
  expect(() => aTransport(host)).toThrow('OP_CONNECT_HOST is not the address of a Connect server')
})

test.each([301, 302, 303, 307, 308])('a redirect (%i) is not followed', async (status) => {
  const seen: (string | undefined)[] = []
  const target = await startHttp((_request, response) => {
    seen.push('elsewhere')
    response.end()
  })
  closing.push(target.close)
  const locations = [`${target.url}/elsewhere`, '/elsewhere', 'http://169.254.169.254/', 'file:///']
  const { fails } = await httpTransport((request, response) => {
    seen.push(request.url)
    response.writeHead(status, { location: locations[seen.length - 1] })
    response.end()
  })
  for (const _ of locations) {
    const error = await fails()
    expect(error).toMatchObject({ code: 'CONNECT_BAD_ANSWER', status })
    expect(error.remedy).toContain('redirects are not followed')
  }
  expect(seen).toEqual(locations.map(() => '/v1/item'))
})

test.each(['gzip', 'deflate', 'br', 'zstd', 'gzip, gzip', 'identity, gzip'])(
  'an answer that is compressed by %s is refused unread',
  async (encoding) => {
    const { fails } = await httpTransport((_request, response) => {
      response.writeHead(200, { 'content-encoding': encoding, 'content-length': 1_000_000 })
      response.write(Buffer.alloc(1_000))
    })
    expect(await fails()).toMatchObject({ code: 'CONNECT_BAD_ANSWER' })
  },
)

test('an answer that says it is not compressed is taken', async () => {
  const { send } = await httpTransport((_request, response) => {
    response.writeHead(200, { 'content-encoding': 'identity' })
    response.end('{}')
  })
  expect((await send()).body.toString()).toBe('{}')
})

test('an answer may be as large as the limit, and no larger', async () => {
  let size = 1_000
  const { send, fails } = await httpTransport((_request, response) => {
    response.end(Buffer.alloc(size))
  })
  expect((await send({ limit: 1_000 })).body).toHaveLength(1_000)
  size = 1_001
  expect(await fails({ limit: 1_000 })).toMatchObject({
    code: 'CONNECT_ANSWER_TOO_LARGE',
    message: 'item: the answer is larger than 1000 bytes',
    retry: 'on-change',
  })
})

test('an answer without end is given up at the limit', async () => {
  let sent = 0
  const { fails } = await httpTransport((_request, response) => {
    const more = () => {
      for (; sent < 2 ** 30; sent += 2 ** 16) if (!response.write(Buffer.alloc(2 ** 16))) return
    }
    response.on('drain', more)
    more()
  })
  expect((await fails()).code).toBe('CONNECT_ANSWER_TOO_LARGE')
  expect(sent).toBeLessThan(2 ** 26)
})

test.each<[string, Handler]>([
  ['no answer', () => {}],
  [
    'an answer of a byte now and then',
    (_request, response) => {
      response.writeHead(200, { 'content-length': 1_000 })
      const timer = setInterval(() => response.write('x'), 10)
      response.on('close', () => clearInterval(timer))
    },
  ],
])('%s is given up at the deadline, and counted', async (_what, handler) => {
  const { fails, answers } = await httpTransport(handler, { deadlineMs: 100 })
  expect(await fails()).toMatchObject({ code: 'CONNECT_TIMEOUT', retry: 'soon' })
  expect(answers).toHaveLength(1)
})

test('the deadline is one for all repetitions, and then the last failure is told', async () => {
  const { fails, answers } = await httpTransport(
    (_request, response) => {
      response.writeHead(500)
      response.end()
    },
    { deadlineMs: 100 },
  )
  expect(await fails()).toMatchObject({ code: 'CONNECT_UNAVAILABLE', status: 500 })
  expect(answers).toEqual(['item 500'])
})

test.each([
  ['HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}'],
  ['HTTP/1.0 200 OK\r\n\r\n{}'],
  ['HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\n{}'],
  ['HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n{}'],
  ['HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n'],
])('a body whose end is not certain is refused: %j', async (text) => {
  const { fails } = await rawTransport(says(text))
  const { code } = await fails({ method: 'POST' })
  expect(['CONNECT_BAD_ANSWER', 'CONNECT_UNREACHABLE']).toContain(code)
})

test('an empty body needs no length', async () => {
  const { send } = await rawTransport(says('HTTP/1.1 204 No Content\r\n\r\n'))
  expect(await send()).toMatchObject({ status: 204, body: Buffer.alloc(0) })
})

test.each([
  ['by its length', 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[{},'],
  ['in its chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[]\r\n'],
  ['in its headers', 'HTTP/1.1 200 OK\r\ncontent-le'],
  ['before it began', ''],
  ['by two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}'],
])('an answer that is cut off, %s, is no answer', async (_what, text) => {
  const { fails } = await rawTransport(says(text))
  expect(await fails({ method: 'PUT' })).toMatchObject({ code: 'CONNECT_UNREACHABLE' })
})

test('a read whose answer is cut off is repeated', async () => {
  const { send, answers } = await rawTransport((socket, nth) => {
    const body = nth < 3 ? '[{' : '[{}, {}]'
    socket.end(`HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n${body}`)
  })
  expect((await send()).body.toString()).toBe('[{}, {}]')
  expect(answers).toEqual(['item 200', 'item 200', 'item 200'])
})

test('a read is tried three times, then the failure is told', async () => {
  const { fails, answers } = await httpTransport((_request, response) => {
    response.writeHead(503)
    response.end('<html>no upstream</html>')
  })
  expect(await fails()).toMatchObject({
    code: 'CONNECT_UNAVAILABLE',
    message: 'item: Connect answered 503',
    status: 503,
  })
  expect(answers).toEqual(['item 503', 'item 503', 'item 503'])
})

test.each(['POST', 'PUT', 'PATCH', 'DELETE'] as const)('a %s is never repeated', async (method) => {
  let requests = 0
  const { fails } = await httpTransport((_request, response) => {
    requests += 1
    response.writeHead(503)
    response.end()
  })
  await fails({ method })
  expect(requests).toBe(1)
})

test.each([
  [400, 'CONNECT_REFUSED_INPUT', 'on-change'],
  [401, 'CONNECT_UNAUTHORIZED', 'soon'],
  [403, 'CONNECT_FORBIDDEN', 'soon'],
  [404, 'CONNECT_NOT_FOUND', 'soon'],
  [405, 'CONNECT_BAD_ANSWER', 'soon'],
  [413, 'CONNECT_ANSWER_TOO_LARGE', 'on-change'],
  [429, 'CONNECT_RATE_LIMITED', 'soon'],
])('%i is %s, and not repeated', async (status, code, retry) => {
  const { fails, answers } = await httpTransport((_request, response) => {
    response.writeHead(status)
    response.end('{"status":1,"message":"in its own words"}')
  })
  expect(await fails()).toMatchObject({
    code,
    retry,
    status,
    message: `item: Connect answered ${status} (in its own words)`,
  })
  expect(answers).toEqual([`item ${status}`])
})

test('408 is overload, not a mistake', async () => {
  const { fails } = await httpTransport((_request, response) => {
    response.writeHead(408)
    response.end()
  })
  expect((await fails({ method: 'POST' })).code).toBe('CONNECT_UNAVAILABLE')
})

const DATE = 'Mon, 06 Apr 2026 10:00:00 GMT'

test.each([
  ['7', 7_000],
  ['0', 0],
  ['999999999', 3_600_000],
  ['Mon, 06 Apr 2026 10:00:20 GMT', 20_000],
  ['Mon, 06 Apr 2026 09:00:00 GMT', 0],
  ['Mon, 06 Apr 2027 09:00:00 GMT', 3_600_000],
  ['soon', undefined],
  ['-5', undefined],
  ['1.5', undefined],
  ['', undefined],
])('Retry-After "%s" is %s ms', async (value, wanted) => {
  const { fails } = await httpTransport((_request, response) => {
    response.writeHead(429, { 'retry-after': value, date: DATE })
    response.end()
  })
  expect((await fails()).retryAfterMs).toBe(wanted)
})

test('a server that says when is not asked before', async () => {
  const { fails, answers } = await httpTransport((_request, response) => {
    response.writeHead(503, { 'retry-after': '20' })
    response.end()
  })
  expect(await fails()).toMatchObject({ status: 503, retryAfterMs: 20_000 })
  expect(answers).toEqual(['item 503'])
})

test.each([
  [
    '{"status":400,"message":"two\\nlines \\u001b[31m and\\u202e more "}',
    ' (two lines [31m and more)',
  ],
  [JSON.stringify({ message: `${'x'.repeat(199)}🔑` }), ` (${'x'.repeat(199)}\ufffd)`],
  [JSON.stringify({ message: `token ${CANARY} is wrong` }), ' (token [redacted] is wrong)'],
  ['{"message":null}', ''],
  ['{"message":5}', ''],
  ['{"error":"other"}', ''],
  ['"text"', ''],
  ['<html>', ''],
  ['', ''],
])('of the error %j only visible words are told', async (body, words) => {
  const { fails } = await httpTransport((_request, response) => {
    response.writeHead(400)
    response.end(body)
  })
  expect((await fails()).message).toBe(`item: Connect answered 400${words}`)
})

test('an error body that is larger than the limit is not read either', async () => {
  const { fails } = await httpTransport((_request, response) => {
    response.writeHead(400)
    response.end(Buffer.alloc(5_000))
  })
  expect(await fails({ limit: 1_000 })).toMatchObject({ code: 'CONNECT_ANSWER_TOO_LARGE' })
})

test.each([
  `${CANARY}\nb`,
  `${CANARY}\u0000`,
  `${CANARY}\r\nx-evil: 1`,
  `é${CANARY}\u2028`,
  `${CANARY}\ud800`,
])('a token that no header can carry shows in no error: %j', async (token) => {
  const { fails } = await httpTransport((_request, response) => response.end(), {
    token: () => token,
  })
  const error = await fails({ method: 'POST' })
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(CANARY)
})

test.each<[string, Handler]>([
  ['resets', (request) => request.socket.resetAndDestroy()],
  ['answers 401', (_request, response) => response.writeHead(401).end(`{"message":"${CANARY}"}`)],
  ['answers nonsense', (request) => request.socket.end('HTTP/9 what\r\n\r\n')],
])('the token shows in no error when the server %s', async (_what, handler) => {
  const { fails } = await httpTransport(handler)
  const error = await fails({ method: 'POST' })
  expect(error.name).toBe('KeyferryError')
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(CANARY)
})

test('a request that its caller takes back fails with the reason, uncounted', async () => {
  const stop = new AbortController()
  const reason = new Error('not wanted any more')
  const { fails, answers } = await httpTransport(() => stop.abort(reason))
  expect(await fails({}, stop.signal)).toBe(reason)
  expect(answers).toEqual([])
})

test('a request that is taken back before a repetition is not repeated', async () => {
  const stop = new AbortController()
  const reason = new Error('not wanted any more')
  const { fails, answers } = await httpTransport((_request, response) => {
    response.writeHead(500)
    response.end()
    setTimeout(() => stop.abort(reason), 20)
  })
  expect(await fails({}, stop.signal)).toBe(reason)
  expect(answers).toEqual(['item 500'])
})

test('a server that is not there cannot be reached', async () => {
  const server = await startHttp(() => {})
  await server.close()
  const { fails, answers } = aTransport(server.url)
  expect(await fails({ method: 'POST' })).toMatchObject({
    code: 'CONNECT_UNREACHABLE',
    message: 'item: Connect cannot be reached (ECONNREFUSED)',
  })
  expect(answers).toEqual(['item 0'])
})

test('closing ends what is under way', async () => {
  const { transport, fails } = await httpTransport(() => void transport.close())
  expect((await fails({ method: 'POST' })).code).toBe('CONNECT_UNREACHABLE')
})

test.each([
  ['an authority that is not trusted', 'localhost', undefined, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  ['the name of another host', '127.0.0.1', CERTIFICATE, 'ERR_TLS_CERT_ALTNAME_INVALID'],
])('a certificate of %s is refused before the token is sent', async (_what, name, ca, code) => {
  const { port, requests } = await tlsServer()
  const { fails } = aTransport(`https://${name}:${port}`, ca === undefined ? {} : { ca })
  expect((await fails({ method: 'POST' })).message).toContain(code)
  expect(requests).toEqual([])
})

test('a certificate of an authority that the settings name is trusted', async () => {
  const { port, requests } = await tlsServer()
  const { send } = aTransport(`https://localhost:${port}`, { ca: CERTIFICATE })
  expect((await send()).status).toBe(200)
  expect(requests).toEqual([`Bearer ${CANARY}`])
})

async function tlsServer() {
  const requests: (string | undefined)[] = []
  const server = createServer({ cert: CERTIFICATE, key: PRIVATE_KEY }, (request, response) => {
    requests.push(request.headers.authorization)
    response.end()
  })
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(() => new Promise((resolve) => server.close(resolve)))
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  return { port, requests }
}

const many = 2 ** 18

test.each([
  ['lists in lists', '['.repeat(many) + ']'.repeat(many)],
  ['objects in objects', `${'{"a":'.repeat(many)}1${'}'.repeat(many)}`],
  ['lists beside lists', `[${'[],'.repeat(many)}[]]`],
  ['objects beside objects', `{"a":[${'{},'.repeat(many)}{}]}`],
])('%s are not parsed: that would cost many times their size', (_what, text) => {
  expect(tryJson(Buffer.from(text))).toBeUndefined()
})

test('brackets in texts, and a long list of small items, are no such thing', () => {
  const texts = { a: '['.repeat(many), b: `"{${'\\"[{'.repeat(many)}` }
  expect(tryJson(Buffer.from(JSON.stringify(texts)))).toEqual(texts)
  const item = { id: 'i'.repeat(26), vault: { id: 'v'.repeat(26) }, tags: [], urls: [{}] }
  const list = Array.from({ length: many / 16 }, () => item)
  expect(tryJson(Buffer.from(JSON.stringify(list)))).toEqual(list)
})
