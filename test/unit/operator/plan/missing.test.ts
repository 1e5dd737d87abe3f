import { expect, test } from 'vitest'
import { planMissing } from '../../../../src/operator/plan/missing.ts'
import { aClaim, aSnapshot, aSynced, PATH } from '../../../builders/snapshot.ts'

const claim = aClaim({ spec: { onItemMissing: 'Delete' } })
const { seen } = aSynced(aSnapshot({ claim }))
const without = { ...seen, secret: { kind: 'cached', meta: undefined, verified: false } } as const

test('a Secret that is gone with its item leaves the status once the absence is confirmed', () => {
  expect(planMissing(without, PATH, '')).toEqual({ kind: 'look', at: 'absence' })
  expect(planMissing({ ...without, absences: 1 }, PATH, '')).toMatchObject({
    plan: { status: { digest: seen.claim.status.digest } },
  })
  const decision = planMissing({ ...without, absences: 2 }, PATH, '')
  expect(decision).toMatchObject({ kind: 'act', plan: { outcome: { reason: 'ItemNotFound' } } })
  const { status, secret } = decision.kind === 'act' ? decision.plan : {}
  expect(secret).toBeUndefined()
  expect(Object.keys(status ?? {}).toSorted()).toEqual(['conditions', 'observedGeneration'])
})

test('a Secret that is still there is deleted then', () => {
  const decision = planMissing({ ...seen, absences: 2 }, PATH, '')
  expect(decision).toMatchObject({ plan: { secret: { kind: 'delete' } } })
})
