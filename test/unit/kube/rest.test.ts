import type { ServerResponse } from 'node:http'
import { inspect } from 'node:util'
import { afterEach, expect, test } from 'vitest'
import { KeyferryError } from '../../../src/errors.ts'
import type { Credentials } from '../../../src/kube/config.ts'
import { createRest, type KubeRequest } from '../../../src/kube/rest.ts'
import { failureOf } from '../../support/failure.ts'
import { bodyOf, type Handler, type Loopback, startHttp, startRaw } from '../../support/loopback.ts'
import { createVirtualClock } from '../../support/virtual-clock.ts'

const CANARY = 'canary-2f1c6a'
const GET: KubeRequest = { method: 'GET', path: '/api/v1/configmaps' }

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

type Read = (fresh: boolean) => Promise<Credentials>

/** A client of `server`; what it reports; and what its credentials are. */
function aClient(server: Loopback, read?: Read) {
  const clock = createVirtualClock()
  const answers: string[] = []
  const bearer = { headers: { authorization: `Bearer ${CANARY}` }, tls: {} }
  const rest = createRest({
    access: {
      server: server.url,
      namespace: 'default',
      credentials: read ?? (() => Promise.resolve(bearer)),
    },
    clock,
    userAgent: 'tests/1',
    onAnswer: (method, status) => void answers.push(`${method} ${status}`),
  })
  closing.push(server.close, () => rest.close())
  const send = (request: KubeRequest = GET, signal = new AbortController().signal) =>
    rest.send(request, signal)
  const fails = (request: KubeRequest = GET, signal?: AbortSignal) =>
    failureOf(send(request, signal))
  return { rest, clock, answers, send, fails }
}

async function httpClient(handler: Handler, read?: Read) {
  return aClient(await startHttp(handler), read)
}

const ok: Handler = (_request, response) => response.end('{}')

test('a request is sent as it is described', async () => {
  const seen: unknown[] = []
  const server = await startHttp(async (request, response) => {
    const { method, url, headers } = request
    const { accept, authorization } = headers
    const agent = headers['user-agent']
    const type = headers['content-type']
    const body = await bodyOf(request)
    seen.push({ method, url, accept, authorization, agent, type, body })
    response.end('{"kind":"ConfigMap"}')
  })
  const { send } = aClient({ ...server, url: `${server.url}/clusters/one` })
  const query = { fieldManager: 'a b', force: true, limit: 3, unset: undefined }
  const patch = { method: 'PATCH', patch: 'apply', path: '/x', query, body: { a: 1 } } as const
  expect(await send(patch)).toEqual({ kind: 'ConfigMap' })
  await send({ method: 'DELETE', path: '/y', metadataOnly: 'object' })
  await send({ method: 'GET', path: '/z', metadataOnly: 'list' })
  await send({ method: 'POST', path: '/p', body: {} })
  const common = { authorization: `Bearer ${CANARY}`, agent: 'tests/1' }
  const partial = (kind: string) => `application/json;as=${kind};g=meta.k8s.io;v=v1`
  expect(seen).toEqual([
    {
      ...common,
      method: 'PATCH',
      url: '/clusters/one/x?fieldManager=a%20b&force=true&limit=3',
      accept: 'application/json',
      type: 'application/apply-patch+yaml',
      body: '{"a":1}',
    },
    {
      ...common,
      method: 'DELETE',
      url: '/clusters/one/y',
      accept: partial('PartialObjectMetadata'),
      type: undefined,
      body: '',
    },
    {
      ...common,
      method: 'GET',
      url: '/clusters/one/z',
      accept: partial('PartialObjectMetadataList'),
      type: undefined,
      body: '',
    },
    {
      ...common,
      method: 'POST',
      url: '/clusters/one/p',
      accept: 'application/json',
      type: 'application/json',
      body: '{}',
    },
  ])
})

test.each([
  ['merge', 'application/merge-patch+json'],
  ['json', 'application/json-patch+json'],
] as const)('a %s patch says what it is', async (patch, wanted) => {
  let type: string | undefined
  const { send } = await httpClient((request, response) => {
    type = request.headers['content-type']
    response.end('{}')
  })
  await send({ method: 'PATCH', patch, path: '/x', body: [] })
  expect(type).toBe(wanted)
})

test('an answer other than 2xx is an error with status, reason and Retry-After', async () => {
  const { fails, answers } = await httpClient((_request, response) => {
    response.writeHead(409, { 'retry-after': '7' })
    response.end('{"kind":"Status","reason":"Conflict","message":"it has moved on"}')
  })
  expect(await fails()).toMatchObject({
    code: 'KUBE_STATUS',
    message: 'GET /api/v1/configmaps: 409 it has moved on',
    status: 409,
    reason: 'Conflict',
    retryAfterMs: 7_000,
  })
  expect(answers).toEqual(['GET 409'])
})

test('an answer that is no JSON is refused and not quoted', async () => {
  const { fails } = await httpClient((_request, response) => void response.end(`{"a":${CANARY}`))
  const error = await fails()
  expect(error).toMatchObject({
    code: 'KUBE_BAD_ANSWER',
    message: 'GET /api/v1/configmaps: the answer is no JSON (18 characters)',
  })
  expect(inspect(error, { depth: 9 })).not.toContain(CANARY)
})

test.each<[string, Handler]>([
  ['does not come', () => {}],
  [
    'stops in the middle',
    (_request, response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('{')
    },
  ],
])('an answer that %s is given up in time, and counted', async (_what, handler) => {
  const { fails, answers } = await httpClient(handler)
  expect(await fails({ ...GET, timeoutMs: 50 })).toMatchObject({ code: 'KUBE_TIMEOUT' })
  expect(answers.length).toBe(1)
})

test('a request that its caller takes back fails with the reason of the caller', async () => {
  const stop = new AbortController()
  const reason = new Error('not wanted any more')
  const { fails, answers } = await httpClient(() => stop.abort(reason))
  expect(await fails(GET, stop.signal)).toBe(reason)
  expect(answers).toEqual([])
})

test('a server that is not there is unreachable', async () => {
  const server = await startHttp(ok)
  const { fails, answers } = aClient({ url: server.url, close: () => Promise.resolve() })
  await server.close()
  expect(await fails()).toMatchObject({
    code: 'KUBE_UNREACHABLE',
    message: 'GET /api/v1/configmaps: ECONNREFUSED',
    retry: 'soon',
  })
  expect(answers).toEqual(['GET 0'])
})

const cut = (head: string) =>
  startRaw((socket) => socket.end(`HTTP/1.1 ${head}\r\ncontent-length: 500\r\n\r\n{"kind":"S`))

test.each(['200 OK', '404 Not Found'])(
  'an answer %s that is cut off is no answer',
  async (head) => {
    const { fails } = aClient(await cut(head))
    expect(await fails()).toMatchObject({ code: 'KUBE_UNREACHABLE' })
  },
)

test('a stream that is cut off breaks', async () => {
  const { rest } = aClient(await cut('200 OK'))
  const stream = await rest.stream(GET, new AbortController().signal)
  await expect(Array.fromAsync(stream)).rejects.toThrow('other side closed')
})

test('a refusal of a stream that is cut off is no answer', async () => {
  const { rest } = aClient(await cut('404 Not Found'))
  const error = await failureOf(rest.stream(GET, new AbortController().signal))
  expect(error).toMatchObject({ code: 'KUBE_UNREACHABLE' })
})

test('a stream gives chunks until the server ends it', async () => {
  const { rest } = await httpClient((_request, response) => {
    response.write('one\n')
    setImmediate(() => response.end('two\n'))
  })
  const stream = await rest.stream(GET, new AbortController().signal)
  const text = Buffer.concat(await Array.fromAsync(stream)).toString()
  expect(text).toBe('one\ntwo\n')
})

test('a stream that is refused is an error like any other', async () => {
  const { rest } = await httpClient((_request, response) => {
    response.writeHead(410)
    response.end('{"kind":"Status","message":"too old"}')
  })
  const stream = rest.stream(GET, new AbortController().signal)
  await expect(stream).rejects.toMatchObject({ code: 'KUBE_STATUS', status: 410 })
})

test('an open stream breaks with the reason of its caller', async () => {
  const { rest } = await httpClient((_request, response) => void response.write('one\n'))
  const stop = new AbortController()
  const stream = await rest.stream(GET, stop.signal)
  const reading = Array.fromAsync(stream)
  stop.abort(new Error('enough'))
  await expect(reading).rejects.toThrow('enough')
})

test('streams and calls do not wait for one another', async () => {
  const { rest, send } = await httpClient((request, response) => {
    if (request.url === '/stream') response.write('one\n')
    else response.end('{}')
  })
  const stop = new AbortController()
  for (let n = 0; n < 40; n += 1) await rest.stream({ method: 'GET', path: '/stream' }, stop.signal)
  expect(await send()).toEqual({})
  stop.abort()
})

test('a token that has rotated is read anew after a 401, once', async () => {
  let token = 'old'
  const seen: (string | undefined)[] = []
  const { send } = await httpClient(
    (request, response) => {
      const { authorization } = request.headers
      seen.push(authorization)
      response.writeHead(authorization === 'new' ? 200 : 401)
      response.end('{}')
    },
    async (fresh) => {
      if (fresh) token = { old: 'new', new: 'lost' }[token] ?? token
      return { headers: { authorization: token }, tls: {} }
    },
  )
  await send()
  await send()
  expect(seen).toEqual(['old', 'new', 'new'])
})

test('a 401 that stays is told after one more try', async () => {
  let requests = 0
  const { fails, answers } = await httpClient((_request, response) => {
    requests += 1
    response.writeHead(401)
    response.end('{}')
  })
  expect(await fails()).toMatchObject({ code: 'KUBE_STATUS', status: 401, retry: 'soon' })
  expect([requests, answers]).toEqual([2, ['GET 401']])
})

test('credentials are looked at again after 10 s, and connections kept while they are the same', async () => {
  let token = 'one'
  let reads = 0
  const seen: string[] = []
  const { clock, send } = await httpClient(
    (request, response) => {
      seen.push(`${request.headers.authorization} ${request.socket.remotePort}`)
      response.end('{}')
    },
    async () => {
      reads += 1
      return { headers: { authorization: token }, tls: {} }
    },
  )
  await send()
  await clock.advance(9_999)
  await send()
  expect(reads).toBe(1)
  await clock.advance(1)
  await send()
  expect([reads, new Set(seen).size]).toEqual([2, 1])
  token = 'two'
  await clock.advance(10_000)
  await send()
  expect(seen.at(-1)).toMatch(/^two /)
  expect(new Set(seen.map((text) => text.split(' ')[1])).size).toBe(2)
})

test('credentials that cannot be read for a moment leave the last ones in use', async () => {
  let broken = false
  const { clock, send } = await httpClient(ok, async () => {
    if (broken) throw new Error('no such file')
    return { headers: {}, tls: {} }
  })
  await send()
  broken = true
  await clock.advance(10_000)
  expect(await send()).toEqual({})
})

test('without any credentials a request fails with what is wrong', async () => {
  const { fails } = await httpClient(ok, () => Promise.reject(new Error('no such file')))
  expect(await fails()).toMatchObject({ code: 'KUBE_UNREACHABLE' })
})

test('the time of the server is its last Date, gone on since', async () => {
  const date = Date.UTC(2031, 4, 6, 7, 8, 9)
  const { rest, clock, send } = await httpClient((_request, response) => {
    response.setHeader('date', new Date(date).toUTCString())
    response.end('{}')
  })
  expect(rest.serverTime()).toBe(clock.wall())
  await send()
  await clock.advance(1_500)
  expect(rest.serverTime()).toBe(date + 1_500)
})

test.each([`${CANARY}\n${CANARY}`, `${CANARY}\u0000`, `${CANARY}\u2028é`])(
  'a token that no header can carry shows in no error',
  async (token) => {
    const { fails } = await httpClient(ok, async () => ({
      headers: { authorization: `Bearer ${token}` },
      tls: {},
    }))
    expect(inspect(await fails(), { depth: 9, showHidden: true })).not.toContain(CANARY)
  },
)

test('a check is made when the request has its socket, and what it throws keeps it from being sent', async () => {
  const urls: string[] = []
  const held: ServerResponse[] = []
  const { send, fails } = await httpClient((request, response) => {
    urls.push(request.url ?? '')
    if (request.url === '/held') held.push(response)
    else response.end('{}')
  })
  // As many as there are sockets: what comes next waits for one of them.
  const first = Array.from({ length: 32 }, () => send({ method: 'GET', path: '/held' }))
  await expect.poll(() => held.length).toBe(32)
  let allowed = true
  const check = () => {
    if (!allowed)
      throw new KeyferryError('LEASE_LOST', { message: 'no', remedy: '', retry: 'soon' })
  }
  const waiting = fails({ method: 'PUT', path: '/late', body: {}, check })
  allowed = false
  for (const response of held) response.end('{}')
  await Promise.all(first)
  expect((await waiting).code).toBe('LEASE_LOST')
  allowed = true
  await send({ method: 'PUT', path: '/in-time', body: {}, check })
  expect(urls.filter((url) => url !== '/held')).toEqual(['/in-time'])
})
