import { isKeyferryError } from '../../errors.ts'
import type { Item, Token, Vault } from '../items/model.ts'
import { notFound } from '../refusals.ts'
import { type Activity, createActivity } from './activity.ts'
import {
  draft,
  DRAFT_KEYS,
  type Draft,
  itemKey,
  openItem,
  openToken,
  settle,
  tokenKey,
} from './draft.ts'
import type { Change, Engine, Key, Kind, Row, Seen, WriteState } from './engine.ts'
import { createFiles, type Files } from './files.ts'
import type { HeadFile } from './headfile.ts'
import { vaultKey } from './ledger.ts'
import {
  type Keyring,
  recordCache,
  type RecordCache,
  type TokenRecord,
  type VaultRecord,
} from './records.ts'
import { createSummaries, type ListedVault, type Summary } from './summaries.ts'

/** Bytes of summaries in memory: about 100,000 items. */
export const SUMMARY_BYTES: number = 64 * 1024 * 1024
const CACHED_RECORDS = 10_000
const EVERY = Number.MAX_SAFE_INTEGER

/** An item before and after a change, and its vault after it. */
export interface ItemChange {
  readonly before: Item | undefined
  readonly after: Item
  readonly vault: Vault
}

/**
 * Vaults, items, files and tokens, sealed at rest. Whatever a method resolves with is durable;
 * whatever is read reflects every write that was acknowledged before.
 * @throws KeyferryError REQUEST_REFUSED (404 and what the callbacks throw), STORE_DAMAGED,
 * STORE_UNAVAILABLE
 */
export interface Store {
  /** 26 characters. */
  readonly id: string
  readonly engine: Engine['name']
  vaults(): Promise<Vault[]>
  vault(id: string): Promise<Vault | undefined>
  /** Active items, ordered by nothing. */
  summaries(vault: Vault): Promise<readonly Summary[]>
  item(vault: string, id: string): Promise<Item | undefined>
  /** Ids of all items of a vault, archived ones too. */
  itemIds(vault: string): Promise<string[]>
  /** Adds an item whose id was made for it: nothing has to be looked up. */
  addItem(vault: string, make: (now: string) => Item): Promise<ItemChange>
  /** Creates or changes an item: `change` is a function of the item as it is. */
  writeItem(
    vault: string,
    id: string,
    change: (before: Item | undefined, now: string) => Item,
  ): Promise<ItemChange>
  /** @returns the item as it was */
  deleteItem(vault: string, id: string): Promise<Item>
  readonly files: Files
  token(id: string): Promise<Token | undefined>
  tokens(): Promise<Token[]>
  readonly activity: Activity
  /** Any change of several things at once; `decide` may run more than once. */
  change<T>(needs: Needs, decide: (draft: Draft) => T): Promise<T>
  writeState(): WriteState
  backup(file: string): Promise<void>
  /** Writes what is buffered and lets go of the store. */
  close(): Promise<void>
}

/** The rows that a change needs besides the store's own. */
export interface Needs {
  readonly keys?: readonly Key[]
  readonly ranges?: readonly { readonly kind: Kind; readonly scope: string }[]
}

/** The open parts that a store works on; `ring` is replaced by a rotation. */
export interface StoreParts {
  readonly id: string
  readonly engine: Engine
  readonly ring: () => Keyring
  readonly cache: RecordCache
  readonly summarise: (item: Item) => Summary
  /** Vaults whose summaries are known from the start. */
  readonly listed: readonly ListedVault[]
  readonly headFile: HeadFile | undefined
  readonly now: () => number
}

/** A cache for the records that are read over and over: vaults, tokens, the head. */
export const storeCache = (): RecordCache => recordCache(CACHED_RECORDS)

/** A store on open parts. */
export function createStore(parts: StoreParts): Store {
  const { engine, ring, cache } = parts
  const change = createChange(parts)
  const activity = createActivity(parts)
  const items = itemStore(parts, change)
  return {
    id: parts.id,
    engine: engine.name,
    vaults: async () => {
      const rows = await engine.page({ kind: 'vault', scope: '' }, '', EVERY)
      return rows.map((row) => openVault(row, ring(), cache))
    },
    async vault(id) {
      const row = await engine.get(vaultKey(id))
      return row && openVault(row, ring(), cache)
    },
    ...items.methods,
    files: createFiles(parts, change, items.note),
    async token(id) {
      const row = await engine.get(tokenKey(id))
      return row && { ...(cache.open(ring().all, row) as TokenRecord), id }
    },
    tokens: async () => {
      const rows = await engine.page({ kind: 'token', scope: '' }, '', EVERY)
      return rows.flatMap((row) => openToken(row, ring()) ?? [])
    },
    activity,
    change,
    writeState: () => engine.writeState(),
    backup: (file) => engine.backup(file),
    async close() {
      await activity.close()
      await parts.headFile?.close()
      await engine.close()
    },
  }
}

type ItemMethods = Pick<
  Store,
  'summaries' | 'item' | 'itemIds' | 'addItem' | 'writeItem' | 'deleteItem'
>

function itemStore(
  parts: StoreParts,
  change: Store['change'],
): { methods: ItemMethods; note: (done: ItemChange) => void } {
  const { engine, ring } = parts
  const open = (row: Row) => openItem(row, ring()) as Item
  const summaries = createSummaries(engine, open, parts.summarise, SUMMARY_BYTES)
  summaries.learn(parts.listed)
  const note = (done: ItemChange) => summaries.note(done.vault, done.after.id, done.after)
  const methods: ItemMethods = {
    summaries: (vault) => summaries.list(vault),
    async item(vault, id) {
      const row = await engine.get(itemKey(vault, id))
      return row && open(row)
    },
    itemIds: async (vault) => (await engine.versions('item', vault)).map(({ id }) => id),
    async addItem(vault, make) {
      const done = await change({ keys: [vaultKey(vault)] }, (d) =>
        applyItem(d, { vault, id: '' }, (_, now) => make(now)),
      )
      note(done)
      return done
    },
    async writeItem(vault, id, decide) {
      const done = await change({ keys: [vaultKey(vault), itemKey(vault, id)] }, (d) =>
        applyItem(d, { vault, id }, decide),
      )
      note(done)
      return done
    },
    async deleteItem(vault, id) {
      const done = await change({ keys: [vaultKey(vault), itemKey(vault, id)] }, (d) => {
        const item = d.items.get(vault, id)
        if (d.vaults.get(vault) === undefined) throw notFound('vault', vault)
        if (item === undefined) throw notFound('item', id)
        d.items.drop(vault, id)
        return { item, vault: d.vaults.get(vault) as Vault }
      })
      summaries.note(done.vault, id, undefined)
      return done.item
    },
  }
  return { methods, note }
}

/** Runs a draft as one atomic change of the engine and notes how far the store has come. */
export function createChange(parts: StoreParts): Store['change'] {
  const { engine, ring, cache, headFile, now } = parts
  const settleAll = (seen: Seen) => settle(seen, cache)
  return async (needs, decide) => {
    const change: Change<{ result: ReturnType<typeof decide>; counter: number }> = {
      keys: [...DRAFT_KEYS, ...(needs.keys ?? [])],
      ranges: needs.ranges ?? [],
      decide(seen) {
        const d = draft(seen, { ring: ring(), cache, nowMs: now() })
        const result = decide(d)
        const counter = (seen.get('meta', '', 'head')?.version ?? 0) + 1
        return d.finish({ result, counter })
      },
      settle: settleAll,
    }
    const { result, counter } = await commitThroughRotation(engine, ring, change)
    headFile?.note(counter)
    return result
  }
}

/** A change that was decided while this process rotated the keys is decided again. */
async function commitThroughRotation<T>(
  engine: Engine,
  ring: () => Keyring,
  change: Change<T>,
): Promise<T> {
  const { generation } = ring()
  try {
    return await engine.commit(change)
  } catch (error) {
    if (!isKeyferryError(error, 'STORE_KEY')) throw error
    await new Promise((resolve) => setImmediate(resolve))
    if (ring().generation === generation) throw error
    return commitThroughRotation(engine, ring, change)
  }
}

/** @throws KeyferryError REQUEST_REFUSED 404 when there is no such vault, and what decide throws */
function applyItem(
  d: Draft,
  { vault, id }: { vault: string; id: string },
  decide: Parameters<Store['writeItem']>[2],
): ItemChange {
  if (d.vaults.get(vault) === undefined) throw notFound('vault', vault)
  const before = id === '' ? undefined : d.items.get(vault, id)
  const after = decide(before, d.now)
  d.items.put(after)
  return { before, after, vault: d.vaults.get(vault) as Vault }
}

function openVault(row: Row, ring: Keyring, cache: RecordCache): Vault {
  const { digest: _, ...rest } = cache.open(ring.all, row) as VaultRecord
  return { ...rest, id: row.id, contentVersion: row.version }
}
