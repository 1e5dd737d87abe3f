import { expect, test } from 'vitest'
import type { KubeRequest } from '../../../src/kube/rest.ts'
import type { Parts } from '../../../src/operator/run.ts'
import { workInTerms } from '../../../src/operator/terms.ts'
import { answeringKube, refusal } from '../../support/answering-kube.ts'
import { createVirtualClock } from '../../support/virtual-clock.ts'

/** An operator that starts, before it knows whether it is elected. */
function setUp(answer: (request: KubeRequest) => unknown) {
  const clock = createVirtualClock()
  const kube = answeringKube(answer)
  const end = new AbortController()
  const log = { info() {}, warn() {} }
  const settings = {
    leaderElection: true,
    dryRun: false,
    shards: 1,
    instance: 'keyferry',
    podName: 'pod',
  }
  const shards: number[] = []
  const metrics = { shards: { set: (count: number) => shards.push(count) } }
  const parts = { settings, metrics, rest: kube, log, clock, namespace: 'system', holds() {} }
  const ended = workInTerms(parts as unknown as Parts, end.signal)
  ended.catch(() => {})
  return { clock, kube, end, ended, shards }
}

const isLease = ({ path }: KubeRequest) => path.includes('/leases')
const lease = (holderIdentity: string, renewals: number) => ({
  metadata: { resourceVersion: String(renewals) },
  spec: {
    holderIdentity,
    leaseDurationSeconds: 15,
    renewTime: `2024-01-01T00:00:0${renewals % 9}Z`,
  },
})

test('who does not hold the Lease looks at it, and does nothing else', async () => {
  let renewals = 0
  const { clock, kube, end, ended, shards } = setUp(() => lease('another', (renewals += 1)))
  await clock.advance(60_000)
  expect(kube.requests.length).toBeGreaterThan(30)
  expect(kube.requests.filter((one) => !isLease(one))).toEqual([])
  expect(kube.writes()).toEqual([])
  expect(shards).toEqual([1])
  end.abort()
  await clock.advance(1_000)
  await ended
})

test('who holds the Lease writes nothing that could come late', async () => {
  const { clock, kube, end } = setUp((request) => {
    if (isLease(request) && request.method === 'GET') throw refusal(404)
    // From its first renewal on the API server is silent.
    if (request.method === 'PUT') return new Promise(() => {})
    if (isLease(request)) return { ...(request.body as object), metadata: { resourceVersion: '1' } }
    throw refusal(request.method === 'GET' ? 404 : 500)
  })
  await clock.advance(1_000)
  const first = kube.requests.find((one) => !isLease(one) && one.method !== 'GET')
  expect(first).toMatchObject({ method: 'POST', path: '/api/v1/namespaces/system/secrets' })
  expect(first?.check).not.toThrow()
  await clock.advance(5_000)
  expect(first?.check).toThrow('the Lease is lost')
  end.abort()
  await clock.advance(60_000)
})
