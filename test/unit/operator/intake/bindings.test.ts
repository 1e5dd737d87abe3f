import { expect, test } from 'vitest'
import type { ItemHead } from '../../../../src/connect/model.ts'
import { createBindings } from '../../../../src/operator/intake/bindings.ts'
import type { Resolution } from '../../../../src/operator/plan/types.ts'
import { anItem } from '../../../builders/snapshot.ts'

const PATH = 'vaults/Production/items/Database'
const paths = new Map([[PATH, { vault: 'Production', item: 'Database' }]])

/** Keys that are outdated after a path meant `before` and means `now`. */
function outdated(before: Resolution, now: Resolution | undefined): string[] {
  const bindings = createBindings()
  bindings.note('shop/database', paths, new Map([[PATH, before]]))
  return [...bindings.outdated(() => now)]
}

const noVault: Resolution = { kind: 'no-vault' }
const notAllowed: Resolution = { kind: 'not-allowed', vaultId: 'v' }
const noItem: Resolution = { kind: 'no-item', vaultId: 'v' }
const found = (more: Partial<ItemHead> = {}): Resolution => ({ kind: 'found', item: anItem(more) })

test.each<[Resolution, Resolution | undefined]>([
  [noVault, noItem],
  [notAllowed, noItem],
  [noItem, notAllowed],
  // Allowed, or there, by now, and nobody has listed its items yet.
  [noVault, undefined],
  [notAllowed, undefined],
  [noItem, found()],
  [found(), noItem],
  [found(), notAllowed],
  // Its content, its place, or what bears the name.
  [found(), found({ version: 2 })],
  [found({ version: 2 }), found({ version: 1 })],
  [found(), found({ vault: { id: 'w'.repeat(26) } })],
  [found(), found({ id: 'j'.repeat(26) })],
])('%o, then %o, is looked at again', (before, now) => {
  expect(outdated(before, now)).toEqual(['shop/database'])
})

test.each<[Resolution, Resolution | undefined]>([
  [noVault, noVault],
  [noVault, notAllowed],
  [noItem, noItem],
  [noItem, undefined],
  [found(), found()],
  [found(), undefined],
])('%o, then %o, is not', (before, now) => {
  expect(outdated(before, now)).toEqual([])
})
