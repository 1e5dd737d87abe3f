import { copyFile, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isKeyferryError } from '../../src/errors.ts'
import { openStoreAt, type OpenedStore } from '../../src/server/listen.ts'
import { createRandom } from '../simulation/random.ts'
import { isFull, SEED, tally } from '../support/gates.ts'
import { tempDir } from '../support/server.ts'
import { anItem, contentOf, type TestStore, testStore, write } from '../support/store.ts'

/** Bytes that are changed, one at a time. */
const MUTATIONS = isFull ? 5_000 : 1_000

/** What may come of a change: nothing was lost, or nothing is served. */
const IS_SAFE = ['same', 'refused']
const REPLAY = `again: KEYFERRY_SEED=${SEED} npm run test:contract -- tamper`

describe('a store whose files were changed', () => {
  let source: TestStore
  let file: string
  let dir: string
  let whole: Buffer
  let content: string

  const open = () => openStoreAt({ dir, key: { kind: 'managed', dir } }, () => undefined)
  /** What opening the changed file comes to: the same content, a refusal, or neither. */
  const outcome = async (): Promise<string> => {
    let opened: OpenedStore
    try {
      opened = await open()
    } catch (error) {
      if (isKeyferryError(error, 'STORE_DAMAGED', 'STORE_KEY', 'STORE_UNAVAILABLE')) {
        return error.message.length > 10 ? 'refused' : 'refused without a reason'
      }
      return `failed: ${String(error)}`
    }
    try {
      return (await contentOf(opened)) === content ? 'same' : 'other content'
    } catch (error) {
      return isKeyferryError(error, 'STORE_DAMAGED') ? 'refused' : `failed: ${String(error)}`
    } finally {
      await opened.store.close()
    }
  }
  const restoreFiles = async () => {
    for (const end of ['-wal', '-shm']) await rm(file + end, { force: true })
    await writeFile(file, whole)
    await rm(path.join(dir, 'connect.head'), { force: true })
    await copyFile(path.join(source.dir, 'connect.head'), path.join(dir, 'connect.head'))
  }

  beforeAll(async () => {
    source = await testStore()
    for (const name of ['A', 'B']) {
      const { id } = await source.admin.createVault(name)
      for (let i = 0; i < 12; i++) await write(source, anItem(id, { title: `${name}${i}` }))
      const contents = { vault: id, item: `${name}0`, content: Buffer.alloc(2_000, i(name)) }
      await source.admin.addFile({ ...contents, name: 'f' })
    }
    await source.admin.createToken({ vaults: { A: 'rw' }, form: 'jwt' })
    await source.admin.createToken({ vaults: { B: 'r' }, form: 'opaque' })
    content = await contentOf(source.opened)
    await source.close()
    whole = await readFile(source.file)
    dir = await tempDir()
    file = path.join(dir, 'connect.sqlite')
    await copyFile(path.join(source.dir, 'store.key'), path.join(dir, 'store.key'))
    await restoreFiles()
  })
  afterAll(async () => {
    await source[Symbol.asyncDispose]()
    await rm(dir, { recursive: true, force: true })
  })

  test('is the same when nothing was changed', async () => {
    await restoreFiles()
    expect(await outcome()).toBe('same')
  })

  test(`is refused or unharmed after any change of one byte (${MUTATIONS} of them)`, {
    timeout: 600_000,
  }, async () => {
    const random = createRandom(SEED)
    const results = new Map<string, number>()
    const wrong: string[] = []
    let trials = 0
    const step = whole.length / MUTATIONS
    for (let n = 0; n < MUTATIONS; n++) {
      await restoreFiles()
      const at = Math.floor(n * step + random.next() * step) % whole.length
      const changed = Buffer.from(whole)
      changed[at] = (changed[at] ?? 0) ^ (1 << (n % 8))
      await writeFile(file, changed)
      const result = await outcome()
      trials += 1
      results.set(result, (results.get(result) ?? 0) + 1)
      if (!IS_SAFE.includes(result)) wrong.push(`bit ${n % 8} of byte ${at}: ${result}`)
    }
    const violations = wrong.length
    await tally({ gate: 15, what: 'changed bytes of a store', trials, violations, seed: SEED })
    expect(wrong, REPLAY).toEqual([])
    // Most bytes of a small store are sealed content: nearly every change must be noticed.
    expect(results.get('refused') ?? 0).toBeGreaterThan(MUTATIONS / 2)
  })

  test('is refused or unharmed when it is cut short', async () => {
    for (let length = whole.length - 1; length > 0; length -= 1 + Math.floor(whole.length / 40)) {
      await restoreFiles()
      await truncate(file, length)
      expect(['same', 'refused']).toContain(await outcome())
    }
  })

  test('is refused, and let go of, when the name of a column is damaged', async () => {
    await restoreFiles()
    const at = whole.indexOf('version INTEGER')
    expect(at).toBeGreaterThan(0)
    const changed = Buffer.from(whole)
    changed[at] = 'w'.charCodeAt(0)
    await writeFile(file, changed)
    expect(await outcome()).toBe('refused')
    await restoreFiles()
    expect(await outcome()).toBe('same')
  })

  const edits: [string, string][] = [
    [
      'two items exchanged',
      `UPDATE records SET sealed = (SELECT sealed FROM records WHERE kind='item' ORDER BY id DESC)
       WHERE kind='item' AND id = (SELECT min(id) FROM records WHERE kind='item')`,
    ],
    [
      'an item moved to another vault',
      `UPDATE records SET scope = (SELECT max(id) FROM records WHERE kind='vault')
       WHERE kind='item' AND scope = (SELECT min(id) FROM records WHERE kind='vault')`,
    ],
    [
      'an item removed',
      `DELETE FROM records WHERE kind='item' AND id = (SELECT min(id) FROM records WHERE kind='item')`,
    ],
    ['the version of an item raised', `UPDATE records SET version=version+1 WHERE kind='item'`],
    [
      'a vault removed',
      `DELETE FROM records WHERE kind='vault' AND id = (SELECT min(id) FROM records WHERE kind='vault')`,
    ],
    [
      'a token removed',
      `DELETE FROM records WHERE kind='token' AND id = (SELECT min(id) FROM records WHERE kind='token')`,
    ],
    ['the content of a file removed', `DELETE FROM records WHERE kind='chunk'`],
    ['the head removed', `DELETE FROM records WHERE id='head'`],
    ['the keyring removed', `DELETE FROM records WHERE id='keyring'`],
    ['the version of the head raised', `UPDATE records SET version=version+1 WHERE id='head'`],
  ]
  test.each(edits)('is refused with %s', async (_, sql) => {
    await restoreFiles()
    const db = new DatabaseSync(file)
    expect(db.prepare(sql).run().changes).toBeGreaterThan(0)
    db.close()
    expect(await outcome()).toBe('refused')
  })

  test('is refused with one item put back to an older version', async () => {
    await restoreFiles()
    const before = new DatabaseSync(file)
    const old = before.prepare(`SELECT * FROM records WHERE kind='item' LIMIT 1`).get()
    before.close()
    const opened = await open()
    const vault = String(old?.['scope'])
    await opened.store.writeItem(vault, String(old?.['id']), (item) => {
      if (item === undefined) throw new Error('the item is gone')
      return { ...item, version: item.version + 1, title: 'newer' }
    })
    await opened.store.close()
    const after = new DatabaseSync(file)
    const back = `UPDATE records SET version=?, sealed=? WHERE kind='item' AND id=?`
    after.prepare(back).run(old?.['version'] ?? 0, old?.['sealed'] ?? null, old?.['id'] ?? '')
    after.close()
    const refusal: unknown = await open().catch((error: unknown) => error)
    expect(refusal).toMatchObject({ code: 'STORE_DAMAGED' })
    expect(String(refusal)).toContain(`items of vault ${vault}`)
  })

  test('names the item that was changed', async () => {
    await restoreFiles()
    const db = new DatabaseSync(file)
    const row = db.prepare(`SELECT * FROM records WHERE kind='item' LIMIT 1`).get()
    const sealed = Buffer.from(row?.['sealed'] as Uint8Array)
    sealed[60] = (sealed[60] ?? 0) ^ 1
    const put = `UPDATE records SET sealed=? WHERE kind='item' AND id=?`
    db.prepare(put).run(sealed, row?.['id'] ?? '')
    db.close()
    const refusal: unknown = await open().catch((error: unknown) => error)
    expect(String(refusal)).toContain(
      `item ${String(row?.['id'])} in vault ${String(row?.['scope'])}`,
    )
  })

  test('is refused as a whole when it is older than its head file says', async () => {
    await restoreFiles()
    const opened = await open()
    await opened.admin.createVault('C')
    await opened.store.close()
    await writeFile(file, whole)
    const refusal: unknown = await open().catch((error: unknown) => error)
    expect(refusal).toMatchObject({ code: 'STORE_DAMAGED' })
    expect(String(refusal)).toMatch(/is at change \d+, but had reached \d+ before/)
    const accepted = await openStoreAt(
      { dir, key: { kind: 'managed', dir }, acceptRollback: true },
      () => undefined,
    )
    await accepted.store.close()
    expect(await outcome()).toBe('same')
  })

  test('is refused when a head file that was asked for is gone', async () => {
    await restoreFiles()
    const headFile = path.join(dir, 'elsewhere.head')
    const options = { dir, key: { kind: 'managed', dir }, headFile } as const
    const warn = () => undefined
    await expect(openStoreAt(options, warn)).rejects.toMatchObject({ code: 'STORE_DAMAGED' })
    await (await openStoreAt({ ...options, acceptRollback: true }, warn)).store.close()
    await (await openStoreAt(options, warn)).store.close()
  })

  test('is refused when a write-ahead log was changed after a crash', async () => {
    await restoreFiles()
    const opened = await open()
    await opened.admin.createVault('D')
    // What a crash leaves: the file and its log, before the log was merged.
    const crashed = { db: await readFile(file), wal: await readFile(`${file}-wal`) }
    await opened.store.close()
    content = JSON.stringify(null)
    const results = new Set<string>()
    for (let at = 40; at < crashed.wal.length; at += Math.ceil(crashed.wal.length / 40)) {
      const wal = Buffer.from(crashed.wal)
      wal[at] = (wal[at] ?? 0) ^ 4
      await writeFile(file, crashed.db)
      await writeFile(`${file}-wal`, wal)
      results.add(await outcome())
    }
    // Either the log's own checksums drop it, and then the head file notices, or a seal does.
    expect([...results]).toEqual(['refused'])
  })
})

const i = (name: string): number => name.charCodeAt(0)
