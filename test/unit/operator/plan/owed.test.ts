/** Which restart is owed once content is written, and what becomes of one that is owed already. */
import { describe, expect, test } from 'vitest'
import { parseDebt } from '../../../../src/operator/plan/debt.ts'
import type { LiveSecret, Snapshot } from '../../../../src/operator/plan/types.ts'
import {
  afterwards,
  anItem,
  aPolicy,
  asLive,
  aSnapshot,
  aSynced,
  digestOf,
  manifestOf,
  means,
  NOW,
  planOf,
  withItem,
} from '../../../builders/snapshot.ts'

const RESTART = 'keyferry.dev/restart'
const MINUTE = 60_000

/** A claim whose content has changed, with its Secret and the debt on it. */
function owing() {
  const { seen } = aSynced()
  const changed = withItem(seen, anItem({ version: 2, fields: [{ label: 'a', value: 'b' }] }))
  const plan = planOf(changed)
  const live = asLive(plan, { resourceVersion: '30' })
  const claim = afterwards(changed, plan, '30')
  const later: Snapshot = { ...changed, claim, now: NOW + MINUTE, content: { kind: 'unread' } }
  return { live, seen: later, digest: digestOf(claim, { a: 'b' }) }
}

const without = (live: LiveSecret, ...names: readonly string[]): LiveSecret => ({
  ...live,
  resourceVersion: '31',
  annotations: Object.fromEntries(
    Object.entries(live.annotations).filter(([name]) => !names.includes(name)),
  ),
})

const debtIn = (plan: ReturnType<typeof planOf>) => parseDebt(manifestOf(plan).annotations[RESTART])

const sight = (secret: LiveSecret, verified: boolean) =>
  ({ secret: { kind: 'read', secret, verified } }) as const

describe('a debt whose annotation somebody took off', () => {
  test('is written again around the same content', () => {
    const { live, seen, digest } = owing()
    const plan = planOf({ ...seen, ...sight(without(live, RESTART), false) })
    expect(debtIn(plan)).toEqual({ digest, since: '2026-01-02T03:05:05Z', gaveUp: [] })
    expect(plan.status?.conditions.map(({ type }) => type)).toContain('Restarting')
  })

  test('is written again with content that is put right', () => {
    const { live, seen, digest } = owing()
    const edited = { ...without(live, ...Object.keys(live.annotations)), data: new Map() }
    const { content } = withItem(seen, anItem({ version: 2, fields: [{ label: 'a', value: 'b' }] }))
    expect(debtIn(planOf({ ...seen, ...sight(edited, false), content }))?.digest).toBe(digest)
  })

  test('was closed by us when the Secret is one that we wrote', () => {
    const { live, seen } = owing()
    const plan = planOf({ ...seen, ...sight(without(live, RESTART), true) })
    expect(plan.secret).toBeUndefined()
    expect(plan.status?.conditions.map(({ type }) => type)).toEqual(['Ready'])
  })

  test('is not made up for a Secret that owed nothing', () => {
    const { seen, live } = aSynced()
    const plan = planOf({ ...seen, ...sight(without(live, 'keyferry.dev/digest'), false) })
    expect(manifestOf(plan).annotations).not.toHaveProperty(RESTART)
  })
})

describe('an open debt', () => {
  test('is replaced by that of newer content, also when that is the content of before', () => {
    const { live, seen } = owing()
    const back = withItem(seen, anItem({ version: 3 }))
    const debt = debtIn(planOf({ ...back, ...sight(live, true) }))
    const digest = digestOf(seen.claim, { username: 'app', password: 'secret' })
    expect(debt).toEqual({ digest, since: '2026-01-02T03:05:05Z', gaveUp: [] })
  })

  test('stays as it is through a new version of equal content', () => {
    const { live, seen } = owing()
    const fields = [{ label: 'a', value: 'b' }]
    const plan = planOf({
      ...withItem(seen, anItem({ version: 3, fields, tags: ['x'] })),
      ...sight(live, true),
    })
    expect(manifestOf(plan).annotations[RESTART]).toBe(live.annotations[RESTART])
  })
})

test('a change of our own rules restarts where that is wanted', () => {
  const fields = [
    { label: 'a', value: 'x' },
    { label: 'b', value: '' },
  ]
  const { seen } = aSynced(withItem(aSnapshot(), anItem({ fields })))
  const policy = { ...aPolicy, emptyValues: true, restartOnRemap: true }
  const plan = planOf({ ...withItem(seen, anItem({ fields })), policy })
  expect(manifestOf(plan).annotations).toHaveProperty(RESTART)
})

describe('a resource that fails', () => {
  const conditionsOf = (seen: Snapshot, live: LiveSecret, verified: boolean) => {
    const references = means({ kind: 'no-item', vaultId: 'v'.repeat(26) })
    const plan = planOf({ ...seen, ...sight(live, verified), references })
    return plan.status?.conditions.map(({ type }) => type)
  }

  test('says that a restart is owed for as long as it is', () => {
    const { live, seen } = owing()
    expect(conditionsOf(seen, live, true)).toContain('Restarting')
    expect(conditionsOf(seen, without(live, RESTART), true)).not.toContain('Restarting')
  })

  test('goes on saying so when somebody else took the annotation off', () => {
    const { live, seen } = owing()
    expect(conditionsOf(seen, without(live, RESTART), false)).toContain('Restarting')
  })
})
