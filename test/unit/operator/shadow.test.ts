import { expect, test } from 'vitest'
import type { Snapshot } from '../../../src/operator/plan/types.ts'
import { createShadowReconcile, type Difference } from '../../../src/operator/shadow.ts'
import { aSnapshot, PATH, VAULT } from '../../builders/snapshot.ts'

const SIGNAL = new AbortController().signal

/** Runs over what `seen` says then; what is told is noted. */
function aShadow(seen: Partial<Snapshot>) {
  const told: (Difference | undefined)[] = []
  const intake = {
    observe: () => aSnapshot(seen),
    look: (now: Snapshot) => Promise.resolve(now),
  }
  const reconcile = createShadowReconcile(intake, (_key, _before, after) => told.push(after))
  return { told, run: () => reconcile('shop/database', SIGNAL) }
}

test('what is not known yet is looked at again, and never told as nothing to do', async () => {
  const seen: { references: Snapshot['references'] } = {
    references: new Map([[PATH, { kind: 'later', ms: 700 }]]),
  }
  const { told, run } = aShadow(seen)
  expect(await run()).toEqual({ kind: 'after', ms: 700 })
  expect(told).toEqual([])
  seen.references = new Map([[PATH, { kind: 'no-item', vaultId: VAULT }]])
  await run()
  expect(told).toMatchObject([{ kind: 'refuse', reason: 'ItemNotFound' }])
})
