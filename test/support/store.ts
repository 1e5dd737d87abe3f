import { rm } from 'node:fs/promises'
import path from 'node:path'
import { newId } from '../../src/server/ids.ts'
import type { Item } from '../../src/server/items/model.ts'
import type { Admin } from '../../src/server/admin/admin.ts'
import { type OpenedStore, openStoreAt, type StoreOptions } from '../../src/server/listen.ts'
import { tempDir } from './server.ts'

/** A store of its own, open in this process, that can be closed and opened again. */
export interface TestStore extends AsyncDisposable {
  readonly dir: string
  /** The SQLite file. */
  readonly file: string
  readonly opened: OpenedStore
  readonly admin: Admin
  readonly warnings: readonly string[]
  readonly options: StoreOptions
  close(): Promise<void>
  open(options?: Partial<StoreOptions>): Promise<OpenedStore>
  reopen(options?: Partial<StoreOptions>): Promise<OpenedStore>
}

export async function testStore(url?: string): Promise<TestStore> {
  const dir = await tempDir()
  const warnings: string[] = []
  const usual: StoreOptions = { dir, ...(url ? { url } : {}), key: { kind: 'managed', dir } }
  const open = (options: Partial<StoreOptions> = {}) =>
    openStoreAt({ ...usual, ...options }, (message) => warnings.push(message))
  let opened: OpenedStore | undefined = await open()
  const close = async () => {
    await opened?.store.close()
    opened = undefined
  }
  const current = () => {
    if (opened === undefined) throw new Error('the store is closed')
    return opened
  }
  return {
    dir,
    file: path.join(dir, 'connect.sqlite'),
    warnings,
    options: usual,
    get opened() {
      return current()
    },
    get admin() {
      return current().admin
    },
    close,
    async open(options) {
      opened = await open(options)
      return opened
    },
    async reopen(options) {
      await close()
      opened = await open(options)
      return opened
    },
    async [Symbol.asyncDispose]() {
      await close()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** Content for an item; the fields that a test does not care about are filled in. */
export function anItem(vault: string, content: Partial<Item> = {}): Item {
  return {
    id: newId(),
    vault,
    version: 1,
    title: 'An item',
    category: 'SERVER',
    favorite: false,
    tags: [],
    urls: [],
    sections: [],
    fields: [{ id: 'f', type: 'STRING', label: 'f', value: 'value' }],
    files: [],
    createdAt: '2024-01-01T00:00:00Z',
    updatedAt: '2024-01-01T00:00:00Z',
    lastEditedBy: 'X',
    ...content,
  }
}

/** Writes an item as the API would: one version more than it has. */
export async function write({ opened }: Pick<TestStore, 'opened'>, item: Item): Promise<Item> {
  const done = await opened.store.writeItem(item.vault, item.id, (before, now) => ({
    ...item,
    version: (before?.version ?? 0) + 1,
    updatedAt: now,
  }))
  return done.after
}

/** Members in a fixed order: an item says the same in whatever order it was put together. */
function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const { type, data } = value as { type?: unknown; data?: number[] }
  if (type === 'Buffer' && data) return Buffer.from(data).toString('base64')
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/** Everything a store holds, as text that can be compared. */
export async function contentOf({ admin, store }: OpenedStore): Promise<string> {
  const all = { size: 100_000, now: await admin.exportVaults(), tokens: await admin.tokens() }
  const activity = await store.activity.list(() => true, { limit: all.size, offset: 0 })
  return JSON.stringify({ ...all, activity }, (_, value: unknown) => sorted(value))
}
