import { expect, test } from 'vitest'
import { KeyferryError } from '../../../src/errors.ts'
import { createHistory } from '../../../src/operator/intake/history.ts'
import { conditionOf, type ItemStatus } from '../../../src/operator/item.ts'
import type { Snapshot } from '../../../src/operator/plan/types.ts'
import { createReconcile } from '../../../src/operator/reconcile.ts'
import { aSnapshot, PATH } from '../../builders/snapshot.ts'
import { createVirtualClock } from '../../support/virtual-clock.ts'

const SIGNAL = new AbortController().signal
const KEY = 'shop/database'
const DOWN = new KeyferryError('CONNECT_UNREACHABLE', {
  message: 'Connect cannot be reached',
  remedy: 'Check it.',
  retry: 'soon',
})

/** Runs over what `seen` says then; what they write is noted. A look takes as long as `lookMs` says. */
function aReconcile(seen: Partial<Snapshot>, lookMs = 0, ended: 'done' | 'stale-claim' = 'done') {
  const clock = createVirtualClock()
  const history = createHistory(clock)
  const statuses: ItemStatus[] = []
  const interims: ItemStatus[] = []
  const reconcile = createReconcile({
    clock,
    history,
    onOutcome: () => {},
    intake: {
      observe: () => ({ ...aSnapshot(seen), failingMs: history.failingMs(KEY) }),
      look: (now) =>
        new Promise((resolve) => {
          const found = { ...now, references: aSnapshot().references }
          clock.timer(lookMs, () => resolve(found))
        }),
    },
    writer: {
      tellStatus: (claim, status) => {
        interims.push(status)
        return Promise.resolve({ ...claim, status })
      },
      carryOut: (_claim, { status }) => {
        if (status) statuses.push(status)
        return Promise.resolve({ kind: ended })
      },
    },
  })
  return { clock, statuses, interims, run: () => reconcile(KEY, SIGNAL) }
}

const readyOf = (status: ItemStatus | undefined) => status && conditionOf(status, 'Ready')

test('a failure that may pass is tried again when patience ends, however long the back-off', async () => {
  const references = new Map([[PATH, { kind: 'unknown', error: DOWN } as const]])
  const { clock, run, statuses } = aReconcile({ references })
  expect(await run()).toEqual({ kind: 'backoff', ms: 0, mostMs: 120_000 })
  await clock.advance(100_000)
  expect(await run()).toEqual({ kind: 'backoff', ms: 0, mostMs: 20_000 })
  expect(readyOf(statuses.at(-1))?.status).toBe('Unknown')
  await clock.advance(20_000)
  expect(await run()).toEqual({ kind: 'backoff', ms: 0 })
  expect(readyOf(statuses.at(-1))).toMatchObject({ status: 'False', reason: 'ConnectUnreachable' })
})

test('a wait amid failures ends none of them, and their back-off goes on growing', async () => {
  const failing = new Map([[PATH, { kind: 'unknown', error: DOWN } as const]])
  const waiting = new Map([[PATH, { kind: 'later', ms: 9_000 } as const]])
  const seen: { references: Snapshot['references'] } = { references: failing }
  const { clock, run, statuses } = aReconcile(seen)
  await run()
  await clock.advance(60_000)
  seen.references = waiting
  expect(await run()).toEqual({ kind: 'backoff', ms: 9_000, mostMs: 60_000 })
  await clock.advance(60_000)
  seen.references = failing
  expect(await run()).toEqual({ kind: 'backoff', ms: 0 })
  expect(readyOf(statuses.at(-1))?.status).toBe('False')
})

test('a wait without a failure lasts as long as it says', async () => {
  const { run } = aReconcile({ references: new Map([[PATH, { kind: 'later', ms: 700 }]]) })
  expect(await run()).toEqual({ kind: 'after', ms: 700 })
})

test('a claim that moved on without an event is asked for less and less often', async () => {
  const { run } = aReconcile({}, 0, 'stale-claim')
  expect(await run()).toEqual({ kind: 'backoff' })
})

test.each([
  [900, []],
  [1_100, ['Progressing']],
])('a first attempt that takes %i ms tells in between: %j', async (ms, reasons) => {
  const { clock, run, interims, statuses } = aReconcile({ references: undefined }, ms)
  const running = run()
  await clock.advance(5_000)
  await running
  expect(interims.map((status) => readyOf(status)?.reason)).toEqual(reasons)
  for (const status of interims) {
    expect(readyOf(status)?.status).toBe('Unknown')
    expect(conditionOf(status, 'Reconciling')?.status).toBe('True')
  }
  expect(readyOf(statuses.at(-1))?.status).toBe('True')
})
