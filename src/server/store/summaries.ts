import type { Item, Vault } from '../items/model.ts'
import type { Engine, Row } from './engine.ts'

const PAGE_ROWS = 500
/** Rough bytes of an entry besides its texts. */
const ENTRY_BYTES = 200

/** An item as lists show it: no field, no value. */
export interface Summary {
  readonly id: string
  readonly version: number
  readonly title: string
  readonly tags: readonly string[]
  /** Archived items are in no list. */
  readonly active: boolean
  /** The summary as the API answers it. */
  readonly json: string
}

/**
 * Summaries of the vaults that were listed lately, decrypted once per item version. A vault's
 * content version tells whether they still hold, so that several processes may share one store.
 */
export interface Summaries {
  /** Active items. @param vault as read before the call: the answer is at least that new */
  list(vault: VaultVersion): Promise<readonly Summary[]>
  /**
   * Takes over a write of this process, when nothing else happened in between.
   * @param vault after the write
   * @param item after the write; `undefined` when it was deleted
   */
  note(vault: VaultVersion, id: string, item: Item | undefined): void
  /** Takes over what is known of whole vaults before anybody listed them. */
  learn(vaults: readonly ListedVault[]): void
}

/** A vault with the summaries of all its items. */
export interface ListedVault {
  readonly vault: VaultVersion
  readonly byId: Map<string, Summary>
}

/** Makes summaries of what passes by: items first, each vault's together, then the vaults. */
export interface SummaryCollector {
  item(item: Item): void
  vault(vault: VaultVersion): void
  /** The vaults whose summaries fit within the limit. */
  vaults(): readonly ListedVault[]
}

/** @param limitBytes of summaries; beyond, vaults are left out */
export function collectSummaries(
  summarise: (item: Item) => Summary,
  limitBytes: number,
): SummaryCollector {
  const found = new Map<string, Map<string, Summary>>()
  const vaults: ListedVault[] = []
  let bytes = 0
  return {
    item(item) {
      if (bytes > limitBytes) return
      const byId = found.get(item.vault) ?? new Map<string, Summary>()
      const summary = summarise(item)
      found.set(item.vault, byId.set(item.id, summary))
      bytes += size(summary)
      // Half a vault would be listed as the whole of it.
      if (bytes > limitBytes) found.delete(item.vault)
    },
    vault(vault) {
      const byId = found.get(vault.id)
      if (byId) vaults.push({ vault, byId })
    },
    vaults: () => vaults,
  }
}

/** A deleted vault may come back under its id: the date tells the two apart. */
export type VaultVersion = Pick<Vault, 'id' | 'createdAt' | 'contentVersion'>

interface Entry {
  contentVersion: number
  bytes: number
  readonly byId: Map<string, Summary>
}

/** @param limitBytes of summaries kept in memory; the vault listed longest ago goes first */
export function createSummaries(
  engine: Engine,
  open: (row: Row) => Item,
  summarise: (item: Item) => Summary,
  limitBytes: number,
): Summaries {
  const { entries, remember, keep } = memory(limitBytes)
  const running = new Map<string, Promise<Entry>>()
  const read = (row: Row) => summarise(open(row))

  const refresh = async (vault: VaultVersion): Promise<Entry> => {
    const known = entries.get(nameOf(vault))?.byId
    const byId = known
      ? await update(engine, vault.id, known, read)
      : await readAll(engine, vault.id, read)
    return keep({ vault, byId })
  }
  const current = async (vault: VaultVersion): Promise<Entry> => {
    const name = nameOf(vault)
    for (;;) {
      const entry = entries.get(name)
      if (entry !== undefined && entry.contentVersion >= vault.contentVersion) return entry
      const work = running.get(name) ?? refresh(vault)
      running.set(name, work)
      // A run that began for an earlier version may not show ours: look again.
      const done = await work.finally(() => running.delete(name))
      if (done.contentVersion >= vault.contentVersion) return done
    }
  }
  return {
    learn(vaults) {
      for (const listed of vaults) keep(listed)
    },
    async list(vault) {
      const entry = await current(vault)
      if (entries.has(nameOf(vault))) remember(nameOf(vault), entry)
      return [...entry.byId.values()].filter(({ active }) => active)
    },
    note(vault, id, item) {
      const entry = entries.get(nameOf(vault))
      if (entry === undefined || running.has(nameOf(vault))) return
      if (entry.contentVersion !== vault.contentVersion - 1) return
      entry.bytes -= size(entry.byId.get(id))
      if (item) entry.byId.set(id, summarise(item))
      else entry.byId.delete(id)
      entry.bytes += size(entry.byId.get(id))
      entry.contentVersion = vault.contentVersion
    },
  }
}

/** The entries, of which the one used longest ago goes first. */
function memory(limitBytes: number): {
  readonly entries: ReadonlyMap<string, Entry>
  remember(vault: string, entry: Entry): void
  keep(listed: ListedVault): Entry
} {
  const entries = new Map<string, Entry>()
  const remember = (vault: string, entry: Entry) => {
    entries.delete(vault)
    entries.set(vault, entry)
    let total = [...entries.values()].reduce((sum, { bytes }) => sum + bytes, 0)
    for (const [oldest, { bytes }] of entries) {
      if (total <= limitBytes || oldest === vault) break
      entries.delete(oldest)
      total -= bytes
    }
  }
  const keep = ({ vault, byId }: ListedVault): Entry => {
    const bytes = [...byId.values()].reduce((sum, summary) => sum + size(summary), 0)
    const entry = { contentVersion: vault.contentVersion, bytes, byId }
    remember(nameOf(vault), entry)
    return entry
  }
  return { entries, remember, keep }
}

const nameOf = ({ id, createdAt }: VaultVersion): string => `${id} ${createdAt}`

const size = (summary: Summary | undefined): number =>
  summary === undefined ? 0 : summary.json.length + ENTRY_BYTES

async function readAll(
  engine: Engine,
  vault: string,
  read: (row: Row) => Summary,
): Promise<Map<string, Summary>> {
  const byId = new Map<string, Summary>()
  let after = ''
  for (;;) {
    const rows = await engine.page({ kind: 'item', scope: vault }, after, PAGE_ROWS)
    for (const row of rows) byId.set(row.id, read(row))
    const last = rows.at(-1)
    if (last === undefined || rows.length < PAGE_ROWS) return byId
    after = last.id
    // A vault of 100,000 items must not hold up other requests.
    await new Promise<void>((resolve) => void setImmediate(resolve))
  }
}

async function update(
  engine: Engine,
  vault: string,
  known: ReadonlyMap<string, Summary>,
  read: (row: Row) => Summary,
): Promise<Map<string, Summary>> {
  const byId = new Map<string, Summary>()
  for (const { id, version } of await engine.versions('item', vault)) {
    const summary = known.get(id)
    if (summary?.version === version) {
      byId.set(id, summary)
      continue
    }
    const row = await engine.get({ kind: 'item', scope: vault, id })
    if (row) byId.set(id, read(row))
  }
  return byId
}
