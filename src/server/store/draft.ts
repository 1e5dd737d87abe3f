import type { Item, Token } from '../items/model.ts'
import { timestamp } from '../items/model.ts'
import type { Decision, Key, Row, Seen, Write } from './engine.ts'
import {
  type Ledger,
  ledger,
  type RowBuffer,
  rowBuffer,
  sealVaults,
  type VaultState,
} from './ledger.ts'
import {
  assertGeneration,
  EMPTY_DIGEST,
  fingerprintOf,
  HEAD,
  type HeadRecord,
  type Keyring,
  KEYRING,
  openRecord,
  type RecordCache,
  sealBytes,
  sealRecord,
  type TokenRecord,
  toggle,
} from './records.ts'

/** Keys that every draft needs to have been loaded. */
export const DRAFT_KEYS: readonly Key[] = [HEAD, KEYRING]

/** Where the row of an item is. */
export const itemKey = (vault: string, id: string): Key => ({ kind: 'item', scope: vault, id })
/** Where the row of a token is. */
export const tokenKey = (id: string): Key => ({ kind: 'token', scope: '', id })

/** What opens and seals the rows of a draft. */
export interface DraftContext {
  readonly ring: Keyring
  readonly cache: RecordCache
  /** Unix milliseconds. */
  readonly nowMs: number
}

/**
 * A change being put together: reads what was loaded, collects writes, and keeps the vaults'
 * content versions, counts and all fingerprints in step with them.
 */
export interface Draft {
  /** RFC 3339; one moment for the whole draft. */
  readonly now: string
  readonly vaults: Omit<Ledger, 'record' | 'merge'>
  readonly items: {
    get(vault: string, id: string): Item | undefined
    /** Every item of a vault whose range the change asked for. */
    all(vault: string): Item[]
    put(item: Item): void
    drop(vault: string, id: string): void
  }
  readonly tokens: {
    get(id: string): Token | undefined
    put(token: Token): void
  }
  /** Rows that no fingerprint covers: contents of files, which their items' digests cover. */
  readonly rows: RowBuffer
  seal(at: Key & { readonly version: number }, plain: Uint8Array): Row
  finish<T>(result: T): Decision<T>
}

/** What the changes of one transaction have in common: vaults and head are sealed once. */
interface Group {
  readonly ring: Keyring
  readonly vaults: Map<string, VaultState>
  tokens: string
}

const groups = new WeakMap<Seen, Group>()

/** @throws KeyferryError STORE_DAMAGED when a loaded record fails its seal */
export function draft(seen: Seen, context: DraftContext): Draft {
  const { ring, cache } = context
  assertGeneration(seen.get('meta', '', 'keyring'), ring)
  const group = groups.get(seen) ?? {
    ring,
    vaults: new Map(),
    tokens: openHead(seen, ring, cache).tokens,
  }
  const now = timestamp(context.nowMs)
  const rows = rowBuffer(seen)
  const vaults = ledger(seen, group.vaults, ring, cache)
  const tokens = tokenDraft(rows, ring, group.tokens)
  return {
    now,
    vaults,
    items: itemDraft(rows, vaults, ring, now),
    tokens,
    rows,
    seal: (at, plain) => sealBytes(ring.current, at, plain),
    finish(result) {
      vaults.merge()
      group.tokens = tokens.digest()
      groups.set(seen, group)
      return { writes: rows.writes, result }
    },
  }
}

/** Seals, for all drafts of a transaction, the vaults they changed and the head. */
export function settle(seen: Seen, cache: RecordCache): readonly Write[] {
  const group = groups.get(seen)
  if (group === undefined) return []
  // Once: a transaction may hold changes of several makers, and each of them settles it.
  groups.delete(seen)
  const { ring, tokens } = group
  const head = openHead(seen, ring, cache)
  const { total, writes } = sealVaults(group.vaults, head.vaults, ring)
  const version = (seen.get('meta', '', 'head')?.version ?? 0) + 1
  const next: HeadRecord = { vaults: total, tokens }
  return [...writes, { op: 'put', row: sealRecord(ring.current, { ...HEAD, version }, next) }]
}

function openHead(seen: Seen, ring: Keyring, cache: RecordCache): HeadRecord {
  const row = seen.get('meta', '', 'head')
  if (row === undefined) return { vaults: EMPTY_DIGEST, tokens: EMPTY_DIGEST }
  return cache.open(ring.all, row) as HeadRecord
}

function itemDraft(rows: RowBuffer, vaults: Ledger, ring: Keyring, now: string): Draft['items'] {
  return {
    get: (vault, id) => openItem(rows.get(itemKey(vault, id)), ring),
    all: (vault) => rows.range('item', vault).flatMap((row) => openItem(row, ring) ?? []),
    put(item) {
      const { id, vault, version, ...content } = item
      const before = rows.get(itemKey(vault, id))
      const after = sealRecord(ring.current, { ...itemKey(vault, id), version }, content)
      const active = isActive(item) - isActive(openItem(before, ring))
      openedItems.set(after, item)
      rows.put(after)
      vaults.record(vault, { before, after, active, now })
    },
    drop(vault, id) {
      const before = rows.get(itemKey(vault, id))
      const item = openItem(before, ring)
      if (before === undefined || item === undefined) return
      for (const file of item.files) rows.clear('chunk', file.id)
      rows.drop(itemKey(vault, id))
      vaults.record(vault, { before, after: undefined, active: -isActive(item), now })
    },
  }
}

function tokenDraft(
  rows: RowBuffer,
  ring: Keyring,
  start: string,
): Draft['tokens'] & { digest(): string } {
  let digest = start
  return {
    digest: () => digest,
    get: (id) => openToken(rows.get(tokenKey(id)), ring),
    put({ id, ...record }) {
      const before = rows.get(tokenKey(id))
      const after = sealRecord(ring.current, { ...tokenKey(id), version: 1 }, record)
      if (before) digest = toggle(digest, fingerprintOf(ring.all, before))
      digest = toggle(digest, fingerprintOf(ring.all, after))
      rows.put(after)
    },
  }
}

const isActive = (item: Item | undefined): number =>
  item !== undefined && item.state === undefined ? 1 : 0

/** Items of rows that someone still holds: an engine's cache, or a change under way. */
const openedItems = new WeakMap<Row, Item>()

/** @throws KeyferryError STORE_DAMAGED */
export function openItem(row: Row | undefined, ring: Keyring): Item | undefined {
  if (row === undefined) return undefined
  const known = openedItems.get(row)
  if (known) return known
  const content = openRecord(ring.all, row) as Omit<Item, 'id' | 'vault' | 'version'>
  const item = { ...content, id: row.id, vault: row.scope, version: row.version }
  openedItems.set(row, item)
  return item
}

/** @throws KeyferryError STORE_DAMAGED */
export function openToken(row: Row | undefined, ring: Keyring): Token | undefined {
  return row && { ...(openRecord(ring.all, row) as TokenRecord), id: row.id }
}
