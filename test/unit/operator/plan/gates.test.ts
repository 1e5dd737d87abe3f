/**
 * What is decided before content is looked at: who else works here, what is frozen, what is left of
 * former names.
 */
import { describe, expect, test } from 'vitest'
import { conditionOf } from '../../../../src/operator/item.ts'
import { ownerMark } from '../../../../src/operator/plan/digest.ts'
import { planSync } from '../../../../src/operator/plan/plan.ts'
import { interimStatus, withoutContent } from '../../../../src/operator/plan/status.ts'
import type { LiveSecret, Snapshot } from '../../../../src/operator/plan/types.ts'
import {
  aClaim,
  afterwards,
  anItem,
  aPolicy,
  asLive,
  asMeta,
  aSnapshot,
  aSynced,
  found,
  manifestOf,
  means,
  NOW,
  planOf,
  read,
  readyOf,
  textsOf,
  VAULT,
  withItem,
} from '../../../builders/snapshot.ts'

const MINUTE = 60_000
const FINALIZER = 'onepassword.com/finalizer.secret'
const FROZEN = ['operator.1password.io:ignore-secret']

const live = (seen: Snapshot, secret: LiveSecret): Snapshot => ({
  ...seen,
  secret: { kind: 'read', secret },
})

describe('others at work', () => {
  test('the former operator stops everything, and is looked for again a minute later', () => {
    const plan = planOf(aSnapshot({ anotherOperator: 'met' }))
    expect(plan.outcome).toEqual({ kind: 'recheck', afterMs: MINUTE })
    expect(plan.secret).toBeUndefined()
    expect(plan.events).toMatchObject([{ type: 'Warning', reason: 'AnotherOperator' }])
    const told = planOf(aSnapshot({ anotherOperator: 'told' }))
    expect(told.outcome).toEqual({ kind: 'wait', afterMs: MINUTE })
    expect([told.secret, told.status, told.events]).toEqual([undefined, undefined, []])
  })

  test('its finalizer goes before anything else is done', () => {
    const claim = aClaim({ metadata: { finalizers: [FINALIZER] } })
    expect(planOf(aSnapshot({ claim }))).toMatchObject({ stripFinalizerAt: 0 })
    expect(planOf(aSnapshot({ claim })).secret).toBeUndefined()
    expect(planOf(aSnapshot({ claim, anotherOperator: 'met' })).stripFinalizerAt).toBeUndefined()
  })

  test('another installation that lives keeps its Secret, a dead one loses it', () => {
    const { seen, live: secret } = aSynced()
    const theirs = {
      ...secret,
      annotations: { ...secret.annotations, 'keyferry.dev/instance': 'other/keyferry' },
    }
    const meta = asMeta(theirs)
    const cached = { ...seen, secret: { kind: 'cached', meta, verified: true } } as const
    expect(planSync(cached)).toEqual({ kind: 'look', at: 'secret' })
    expect(planSync(live(seen, theirs))).toEqual({ kind: 'look', at: 'instance' })
    const alive = { ...live(seen, theirs), otherInstance: 'alive' } as const
    const outcome = { kind: 'recheck', afterMs: MINUTE, reason: 'OtherInstance' }
    expect(planOf(alive)).toEqual({ events: [], repair: false, outcome })
    const untold = { ...alive, claim: { ...seen.claim, status: aClaim().status } }
    expect(readyOf(untold)).toMatchObject({ reason: 'OtherInstance', status: 'False' })
    expect(planOf(untold).outcome).toEqual(outcome)
    const gone = planOf({ ...live(seen, theirs), otherInstance: 'gone' })
    expect(manifestOf(gone).annotations).toMatchObject({
      'keyferry.dev/instance': 'keyferry/keyferry',
    })
  })
})

describe('a vault that is not allowed', () => {
  test('reads like one that is not there to who never had it', () => {
    const not = readyOf(aSnapshot({ references: means({ kind: 'not-allowed', vaultId: VAULT }) }))
    const none = readyOf(aSnapshot({ references: means({ kind: 'no-vault' }) }))
    expect(not).toEqual(none)
    expect(not).toMatchObject({ reason: 'VaultNotFound', status: 'False' })
  })

  test('freezes what is there already', () => {
    const { seen } = aSynced()
    const frozen = { ...seen, references: means({ kind: 'not-allowed', vaultId: VAULT }) }
    expect(readyOf(frozen)).toMatchObject({ reason: 'VaultNotAllowed' })
    expect(planOf(frozen).secret).toBeUndefined()
    expect(planOf(frozen).status?.digest).toBe(seen.claim.status.digest)
  })
})

describe('an item that is tagged to be ignored', () => {
  const tagged = anItem({ version: 7, tags: FROZEN, fields: [{ label: 'a', value: 'newer' }] })

  test('leaves content alone that differs, and is Ready', () => {
    const { seen, live: secret } = aSynced()
    const edited = { ...secret, data: asLive(planOf(aSnapshot())).data }
    const plan = planOf({
      ...live(seen, edited),
      references: found(tagged),
      content: { kind: 'unread' },
    })
    expect(plan.secret).toBeUndefined()
    expect(plan.status && conditionOf(plan.status, 'Ready')).toMatchObject({
      status: 'True',
      reason: 'Frozen',
    })
  })

  test('still follows labels, with the version that the Secret has', () => {
    const { seen, live: secret } = aSynced()
    const claim = { ...seen.claim, labels: { team: 'a' } }
    const plan = planOf(live({ ...seen, claim, references: found(tagged) }, secret))
    expect(manifestOf(plan).labels).toMatchObject({ team: 'a' })
    expect(manifestOf(plan).annotations['operator.1password.io/item-version']).toBe('1')
    expect(textsOf(manifestOf(plan).data)).toEqual({ username: 'app', password: 'secret' })
  })

  test('gives its content to a Secret that is not there', () => {
    const { seen } = aSynced()
    const gone = { kind: 'cached', meta: undefined, verified: false } as const
    const plan = planOf({ ...withItem(seen, tagged), secret: gone })
    expect(textsOf(manifestOf(plan).data)).toEqual({ a: 'newer' })
  })
})

describe('a Secret of a former name', () => {
  const { seen, live: former } = aSynced()
  const claim = aClaim({
    metadata: { generation: 2 },
    spec: { secretName: 'other' },
    status: seen.claim.status,
  })
  const none = { kind: 'cached', meta: undefined, verified: false } as const
  const renamed = { ...seen, claim, secret: none, content: read(anItem()) } as const

  test('goes once the new one is written and nobody uses it', () => {
    const plan = planOf({ ...renamed, leftovers: [{ meta: asMeta(former), inUse: false }] })
    expect(manifestOf(plan)).toMatchObject({ name: 'other' })
    expect(manifestOf(plan).annotations).not.toHaveProperty('keyferry.dev/restart')
    expect(plan.remove).toMatchObject([
      { name: 'database', uid: 'secret-uid', resourceVersion: '20' },
    ])
  })

  test('stays while a workload uses it, and is looked at again', () => {
    const plan = planOf({ ...renamed, leftovers: [{ meta: asMeta(former), inUse: true }] })
    expect(plan.remove).toBeUndefined()
    expect(plan.outcome).toEqual({ kind: 'recheck', afterMs: MINUTE })
  })

  test('stays while the new one cannot be written', () => {
    const references = means({ kind: 'no-item', vaultId: VAULT })
    const leftovers = [{ meta: asMeta(former), inUse: false }]
    expect(planOf({ ...renamed, references, leftovers }).remove).toBeUndefined()
  })
})

describe('workloads that no longer ask', () => {
  const owners = [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'web', uid: 'd' }]
  const asking = { ...aClaim(), origin: 'workloads' as const, uid: '', owners }
  const made = asLive(planOf(aSnapshot({ claim: asking })))
  const orphan = (more: Partial<LiveSecret>) => {
    const meta = asMeta({ ...made, ...more })
    const claim = { ...asking, owners: [], deleting: true }
    return planOf(aSnapshot({ claim, secret: { kind: 'cached', meta, verified: true } }))
  }

  test('leave a Secret that goes, if it was made for workloads alone', () => {
    expect(made.ownerReferences).toEqual(owners)
    expect(orphan({}).secret).toMatchObject({ kind: 'delete', from: { uid: 'secret-uid' } })
  })

  test.each([
    [
      'has an owner besides',
      { ownerReferences: [...owners, { ...owners[0], kind: 'Other' } as never] },
    ],
    ['was orphaned on purpose', { ownerReferences: [] }],
    ['bears no proof', { annotations: {} }],
    [
      'is a resource’s',
      {
        annotations: {
          'keyferry.dev/owner': ownerMark(
            aPolicy.digestKey,
            'shop',
            'database',
            'OnePasswordItem/database',
          ),
        },
      },
    ],
  ])('leave a Secret alone that %s', (_why, more) => {
    expect(orphan(more).secret).toBeUndefined()
  })
})

describe('a status', () => {
  const context = { now: NOW, staleAfterMs: 60 * MINUTE }

  test('says that the first attempt is under way, for kstatus and for Argo CD', () => {
    const { observedGeneration, conditions } = interimStatus(aClaim(), context)
    expect(observedGeneration).toBe(1)
    expect(conditions.map(({ type, status, reason }) => [type, status, reason])).toEqual([
      ['Ready', 'Unknown', 'Progressing'],
      ['Reconciling', 'True', 'Progressing'],
    ])
  })

  test('holds no character that changes what a terminal shows', () => {
    const itemPath = 'vaults/a/items/b'
    const references = found(anItem(), itemPath)
    const fields = [
      { id: '1', label: '..\u001b[2J\u202e', value: 'x' },
      { id: '2', label: 'ok', value: 'x' },
    ]
    const claim = aClaim({ spec: { itemPath } })
    const content = read(
      anItem({ fields: [{ id: '0', label: '..\u202e', value: '1' }, ...fields] }),
      {},
      itemPath,
    )
    const message = readyOf(aSnapshot({ claim, references, content }))?.message ?? ''
    // oxlint-disable-next-line no-control-regex
    expect(message).not.toMatch(/[\u0000-\u001f\u202a-\u202e]/)
  })

  test('moves lastSyncTime with content alone', () => {
    const { seen } = aSynced()
    const later = { ...seen, now: NOW + MINUTE }
    const renamed = planOf(withItem(later, anItem({ version: 2, title: 'Database', tags: ['x'] })))
    expect(renamed.status?.lastSyncTime).toBe('2026-01-02T03:04:05Z')
    const changed = planOf(
      withItem(later, anItem({ version: 2, fields: [{ label: 'a', value: 'b' }] })),
    )
    expect(changed.status?.lastSyncTime).toBe('2026-01-02T03:05:05Z')
  })

  test('notes the refresh that was answered, and forgets one that was taken back', () => {
    const asked = aClaim({ metadata: { annotations: { 'keyferry.dev/refresh': 'now' } } })
    const first = aSnapshot({ claim: asked })
    const plan = planOf(first)
    expect(plan.status?.refresh).toBe('now')
    const { status } = afterwards(first, plan)
    const { seen } = aSynced(first)
    const back = { ...seen, claim: { ...aClaim(), status } }
    expect(planOf(back).status).not.toHaveProperty('refresh')
    const failed = {
      ...seen,
      references: means({ kind: 'no-vault' }),
    }
    expect(planOf(failed).status?.refresh).toBe('now')
  })

  test('of a Secret that was deleted keeps its conditions alone', () => {
    const { seen } = aSynced()
    expect(Object.keys(withoutContent(seen.claim.status))).toEqual([
      'observedGeneration',
      'conditions',
    ])
  })
})

test('a resource that asks for a refresh reads its item although nothing moved', () => {
  const { seen } = aSynced()
  const claim = { ...seen.claim, annotations: { 'keyferry.dev/refresh': 'now' } }
  expect(planSync({ ...seen, claim })).toEqual({ kind: 'look', at: 'content' })
})
