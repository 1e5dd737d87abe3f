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
}

/** A new list over the held one: steps back and disappearances wait until they are confirmed. */
export function mergeItems(
  vault: Vault,
  held: ItemList | undefined,
  answered: readonly ItemHead[],
  { doubts, now }: { readonly doubts: ItemDoubts; readonly now: number },
): ItemList {
  const byId = new Map<string, ItemHead>()
  let doubtful = false
  for (const item of answered) {
    doubts.gone.clear(item.id)
    const before = held?.byId.get(item.id)
    const back = before !== undefined && item.version < before.version
    if (!back) doubts.back.clear(item.id)
    const keep = back && !doubts.back.confirm(item.id)
    byId.set(item.id, keep ? before : headOf(item))
    doubtful ||= keep
  }
  for (const [id, before] of held?.byId ?? []) {
    if (byId.has(id) || doubts.gone.confirm(id)) continue
    byId.set(id, before)
    doubtful = true
  }
  const { contentVersion, attributeVersion } = vault
  const byTitle = Map.groupBy(byId.values(), ({ title }) => title)
  return { contentVersion, attributeVersion, byId, byTitle, listedAt: now, doubtful }
}

/** Of a hundred thousand items no more is kept than is needed. */
function headOf({ id, title, vault, version, createdAt, tags, state }: ItemHead): ItemHead {
  return { id, title, vault, version, createdAt, tags, state }
}

/** Items that a name may mean: those with it as id or title. */
export function candidates(list: ItemList, name: string): ItemHead[] {
  const named = list.byId.get(name)
  return [...(named ? [named] : []), ...(list.byTitle.get(name) ?? [])]
}
