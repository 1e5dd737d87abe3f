import type { Vault } from '../items/model.ts'
import type { Key, Kind, Row, Seen, Write } from './engine.ts'
import { keyText } from './engine.ts'
import {
  EMPTY_DIGEST,
  fingerprintOf,
  type Keyring,
  type RecordCache,
  sealRecord,
  toggle,
  type VaultRecord,
} from './records.ts'

/** Where the row of a vault is. */
export const vaultKey = (id: string): Key => ({ kind: 'vault', scope: '', id })

/** The rows of a change: as loaded, and as written so far. */
export interface RowBuffer {
  get(key: Key): Row | undefined
  /** Rows of a range that the change asked for. */
  range(kind: Kind, scope: string): Row[]
  put(row: Row): void
  drop(key: Key): void
  clear(kind: 'chunk' | 'item', scope: string): void
  readonly writes: readonly Write[]
}

const nameOf = (key: Key): string => keyText(key.kind, key.scope, key.id)

/** A buffer over what was loaded. */
export function rowBuffer(seen: Seen): RowBuffer {
  const written = new Map<string, Row | null>()
  const writes: Write[] = []
  return {
    writes,
    get(key) {
      const row = written.get(nameOf(key))
      return row === undefined ? seen.get(key.kind, key.scope, key.id) : (row ?? undefined)
    },
    range(kind, scope) {
      const rows = new Map(seen.range(kind, scope).map((row) => [nameOf(row), row]))
      for (const [name, row] of written) {
        if (row?.kind === kind && row.scope === scope) rows.set(name, row)
        else if (row === null) rows.delete(name)
      }
      return [...rows.values()]
    },
    put(row) {
      written.set(nameOf(row), row)
      writes.push({ op: 'put', row })
    },
    drop(key) {
      written.set(nameOf(key), null)
      writes.push({ op: 'drop', key })
    },
    clear: (kind, scope) => void writes.push({ op: 'clear', kind, scope }),
  }
}

/** The vaults of a change, with the digests of their items. */
export interface Ledger {
  get(id: string): Vault | undefined
  /** Every vault; the change must have asked for the range. */
  all(): Vault[]
  set(vault: Vault): void
  drop(id: string): void
  /** Counts one write to an item: digest, content version, active items, date. */
  record(vault: string, move: ItemMove): void
  /** Exchanges an item row for the same content under another key. */
  exchange(vault: string, before: Row, after: Row): void
  /** Lets the changes of this ledger count. */
  merge(): void
}

/** A write to an item, as its vault counts it. */
export interface ItemMove {
  readonly before: Row | undefined
  readonly after: Row | undefined
  /** Change in the number of active items. */
  readonly active: number
  readonly now: string
}

/** A vault within a group of changes. */
export interface VaultState {
  /** The row as loaded; absent for a new vault. */
  readonly row: Row | undefined
  readonly vault: Vault | undefined
  readonly digest: string
  readonly changed: boolean
}

/** @param group the vaults that earlier changes of the same transaction left */
export function ledger(
  seen: Seen,
  group: Map<string, VaultState>,
  ring: Keyring,
  cache: RecordCache,
): Ledger {
  const own = new Map<string, VaultState>()
  const load = (id: string): VaultState => {
    const known = own.get(id) ?? group.get(id)
    if (known) return known
    const state = loadVault(seen.get('vault', '', id), ring, cache)
    own.set(id, state)
    return state
  }
  const need = (id: string): VaultState & { vault: Vault } => {
    const { vault, ...state } = load(id)
    if (vault === undefined) throw new Error(`vault ${id} is not part of this change`)
    return { ...state, vault }
  }
  return {
    get: (id) => load(id).vault,
    all() {
      const stored = seen.range('vault', '').map(({ id }) => id)
      const ids = new Set([...stored, ...group.keys(), ...own.keys()])
      return [...ids].flatMap((id) => load(id).vault ?? [])
    },
    set: (vault) => void own.set(vault.id, { ...load(vault.id), vault, changed: true }),
    drop: (id) => void own.set(id, { ...load(id), vault: undefined, changed: true }),
    record(id, { before, after, active, now }) {
      const { row, vault, digest } = need(id)
      let next = digest
      if (before) next = toggle(next, fingerprintOf(ring.all, before))
      if (after) next = toggle(next, fingerprintOf(ring.all, after))
      const changed = {
        ...vault,
        active: vault.active + active,
        contentVersion: vault.contentVersion + 1,
        updatedAt: now,
      }
      own.set(id, { row, vault: changed, digest: next, changed: true })
    },
    exchange(id, before, after) {
      const { row, vault, digest } = need(id)
      const without = toggle(digest, fingerprintOf(ring.all, before))
      const next = toggle(without, fingerprintOf(ring.all, after))
      own.set(id, { row, vault, digest: next, changed: true })
    },
    merge() {
      for (const [id, state] of own) group.set(id, state)
    },
  }
}

/**
 * Seals the vaults that changed.
 * @param total digest of all vault rows before
 * @returns that digest after, and the writes
 */
export function sealVaults(
  vaults: ReadonlyMap<string, VaultState>,
  total: string,
  ring: Keyring,
): { total: string; writes: Write[] } {
  const writes: Write[] = []
  let sum = total
  for (const [id, state] of vaults) {
    if (!state.changed) continue
    if (state.row) sum = toggle(sum, fingerprintOf(ring.all, state.row))
    const row = sealVault(state, ring)
    if (row) sum = toggle(sum, fingerprintOf(ring.all, row))
    writes.push(row ? { op: 'put', row } : { op: 'drop', key: vaultKey(id) })
  }
  return { total: sum, writes }
}

function loadVault(row: Row | undefined, ring: Keyring, cache: RecordCache): VaultState {
  if (row === undefined) return { row, vault: undefined, digest: EMPTY_DIGEST, changed: false }
  const { digest, ...rest } = cache.open(ring.all, row) as VaultRecord
  const vault = { ...rest, id: row.id, contentVersion: row.version }
  return { row, vault, digest, changed: false }
}

function sealVault({ vault, digest }: VaultState, ring: Keyring): Row | undefined {
  if (vault === undefined) return undefined
  const { id, contentVersion: version, ...rest } = vault
  const record: VaultRecord = { ...rest, digest }
  return sealRecord(ring.current, { ...vaultKey(id), version }, record)
}
