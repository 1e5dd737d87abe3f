import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { OwnerReference } from '../../../../src/operator/item.ts'
import { ownerMark } from '../../../../src/operator/plan/digest.ts'
import {
  isMarkedFor,
  isOfWorkloads,
  ownershipOf,
  ownerReferencesFor,
} from '../../../../src/operator/plan/ownership.ts'
import type { LiveSecret } from '../../../../src/operator/plan/types.ts'
import { aClaim, aPolicy, asLive, aSnapshot, planOf } from '../../../builders/snapshot.ts'
import { property } from '../../../support/property.ts'

const { digestKey: key } = aPolicy
const claim = aClaim()
const ours = asLive(planOf(aSnapshot()))
const OWNER = 'keyferry.dev/owner'
const FORMER = {
  'operator.1password.io/item-path': 'vaults/x/items/y',
  'operator.1password.io/item-version': '1',
}

const bare = (more: Partial<LiveSecret>): LiveSecret => ({
  ...ours,
  labels: {},
  annotations: {},
  ownerReferences: [],
  ...more,
})
const item = (uid: string): OwnerReference => ({
  apiVersion: 'onepassword.com/v1',
  kind: 'OnePasswordItem',
  name: 'database',
  uid,
})
const deployment = (uid: string, controller = false): OwnerReference => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  name: 'web',
  uid,
  controller,
})
const mark = (owner = 'OnePasswordItem/database', name = 'database', namespace = 'shop') => ({
  [OWNER]: ownerMark(key, namespace, name, owner),
})

const relation = (secret: LiveSecret, of = claim, dead: readonly string[] = []) =>
  ownershipOf(secret, of, key, new Set(dead))

describe('a Secret is', () => {
  test.each([
    ['ours', 'names the resource by UID', { ownerReferences: [item('claim-uid')] }],
    ['ours', 'bears our proof for the resource', { annotations: mark() }],
    ['foreign', 'bears nothing', {}],
    ['foreign', 'bears a proof for another resource', { annotations: mark('OnePasswordItem/b') }],
    ['foreign', 'bears the proof of another Secret', { annotations: mark(undefined, 'other') }],
    [
      'foreign',
      'bears the proof of another namespace',
      { annotations: mark(undefined, undefined, 'other') },
    ],
    ['foreign', 'claims to be ours', { annotations: { [OWNER]: 'OnePasswordItem/database x.y' } }],
    ['foreign', 'bears only our label', { labels: { 'keyferry.dev/managed': 'true' } }],
    ['foreign', 'names a resource that lives', { ownerReferences: [item('other-uid')] }],
    [
      'foreign',
      'bears our proof, and names somebody who lives',
      { annotations: mark(), ownerReferences: [deployment('d')] },
    ],
    ['ours', 'bears our proof for workloads', { annotations: mark('Workloads/database') }],
    [
      'ours',
      'is of workloads, which a resource of its name comes before',
      { annotations: mark('Workloads/database'), ownerReferences: [deployment('d')] },
    ],
    ['incumbents', 'was made by the former operator', { annotations: FORMER }],
    [
      'foreign',
      'has one annotation of the former operator',
      { annotations: { 'operator.1password.io/item-path': 'x' } },
    ],
    [
      'foreign',
      'was made by the former operator, and is owned by somebody who lives',
      { annotations: FORMER, ownerReferences: [deployment('d')] },
    ],
    ['foreign', 'is offered, but not wanted', { annotations: { 'keyferry.dev/adopt': 'true' } }],
  ] as const)('%s when it %s', (expected, _why, more) => {
    expect(relation(bare(more))).toBe(expected)
  })

  test('taken back or taken over once its owner is dead', () => {
    const ownerReferences = [item('dead-uid')]
    expect(relation(bare({ ownerReferences, annotations: mark() }), claim, ['dead-uid'])).toBe(
      'ours',
    )
    expect(relation(bare({ ownerReferences, annotations: FORMER }), claim, ['dead-uid'])).toBe(
      'incumbents',
    )
    expect(relation(bare({ ownerReferences }), claim, ['dead-uid'])).toBe('foreign')
  })

  test('never taken over under another name than its resource has', () => {
    const renamed = aClaim({ spec: { secretName: 'other' } })
    expect(relation(bare({ name: 'other', annotations: FORMER }), renamed)).toBe('foreign')
  })

  test('of workloads only by proof: anybody may name a workload as an owner', () => {
    const workloads = { ...claim, origin: 'workloads' as const, owners: [deployment('d')] }
    const ownerReferences = [deployment('d')]
    expect(relation(bare({ ownerReferences }), workloads)).toBe('foreign')
    const annotations = mark('Workloads/database')
    expect(relation(bare({ ownerReferences, annotations }), workloads)).toBe('ours')
    expect(relation(bare({ annotations: FORMER }), workloads)).toBe('incumbents')
  })
})

describe('a Secret of somebody else that is offered', () => {
  const wanting = aClaim({ spec: { existingSecret: 'Adopt' } })
  const annotations = { 'keyferry.dev/adopt': 'true' }

  test.each([
    ['offered', { annotations }],
    ['foreign', {}],
    ['foreign', { annotations: { 'keyferry.dev/adopt': 'yes' } }],
    ['foreign', { annotations, ownerReferences: [deployment('d', true)] }],
    ['foreign', { annotations, type: 'kubernetes.io/service-account-token' }],
    ['foreign', { annotations, type: 'helm.sh/release.v1' }],
    ['foreign', { annotations, labels: { 'app.kubernetes.io/part-of': 'keyferry' } }],
  ] as const)('is %s when it is %j', (expected, more) => {
    expect(relation(bare(more), wanting)).toBe(expected)
  })
})

describe('the owners that a Secret is to have', () => {
  test('are the resource and others that live, never the dead ones', () => {
    const present = [item('dead'), { ...item('b'), kind: 'Other' }]
    expect(ownerReferencesFor(claim, present, new Set(['dead']))).toEqual([
      { ...item('b'), kind: 'Other' },
      item('claim-uid'),
    ])
  })

  test('keep a reference of ours as it was written, and add no member to it', () => {
    const written = { ...item('claim-uid'), controller: true, blockOwnerDeletion: true }
    expect(ownerReferencesFor(claim, [written], new Set())).toEqual([written])
    expect(ownerReferencesFor(claim, [], new Set())).toEqual([item('claim-uid')])
  })

  test('do not hold the resource when the Secret is to be retained', () => {
    const retaining = aClaim({ spec: { deletionPolicy: 'Retain' } })
    expect(ownerReferencesFor(retaining, [item('claim-uid')], new Set())).toEqual([])
  })

  test('lose workloads that no longer ask for it', () => {
    const workloads = { ...claim, origin: 'workloads' as const, owners: [deployment('stays')] }
    const present = [deployment('left'), deployment('stays')]
    expect(ownerReferencesFor(workloads, present, new Set())).toEqual([deployment('stays')])
  })
})

test('whether a Secret says that it is of workloads needs no proof, that it is a claim’s does', () => {
  const said = bare({ annotations: { [OWNER]: 'Workloads/database x' } })
  expect([isOfWorkloads(said), isMarkedFor(said, claim, key)]).toEqual([true, false])
  expect(isOfWorkloads(bare({ annotations: mark() }))).toBe(false)
  expect(isMarkedFor(bare({ annotations: mark() }), claim, key)).toBe(true)
})

property(
  'whatever of our marks is taken off a Secret, it stays ours by its owner or by its proof',
  fc.property(
    fc.subarray(Object.keys(ours.annotations)),
    fc.subarray(Object.keys(ours.labels)),
    fc.boolean(),
    (annotations, labels, withOwner) => {
      const only = (texts: Readonly<Record<string, string>>, names: readonly string[]) =>
        Object.fromEntries(Object.entries(texts).filter(([name]) => names.includes(name)))
      const left = {
        ...ours,
        annotations: only(ours.annotations, annotations),
        labels: only(ours.labels, labels),
        ownerReferences: withOwner ? ours.ownerReferences : [],
      }
      const proven = withOwner || annotations.includes(OWNER)
      const former = Object.keys(FORMER).every((name) => annotations.includes(name))
      expect(relation(left)).toBe(proven ? 'ours' : former ? 'incumbents' : 'foreign')
    },
  ),
)
