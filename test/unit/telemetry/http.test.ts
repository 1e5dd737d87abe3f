import net from 'node:net'
import { request } from 'undici'
import { afterEach, expect, test } from 'vitest'
import { failureOf } from '../../support/failure.ts'
import { type Pages, plain, servePages } from '../../../src/telemetry/http.ts'

const LOOPBACK = { host: '127.0.0.1', port: 0 }
const stop: AbortController[] = []
afterEach(() => {
  for (const one of stop.splice(0)) one.abort()
})

async function serve(pages: Pages) {
  const end = new AbortController()
  stop.push(end)
  const { port } = await servePages(LOOPBACK, pages, end.signal)
  const get = async (path: string, method: 'GET' | 'HEAD' | 'POST' = 'GET') => {
    const { statusCode, headers, body } = await request(`http://127.0.0.1:${port}${path}`, {
      method,
    })
    return { status: statusCode, type: headers['content-type'], text: await body.text() }
  }
  return { port, get, end }
}

const html = { status: 200, type: 'text/html', text: '<p>' }

test('a page is served at its path, whatever the query', async () => {
  const { get } = await serve({ '/ok': () => plain(200, 'fine'), '/later': async () => html })
  const wanted = { status: 200, type: 'text/plain; charset=utf-8', text: 'fine\n' }
  expect(await get('/ok')).toEqual(wanted)
  expect(await get('/ok?verbose=1')).toEqual(wanted)
  expect(await get('/later')).toEqual(html)
})

test('HEAD answers without the text', async () => {
  const { get } = await serve({ '/ok': () => plain(503, 'not yet') })
  expect(await get('/ok', 'HEAD')).toMatchObject({ status: 503, text: '' })
})

test('other paths and methods are refused', async () => {
  const { get } = await serve({ '/ok': () => plain(200, 'fine') })
  expect((await get('/')).status).toBe(404)
  expect((await get('/ok/')).status).toBe(404)
  expect((await get('/constructor')).status).toBe(404)
  expect((await get('/ok', 'POST')).status).toBe(405)
})

test('a page that fails is a 500 that tells nothing', async () => {
  const { get } = await serve({
    '/throws': () => {
      throw new Error('canary')
    },
    '/rejects': () => Promise.reject(new Error('canary')),
  })
  expect(await get('/throws')).toMatchObject({ status: 500, text: 'failed\n' })
  expect(await get('/rejects')).toMatchObject({ status: 500, text: 'failed\n' })
})

test('an address that is taken is told', async () => {
  const { port } = await serve({})
  const error = await failureOf(
    servePages({ host: '127.0.0.1', port }, {}, new AbortController().signal),
  )
  expect(error).toMatchObject({
    code: 'SETTING_INVALID',
    message: `cannot listen on 127.0.0.1:${port} (EADDRINUSE)`,
  })
})

test('without a host all interfaces are listened on', async () => {
  const end = new AbortController()
  stop.push(end)
  const { port } = await servePages(
    { host: '', port: 0 },
    { '/ok': () => plain(200, 'a') },
    end.signal,
  )
  const { statusCode, body } = await request(`http://127.0.0.1:${port}/ok`)
  await body.dump()
  expect(statusCode).toBe(200)
})

test('a signal ends the server and the connections that are idle', async () => {
  const { port, end } = await serve({})
  const socket = net.connect(port, '127.0.0.1')
  await new Promise((resolve) => socket.once('connect', resolve))
  const closed = new Promise((resolve) => socket.once('close', resolve))
  end.abort()
  await closed
  const error = await failureOf(request(`http://127.0.0.1:${port}/`))
  expect(error).toMatchObject({ code: 'ECONNREFUSED' })
})

test('a server under an aborted signal ends at once', async () => {
  const { port } = await servePages(LOOPBACK, {}, AbortSignal.abort())
  const error = await failureOf(request(`http://127.0.0.1:${port}/`))
  expect(error).toMatchObject({ code: 'ECONNREFUSED' })
})
