import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { goClient, javascriptClient, pythonClient } from '../support/clients.ts'
import { run } from '../support/run.ts'
import { type TestServer, testServer } from '../support/server.ts'
import { isSkipped } from '../support/skip.ts'

const HERE = path.join(path.dirname(fileURLToPath(import.meta.url)), 'clients')
const FETCH_MS = 240_000

interface Field {
  id: string
  label: string
  value?: string
  purpose?: string
  section?: { id: string }
}
interface Item {
  id: string
  title: string
  version: number
  category: string
  tags: string[]
  urls: { href: string; primary?: boolean }[]
  sections: { id: string; label?: string }[]
  fields: Field[]
}
/** What every client's program prints. */
interface Life {
  vaults: number
  vault: string
  created: Item
  byTitle: string
  updatedVersion: number
  read: Item
  file: { name: string; size: number; content: string }
  left: string[]
  gone: unknown
}

describe('the official clients, unmodified', () => {
  let server: TestServer
  let env: NodeJS.ProcessEnv
  let fileItem: string

  beforeAll(async () => {
    server = await testServer()
    const vault = await server.admin.createVault('Client Vault')
    await server.admin.createVault('Other')
    const token = await server.token({ [vault.id]: 'rw' })
    const items = `/v1/vaults/${vault.id}/items`
    const body = { title: 'with file', category: 'SERVER' }
    fileItem = (await server.call('POST', items, { token, body })).json<{ id: string }>().id
    const content = Buffer.from('The future belongs to the curious.\n')
    await server.admin.addFile({ vault: vault.id, item: fileItem, name: 'foo.txt', content })
    env = {
      ...process.env,
      OP_CONNECT_HOST: server.url,
      OP_CONNECT_TOKEN: token,
      VAULT_NAME: 'Client Vault',
      FILE_ITEM: fileItem,
    }
  })
  afterAll(() => server[Symbol.asyncDispose]())

  /** What all of them must have seen. */
  const expectWholeLife = (life: Life, name: string): void => {
    expect(life).toMatchObject({ vaults: 1, vault: 'Client Vault', updatedVersion: 1 })
    expect(life.created).toMatchObject({ version: 1, category: 'LOGIN', title: `life of ${name}` })
    expect(life.created.id).toMatch(/^[a-z0-9]{26}$/)
    expect(life.byTitle).toBe(life.created.id)
    expect(life.read).toMatchObject({ version: 2, title: `life of ${name} 2` })
    expect(life.read.tags).toHaveLength(1)
    expect(life.read.urls).toEqual([{ href: 'https://example.com', primary: true }])
    const values = (item: Item) => new Map(item.fields.map((field) => [field.label, field]))
    const created = values(life.created)
    expect(created.get('username')?.value).toBe('wendy')
    expect(created.get('password')?.value).toMatch(/^[A-Za-z0-9]{24}$/)
    expect(created.get('extra')?.section?.id).toBe(life.created.sections[0]?.id)
    // What was read and sent back is unchanged, the generated password too.
    expect(values(life.read).get('password')?.value).toBe(created.get('password')?.value)
    expect(life.file).toEqual({
      name: 'foo.txt',
      size: 35,
      content: 'The future belongs to the curious.\n',
    })
    expect(life.left).toEqual([fileItem])
    expect(life.gone).toBeTruthy()
  }

  test.skipIf(isSkipped('client-javascript'))(
    '@1password/connect lives a whole life with an item',
    { timeout: FETCH_MS },
    async () => {
      const more = { ...env, CLIENT_DIR: await javascriptClient() }
      const out = await run(process.execPath, [path.join(HERE, 'life.mjs')], { env: more })
      const life = JSON.parse(out) as Life & { otp: string; byPart: string[] }
      expectWholeLife(life, 'JavaScript')
      expect(life.otp).toMatch(/^\d{6}$/)
      expect(life.byPart).toEqual([life.created.id])
      expect(life.gone).toMatchObject({
        status: 404,
        message: expect.stringContaining('not found'),
      })
    },
  )

  test.skipIf(isSkipped('client-python'))(
    'onepasswordconnectsdk lives a whole life with an item',
    { timeout: FETCH_MS },
    async () => {
      const out = await run(await pythonClient(), [path.join(HERE, 'life.py')], { env })
      const life = JSON.parse(out) as Life & { loaded: object; filtered: string[] }
      expectWholeLife(life, 'Python')
      expect(life.loaded).toEqual({ user: 'wendy' })
      expect(life.filtered).toEqual([life.created.id])
    },
  )

  test.skipIf(isSkipped('client-go'))(
    'connect-sdk-go lives a whole life with an item',
    { timeout: FETCH_MS },
    async () => {
      const out = await run(await goClient(), [], { env })
      const life = JSON.parse(out) as Life & { loaded: string; listed: string[] }
      expectWholeLife(life, 'Go')
      expect(life.loaded).toBe('wendy')
      expect(life.listed).toContain(life.created.id)
      expect(life.gone).toContain('404')
    },
  )
})
