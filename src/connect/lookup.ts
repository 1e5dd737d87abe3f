/**
 * From what a person wrote to an id, by one rule for vaults and items: an id before a name, the
 * bound object before others of the same name, then the oldest, then the smallest id. The order
 * in which a server lists things never decides.
 */
import { isId } from './model.ts'

interface Named {
  readonly id: string
  readonly createdAt: string
}

/**
 * The vault that `name` means. Names compare without regard to case, as Connect's own filter does.
 */
export function findVault<V extends Named & { readonly name: string }>(
  vaults: readonly V[],
  name: string,
): V | undefined {
  const wanted = name.toLowerCase()
  return find(vaults, name, (vault) => vault.name.toLowerCase() === wanted)
}

/**
 * The item that `title` means; titles compare exactly. Archived and deleted items (those with a
 * `state`) are never meant.
 *
 * @param boundId the item that was meant before: it keeps being meant while it bears the title
 */
export function findItem<I extends Named & { readonly title: string; readonly state?: unknown }>(
  items: readonly I[],
  title: string,
  boundId?: string,
): I | undefined {
  const active = items.filter(({ state }) => state === undefined)
  return find(active, title, (item) => item.title === title, boundId)
}

function find<T extends Named>(
  things: readonly T[],
  name: string,
  bears: (thing: T) => boolean,
  boundId?: string,
): T | undefined {
  const byId = isId(name) ? things.find(({ id }) => id === name) : undefined
  if (byId) return byId
  const candidates = things.filter(bears)
  return candidates.find(({ id }) => id === boundId) ?? candidates.toSorted(olderFirst)[0]
}

function olderFirst(a: Named, b: Named): number {
  return ageOf(a) - ageOf(b) || (a.id < b.id ? -1 : 1)
}

/** Timestamps with and without a fraction do not compare as text; one that is none is the oldest. */
function ageOf({ createdAt }: Named): number {
  const ms = Date.parse(createdAt)
  return Number.isNaN(ms) ? Number.NEGATIVE_INFINITY : ms
}
