import { expect, test } from 'vitest'
import { KeyferryError } from '../../../src/errors.ts'
import type { ItemStatus } from '../../../src/operator/item.ts'
import { parseWorkload } from '../../../src/operator/plan/workload.ts'
import type { Plan, SecretWrite } from '../../../src/operator/plan/types.ts'
import { createJournal, type Subject } from '../../../src/status/journal.ts'
import { aClaim, aSnapshot } from '../../builders/snapshot.ts'
import { createVirtualClock } from '../../support/virtual-clock.ts'

const DATABASE = { namespace: 'shop', name: 'database' }

function ready(reason: string, versions: readonly number[] = []): ItemStatus {
  const status = reason === 'Synced' ? 'True' : 'False'
  return {
    observedGeneration: 1,
    conditions: [{ type: 'Ready', status, reason, lastTransitionTime: '2026-01-01T00:00:00Z' }],
    items: versions.map((version, n) => ({ path: 'p', vaultId: 'v', itemId: `${n}`, version })),
  }
}

const write = { kind: 'replace' } as SecretWrite
const plan = (more: Partial<Plan>): Plan => ({
  events: [],
  repair: false,
  outcome: { kind: 'settled' },
  ...more,
})
const seen = (status: ItemStatus, name = 'database') =>
  aSnapshot({ claim: aClaim({ metadata: { name }, status }) })
const workload = parseWorkload('Deployment', {
  metadata: { namespace: 'shop', name: 'web', uid: 'u', resourceVersion: '1' },
})

test('writes, repairs, failures and their end are told from the youngest', async () => {
  const clock = createVirtualClock()
  const { witness, of } = createJournal(clock)
  const start = clock.wall()
  const none: ItemStatus = { observedGeneration: -1, conditions: [] }
  const steps: [ItemStatus, Partial<Plan>][] = [
    [none, { secret: { kind: 'create' } as SecretWrite, status: ready('Synced', [1]) }],
    [ready('Synced'), { secret: write, status: ready('Synced', [2, 5]) }],
    [ready('Synced'), { secret: write, repair: true }],
    [ready('Synced'), { status: ready('ItemNotFound') }],
    [ready('ItemNotFound'), { status: ready('Synced') }],
    // Nothing was done, and nothing is news.
    [ready('Synced'), {}],
    [ready('Synced'), { status: ready('Synced') }],
  ]
  for (const [before, what] of steps) {
    witness.outcome(seen(before), plan(what))
    await clock.advance(1_000)
  }
  expect(of(DATABASE, 'database')).toEqual([
    { at: start + 4_000, kind: 'state', detail: 'Synced' },
    { at: start + 3_000, kind: 'state', detail: 'ItemNotFound' },
    { at: start + 2_000, kind: 'repaired', detail: '' },
    { at: start + 1_000, kind: 'updated', detail: 'versions 2, 5' },
    { at: start, kind: 'created', detail: 'version 1' },
  ])
})

test('a first attempt that fails is told, one that succeeds is told by its write alone', () => {
  const { witness, of } = createJournal(createVirtualClock())
  const none: ItemStatus = { observedGeneration: -1, conditions: [] }
  const fault = { reason: 'ItemNotFound', message: 'none' } as const
  witness.outcome(seen(none, 'bad'), plan({ status: ready('ItemNotFound'), fault }))
  witness.outcome(seen(none, 'good'), plan({ status: ready('Synced') }))
  expect(of({ namespace: 'shop', name: 'bad' }, 'bad')).toMatchObject([{ detail: 'ItemNotFound' }])
  expect(of({ namespace: 'shop', name: 'good' }, 'good')).toEqual([])
})

test('restarts stand at the Secret, beside what happened to the resource', async () => {
  const clock = createVirtualClock()
  const { witness, of } = createJournal(clock)
  witness.outcome(seen(ready('Synced')), plan({ secret: write }))
  await clock.advance(10)
  witness.restart(workload, ['database-credentials', 'other'])
  await clock.advance(10)
  witness.giveUp(workload, 'it is refused', 'database-credentials')
  expect(of(DATABASE, 'database-credentials')).toMatchObject([
    { kind: 'gave up', detail: 'Deployment/web: it is refused' },
    { kind: 'restarted', detail: 'Deployment/web' },
    { kind: 'updated' },
  ])
  expect(of(DATABASE, 'third')).toHaveLength(1)
})

test('each entry is told to who follows, until they leave', () => {
  const { witness, subscribe } = createJournal(createVirtualClock())
  const told: Subject[] = []
  const end = subscribe((subject) => told.push(subject))
  witness.outcome(seen(ready('Synced')), plan({ secret: write }))
  witness.restart(workload, ['database'])
  end()
  witness.restart(workload, ['database'])
  expect(told).toEqual([
    { about: 'resource', key: 'shop/database' },
    { about: 'secret', key: 'shop/database' },
  ])
})

test('the history of one resource and that of all are bounded; the longest untouched go first', () => {
  const { witness, of } = createJournal(createVirtualClock())
  const names = Array.from({ length: 600 }, (_, n) => `resource-${n}`)
  for (const name of names) {
    for (let n = 0; n < 20; n += 1) {
      witness.outcome(seen(ready('Synced'), name), plan({ secret: write }))
    }
  }
  const lengths = names.map((name) => of({ namespace: 'shop', name }, name).length)
  expect(lengths.slice(-512)).toEqual(Array.from({ length: 512 }, () => 16))
  expect(lengths.slice(0, -512)).toEqual(Array.from({ length: 88 }, () => 0))
})

test('of polls the last is told, and since when they fail', async () => {
  const clock = createVirtualClock()
  const { witness, poll } = createJournal(clock)
  expect(poll()).toEqual({})
  const start = clock.wall()
  const error = new KeyferryError('CONNECT_UNREACHABLE', {
    message: 'no way',
    remedy: 'find one',
    retry: 'soon',
  })
  witness.poll(12.3, undefined)
  expect(poll()).toEqual({ last: { at: start, ms: 12 } })
  await clock.advance(1_000)
  witness.poll(1, error)
  await clock.advance(1_000)
  witness.poll(1, error)
  expect(poll()).toEqual({
    last: { at: start + 2_000, ms: 1 },
    failure: { reason: 'ConnectUnreachable', message: 'no way', since: start + 1_000 },
  })
  witness.poll(1, undefined)
  expect(poll().failure).toBeUndefined()
})
