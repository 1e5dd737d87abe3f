/**
 * What the plan stage makes of Secrets of 1Password's own operator, and of that operator itself.
 */
import { expect, test } from 'vitest'
import { conditionOf } from '../../../../src/operator/item.ts'
import type { LiveSecret } from '../../../../src/operator/plan/types.ts'
import {
  aClaim,
  aData,
  anItem,
  aSnapshot,
  asLive,
  ITEM,
  manifestOf,
  planOf,
  read,
  textsOf,
  VAULT,
} from '../../../builders/snapshot.ts'

const FINALIZER = 'onepassword.com/finalizer.secret'
const DATA = { username: 'app', password: 'secret' }
const LABELS = { team: 'a', 'argocd.argoproj.io/instance': 'shop' }

/** The Secret as that operator leaves it. */
function theirs(more: Partial<LiveSecret> = {}): LiveSecret {
  const annotations = {
    'operator.1password.io/item-path': `vaults/${VAULT}/items/${ITEM}`,
    'operator.1password.io/item-version': '1',
  }
  const base = asLive(planOf(aSnapshot()))
  return { ...base, labels: {}, annotations, ownerReferences: [], data: aData(DATA), ...more }
}

function seenWith(secret: LiveSecret, metadata: Record<string, unknown> = {}) {
  const claim = aClaim({ metadata: { labels: LABELS, ...metadata } })
  return aSnapshot({ claim, secret: { kind: 'read', secret }, content: read(anItem()) })
}

test('its Secret is taken over in one write that changes no data and owes no restart', () => {
  const plan = planOf(seenWith(theirs()))
  expect(plan.secret?.kind).toBe('replace')
  const { data, type, annotations } = manifestOf(plan)
  expect(textsOf(data)).toEqual(DATA)
  expect(type).toBe('Opaque')
  expect(annotations).not.toHaveProperty('keyferry.dev/restart')
  expect(plan.events.map(({ reason }) => reason)).toEqual(['SecretTakenOver'])
})

test('labels that it copied and that are not to be copied come off, those of others stay', () => {
  const secret = theirs({ labels: { ...LABELS, 'app.kubernetes.io/instance': 'theirs' } })
  expect(manifestOf(planOf(seenWith(secret))).labels).toEqual({
    team: 'a',
    'app.kubernetes.io/instance': 'theirs',
    'keyferry.dev/managed': 'true',
  })
})

test('a label with another value than the resource has is somebody else’s', () => {
  const secret = theirs({ labels: { 'argocd.argoproj.io/instance': 'of another' } })
  expect(manifestOf(planOf(seenWith(secret))).labels).toMatchObject(secret.labels)
})

test('its finalizer goes before anything else is looked at', () => {
  const finalizers = ['example.com/other', FINALIZER]
  const plan = planOf({ ...seenWith(theirs(), { finalizers }), references: undefined })
  expect(plan).toMatchObject({ stripFinalizerAt: 1, events: [] })
  expect(plan).not.toHaveProperty('secret')
})

test('a resource that waits for its deletion is freed although that operator is running', () => {
  const deleted = { finalizers: [FINALIZER], deletionTimestamp: '2026-01-02T03:04:05Z' }
  const plan = planOf({ ...seenWith(theirs(), deleted), anotherOperator: 'met' })
  expect(plan.stripFinalizerAt).toBe(0)
})

test('that it is running is told once, and nothing else is written', () => {
  const seen = seenWith(theirs(), { finalizers: [FINALIZER] })
  const met = planOf({ ...seen, anotherOperator: 'met' })
  expect(met.status && conditionOf(met.status, 'Ready')).toMatchObject({
    status: 'False',
    reason: 'AnotherOperator',
  })
  expect(met.events).toHaveLength(1)
  const told = planOf({ ...seen, anotherOperator: 'told' })
  for (const plan of [met, told]) {
    expect(plan).not.toHaveProperty('secret')
    expect(plan).not.toHaveProperty('stripFinalizerAt')
    expect(plan.outcome).toMatchObject({ afterMs: 60_000 })
  }
  // It answers every status with one of its own.
  expect(told).not.toHaveProperty('status')
  expect(told.events).toEqual([])
})
