import { expect, test } from 'vitest'
import type { Plan, SecretWrite } from '../../../../src/operator/plan/types.ts'
import { createWriter } from '../../../../src/operator/write/write.ts'
import { answeringKube } from '../../../support/answering-kube.ts'
import { createVirtualClock } from '../../../support/virtual-clock.ts'
import { aClaim, aSnapshot, manifestOf, planOf } from '../../../builders/snapshot.ts'

const SIGNAL = new AbortController().signal
const FIRST = planOf(aSnapshot())
const FROM = { namespace: 'shop', name: 'database', uid: 'secret-uid', resourceVersion: '6' }

/** Carries a write out where the API server has the claim in that version; gives what was asked. */
async function carriedOut(secret: SecretWrite, claimVersion: string, known?: string) {
  const metadata = { ...FROM, uid: 'claim-uid', resourceVersion: claimVersion }
  const kube = answeringKube(() => ({ metadata }))
  const writer = createWriter({
    rest: kube,
    clock: createVirtualClock(),
    random: () => 0.5,
    events: { emit: () => Promise.resolve() },
    sinks: { claim: () => {}, secret: () => {}, secretGone: () => {}, remember: (claim) => claim },
  })
  const status = known === undefined ? {} : { secretResourceVersion: known, appliedGeneration: 1 }
  const claim = aClaim({ status: { observedGeneration: 1, conditions: [], ...status } })
  const plan: Plan = { secret, events: [], repair: false, outcome: { kind: 'settled' } }
  const { kind } = await writer.carryOut(claim, plan, SIGNAL)
  const asked = kube.requests.map(({ method, path }) => `${method} ${path.split('/').at(-2)}`)
  return { kind, asked }
}

const REPLACE: SecretWrite = { kind: 'replace', manifest: manifestOf(FIRST), from: FROM }
const CREATE: SecretWrite = { kind: 'create', manifest: manifestOf(FIRST) }

test('the Secret that the status speaks of is written over at once', async () => {
  const { kind, asked } = await carriedOut(REPLACE, '10', '6')
  expect({ kind, asked }).toEqual({ kind: 'done', asked: ['PUT secrets'] })
})

test.each([
  ['a Secret of which the status says nothing', REPLACE, undefined],
  ['a Secret that has moved on since', REPLACE, '5'],
  ['a Secret that is gone', CREATE, '5'],
])('%s is written for a claim that is what it is known to be, and for no other', async (...one) => {
  const [, secret, known] = one
  const now = await carriedOut(secret, '10', known)
  expect(now.kind).toBe('done')
  expect(now.asked).toHaveLength(2)
  expect(await carriedOut(secret, '11', known)).toEqual({
    kind: 'outdated',
    asked: ['GET onepassworditems'],
  })
})

test('a first Secret needs no look: nothing is lost by it', async () => {
  const { kind, asked } = await carriedOut(CREATE, '11')
  expect({ kind, asked }).toEqual({ kind: 'done', asked: ['POST shop'] })
})
