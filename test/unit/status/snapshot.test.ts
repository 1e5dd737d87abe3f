import { expect, test } from 'vitest'
import { RESTART } from '../../../src/operator/annotations.ts'
import type { Condition } from '../../../src/operator/item.ts'
import { parseSecretMeta } from '../../../src/operator/objects.ts'
import { formatDebt } from '../../../src/operator/plan/debt.ts'
import { parseWorkload } from '../../../src/operator/plan/workload.ts'
import { detailsOf, type Known, rowOf } from '../../../src/status/snapshot.ts'
import { aClaim } from '../../builders/snapshot.ts'

const condition = (type: string, status: Condition['status'], reason: string): Condition => ({
  type,
  status,
  reason,
  message: `because of ${reason}`,
  lastTransitionTime: '2026-01-01T00:01:00Z',
})

test.each([
  [[], 'pending', 'Progressing'],
  [[condition('Ready', 'Unknown', 'ConnectForbidden')], 'pending', 'ConnectForbidden'],
  [[condition('Ready', 'True', 'Synced')], 'ready', 'Synced'],
  [[condition('Ready', 'True', 'Frozen')], 'ready', 'Frozen'],
  [
    [condition('Ready', 'True', 'Synced'), condition('Restarting', 'True', 'RestartOwed')],
    'restarting',
    'RestartOwed',
  ],
  [
    [
      condition('Restarting', 'True', 'RestartOwed'),
      condition('Stale', 'True', 'ConnectUnreachable'),
      condition('Ready', 'True', 'Synced'),
    ],
    'stale',
    'ConnectUnreachable',
  ],
  [
    [condition('Stale', 'True', 'ConnectUnreachable'), condition('Ready', 'False', 'ItemNotFound')],
    'failed',
    'ItemNotFound',
  ],
])('of the conditions %j a row shows the worst', (conditions, state, reason) => {
  expect(rowOf(aClaim({ status: { conditions } }))).toMatchObject({ state, reason })
})

const STATUS = {
  conditions: [condition('Ready', 'True', 'Synced')],
  items: [
    { path: 'vaults/Production/items/Database', vaultId: 'v', itemId: 'i', version: 3 },
    // The same item by another path.
    { path: 'op://Production/Database', vaultId: 'v', itemId: 'i', version: 3 },
    {
      path: 'op://Infra/Mail',
      vaultId: 'w',
      itemId: 'j',
      version: 7,
      expires: '2027-01-01T00:00:00Z',
    },
  ],
  keys: ['username', 'url', 'literal', 'broken'],
  lastSyncTime: '2026-01-01T00:02:00Z',
}
const SPEC = {
  data: {
    url: 'smtp://{{ op://Infra/Mail/login/user | urlencode }}:{{ op://Infra/Mail/password }}@mail',
    literal: 'a-literal-to-hide',
    broken: 'op://a-broken-text-to-hide',
    later: 'op://Production/Later/key',
    password: 'op://Production/Database/password',
  },
}

function known(more: Partial<Known> = {}): Known {
  return {
    claim: aClaim({ spec: SPEC, status: STATUS }),
    secret: undefined,
    users: [],
    pullers: [],
    namespaceLevel: undefined,
    policy: { autoRestart: 'false', delayMs: 0 },
    history: [],
    ...more,
  }
}

test('a row has names and times, and no item', () => {
  const row = rowOf(known().claim)
  expect(row).toEqual({
    namespace: 'shop',
    name: 'database',
    secret: 'database',
    state: 'ready',
    reason: 'Synced',
    versions: [3, 7],
    created: Date.parse('2026-01-01T00:00:00Z'),
    changed: Date.parse('2026-01-01T00:02:00Z'),
  })
  expect(rowOf(aClaim()).changed).toBeUndefined()
})

test('a key comes from an item or references; no other text of the resource is told', () => {
  const details = detailsOf(known())
  expect(details.keys).toEqual([
    { name: 'broken', from: 'a text that is no reference' },
    { name: 'later', from: 'op://Production/Later/key' },
    { name: 'literal', from: 'a literal of the resource' },
    { name: 'password', from: 'op://Production/Database/password' },
    { name: 'url', from: 'op://Infra/Mail/login/user | urlencode, op://Infra/Mail/password' },
    { name: 'username', from: 'item vaults/Production/items/Database' },
  ])
  expect(JSON.stringify(details)).not.toContain('to-hide')
})

test('items stand once each, with what is applied of them', () => {
  expect(detailsOf(known()).items).toEqual([
    { vault: 'Production', item: 'Database', version: 3 },
    { vault: 'Infra', item: 'Mail', version: 7, expires: Date.parse('2027-01-01T00:00:00Z') },
    { vault: 'Production', item: 'Later' },
  ])
  const odd = aClaim({ spec: { itemPath: 'no path at all' } })
  expect(detailsOf(known({ claim: odd })).items).toEqual([])
  const made = aClaim({ spec: { itemPath: '', data: {} }, status: { keys: ['k'] } })
  expect(detailsOf(known({ claim: made })).keys).toEqual([
    { name: 'k', from: 'made for type Opaque' },
  ])
})

const workload = (name: string, annotations = {}, template = {}) =>
  parseWorkload('Deployment', {
    metadata: {
      namespace: 'shop',
      name,
      uid: name,
      resourceVersion: '1',
      creationTimestamp: '2026-01-01T00:00:00Z',
      annotations,
    },
    spec: { template },
  })
const using = {
  spec: { containers: [{ envFrom: [{ secretRef: { name: 'database' } }] }] },
}

test('workloads are told by name, with what they want and whether they still owe', () => {
  const optIn = { 'operator.1password.io/auto-restart': 'true' }
  const debt = formatDebt({ digest: 'd', since: '2026-01-02T00:00:00Z', gaveUp: [] })
  const annotations = { [RESTART]: debt }
  const secret = parseSecretMeta({ metadata: { namespace: 'shop', name: 'database', annotations } })
  const details = detailsOf(
    known({
      secret,
      users: [workload('web', optIn, using), workload('api', {}, using)],
      // A workload may do both.
      pullers: [workload('puller'), workload('api')],
    }),
  )
  expect(details.workloads).toEqual([
    { kind: 'Deployment', name: 'api', use: 'content', restarts: 'false', owes: false },
    { kind: 'Deployment', name: 'puller', use: 'pull', restarts: 'false', owes: false },
    { kind: 'Deployment', name: 'web', use: 'content', restarts: 'true', owes: true },
  ])
  const since = Date.parse('2026-01-02T00:00:00Z')
  expect(details.secret).toEqual({ name: 'database', present: true, restartSince: since })
  expect(detailsOf(known()).secret).toEqual({ name: 'database', present: false })
})

test('conditions are told with their times', () => {
  expect(detailsOf(known()).conditions).toEqual([
    {
      type: 'Ready',
      status: 'True',
      reason: 'Synced',
      message: 'because of Synced',
      since: Date.parse('2026-01-01T00:01:00Z'),
    },
  ])
})
