import { describe, expect, test } from 'vitest'
import { KeyferryError } from '../../../../src/errors.ts'
import { conditionOf } from '../../../../src/operator/item.ts'
import { planFailure, planRefusal } from '../../../../src/operator/plan/plan.ts'
import {
  aData,
  anItem,
  aSnapshot,
  aSynced,
  means,
  planOf,
  readyOf,
  unreachable,
  withItem,
} from '../../../builders/snapshot.ts'

const MINUTE = 60_000

describe('trouble after the content was applied', () => {
  const outage = (ms: number) => ({ error: unreachable, ms })

  test.each([
    [MINUTE, undefined, undefined],
    [3 * MINUTE, 'True', 'True'],
    [61 * MINUTE, 'False', 'True'],
  ])('an outage of %i ms leaves Ready %s and Stale %s', (ms, ready, stale) => {
    const { seen } = aSynced()
    const { status } = planOf({ ...seen, outage: outage(ms) })
    expect(status && conditionOf(status, 'Ready')?.status).toBe(ready)
    expect(status && conditionOf(status, 'Stale')?.status).toBe(stale)
  })

  test('is forgotten when it has passed', () => {
    const { seen } = aSynced()
    const stale = planOf({ ...seen, outage: outage(61 * MINUTE) })
    const claim = { ...seen.claim, status: stale.status ?? seen.claim.status }
    const { status } = planOf({ ...seen, claim })
    expect(status?.conditions.map(({ type, status: value }) => [type, value])).toEqual([
      ['Ready', 'True'],
    ])
  })

  test('a failed read keeps everything for two minutes, then says Stale', () => {
    const { seen } = aSynced()
    const changed = withItem(seen, anItem({ version: 2 }))
    const failed = { ...changed, content: { kind: 'failed', error: unreachable } } as const
    expect(planOf(failed).status).toBeUndefined()
    const later = planOf({ ...failed, failingMs: 3 * MINUTE })
    expect(later.status?.conditions.map(({ type, status }) => [type, status])).toEqual([
      ['Ready', 'True'],
      ['Stale', 'True'],
    ])
    expect(later.events).toMatchObject([{ type: 'Warning', reason: 'ConnectUnreachable' }])
    expect(later.secret).toBeUndefined()
  })

  test('a Secret that cannot be repaired shows at once', () => {
    const { seen, live } = aSynced()
    const failed = { kind: 'failed', error: unreachable } as const
    const gone = { kind: 'cached', meta: undefined, verified: false } as const
    expect(readyOf({ ...seen, secret: gone, content: failed })).toMatchObject({
      status: 'False',
      reason: 'SecretMissing',
    })
    const edited = { ...live, data: aData({ a: 'b' }) }
    expect(
      readyOf({ ...seen, secret: { kind: 'read', secret: edited }, content: failed }),
    ).toMatchObject({ status: 'False', reason: 'SecretChanged' })
  })

  test('a Secret that is changed again and again is repaired once a minute', () => {
    const { seen, live } = aSynced()
    const edited = { ...live, data: aData({ a: 'b' }) }
    const plan = planOf({ ...seen, secret: { kind: 'read', secret: edited }, recentRepairs: 3 })
    expect(plan.secret).toBeUndefined()
    expect(plan.outcome).toEqual({ kind: 'recheck', afterMs: MINUTE })
    expect(plan.status && conditionOf(plan.status, 'Ready')).toMatchObject({
      status: 'False',
      reason: 'DriftContested',
    })
  })

  test('a vault that is gone keeps what is applied and names the reason', () => {
    const { seen } = aSynced()
    const plan = planOf({ ...seen, references: means({ kind: 'no-vault' }) })
    expect(plan.secret).toBeUndefined()
    expect(plan.status).toMatchObject({
      digest: seen.claim.status.digest,
      keys: ['password', 'username'],
    })
  })

  test('a refusal of the API server is told with its words', () => {
    const error = new KeyferryError('KUBE_STATUS', {
      message: 'POST /x: 422 data: bad',
      remedy: '',
      retry: 'on-change',
      status: 422,
    })
    const refused = planRefusal(aSnapshot(), error)
    // Looked at again: no event tells that an admission policy has changed.
    expect(refused).toMatchObject({
      plan: { outcome: { kind: 'recheck', afterMs: 5 * MINUTE } },
    })
    const failed = planFailure(aSnapshot(), error)
    expect(failed).toMatchObject({
      plan: { outcome: { kind: 'retry', reason: 'KubernetesUnavailable' } },
    })
  })
})
