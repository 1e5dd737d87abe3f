import { KeyferryError } from '../../errors.ts'
import type { Vault } from '../items/model.ts'
import type { Store } from '../store/store.ts'

/** A vault as it begins. */
export function newVault(id: string, name: string, now: string, description?: string): Vault {
  if (name.trim() === '') throw invalid('a vault needs a name', 'Give it one.')
  return {
    id,
    name,
    ...(description ? { description } : {}),
    type: 'USER_CREATED',
    createdAt: now,
    updatedAt: now,
    attributeVersion: 1,
    contentVersion: 1,
    active: 0,
  }
}

/** A vault by id or name. @throws KeyferryError INPUT_INVALID */
export async function findVault(store: Store, nameOrId: string): Promise<Vault> {
  const vaults = await store.vaults()
  const byId = vaults.find(({ id }) => id === nameOrId)
  return byId ?? only(vaults.filter(sameName(nameOrId)), 'vault', nameOrId)
}

/** Whether a vault has this name; upper and lower case are equal. */
export const sameName =
  (name: string) =>
  (vault: Pick<Vault, 'name'>): boolean =>
    vault.name.normalize('NFC').toLowerCase() === name.normalize('NFC').toLowerCase()

/** The one thing that a name means. @throws KeyferryError INPUT_INVALID */
export function only<T>(found: readonly T[], kind: string, name: string): T {
  const [first, ...others] = found
  if (first === undefined) throw unknown(kind, name)
  if (others.length === 0) return first
  throw invalid(`there are ${found.length} of ${kind} ${name}`, 'Give its id instead.')
}

/** There is no such thing. */
export const unknown = (kind: string, name: string) =>
  invalid(`there is no ${kind} ${name}`, `Check the name, or give the id of the ${kind}.`)

/** A vault holds items. */
export const notEmpty = ({ name, active }: Vault) =>
  invalid(`vault ${name} holds ${active} items`, 'Use --force to delete them with it.')

/** Input of a person that cannot be used. */
export function invalid(message: string, remedy: string): KeyferryError {
  return new KeyferryError('INPUT_INVALID', { message, remedy, retry: 'on-change' })
}
