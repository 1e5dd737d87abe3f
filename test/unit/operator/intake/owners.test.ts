import { describe, expect, test } from 'vitest'
import { INSTANCE } from '../../../../src/operator/annotations.ts'
import { deadAmong, isInstanceAlive } from '../../../../src/operator/intake/owners.ts'
import { aClaim, asLive, aSnapshot, planOf } from '../../../builders/snapshot.ts'
import { answeringKube, refusal } from '../../../support/answering-kube.ts'

const SIGNAL = new AbortController().signal
const owner = (kind: string, apiVersion = 'apps/v1') => ({
  apiVersion,
  kind,
  name: 'web',
  uid: `${kind}-uid`,
})
const live = (...ownerReferences: ReturnType<typeof owner>[]) =>
  asLive(planOf(aSnapshot()), { ownerReferences })

describe('an owner of a Secret', () => {
  const dead = async (answer: () => unknown, one = owner('Deployment')) => {
    const found = await deadAmong(answeringKube(answer), live(one), aClaim(), SIGNAL)
    return [...found]
  }

  test('is dead when it is not there, or another object has its name', async () => {
    expect(await dead(() => Promise.reject(refusal(404)))).toEqual(['Deployment-uid'])
    expect(await dead(() => ({ metadata: { uid: 'another' } }))).toEqual(['Deployment-uid'])
  })

  test('lives when it is there', async () => {
    expect(await dead(() => ({ metadata: { uid: 'Deployment-uid' } }))).toEqual([])
  })

  test.each([403, 429, 500, 504])('is not judged by the answer %i', async (status) => {
    await expect(dead(() => Promise.reject(refusal(status)))).rejects.toThrow(String(status))
  })

  test('of a kind that the operator may not read counts as living', async () => {
    const never = () => Promise.reject(new Error('it was asked for'))
    expect(await dead(never, owner('Certificate', 'cert-manager.io/v1'))).toEqual([])
  })
})

describe('the installation that a Secret names', () => {
  const NOW = Date.parse('2026-01-02T03:04:05Z')
  const secret = { ...live(), annotations: { [INSTANCE]: 'other/keyferry' } }
  const lease = (holderIdentity: string, ageMs: number) => ({
    metadata: { resourceVersion: '1' },
    spec: {
      holderIdentity,
      leaseDurationSeconds: 15,
      renewTime: new Date(NOW - ageMs).toISOString(),
    },
  })
  const alive = (answer: () => unknown) =>
    isInstanceAlive({ ...answeringKube(answer), serverTime: () => NOW }, secret, SIGNAL)

  test('lives while it renews its Lease, and where nobody may look', async () => {
    expect(await alive(() => lease('a', 20_000))).toBe(true)
    expect(await alive(() => Promise.reject(refusal(403)))).toBe(true)
  })

  test('is gone with its Lease, or when it no longer renews it', async () => {
    expect(await alive(() => Promise.reject(refusal(404)))).toBe(false)
    expect(await alive(() => lease('', 0))).toBe(false)
    expect(await alive(() => lease('a', 31_000))).toBe(false)
  })

  test('is not judged by a failure', async () => {
    await expect(alive(() => Promise.reject(refusal(500)))).rejects.toThrow('500')
  })
})
