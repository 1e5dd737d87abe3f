import { describe, expect, test } from 'vitest'
import { conditionOf } from '../../../../src/operator/item.ts'
import { planSync } from '../../../../src/operator/plan/plan.ts'
import type { Resolution, Snapshot } from '../../../../src/operator/plan/types.ts'
import {
  aClaim,
  aSnapshot,
  aSynced,
  asMeta,
  PATH,
  planOf,
  read,
  anItem,
  VAULT,
} from '../../../builders/snapshot.ts'

const GONE: Resolution = { kind: 'no-item', vaultId: VAULT }

/** A synced claim whose item is no longer listed. */
function missing(spec: Record<string, unknown>, more: Partial<Snapshot> = {}) {
  const { seen, live } = aSynced(aSnapshot({ claim: aClaim({ spec }) }))
  const path = (spec['itemPath'] as string | undefined) ?? PATH
  return { live, seen: { ...seen, references: new Map([[path, GONE]]), ...more } }
}

const reasonOf = (seen: Snapshot) => {
  const { status } = planOf(seen)
  return status && conditionOf(status, 'Ready')?.reason
}

describe('an item that is gone', () => {
  test('leaves the Secret as it is, and is told', () => {
    const { seen } = missing({})
    expect(reasonOf(seen)).toBe('ItemNotFound')
    expect(planOf(seen)).toMatchObject({ outcome: { kind: 'blocked', reason: 'ItemNotFound' } })
    expect(planOf(seen).secret).toBeUndefined()
    expect(planOf(seen).status).toMatchObject({ digest: seen.claim.status.digest })
  })

  test('takes the Secret along where the resource says so, once two looks confirm it', () => {
    const { seen, live } = missing({ onItemMissing: 'Delete' })
    expect(planSync(seen)).toEqual({ kind: 'look', at: 'absence' })
    for (const absences of [0, 1]) {
      const plan = planOf({ ...seen, absences })
      expect(plan.secret).toBeUndefined()
      expect(plan.outcome).toEqual({ kind: 'recheck', afterMs: 10_000 })
    }
    const plan = planOf({ ...seen, absences: 2 })
    const { namespace, name, uid, resourceVersion } = live
    expect(plan.secret).toEqual({ kind: 'delete', from: { namespace, name, uid, resourceVersion } })
    expect(plan.status).not.toHaveProperty('digest')
    expect(plan.status).not.toHaveProperty('items')
    expect(conditionOf(plan.status ?? seen.claim.status, 'Ready')?.message).toContain('was deleted')
  })

  test('takes a retained Secret along as well: it is ours by its proof', () => {
    const { seen } = missing({ onItemMissing: 'Delete', deletionPolicy: 'Retain' })
    expect(planOf({ ...seen, absences: 2 }).secret?.kind).toBe('delete')
  })

  test('takes nothing along that is not provably ours', () => {
    const { seen, live } = missing({ onItemMissing: 'Delete' })
    const meta = { ...asMeta(live), ownerReferences: [], annotations: {} }
    const secret = { kind: 'cached', meta, verified: true } as const
    expect(planOf({ ...seen, secret, absences: 2 }).secret).toBeUndefined()
    const unread = { kind: 'read', secret: undefined } as const
    expect(planOf({ ...seen, secret: unread, absences: 2 }).secret).toBeUndefined()
  })

  test('takes a Secret along that names the resource as its owner, never one of another owner', () => {
    const { seen, live } = missing({ onItemMissing: 'Delete' })
    const [owner] = live.ownerReferences
    if (!owner) throw new Error('the Secret has no owner')
    const planned = (uid: string) => {
      const meta = { ...asMeta(live), ownerReferences: [{ ...owner, uid }], annotations: {} }
      const secret = { kind: 'cached', meta, verified: true } as const
      return planOf({ ...seen, secret, absences: 2 }).secret?.kind
    }
    expect(planned(owner.uid)).toBe('delete')
    expect(planned('another')).toBeUndefined()
  })

  test('is one of several: it never takes the Secret along', () => {
    const data = { a: 'op://v/i/password', b: 'op://w/j/password' }
    const spec = { itemPath: undefined, data, onItemMissing: 'Delete' }
    const [one, two] = ['op://v/i', 'op://w/j'].map(
      (path) => [path, { kind: 'found', item: anItem() }] as const,
    )
    if (!one || !two) throw new Error('unreachable')
    const content = { ...read(anItem(), {}, one[0]), kind: 'read' } as const
    const items = new Map([
      ...(read(anItem(), {}, one[0]) as typeof content & { items: Map<string, never> }).items,
      ...(read(anItem(), {}, two[0]) as typeof content & { items: Map<string, never> }).items,
    ])
    const first = aSnapshot({
      claim: aClaim({ spec }),
      references: new Map([one, two]),
      content: { kind: 'read', items },
    })
    const { seen } = aSynced(first)
    const references = new Map<string, Resolution>([[one[0], GONE], two])
    expect(planOf({ ...seen, references, absences: 2 }).secret).toBeUndefined()
    expect(reasonOf({ ...seen, references, absences: 2 })).toBe('ItemNotFound')
  })

  test('is the only one of data: it takes the Secret along like that of itemPath', () => {
    const spec = {
      itemPath: undefined,
      data: { a: 'op://v/i/password' },
      onItemMissing: 'Delete',
    }
    const path = 'op://v/i'
    const first = aSnapshot({
      claim: aClaim({ spec }),
      references: new Map([[path, { kind: 'found', item: anItem() }]]),
      content: read(anItem(), {}, path),
    })
    const { seen } = aSynced(first)
    const references = new Map([[path, GONE]])
    expect(planOf({ ...seen, references, absences: 2 }).secret?.kind).toBe('delete')
  })
})

test('a vault that is gone is no missing item', () => {
  const { seen } = missing({ onItemMissing: 'Delete' })
  const references = new Map<string, Resolution>([[PATH, { kind: 'no-vault' }]])
  expect(planOf({ ...seen, references, absences: 2 }).secret).toBeUndefined()
  expect(reasonOf({ ...seen, references })).toBe('VaultNotFound')
})

test('a Secret that is gone with its item leaves the status once the absence is confirmed', () => {
  const { seen } = missing({ onItemMissing: 'Delete' })
  const without = { ...seen, secret: { kind: 'cached', meta: undefined, verified: false } } as const
  expect(planSync(without)).toEqual({ kind: 'look', at: 'absence' })
  expect(planOf({ ...without, absences: 1 }).status?.digest).toBe(seen.claim.status.digest)
  // A cache may not have heard of it yet.
  expect(planSync({ ...without, absences: 2 })).toEqual({ kind: 'look', at: 'secret' })
  const gone = { kind: 'read', secret: undefined, verified: false } as const
  const { outcome, secret, status } = planOf({ ...without, secret: gone, absences: 2 })
  expect(outcome).toMatchObject({ reason: 'ItemNotFound' })
  expect(secret).toBeUndefined()
  expect(Object.keys(status ?? {}).toSorted()).toEqual(['conditions', 'observedGeneration'])
  // It is told once, and stays told.
  const later = { ...without, claim: { ...seen.claim, status: status ?? seen.claim.status } }
  expect(planOf(later).status).toBeUndefined()
})
