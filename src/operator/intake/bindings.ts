import type { ItemPath } from '../../connect/item-path.ts'
import type { Resolution } from '../plan/types.ts'

/**
 * Which item each claim's path meant when the claim was last worked: a poll enqueues those for
 * which it means something else now.
 */
export interface Bindings {
  /** @param key of the claim */
  note(key: string, path: ItemPath, resolution: Resolution): void
  drop(key: string): void
  /** Ids of the vaults that claims draw from. */
  vaults(): ReadonlySet<string>
  /** Keys of the claims whose path now means another item, another version, or none. */
  outdated(peek: Peek): Iterable<string>
}

/** What a path means by what is held; see `Catalog.peek`. */
export type Peek = (path: ItemPath, boundId: string | undefined) => Resolution | undefined

interface Binding {
  readonly path: ItemPath
  readonly vaultId: string | undefined
  readonly itemId: string | undefined
  readonly version: number
}

/** No bindings yet. */
export function createBindings(): Bindings {
  const bindings = new Map<string, Binding>()
  return {
    note(key, path, resolution) {
      bindings.set(key, bindingOf(path, resolution))
    },
    drop: (key) => void bindings.delete(key),
    vaults() {
      const used = new Set<string>()
      for (const { vaultId } of bindings.values()) if (vaultId) used.add(vaultId)
      return used
    },
    *outdated(peek) {
      for (const [key, binding] of bindings) {
        const now = peek(binding.path, binding.itemId)
        if (now && !same(binding, bindingOf(binding.path, now))) yield key
      }
    },
  }
}

function bindingOf(path: ItemPath, resolution: Resolution): Binding {
  if (resolution.kind !== 'found') {
    const vaultId = resolution.kind === 'no-item' ? resolution.vaultId : undefined
    return { path, vaultId, itemId: undefined, version: 0 }
  }
  const { vault, id, version } = resolution.item
  return { path, vaultId: vault.id, itemId: id, version }
}

function same(a: Binding, b: Binding): boolean {
  return a.vaultId === b.vaultId && a.itemId === b.itemId && a.version === b.version
}
