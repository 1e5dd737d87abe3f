import type { ItemHead, Vault } from '../../connect/model.ts'
import type { Doubts } from './doubts.ts'

/** The items of one vault, as last listed. */
export interface ItemList {
  /** Versions of the vault as they were before the items were listed. */
  readonly contentVersion: number
  readonly attributeVersion: number
  readonly byId: ReadonlyMap<string, ItemHead>
  readonly byTitle: ReadonlyMap<string, readonly ItemHead[]>
  /** Monotonic milliseconds. */
  readonly listedAt: number
  /** Whether a step back awaits confirmation, so that the vault is listed again next time. */
  readonly doubtful: boolean
}

/** What tells a step back from an old answer. */
export interface ItemDoubts {
  /** Versions that went back. */
  readonly back: Doubts
  /** Items that vanished. */
  readonly gone: Doubts
  /** Vaults that moved while none of their items did. */
  readonly still: Doubts
}

const NO_TAGS: ItemHead['tags'] = []

/** A new list over the held one: steps back and disappearances wait until they are confirmed. */
export function mergeItems(
  vault: Vault,
  held: ItemList | undefined,
  answered: readonly ItemHead[],
  { doubts, now }: { readonly doubts: ItemDoubts; readonly now: number },
): ItemList {
  const byId = new Map<string, ItemHead>()
  const own = { id: vault.id }
  let doubtful = false
  for (const item of answered) {
    doubts.gone.clear(item.id)
    const before = held?.byId.get(item.id)
    const back = before !== undefined && item.version < before.version
    if (!back) doubts.back.clear(item.id)
    const keep = back && !doubts.back.confirm(item.id)
    byId.set(item.id, keep ? before : headOf(item, item.vault.id === own.id ? own : item.vault))
    doubtful ||= keep
  }
  for (const [id, before] of held?.byId ?? []) {
    if (byId.has(id) || doubts.gone.confirm(id)) continue
    byId.set(id, before)
    doubtful = true
  }
  const byTitle = Map.groupBy(byId.values(), ({ title }) => title)
  const { contentVersion, attributeVersion } = versionsAfter(vault, held, byId, doubts)
  return { contentVersion, attributeVersion, byId, byTitle, listedAt: now, doubtful }
}

/**
 * The versions of the vault that the items are of. Where it moved and they did not, a replica that
 * lags behind may have listed them: until that is unlikely, its former versions count.
 */
function versionsAfter(
  vault: Vault,
  held: ItemList | undefined,
  byId: ItemList['byId'],
  { still }: ItemDoubts,
): Pick<ItemList, 'contentVersion' | 'attributeVersion'> {
  const moved = held !== undefined && vault.contentVersion > held.contentVersion
  if (moved && isSame(held.byId, byId) && !still.confirm(vault.id)) return held
  still.clear(vault.id)
  return vault
}

function isSame(a: ItemList['byId'], b: ItemList['byId']): boolean {
  return a.size === b.size && b.values().every(({ id, version }) => a.get(id)?.version === version)
}

/** Of a hundred thousand items no more is kept than is needed. */
function headOf(item: ItemHead, vault: ItemHead['vault']): ItemHead {
  const { id, title, version, createdAt, state } = item
  const tags = item.tags.length === 0 ? NO_TAGS : item.tags
  return { id, title, vault, version, createdAt, tags, state }
}

/** Items that a name may mean: those with it as id or title. */
export function candidates(list: ItemList, name: string): ItemHead[] {
  const named = list.byId.get(name)
  return [...(named ? [named] : []), ...(list.byTitle.get(name) ?? [])]
}
