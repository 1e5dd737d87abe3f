import type { ItemPath } from '../../connect/item-path.ts'
import type { Paths } from '../plan/render.ts'
import type { References, Resolution } from '../plan/types.ts'

/**
 * Which items each claim's paths meant when the claim was last worked: a poll enqueues those for
 * which one means something else now.
 */
export interface Bindings {
  /** @param key of the claim */
  note(key: string, paths: Paths, references: References): void
  drop(key: string): void
  /** Ids of the vaults that claims draw from. */
  vaults(): Iterable<string>
  /** Keys of the claims of which a path now means another item, another version, or none. */
  outdated(peek: Peek): Iterable<string>
}

/** What a path means by what is held; see `Catalog.peek`. */
export type Peek = (question: {
  readonly namespace: string
  readonly path: ItemPath
  readonly boundId: string | undefined
}) => Resolution | undefined

interface Binding {
  readonly path: ItemPath
  readonly vaultId: string | undefined
  readonly itemId: string | undefined
  readonly version: number
  /** Whether the path meant a vault that is not there, or not allowed. */
  readonly noVault: boolean
}

/** No bindings yet. */
export function createBindings(): Bindings {
  const claims = new Map<string, readonly Binding[]>()
  return {
    note(key, paths, references) {
      const bindings = [...paths].map(([name, path]) => bindingOf(path, references.get(name)))
      claims.set(key, bindings)
    },
    drop(key) {
      claims.delete(key)
    },
    *vaults() {
      for (const bindings of claims.values()) {
        for (const { vaultId } of bindings) if (vaultId) yield vaultId
      }
    },
    *outdated(peek) {
      for (const [key, bindings] of claims) {
        const namespace = key.slice(0, key.indexOf('/'))
        if (bindings.some((binding) => hasMoved(binding, namespace, peek))) yield key
      }
    },
  }
}

function hasMoved(binding: Binding, namespace: string, peek: Peek): boolean {
  const { path, itemId: boundId } = binding
  const now = peek({ namespace, path, boundId })
  // The vault is there, or allowed, by now; of its items nothing is known yet.
  if (now === undefined) return binding.noVault
  return !isSame(binding, bindingOf(path, now))
}

function bindingOf(path: ItemPath, resolution: Resolution | undefined): Binding {
  if (resolution?.kind !== 'found') {
    const vaultId = resolution?.kind === 'no-item' ? resolution.vaultId : undefined
    const noVault = resolution?.kind === 'no-vault' || resolution?.kind === 'not-allowed'
    return { path, vaultId, itemId: undefined, version: 0, noVault }
  }
  const { vault, id, version } = resolution.item
  return { path, vaultId: vault.id, itemId: id, version, noVault: false }
}

function isSame(a: Binding, b: Binding): boolean {
  return a.vaultId === b.vaultId && a.itemId === b.itemId && a.version === b.version
}
