import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type TestPostgres, testPostgres } from '../support/postgres.ts'
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
