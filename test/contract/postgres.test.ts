import { writeFile } from 'node:fs/promises'
import net from 'node:net'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createPool, type Pool } from '../../src/server/store/postgres-pool.ts'
import { postgresTarget } from '../../src/server/store/postgres-url.ts'
import { CERTIFICATE } from '../support/certificate.ts'
import { failureOf } from '../support/failure.ts'
import { PASSWORD, type TestPostgres, testPostgres } from '../support/postgres.ts'
import { type TestServer, tempDir, testServer, textOf } from '../support/server.ts'
import { isSkipped } from '../support/skip.ts'
import { testStore } from '../support/store.ts'
import { storeSuite } from '../unit/server/store/store.suite.ts'
import { embeddedTarget } from './suite/embedded.ts'
import { connectSuite } from './suite/suite.ts'

// One file for all that needs PostgreSQL: files run side by side, and one server is enough.
const SKIPPED = isSkipped('postgres')
let postgres: TestPostgres | undefined
let server: TestServer | undefined

const shared = async (): Promise<TestPostgres> => (postgres ??= await testPostgres())

connectSuite(
  'embedded server on PostgreSQL',
  async () => {
    const dir = await tempDir()
    const url = await (await shared()).database()
    server = await testServer({ store: { dir, url, key: { kind: 'managed', dir } } })
    return embeddedTarget(server)
  },
  SKIPPED,
)

storeSuite('PostgreSQL', async () => testStore(await (await shared()).database()), SKIPPED)

afterAll(async () => {
  await server?.[Symbol.asyncDispose]()
  await postgres?.[Symbol.asyncDispose]()
})

interface Item {
  id: string
  version: number
  title: string
}

describe.skipIf(SKIPPED)('two replicas on one PostgreSQL', () => {
  let one: TestServer
  let two: TestServer
  let items: string
  let token: string

  beforeAll(async () => {
    const url = await (await shared()).database()
    const dir = await tempDir()
    one = await testServer({ store: { dir, url, key: { kind: 'managed', dir } } })
    const key = { kind: 'file', file: `${dir}/store.key` } as const
    two = await testServer({ store: { dir: await tempDir(), url, key } })
    const vault = await one.admin.createVault('V')
    items = `/v1/vaults/${vault.id}/items`
    token = await one.token({ V: 'rw' })
  })
  afterAll(async () => {
    await one[Symbol.asyncDispose]()
    await two[Symbol.asyncDispose]()
  })

  const body = (title: string) => ({ title, category: 'SERVER' })

  test('see each other, at once: items, lists, vaults, tokens and activity', async () => {
    const made = await one.call('POST', items, { token, body: body('first') })
    const { id } = made.json<Item>()
    const listed = async () =>
      (await two.call('GET', items, { token })).json<Item[]>().map(({ title }) => title)
    expect(await listed()).toEqual(['first'])
    await one.call('PUT', `${items}/${id}`, { token, body: body('second') })
    expect(await listed()).toEqual(['second'])
    expect((await two.call('GET', `${items}/${id}`, { token })).json<Item>().version).toBe(2)
    await two.call('DELETE', `${items}/${id}`, { token })
    expect((await one.call('GET', items, { token })).json()).toEqual([])
    const activity = async (server: TestServer) =>
      (await server.call('GET', '/v1/activity', { token })).json<{ action: string }[]>()
    await one.call('GET', '/v1/activity', { token })
    expect((await activity(two)).map(({ action }) => action)).toContain('CREATE')
  })

  test('end a revoked token at once on both', async () => {
    const issued = await one.admin.createToken({ vaults: { V: 'r' }, form: 'jwt' })
    const status = async () =>
      (await two.call('GET', '/v1/vaults', { token: textOf(issued.token) })).status
    expect(await status()).toBe(200)
    await one.admin.revokeToken(issued.id)
    expect(await status()).toBe(401)
  })

  test('lose no write of both to one item', async () => {
    const made = await one.call('POST', items, { token, body: body('0') })
    const { id } = made.json<Item>()
    const writes = Array.from({ length: 60 }, (_, n) =>
      (n % 2 === 0 ? one : two).call('PUT', `${items}/${id}`, { token, body: body(String(n)) }),
    )
    const answers = await Promise.all(writes)
    expect(answers.map((answer) => answer.status)).toEqual(Array.from({ length: 60 }, () => 200))
    const versions = answers.map((answer) => answer.json<Item>().version)
    expect(new Set(versions).size).toBe(60)
    expect((await two.call('GET', `${items}/${id}`, { token })).json<Item>().version).toBe(61)
  })

  test('refuse to write with keys that the other has replaced', async () => {
    await one.admin.rotateKey(undefined, () => undefined)
    const answer = await two.call('POST', items, { token, body: body('late') })
    expect(answer.status).toBe(503)
    expect((await one.call('POST', items, { token, body: body('fine') })).status).toBe(200)
    expect(await one.admin.verify()).toBeGreaterThan(3)
    await two.restart()
    expect((await two.call('POST', items, { token, body: body('again') })).status).toBe(200)
  })

  test('answer 503 while the database is away, and come back with it', async () => {
    const postgres = await shared()
    await postgres.crash()
    // Never 401: the token is as good as before.
    expect((await one.call('GET', items, { token })).status).toBe(503)
    expect((await one.call('GET', '/health')).status).toBe(503)
    expect((await one.call('GET', '/heartbeat')).status).toBe(200)
    await postgres.start()
    const back = async () => (await one.call('GET', items, { token })).status
    await expect.poll(back, { timeout: 20_000 }).toBe(200)
    const answer = await two.call('POST', items, { token, body: body('after') })
    expect(answer.status).toBe(200)
  })
})

describe.skipIf(SKIPPED)('a connection to PostgreSQL', () => {
  let pool: Pool
  let url: string

  const poolOf = (text: string, connections = 2) =>
    createPool(postgresTarget(text), {
      connections,
      connectMs: 10_000,
      idleMs: 1_000,
      silenceMs: 10_000,
      settings: { application_name: 'tests' },
    })
  /** Who a URL lets us be. */
  async function userOf(text: string): Promise<string | undefined> {
    const own = poolOf(text)
    try {
      const [row] = await own.query<{ user: string }>('SELECT current_user AS "user"')
      return row?.user
    } finally {
      await own.end()
    }
  }

  beforeAll(async () => {
    url = await (await shared()).database()
    pool = poolOf(url)
  })
  afterAll(() => pool.end())

  test('carries texts, numbers, bytes and lists of them as they are', async () => {
    const texts = ['', 'a', '"', '\\', '{', '}', ',', 'NULL', "'", 'ö\n\u{1F511}', ' a ']
    const bytes = [Buffer.alloc(0), Buffer.from([0, 92, 34, 255])]
    const numbers = [0, -1, 2 ** 53 - 1]
    const rows = await pool.query<{ t: string; b: Buffer; n: number }>(
      `SELECT t, b, n FROM unnest($1::text[]) WITH ORDINALITY AS t (t, i)
       LEFT JOIN unnest($2::bytea[]) WITH ORDINALITY AS b (b, i) USING (i)
       LEFT JOIN unnest($3::bigint[]) WITH ORDINALITY AS n (n, i) USING (i) ORDER BY i`,
      [texts, bytes, numbers],
    )
    expect(rows.map(({ t }) => t)).toEqual(texts)
    expect(rows.slice(0, 2).map(({ b }) => b)).toEqual(bytes)
    expect(rows.slice(0, 3).map(({ n }) => n)).toEqual(numbers)
    expect(rows.at(-1)).toMatchObject({ b: null, n: null })
    const one = await pool.query(
      'SELECT $1::bytea AS b, $2::text AS t, $3::int AS n, $4::text AS z',
      [Buffer.from([1, 0]), "it's", 7, null],
    )
    expect(one).toEqual([{ b: Buffer.from([1, 0]), t: "it's", n: 7, z: null }])
  })

  test('gives the error of the server, and goes on', async () => {
    await pool.lend(async (session) => {
      for (const values of [undefined, []]) {
        const error = await failureOf(session.query('SELECT 1/0', values))
        expect(error).toMatchObject({ code: '22012' })
        expect(await session.query('SELECT 1 AS one', values)).toEqual([{ one: 1 }])
      }
    })
  })

  test('that is lost in a transaction takes no further statement of it', async () => {
    await pool.query('CREATE TABLE kept (n int)')
    await pool.query('INSERT INTO kept VALUES (0)')
    const lost = pool.lend(async (session) => {
      await session.query('BEGIN')
      await session.query('INSERT INTO kept VALUES (1)')
      const [row] = await session.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
      await pool.query('SELECT pg_terminate_backend($1)', [row?.pid ?? 0])
      await expect.poll(() => session.isOpen()).toBe(false)
      // Others open new connections meanwhile.
      await pool.query('SELECT 1')
      await session.query('INSERT INTO kept VALUES (2)')
    })
    await expect(lost).rejects.toThrow('the connection is lost')
    expect(await pool.query('SELECT n FROM kept')).toEqual([{ n: 0 }])
  })

  test('that the server ends under a statement fails it with what the server says', async () => {
    const lost = pool.query('SELECT pg_terminate_backend(pg_backend_pid())')
    await expect(lost).rejects.toMatchObject({ code: '57P01' })
    expect(await pool.query('SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  test('is waited for while all are in use', async () => {
    const own = poolOf(url, 1)
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => own.query('SELECT $1::int AS n', [n])),
    )
    expect(answers.flat()).toEqual(Array.from({ length: 20 }, (_, n) => ({ n })))
    await own.end()
    await expect(own.query('SELECT 1')).rejects.toThrow('closed')
  })

  test.each(['scram', 'hashed', 'plain'])('proves a password: %s', async (user) => {
    const { port } = await shared()
    const address = (password: string) =>
      `postgres://${user}:${encodeURIComponent(password)}@127.0.0.1:${port}/postgres`
    expect(await userOf(address(PASSWORD))).toBe(user)
    await expect(userOf(address('wrong'))).rejects.toMatchObject({ code: '28P01' })
  })

  test('is encrypted to a server whose certificate is known, and to no other', async () => {
    const { port, dir } = await shared()
    const ca = path.join(await tempDir(), 'ca.crt')
    await writeFile(ca, CERTIFICATE)
    const address = (host: string, query: string) =>
      `postgres://encrypted@${host}:${port}/postgres${query}`
    expect(await userOf(address('localhost', `?sslmode=require&sslrootcert=${ca}`))).toBe(
      'encrypted',
    )
    expect(await userOf(address('localhost', `?sslrootcert=${ca}`))).toBe('encrypted')
    expect(await userOf(address('127.0.0.1', '?sslmode=no-verify'))).toBe('encrypted')
    await expect(userOf(address('localhost', '?sslmode=require'))).rejects.toThrow(/certificate/)
    await expect(
      userOf(address('127.0.0.1', `?sslmode=verify-full&sslrootcert=${ca}`)),
    ).rejects.toThrow(/127\.0\.0\.1/)
    await expect(userOf(address('localhost', ''))).rejects.toMatchObject({ code: '28000' })
    const socket = encodeURIComponent(dir)
    const places = [`${socket}:${port}/postgres`, `localhost/postgres?host=${socket}&port=${port}`]
    for (const place of places)
      expect(await userOf(`postgres://keyferry@${place}`)).toBe('keyferry')
  })

  test.each([
    ['says nothing', () => undefined],
    ['hangs up', (socket: net.Socket) => void socket.end()],
    [
      'speaks something else',
      (socket: net.Socket) => void socket.write('HTTP/1.1 400 Bad Request'),
    ],
    ['proves nothing', (socket: net.Socket) => void socket.write('R\0\0\0\x08\0\0\0\x0c')],
  ])('to a server that %s fails in its time', async (_what, answer) => {
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => answer(socket))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as net.AddressInfo
    const own = createPool(postgresTarget(`postgres://u@127.0.0.1:${port}/d`), {
      connections: 1,
      connectMs: 500,
      idleMs: 1,
      silenceMs: 500,
      settings: {},
    })
    await expect(own.query('SELECT 1')).rejects.toThrow(/server/)
    await own.end()
    server.close()
  })
})

test.each([
  ['no url', 'is no URL'],
  ['postgres://u@h/d?sslmode=maybe', 'sslmode'],
  ['postgres://u@h/d?pool=3', 'parameter pool'],
  ['postgres://u:100%@h/d', 'write %25'],
  [
    'postgres://u@h/d?sslmode=require&sslrootcert=/nowhere',
    'in sslrootcert that cannot be read (ENOENT)',
  ],
])('the address %s is refused', (address, reason) => {
  expect(() => postgresTarget(address)).toThrow(reason)
})
