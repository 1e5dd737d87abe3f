import { describe, expect, test } from 'vitest'
import {
  createSecret,
  deleteSecret,
  recreateSecret,
  replaceSecret,
} from '../../../../src/operator/write/secret.ts'
import { asLive, aSnapshot, manifestOf, planOf } from '../../../builders/snapshot.ts'
import { type AnsweringKube, answeringKube, refusal } from '../../../support/answering-kube.ts'
import { createVirtualClock } from '../../../support/virtual-clock.ts'

const SIGNAL = new AbortController().signal
const plan = planOf(aSnapshot())
const manifest = manifestOf(plan)
const live = asLive(plan)
const written = { metadata: { ...live, resourceVersion: '21' } }

describe('every write of a Secret names the state that it was decided on', () => {
  test('a new one is made by POST, under its name and without a version', async () => {
    const kube = answeringKube(() => written)
    expect(await createSecret(kube, manifest, SIGNAL)).toMatchObject({ resourceVersion: '21' })
    const [request] = kube.requests
    expect(request).toMatchObject({ method: 'POST', path: '/api/v1/namespaces/shop/secrets' })
    expect(request?.body).toMatchObject({ metadata: { name: 'database' } })
    expect(request?.body).not.toHaveProperty('metadata.resourceVersion')
    expect(request?.body).not.toHaveProperty('metadata.uid')
  })

  test('one that exists is replaced at that version, if it is still the same object', async () => {
    const kube = answeringKube(() => written)
    await replaceSecret(kube, manifest, live, SIGNAL)
    const { uid, resourceVersion } = live
    expect(kube.requests[0]).toMatchObject({
      method: 'PUT',
      body: { metadata: { name: 'database', uid, resourceVersion } },
    })
  })

  test('a deletion is of that object at that version', async () => {
    const kube = answeringKube(() => written)
    expect(await deleteSecret(kube, live, SIGNAL)).toBe(true)
    const { uid, resourceVersion } = live
    expect(kube.requests[0]).toMatchObject({
      method: 'DELETE',
      body: { preconditions: { uid, resourceVersion } },
    })
  })

  test('each is given up by the server in time, and answered without values', async () => {
    const kube = answeringKube(() => written)
    await createSecret(kube, manifest, SIGNAL)
    await replaceSecret(kube, manifest, live, SIGNAL)
    await deleteSecret(kube, live, SIGNAL)
    for (const request of kube.requests) {
      expect(request).toMatchObject({ query: { timeout: '4s' }, metadataOnly: 'object' })
    }
  })
})

test.each([404, 409])('a Secret whose deletion answers %i is left alone', async (status) => {
  const kube = answeringKube(() => {
    throw refusal(status)
  })
  expect(await deleteSecret(kube, live, SIGNAL)).toBe(false)
})

describe('a Secret of another type', () => {
  const isDryRun = ({ query }: { query?: Readonly<Record<string, unknown>> }) =>
    query?.['dryRun'] === 'All'

  /** Makes it anew, with as much time as that takes. */
  async function recreated(rest: AnsweringKube) {
    const clock = createVirtualClock()
    const made = recreateSecret({ rest, clock, random: () => 0.5 }, manifest, live, SIGNAL)
    made.catch(() => {})
    await clock.advance(60_000)
    return made
  }

  test('is tried under a generated name, deleted, and made anew', async () => {
    const kube = answeringKube(() => written)
    await recreated(kube)
    expect(kube.requests.map(({ method }) => method)).toEqual(['POST', 'DELETE', 'POST'])
    const [rehearsal] = kube.requests
    expect(rehearsal && isDryRun(rehearsal)).toBe(true)
    expect(rehearsal?.body).toMatchObject({ metadata: { generateName: 'database-' } })
    expect(rehearsal?.body).not.toHaveProperty('metadata.name')
  })

  test('that the API server does not take costs nothing', async () => {
    const kube = answeringKube((request) => {
      if (isDryRun(request)) throw refusal(422)
      return written
    })
    await expect(recreated(kube)).rejects.toThrow('422')
    expect(kube.requests.map(({ method }) => method)).toEqual(['POST'])
  })

  test('that is not as it was is left alone', async () => {
    const kube = answeringKube(({ method }) => {
      if (method === 'DELETE') throw refusal(409)
      return written
    })
    expect(await recreated(kube)).toBeUndefined()
    expect(kube.requests.map(({ method }) => method)).toEqual(['POST', 'DELETE'])
  })

  test('is made again and again once it was deleted', async () => {
    let failures = 2
    const kube = answeringKube((request) => {
      if (request.method === 'POST' && !isDryRun(request) && failures-- > 0) throw refusal(500)
      return written
    })
    expect(await recreated(kube)).toMatchObject({ name: 'database' })
    expect(kube.writes().slice(1)).toEqual([
      'DELETE secrets/database',
      'POST shop/secrets',
      'POST shop/secrets',
      'POST shop/secrets',
    ])
  })
})
