import { copyFile, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openStoreAt } from '../../src/server/listen.ts'
import { createRandom } from '../simulation/random.ts'
import { isFull, SEED, tally } from '../support/gates.ts'
import { tempDir } from '../support/server.ts'
import { tell } from '../support/skip.ts'
import { anItem, contentOf, type TestStore, testStore, write } from '../support/store.ts'

/** Files with sectors that were never written, over all transactions. */
const TORN = isFull ? 2_000 : 300
/** Chance decides which sectors; `KEYFERRY_SEED=… npm run test:contract -- power-loss` repeats it. */
const random = createRandom(SEED)
/** What a disk writes as one. */
const SECTOR = 512
/** Frames of the write-ahead log: a header of its own, then a page. Source: sqlite.org/walformat.html */
const [LOG_HEADER, FRAME_HEADER, PAGE] = [32, 24, 4096] as const

/** The files of a store at one moment. */
interface Files {
  readonly db: Buffer
  readonly log: Buffer
}

/** One transaction: what was durable before it, what it wrote, and what the store then holds. */
interface Transaction {
  readonly name: string
  readonly before: Files
  readonly after: Files
  readonly contents: readonly [before: string, after: string]
  /** How far the store had come, as its head file says it at least. */
  readonly head: Buffer
}

/**
 * What is on the disk when power or process is lost: the database file is not touched by a
 * transaction, and of what was appended to the log any part may be there until the sync that
 * precedes the acknowledgement.
 */
describe('a store after a crash at any moment of a transaction', () => {
  let source: TestStore
  let dir: string
  const transactions: Transaction[] = []

  const filesOf = async (): Promise<Files> => ({
    db: await readFile(source.file),
    log: await readFile(`${source.file}-wal`),
  })
  const head = () => readFile(path.join(source.dir, 'connect.head'))

  /** Runs one change and keeps what it did to the files. */
  const record = async (name: string, change: () => Promise<unknown>) => {
    const [before, beforeText, headBefore] = [await filesOf(), await text(), await head()]
    await change()
    const [after, afterText] = [await filesOf(), await text()]
    expect(after.db.equals(before.db), `${name} leaves the database file alone`).toBe(true)
    const contents = [beforeText, afterText] as const
    transactions.push({ name, before, after, contents, head: headBefore })
  }
  /** Without the activity, which is written when it pleases. */
  const text = () => contentOf(source.opened)

  beforeAll(async () => {
    source = await testStore()
    dir = await tempDir()
    await copyFile(path.join(source.dir, 'store.key'), path.join(dir, 'store.key'))
    const { id } = await source.admin.createVault('V')
    const item = await write(source, anItem(id, { title: 'first' }))
    // Opened anew, so that the log begins empty and the head file says what is there.
    await source.reopen()
    await source.admin.renameVault('V', 'Vault')
    const [content, large] = [Buffer.alloc(20_000, 7), Buffer.alloc(2_000_000, 8)]
    await record('a vault', () => source.admin.createVault('W'))
    await record('an item', () => write(source, anItem(id, { title: 'second' })))
    await record('a change', () => write(source, { ...item, title: 'changed' }))
    await record('a file', () =>
      source.admin.addFile({ vault: id, item: item.id, name: 'f', content }),
    )
    await record('a token', () => source.admin.createToken({ vaults: { W: 'rw' }, form: 'opaque' }))
    await record('a renamed vault', () => source.admin.renameVault('W', 'X'))
    await record('an import', () => source.admin.importVaults([imported('I', 20)], false))
    await record('a deleted item', () => source.opened.store.deleteItem(id, item.id))
    await record('a deleted vault', () => source.admin.deleteVault('I', true))
    // Enough to merge the log into the file: the next transaction begins the log anew, over the
    // frames of the old one.
    const merged = (await filesOf()).db
    for (let n = 0; merged.equals((await filesOf()).db); n++) {
      if (n > 100) throw new Error('the log is never merged')
      await source.admin.addFile({ vault: id, item: 'second', name: 'large', content: large })
      await source.admin.removeFile(id, 'second', 'large')
    }
    await record('an item in a log begun anew', () => write(source, anItem(id, { title: 'third' })))
  }, 120_000)
  afterAll(async () => {
    await source[Symbol.asyncDispose]()
    await rm(dir, { recursive: true, force: true })
  })

  /** What a store that finds these files holds, or why it does not open. */
  const outcome = async ({ db, log }: Files, headBytes: Buffer): Promise<string> => {
    const file = path.join(dir, 'connect.sqlite')
    await rm(`${file}-shm`, { force: true })
    await writeFile(file, db)
    await writeFile(`${file}-wal`, log)
    await writeFile(path.join(dir, 'connect.head'), headBytes)
    const opened = await openStoreAt({ dir, key: { kind: 'managed', dir } }, () => undefined)
    try {
      return await contentOf(opened)
    } finally {
      await opened.store.close()
    }
  }
  const outcomeOf = async (image: Files, { contents, head: at }: Transaction) => {
    const found = await outcome(image, at).catch(
      (error: unknown) => `does not open: ${String(error)}`,
    )
    if (found === contents[1]) return 'after'
    if (found === contents[0]) return 'before'
    return found.startsWith('does not open') ? found : 'neither'
  }

  test('killed before any of its writes, it holds nothing of the transaction', {
    timeout: 600_000,
  }, async () => {
    const wrong: string[] = []
    let trials = 0
    const judge = async (image: Files, transaction: Transaction, wanted: string, at: string) => {
      trials += 1
      const found = await outcomeOf(image, transaction)
      if (found !== wanted) wrong.push(`${transaction.name}, ${at}: ${found}`)
    }
    for (const transaction of transactions) {
      const { before, after } = transaction
      for (const [n, end] of writesOf(before, after).entries()) {
        const log = Buffer.concat([after.log.subarray(0, end), before.log.subarray(end)])
        await judge({ db: after.db, log }, transaction, 'before', `before write ${n}`)
      }
      // The last write is followed by the sync: from there on, it must hold.
      await judge(after, transaction, 'after', 'before it is answered')
    }
    tell(`${trials} images of ${transactions.length} transactions cut at a write`)
    const violations = wrong.length
    await tally({
      gate: 14,
      what: 'writes and syncs of the store, killed before',
      trials,
      violations,
    })
    expect(wrong).toEqual([])
    expect(transactions.length).toBeGreaterThanOrEqual(10)
  })

  test('without power, it holds the transaction or does not', { timeout: 600_000 }, async () => {
    const each = Math.ceil(TORN / transactions.length)
    const wrong: string[] = []
    let trials = 0
    for (const transaction of transactions) {
      const { before, after, name } = transaction
      for (let n = 0; n < each; n++) {
        const image = { db: after.db, log: tornLog(before, after, n / each) }
        const found = await outcomeOf(image, transaction)
        trials += 1
        if (!['before', 'after'].includes(found))
          wrong.push(`${name}, image ${n} of ${each}: ${found}`)
      }
    }
    tell(`${trials} images with sectors that were never written`)
    const violations = wrong.length
    await tally({ gate: 14, what: 'torn images of the store', trials, violations, seed: SEED })
    expect(wrong, `KEYFERRY_SEED=${SEED}`).toEqual([])
  })

  test('without power while the log is merged into the file, it holds everything', async () => {
    const [before, content, at] = [await filesOf(), await text(), await head()]
    await source.close()
    const db = await readFile(source.file)
    expect(db.equals(before.db)).toBe(false)
    for (let n = 0; n < 20; n++) {
      const merged = torn(before.db, db, n / 20)
      expect(await outcome({ db: merged, log: before.log }, at)).toBe(content)
    }
    // The file is synced before the log is cut.
    expect(await outcome({ db, log: Buffer.alloc(0) }, at)).toBe(content)
  }, 120_000)
})

const imported = (name: string, count: number) => ({
  name,
  items: Array.from({ length: count }, (_, n) => ({
    input: { title: `${name} ${n}`, category: 'SERVER' },
    files: [],
  })),
})

/** Where each write of a transaction to the log begins: frame headers, pages, the log's header. */
function writesOf(before: Files, after: Files): number[] {
  const [first, last] = changedRange(before.log, after.log)
  const points = [first]
  for (let at = LOG_HEADER; at < last; at += FRAME_HEADER + PAGE) {
    points.push(at, at + FRAME_HEADER)
  }
  return points.filter((point) => point >= first && point <= last)
}

/** The log with each sector that the transaction wrote there or not, and at any length. */
function tornLog(before: Files, after: Files, share: number): Buffer {
  const log = torn(before.log, after.log, share)
  // A log begun anew has its header synced before anything else is written to it.
  after.log.copy(log, 0, 0, LOG_HEADER)
  const cut = random.chance(0.3)
  const { length } = before.log
  return cut ? log.subarray(0, length + Math.floor(random.next() * (log.length - length))) : log
}

/** `after`, with a share of the sectors that differ as they were before; new ones then are zero. */
function torn(before: Buffer, after: Buffer, share: number): Buffer {
  const image = Buffer.from(after)
  for (let at = 0; at < image.length; at += SECTOR) {
    if (random.chance(share)) continue
    image.fill(0, at, Math.min(at + SECTOR, image.length))
    if (at < before.length) before.copy(image, at, at, at + SECTOR)
  }
  return image
}

/** Where two logs begin to differ, and where they are equal again to their end. */
function changedRange(before: Buffer, after: Buffer): [first: number, last: number] {
  const common = Math.min(before.length, after.length)
  let first = 0
  while (first < common && before[first] === after[first]) first += 1
  let last = after.length
  if (after.length === before.length)
    while (last > first && before[last - 1] === after[last - 1]) last -= 1
  return [first, last]
}
