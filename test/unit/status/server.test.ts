import { request as httpRequest } from 'node:http'
import { afterEach, expect, test } from 'vitest'
import type { Feed } from '../../../src/status/feed.ts'
import type { Details } from '../../../src/status/model.ts'
import { serveStatus, type StatusSite } from '../../../src/status/server.ts'
import { failureOf } from '../../support/failure.ts'

const stop: AbortController[] = []
afterEach(() => {
  for (const one of stop.splice(0)) one.abort()
})

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
}

interface Reading {
  send: (event: string) => boolean
  left: boolean
  resumed: number
}

async function serve() {
  const readings: Reading[] = []
  const feed: Feed = {
    snapshot: () => ({ rows: [] }) as unknown as ReturnType<Feed['snapshot']>,
    join(send) {
      const reading: Reading = { send, left: false, resumed: 0 }
      readings.push(reading)
      send('event: snapshot\ndata: {}\n\n')
      return { resume: () => (reading.resumed += 1), leave: () => (reading.left = true) }
    },
  }
  const site: StatusSite = {
    feed,
    details({ namespace, name }) {
      if (name === 'odd') throw new RangeError('not as it was thought')
      const isThere = namespace === 'shop' && name === 'database'
      return isThere ? ({ type: 'Opaque' } as Details) : undefined
    },
    assets: { '/': { type: 'text/html', text: '<p>ü' } },
  }
  const end = new AbortController()
  stop.push(end)
  const { port } = await serveStatus({ host: '127.0.0.1', port: 0 }, site, end.signal)
  const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    new Promise<Answer>((resolve, reject) => {
      const options = { host: '127.0.0.1', port, path, method, headers }
      const asked = httpRequest(options, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
        )
      })
      asked.on('error', reject).end()
    })
  return { port, get, readings, end }
}

const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
  "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

test('files, the table and details are served, each with all headers', async () => {
  const { get } = await serve()
  const cases: [string, number, string, string][] = [
    ['/', 200, 'text/html', '<p>ü'],
    ['/?x=1', 200, 'text/html', '<p>ü'],
    ['/api/status', 200, 'application/json', '{"rows":[]}'],
    ['/api/resources/shop/database', 200, 'application/json', '{"type":"Opaque"}'],
    ['/api/resources/shop/other', 404, 'text/plain; charset=utf-8', 'not found\n'],
    ['/api/resources/shop/odd', 500, 'text/plain; charset=utf-8', 'failed\n'],
    ['/api/resources/shop', 404, 'text/plain; charset=utf-8', 'not found\n'],
    ['/constructor', 404, 'text/plain; charset=utf-8', 'not found\n'],
    ['/../etc/passwd', 404, 'text/plain; charset=utf-8', 'not found\n'],
  ]
  for (const [path, status, type, text] of cases) {
    const answer = await get(path)
    expect(answer, path).toMatchObject({ status, text })
    expect(answer.headers).toMatchObject({
      'content-type': type,
      'content-security-policy': CSP,
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
    })
    const grants = Object.keys(answer.headers).filter((name) => name.startsWith('access-control-'))
    expect(grants).toEqual([])
  }
})

test.each(['localhost', 'LOCALHOST:8082', '127.0.0.1', '127.0.0.1:1', '[::1]:65535', '[::1]'])(
  'as %s it is reached',
  async (host) => {
    const { get } = await serve()
    expect((await get('/', { host })).status).toBe(200)
  },
)

test.each([
  'keyferry.example',
  'localhost.example',
  '127.0.0.1.example:8082',
  'localhost:8082.example',
  'localhost:',
  '10.0.0.1:8082',
  'user@localhost',
])('as "%s" it is not: a name may be pointed here', async (host) => {
  const { get } = await serve()
  for (const path of ['/', '/api/status', '/api/events']) {
    expect(await get(path, { host })).toMatchObject({ status: 421, text: 'only as localhost\n' })
  }
})

test('it only reads', async () => {
  const { get } = await serve()
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE']) {
    const answer = await get('/api/status', {}, method)
    expect(answer).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } })
  }
  const head = await get('/', {}, 'HEAD')
  expect(head).toMatchObject({ status: 200, text: '', headers: { 'content-length': '5' } })
  expect((await get('/api/events', {}, 'HEAD')).text).toBe('')
})

test('pages of other origins get nothing; a link leads here', async () => {
  const { get, readings } = await serve()
  for (const site of ['cross-site', 'same-site']) {
    for (const path of ['/api/status', '/api/events']) {
      const answer = await get(path, { 'sec-fetch-site': site, 'sec-fetch-mode': 'no-cors' })
      expect(answer.status).toBe(403)
    }
    const navigation = { 'sec-fetch-site': site, 'sec-fetch-mode': 'navigate' }
    const linked = await get('/', { ...navigation, 'sec-fetch-dest': 'document' })
    expect(linked.status).toBe(200)
    const framed = await get('/api/events', { ...navigation, 'sec-fetch-dest': 'iframe' })
    expect(framed.status).toBe(403)
  }
  expect(readings).toEqual([])
  expect((await get('/api/status', { 'sec-fetch-site': 'same-origin' })).status).toBe(200)
})

test('a stream goes on until its reader leaves, and ends with the server', async () => {
  const { port, readings, end } = await serve()
  const open = () =>
    new Promise<{ text: () => string; close: () => void; ended: Promise<void> }>((resolve) => {
      const asked = httpRequest({ host: '127.0.0.1', port, path: '/api/events' }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk
          resolve({ text: () => text, close: () => asked.destroy(), ended })
        })
        response.on('error', () => undefined)
        expect(response.headers['content-type']).toBe('text/event-stream')
        const ended = new Promise<void>((done) => response.on('close', done))
      })
      asked.on('error', () => undefined).end()
    })
  const [first, second] = [await open(), await open()]
  expect(first.text()).toBe('event: snapshot\ndata: {}\n\n')
  first.close()
  await expect.poll(() => readings[0]?.left).toBe(true)
  // More than a socket takes: it says so, and when it has caught up.
  expect(readings[1]?.send(`data: ${'x'.repeat(4_000_000)}\n\n`)).toBe(false)
  await expect.poll(() => readings[1]?.resumed).toBe(1)
  end.abort()
  await second.ended
  await expect.poll(() => readings[1]?.left).toBe(true)
})

test('an address that is taken is told with the setting', async () => {
  const { port } = await serve()
  const site = { details: () => undefined, assets: {} } as unknown as StatusSite
  const signal = AbortSignal.timeout(10_000)
  const error = await failureOf(serveStatus({ host: '127.0.0.1', port }, site, signal))
  expect(error).toMatchObject({
    code: 'SETTING_INVALID',
    remedy: expect.stringContaining('STATUS_ADDRESS'),
  })
})
