import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type TestServer, testServer, textOf } from '../support/server.ts'
import { keyferry, startProgram } from '../support/program.ts'

const CANARIES = 300

/** Every file below a folder. */
async function filesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => path.join(parentPath, name))
}

/** A text that is found however it is spelled in a file. */
const spellings = (canary: string): Buffer[] => [
  Buffer.from(canary),
  Buffer.from(canary, 'utf16le'),
  Buffer.from(Buffer.from(canary).toString('base64').slice(2, -4)),
  Buffer.from(Buffer.from(canary).toString('hex')),
]

describe('what is stored', () => {
  let server: TestServer
  const canaries: string[] = []
  const tokens: string[] = []

  const canary = (): string => {
    const text = `canary-${randomBytes(12).toString('hex')}`
    canaries.push(text)
    return text
  }

  beforeAll(async () => {
    server = await testServer({ logLevel: 'trace' })
    while (canaries.length < CANARIES) await oneLife()
  })
  afterAll(() => server[Symbol.asyncDispose]())

  /** Puts canaries everywhere that a value, a title or a name can be, and provokes errors. */
  const oneLife = async () => {
    const vault = await server.admin.createVault(canary(), canary())
    const issued = await server.admin.createToken({
      name: canary(),
      vaults: { [vault.id]: 'rw' },
      form: 'jwt',
    })
    const opaque = await server.admin.createToken({ vaults: { [vault.id]: 'r' }, form: 'opaque' })
    const token = textOf(issued.token)
    tokens.push(token, textOf(opaque.token))
    const items = `/v1/vaults/${vault.id}/items`
    const item = () => ({
      title: canary(),
      category: 'LOGIN',
      tags: [canary()],
      urls: [{ href: canary(), label: canary() }],
      sections: [{ id: 's', label: canary() }],
      fields: [
        { id: 'f', label: canary(), value: canary() },
        { purpose: 'PASSWORD', value: canary() },
      ],
    })
    const made = await server.call('POST', items, { token, body: item() })
    const { id } = made.json<{ id: string }>()
    const content = Buffer.from(canary())
    const { name, id: fileId } = await server.admin.addFile({
      vault: vault.id,
      item: id,
      name: canary(),
      content,
    })
    expect(name).toMatch(/^canary-/)
    const value = encodeURIComponent(`title eq "${canary()}"`)
    for (const target of [
      items,
      `${items}?filter=${value}`,
      `${items}?filter=${canary()}`,
      `/v1/vaults/${canary()}`,
    ]) {
      await server.call('GET', target, { token })
    }
    await server.call('GET', `${items}/${id}/files/${fileId}/content`, { token })
    await server.call('GET', '/v1/vaults', { token: canary() })
    await server.call('PUT', `${items}/${id}`, { token, body: item() })
    await server.call('PUT', `${items}/${id}`, { token, body: `{"${canary()}` })
    const patch = [{ op: 'replace', path: `/fields/${canary()}/value`, value: canary() }]
    await server.call('PATCH', `${items}/${id}`, { token, body: patch })
    await server.call('DELETE', `${items}/${canary()}`, { token })
  }

  const findIn = async (files: readonly string[]): Promise<string[]> => {
    const hits: string[] = []
    for (const file of files) {
      const content = await readFile(file)
      for (const text of [...canaries, ...tokens]) {
        if (spellings(text).some((spelling) => content.includes(spelling))) {
          hits.push(`${path.basename(file)}: ${text.slice(0, 12)}…`)
        }
      }
    }
    return hits
  }

  test('is in no file of the data directory in plain text, also while it is open', async () => {
    const files = await filesBelow(server.dir)
    expect(files.map((file) => path.basename(file)).toSorted()).toEqual(
      expect.arrayContaining(['connect.sqlite', 'connect.sqlite-wal', 'store.key']),
    )
    expect(await findIn(files)).toEqual([])
    await server.restart()
    expect(await findIn(await filesBelow(server.dir))).toEqual([])
  })

  test('is in no backup in plain text, and neither is the key', async () => {
    const backup = path.join(server.dir, 'backup')
    await server.admin.backup(backup)
    expect(await findIn([backup])).toEqual([])
    const key = (await readFile(path.join(server.dir, 'store.key'), 'utf8')).trim()
    const content = await readFile(backup)
    expect(content.includes(Buffer.from(key, 'hex'))).toBe(false)
    expect(content.includes(key)).toBe(false)
  })

  test('is in no line of the log at its finest level, and no token is', async () => {
    expect(server.lines.length).toBeGreaterThan(100)
    const log = server.lines.join('')
    const hits = [...canaries, ...tokens].filter((text) =>
      spellings(text).some((one) => log.includes(one.toString('latin1'))),
    )
    expect(hits).toEqual([])
    for (const token of tokens) expect(log).not.toContain(token.split('.').at(-1))
  })

  test('is in no metric, and no metric names a vault', async () => {
    const { text } = await server.call('GET', '/metrics')
    expect(text).toContain('keyferry_connect_requests_total')
    for (const word of canaries) expect(text).not.toContain(word)
    for (const { id } of await server.admin.vaults()) expect(text).not.toContain(id)
  })

  test('can be read by its owner only, and the program prints no key', async () => {
    const { stat } = await import('node:fs/promises')
    const program = await startProgram([
      '--data',
      path.join(server.dir, 'second'),
      '--log-level',
      'trace',
    ])
    const data = ['--data', path.join(server.dir, 'second')]
    const vault = await keyferry(['connect', 'vault', 'create', ...data, 'V'])
    expect(vault.out).toMatch(/^[a-z2-7]{26}\n$/)
    for (const file of await readdir(path.join(server.dir, 'second'))) {
      const { mode } = await stat(path.join(server.dir, 'second', file))
      expect([file, (mode & 0o777).toString(8)]).toEqual([file, '600'])
    }
    expect((await stat(path.join(server.dir, 'second'))).mode & 0o777).toBe(0o700)
    expect(await program.stop()).toBe(0)
    const key = await readFile(path.join(server.dir, 'second', 'store.key'), 'utf8')
    expect(program.output()).not.toContain(key.trim())
    expect(program.output()).toContain('A new store key was written')
  })
})
