/**
 * How often Connect must say that an item is gone before its Secret may go with it.
 */
import { expect, test } from 'vitest'
import { type ErrorCode, KeyferryError } from '../../../../src/errors.ts'
import { createBindings } from '../../../../src/operator/intake/bindings.ts'
import type { TimedQuestion } from '../../../../src/operator/intake/catalog.ts'
import { createHistory, createOwnVersions } from '../../../../src/operator/intake/history.ts'
import { createIntake, type IntakeDeps } from '../../../../src/operator/intake/snapshot.ts'
import { createViews } from '../../../../src/operator/intake/views.ts'
import type { Resolution, Snapshot } from '../../../../src/operator/plan/types.ts'
import {
  aClaim,
  anItem,
  aPolicy,
  aSnapshot,
  ITEM,
  PATH,
  VAULT,
} from '../../../builders/snapshot.ts'
import { createVirtualClock } from '../../../support/virtual-clock.ts'

const SIGNAL = new AbortController().signal
const POLL_MS = 30_000
const failure = (code: ErrorCode) =>
  new KeyferryError(code, { message: 'no such item', remedy: 'None.', retry: 'on-change' })
const GONE = failure('CONNECT_NOT_FOUND')

/** An intake whose lists say what `means` says then, and whose reads fail so. */
function anIntake(
  means: (question?: TimedQuestion) => Resolution,
  reads: () => Error = () => GONE,
) {
  const clock = createVirtualClock()
  let asked = 0
  const items = [{ path: PATH, vaultId: VAULT, itemId: ITEM, version: 1 }]
  const claim = aClaim({ spec: { onItemMissing: 'Delete' }, status: { items } })
  const deps = {
    rest: { serverTime: () => 0 },
    views: createViews(),
    claims: { get: () => claim, rivalOf: () => undefined },
    client: {
      item() {
        asked += 1
        return Promise.reject(reads())
      },
    },
    catalog: {
      resolve: (question: TimedQuestion) => Promise.resolve(means(question)),
      outage: () => undefined,
    },
    bindings: createBindings(),
    history: createHistory(clock),
    versions: createOwnVersions(),
    policy: aPolicy,
    pollMs: POLL_MS,
  } as unknown as IntakeDeps
  const intake = createIntake(deps)
  const look = async (seen: Snapshot, at: 'references' | 'absence') => intake.look(seen, at, SIGNAL)
  return {
    clock,
    asked: () => asked,
    resolve: () => look(aSnapshot({ claim, references: undefined }), 'references'),
    absences: async () => {
      const seen = await look(aSnapshot({ claim, references: undefined }), 'references')
      return (await look(seen, 'absence')).absences
    },
  }
}

test('an absence counts twice only when a poll lies in between', async () => {
  const { clock, absences } = anIntake(() => ({ kind: 'no-item', vaultId: VAULT }))
  expect(await absences()).toBe(1)
  await clock.advance(POLL_MS - 1)
  expect(await absences()).toBe(1)
  await clock.advance(1)
  expect(await absences()).toBe(2)
})

test('the second time a list must lack the item that was made after the first', async () => {
  let madeAt = 0
  const old: Resolution = { kind: 'no-item', vaultId: VAULT }
  const { clock, absences } = anIntake((question) =>
    question?.fresh && question.askedAt > madeAt ? { kind: 'found', item: anItem() } : old,
  )
  await clock.advance(1_000)
  expect(await absences()).toBe(1)
  await clock.advance(POLL_MS)
  expect(await absences()).toBe(0)
  madeAt = clock.now()
  expect(await absences()).toBe(2)
})

test('an item that came back and vanishes again is to be confirmed anew', async () => {
  let means: Resolution = { kind: 'no-item', vaultId: VAULT }
  const { clock, resolve, absences } = anIntake(() => means)
  expect(await absences()).toBe(1)
  await clock.advance(POLL_MS)
  means = { kind: 'found', item: anItem() }
  await resolve()
  await clock.advance(POLL_MS)
  means = { kind: 'no-item', vaultId: VAULT }
  expect(await absences()).toBe(1)
})

test.each<ErrorCode>(['CONNECT_TIMEOUT', 'CONNECT_FORBIDDEN', 'CONNECT_UNAVAILABLE'])(
  'a read that fails with %s says nothing of the item',
  async (code) => {
    const { absences } = anIntake(
      () => ({ kind: 'no-item', vaultId: VAULT }),
      () => failure(code),
    )
    expect(await absences()).toBe(0)
  },
)

test.each<[string, Resolution]>([
  ['of another vault than the status names', { kind: 'no-item', vaultId: 'w'.repeat(26) }],
  ['that is not allowed', { kind: 'not-allowed', vaultId: VAULT }],
])(
  'nothing is asked about an item %s: who writes statuses would decide it',
  async (_which, means) => {
    const { absences, asked } = anIntake(() => means)
    expect(await absences()).toBe(0)
    expect(asked()).toBe(0)
  },
)

test('of a resource that is gone nothing is remembered', async () => {
  const clock = createVirtualClock()
  const [history, bindings] = [createHistory(clock), createBindings()]
  const [path, itemPath] = [PATH, { vault: 'Production', item: 'Database' }]
  bindings.note(
    'shop/database',
    new Map([[path, itemPath]]),
    new Map([[path, { kind: 'found', item: anItem() }]]),
  )
  history.failed('shop/database')
  await clock.advance(1_000)
  const deps = { claims: { get: () => undefined }, history, bindings } as unknown as IntakeDeps
  expect(createIntake(deps).observe('shop/database')).toBeUndefined()
  expect([...bindings.vaults()]).toEqual([])
  expect(history.failingMs('shop/database')).toBe(0)
})
