import { newId } from '../ids.ts'
import { assertItemInput } from '../items/check.ts'
import { readItem } from '../items/input.ts'
import type { Item, Vault } from '../items/model.ts'
import type { Draft } from '../store/draft.ts'
import { putFile } from '../store/files.ts'
import type { Store } from '../store/store.ts'
import { invalid, newVault, sameName } from './names.ts'

/** A file to be imported with its item. */
export interface ImportFile {
  readonly name: string
  /** Id of a section of the item. */
  readonly section?: string
  readonly content: Uint8Array
}

/** An item to be imported. Ids, versions and dates are taken over where given. */
export interface ImportItem {
  readonly id?: string
  readonly version?: number
  readonly state?: 'ARCHIVED'
  readonly createdAt?: string
  readonly updatedAt?: string
  /** Checked by the importer. */
  readonly input: unknown
  readonly files: readonly ImportFile[]
}

/** A vault to be imported. */
export interface ImportVault {
  readonly id?: string
  readonly name: string
  readonly description?: string
  readonly items: readonly ImportItem[]
}

/** What an import did. */
export interface ImportResult {
  readonly vaults: number
  readonly created: number
  readonly replaced: number
  readonly files: number
}

/** A vault with everything in it: not for logs. */
export interface ExportedVault {
  readonly id: string
  readonly name: string
  readonly description?: string
  readonly items: readonly ExportedItem[]
}

/** An item with everything in it: not for logs. */
export interface ExportedItem extends Omit<Item, 'vault' | 'files'> {
  readonly files: readonly { name: string; section?: string; content: Buffer }[]
}

/**
 * Imports vaults, all or nothing: one change of the store. Vaults are found by id, then name,
 * and made where missing.
 * @param replace whether an item of the same id, or else the same title, is replaced; without
 * it the same id is refused and the same title makes a second item
 * @throws KeyferryError INPUT_INVALID naming the vault and the title
 */
export async function importVaults(
  store: Store,
  vaults: readonly ImportVault[],
  replace: boolean,
): Promise<ImportResult> {
  const known = await store.vaults()
  const targets = vaults.map((vault) => ({ vault, id: targetId(known, vault) }))
  const items = targets.map(({ id }) => ({ kind: 'item', scope: id }) as const)
  const ranges = [{ kind: 'vault', scope: '' } as const, ...items]
  return store.change({ ranges }, (draft) => {
    const result = { vaults: 0, created: 0, replaced: 0, files: 0 }
    for (const { vault, id } of targets) {
      result.vaults += ensureVault(draft, id, vault)
      const titles = replace ? titlesOf(draft, id) : new Map<string, Item>()
      for (const item of vault.items) {
        const old = existing(draft.items.get(id, item.id ?? ''), item, titles, replace)
        putImported(draft, { vault: id, item, old, editor: store.id.toUpperCase() })
        result[old ? 'replaced' : 'created'] += 1
        result.files += item.files.length
      }
    }
    return result
  })
}

function targetId(known: readonly Vault[], { id, name }: ImportVault): string {
  const found = known.find((vault) => vault.id === id) ?? known.find(sameName(name))
  return found?.id ?? id ?? newId()
}

/** @returns how many vaults were made: 0 or 1 */
function ensureVault(draft: Draft, id: string, { name, description }: ImportVault): number {
  if (draft.vaults.get(id)) return 0
  draft.vaults.set(newVault(id, name, draft.now, description))
  return 1
}

function titlesOf(draft: Draft, vault: string): Map<string, Item> {
  return new Map(draft.items.all(vault).map((item) => [item.title, item]))
}

function existing(
  same: Item | undefined,
  item: ImportItem,
  titles: ReadonlyMap<string, Item>,
  replace: boolean,
): Item | undefined {
  if (same && !replace) {
    throw invalid(`item ${item.id} exists already`, 'Use --replace to replace existing items.')
  }
  if (same || item.id !== undefined) return same
  return titles.get(titleOf(item))
}

interface Import {
  readonly vault: string
  readonly item: ImportItem
  readonly old: Item | undefined
  readonly editor: string
}

function putImported(draft: Draft, { vault, item, old, editor }: Import): void {
  const input = checked(item.input, titleOf(item))
  for (const file of old?.files ?? []) draft.rows.clear('chunk', file.id)
  const files = item.files.map((file) => putFile(draft, file))
  draft.items.put({
    ...input,
    id: old?.id ?? item.id ?? newId(),
    vault,
    version: Math.max(item.version ?? 1, (old?.version ?? 0) + 1),
    files,
    createdAt: old?.createdAt ?? item.createdAt ?? draft.now,
    updatedAt: item.updatedAt ?? draft.now,
    lastEditedBy: editor,
    ...(item.state ? { state: item.state } : {}),
  })
}

function titleOf({ input }: ImportItem): string {
  const title = (input as { title?: unknown } | null)?.title
  return typeof title === 'string' ? title : ''
}

function checked(input: unknown, title: string): ReturnType<typeof readItem> {
  try {
    assertItemInput(input)
    return readItem(input)
  } catch (error) {
    const detail = error instanceof Error ? error.message : 'it cannot be read'
    throw invalid(
      `item ${title || '(without title)'}: ${detail}`,
      'Correct it; nothing was imported.',
    )
  }
}

/** Everything in the vaults, in plain text. */
export async function exportVaults(
  store: Store,
  vaults: readonly Vault[],
): Promise<ExportedVault[]> {
  const exported: ExportedVault[] = []
  for (const { id, name, description } of vaults) {
    const items: ExportedItem[] = []
    for (const itemId of await store.itemIds(id)) {
      const item = await store.item(id, itemId)
      if (item) items.push(await exportItem(store, item))
    }
    exported.push({ id, name, ...(description ? { description } : {}), items })
  }
  return exported
}

async function exportItem(store: Store, item: Item): Promise<ExportedItem> {
  const { vault: _, files, ...rest } = item
  const contents = await Promise.all(
    files.map(async (file) => {
      const parts: Buffer[] = []
      for await (const part of store.files.content(file)) parts.push(part)
      const section = file.section === undefined ? {} : { section: file.section }
      return { name: file.name, ...section, content: Buffer.concat(parts) }
    }),
  )
  return { ...rest, files: contents }
}
