import { describe, expect, test } from 'vitest'
import type { KubeRequest } from '../../../../src/kube/rest.ts'
import type { Plan } from '../../../../src/operator/plan/types.ts'
import { createWriter } from '../../../../src/operator/write/write.ts'
import { anItem, asLive, aSnapshot, aSynced, planOf, withItem } from '../../../builders/snapshot.ts'
import { answeringKube, refusal } from '../../../support/answering-kube.ts'
import { createVirtualClock } from '../../../support/virtual-clock.ts'

const SIGNAL = new AbortController().signal
const first = aSnapshot()
const creation = planOf(first)
const { seen } = aSynced()
const fields = [{ id: 'p', label: 'password', value: 'newer' }]
const change = planOf(withItem(seen, anItem({ version: 2, fields })))

/** A writer over an API server that answers so. */
function aWriter(answer: (request: KubeRequest) => unknown) {
  const { uid, resourceVersion } = first.claim
  // The claim is what it is known to be.
  const kube = answeringKube((request) =>
    request.method === 'GET' ? { metadata: { uid, resourceVersion } } : answer(request),
  )
  const known: string[] = []
  const writer = createWriter({
    rest: kube,
    clock: createVirtualClock(),
    random: () => 0.5,
    events: { emit: () => Promise.resolve() },
    sinks: {
      claim: ({ resourceVersion }) => known.push(`claim at ${resourceVersion}`),
      secret: ({ resourceVersion }) => known.push(`Secret at ${resourceVersion}`),
      secretGone: ({ name }) => known.push(`no Secret ${name}`),
      remember: (claim) => claim,
    },
  })
  return { writer, kube, known }
}

/** Carries out a plan over an API server that answers so. */
async function carriedOut(plan: Plan, answer: (request: KubeRequest) => unknown) {
  const { writer, kube, known } = aWriter(answer)
  const result = await writer.carryOut(first.claim, plan, SIGNAL)
  const status = kube.requests.find(({ path }) => path.endsWith('/status'))?.body
  return { result, known, writes: kube.writes(), status }
}

const good = () => ({ metadata: { ...asLive(creation), resourceVersion: '21' } })
const fails =
  (error: Error, method = 'POST') =>
  (request: KubeRequest) => {
    if (request.method === method) throw error
    return good()
  }

test('the Secret comes first, and its status names the version that was written', async () => {
  const { result, known, writes, status } = await carriedOut(creation, good)
  expect(result).toEqual({ kind: 'done' })
  expect(writes).toEqual(['POST shop/secrets', 'PATCH database/status'])
  expect(status).toMatchObject({ status: { secretResourceVersion: '21' } })
  expect(known).toEqual(['Secret at 21', 'claim at 21'])
})

describe('nothing is told of a Secret', () => {
  test.each([
    ['that somebody else made meanwhile', creation, fails(refusal(409, 'AlreadyExists'))],
    ['that has moved on', change, fails(refusal(409, 'Conflict'), 'PUT')],
    ['that is gone', change, fails(refusal(404), 'PUT')],
  ])('%s: it is looked at again', async (_what, plan, answer) => {
    const { result, known, status } = await carriedOut(plan, answer)
    expect(result).toEqual({ kind: 'stale-secret' })
    expect([known, status]).toEqual([[], undefined])
  })

  test('that was to be deleted and has moved on: it is looked at again', async () => {
    const from = { namespace: 'shop', name: 'database', uid: 'u', resourceVersion: '20' }
    const plan: Plan = { ...creation, secret: { kind: 'delete', from } }
    const { result, known, status } = await carriedOut(plan, fails(refusal(409), 'DELETE'))
    expect(result).toEqual({ kind: 'stale-secret' })
    expect([known, status]).toEqual([[], undefined])
  })

  test.each([
    ['that is being terminated', refusal(403, 'Forbidden', 'namespace shop is being terminated')],
    ['that is gone', refusal(404)],
  ])('in a namespace %s: nothing is left to do', async (_what, error) => {
    const { result, status } = await carriedOut(creation, fails(error))
    expect([result, status]).toEqual([{ kind: 'gone' }, undefined])
  })

  test('that the API server does not take: it says why', async () => {
    const { result, status } = await carriedOut(creation, fails(refusal(422, 'Invalid', 'no')))
    expect([result, status]).toMatchObject([{ kind: 'refused' }, undefined])
  })

  test('that could not be written: the failure is passed on', async () => {
    await expect(carriedOut(creation, fails(refusal(500)))).rejects.toThrow('500')
  })
})

test('a status without an answer is written again, also when it is known to be right', async () => {
  const { claim } = seen
  const plan: Plan = { events: [], repair: false, outcome: { kind: 'settled' } }
  let answer: () => unknown = good
  const { writer, kube } = aWriter(() => answer())
  const statuses = () => kube.requests.map(({ body }) => (body as { status: unknown }).status)
  await writer.carryOut(claim, plan, SIGNAL)
  expect(statuses()).toEqual([])
  const told = { ...claim.status, observedGeneration: 7 }
  answer = () => {
    throw refusal(504)
  }
  await expect(writer.carryOut(claim, { ...plan, status: told }, SIGNAL)).rejects.toThrow('504')
  answer = () => {
    throw refusal(409, 'Conflict')
  }
  expect(await writer.carryOut(claim, plan, SIGNAL)).toEqual({ kind: 'stale-claim' })
  expect(statuses()).toEqual([told, claim.status])
})
