import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type TestServer, testServer } from '../support/server.ts'

const MIB = 1024 * 1024

describe('input beyond all measure', () => {
  let server: TestServer
  let token: string
  let items: string

  beforeAll(async () => {
    server = await testServer({ maxBodyBytes: MIB, maxConnections: 256 })
    const { id } = await server.admin.createVault('V')
    token = await server.token({ V: 'rw' })
    items = `/v1/vaults/${id}/items`
  })
  afterAll(() => server[Symbol.asyncDispose]())

  const post = (body: string, headers: Record<string, string> = {}) =>
    server.call('POST', items, { token, body, headers })

  test.each([
    ['lists nested 100,000 deep', `{"category":"SERVER","x":${'['.repeat(100_000)}`],
    ['objects nested 100,000 deep', '{"a":'.repeat(100_000)],
    ['closed lists nested 10,000 deep', `${'['.repeat(10_000)}${']'.repeat(10_000)}`],
    [
      'an item with a member nested 10,000 deep',
      `{"category":"SERVER","x":${'['.repeat(10_000)}${']'.repeat(10_000)}}`,
    ],
    ['no JSON', '{"category":"SERVER",'],
    ['a prototype', '{"category":"SERVER","__proto__":{"title":"x"}}'],
    ['a prototype inside', '{"category":"SERVER","fields":[{"__proto__":{"value":"x"}}]}'],
    ['a constructor', '{"category":"SERVER","constructor":{"prototype":{"x":1}}}'],
    ['nothing', ''],
    ['null', 'null'],
    ['a huge number for a length', '{"category":"SERVER","fields":[{"recipe":{"length":1e400}}]}'],
  ])('%s is refused with 400', async (_, body) => {
    const answer = await post(body)
    expect(answer.status).toBe(400)
    expect(answer.json()).toEqual({ status: 400, message: expect.any(String) })
    expect({}).not.toHaveProperty('title')
  })

  test('an error never quotes the body', async () => {
    const secret = 'hunter2-in-the-body'
    for (const body of [
      `{"category":"SERVER","title":"${secret}"`,
      secret,
      `{"category":"${secret}"}`,
      `{"category":"SERVER","fields":[{"type":"${secret}"}]}`,
      `{"category":"SERVER","fields":[{"type":"DATE","value":"${secret}"}]}`,
      `[{"op":"${secret}"}]`,
    ]) {
      expect((await post(body)).text).not.toContain('hunter2')
      const patch = await server.call('PATCH', `${items}/${'a'.repeat(26)}`, { token, body })
      expect(patch.text).not.toContain('hunter2')
    }
    expect(server.lines.join('')).not.toContain('hunter2')
  })

  test('of two members with one name the last counts', async () => {
    const answer = await post('{"category":"SERVER","title":"first","title":"last"}')
    expect(answer.json<{ title: string }>().title).toBe('last')
  })

  test('100 MiB are refused with 413 before they are read, and memory stays flat', async () => {
    const before = process.memoryUsage().rss
    const answers = []
    for (let n = 0; n < 5; n++) {
      answers.push(await hugeBody(server.url, items, token, 100 * MIB))
    }
    expect(answers.every((answer) => answer.includes('413'))).toBe(true)
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * MIB)
  })

  test('a body without a token is refused before it is read', async () => {
    const answer = await hugeBody(server.url, items, 'x', 100 * MIB)
    expect(answer).toContain('401')
  })

  test.each([
    ['a filter of a megabyte', `/v1/vaults?filter=${'a'.repeat(MIB)}`],
    ['a path of a megabyte', `/v1/${'a'.repeat(MIB)}`],
  ])('%s is refused with 431', async (_, path) => {
    const answer = await server.call('GET', path, { token })
    expect(answer.status).toBe(431)
    expect(answer.headers['1password-connect-version']).toMatch(/^\d/)
    expect(answer.json<{ status: number }>().status).toBe(431)
  })

  test.each([
    ['POST', '/v1/vaults', 405],
    ['DELETE', '/health', 405],
    ['OPTIONS', '/v1/activity', 405],
    ['GET', '/v1/vaults/%zz', 400],
    ['GET', '/v1/vaults/..%2f..%2fetc', 400],
    ['GET', '/', 404],
  ])('%s %s answers %i', async (method, path, status) => {
    const answer = await server.call(method, path, { token })
    expect(answer.status).toBe(status)
    expect(answer.json<{ status: number }>().status).toBe(status)
    expect(answer.headers['1password-connect-version']).toBe('1.8.1')
  })

  test('what is no HTTP is answered with 400 in the usual form', async () => {
    const answer = await raw(server.url, 'NONSENSE\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    expect(answer).toContain('1Password-Connect-Version: 1.8.1')
    expect(answer).toContain('{"status":400,')
  })

  test.each([
    ['no host', 'GET /heartbeat HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
    [
      'an expectation',
      'GET /heartbeat HTTP/1.1\r\nHost: x\r\nExpect: y\r\nConnection: close\r\n\r\n',
      417,
    ],
  ])('a request with %s is refused in the usual form', async (_, text, status) => {
    const answer = await raw(server.url, text)
    expect(answer.startsWith(`HTTP/1.1 ${status} `)).toBe(true)
    expect(answer).toMatch(/^1password-connect-version: 1\.8\.1\r$/im)
    expect(answer).toContain(`{"status":${status},`)
  })

  test('HEAD answers like GET, without a body', async () => {
    const answer = await server.call('HEAD', '/v1/vaults', { token })
    expect(answer.status).toBe(200)
    expect(answer.bytes).toHaveLength(0)
  })

  test('2,000 clients that never finish keep nobody from being served', async () => {
    const { hostname, port } = new URL(server.url)
    const sockets: Socket[] = []
    for (let n = 0; n < 2_000; n++) {
      const socket = connect(Number(port), hostname)
      socket.on('error', () => undefined)
      socket.write(n % 2 === 0 ? 'GET /v1/vaults HT' : `POST ${items} HTTP/1.1\r\nHost: x\r\nA: b`)
      sockets.push(socket)
      if (n % 100 === 0) await sleep(1)
    }
    for (let n = 0; n < 5; n++) {
      expect((await server.call('GET', '/health')).status).toBe(200)
    }
    const open = () => sockets.filter(({ readyState }) => readyState === 'open').length
    await expect.poll(open, { timeout: 10_000 }).toBeLessThanOrEqual(256)
    for (const socket of sockets) socket.destroy()
  })
})

/** Announces `bytes` and sends them until the server answers. @returns the answer's start */
function hugeBody(url: string, path: string, token: string, bytes: number): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname)
    let answer = ''
    const chunk = Buffer.alloc(64 * 1024, 0x20)
    const pump = () => {
      if (!socket.destroyed && answer === '' && socket.write(chunk)) setImmediate(pump)
    }
    socket.on('drain', pump)
    socket.on('data', (data) => {
      answer += data.toString()
      socket.destroy()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(answer.split('\r\n', 1)[0] ?? ''))
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${bytes}\r\n\r\n`,
    )
    pump()
  })
}

function raw(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname)
    let answer = ''
    socket.on('data', (data) => (answer += data.toString()))
    socket.on('error', reject)
    socket.on('close', () => resolve(answer))
    socket.write(text)
  })
}
