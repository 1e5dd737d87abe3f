import { describe, expect, test } from 'vitest'
import type { KubeRequest } from '../../../src/kube/rest.ts'
import { DIGEST, INSTANCE, RESTART } from '../../../src/operator/annotations.ts'
import { createDebtMemory } from '../../../src/operator/debts.ts'
import { createViews } from '../../../src/operator/intake/views.ts'
import { parseSecretMeta } from '../../../src/operator/objects.ts'
import { formatDebt, timestamp } from '../../../src/operator/plan/debt.ts'
import { parseWorkload, templateAnnotation } from '../../../src/operator/plan/workload.ts'
import { createQueues } from '../../../src/operator/queues.ts'
import { createRolloutReconcile } from '../../../src/operator/rollouts.ts'
import { answeringKube, refusal } from '../../support/answering-kube.ts'
import { createVirtualClock } from '../../support/virtual-clock.ts'

const INSTALLATION = 'keyferry-system/keyferry'
const KEY = 'shop/Deployment/web'
const SIGNAL = new AbortController().signal
const PAID = { [templateAnnotation('db')]: 'digest' }

/** A Deployment that uses the Secret and wants restarts. */
function aWorkload(resourceVersion = '5', annotations = {}) {
  return {
    metadata: {
      namespace: 'shop',
      name: 'web',
      uid: 'web-uid',
      resourceVersion,
      creationTimestamp: '2020-01-01T00:00:00Z',
      annotations: { 'operator.1password.io/auto-restart': 'true' },
    },
    spec: {
      template: {
        metadata: { annotations },
        spec: { containers: [{ envFrom: [{ secretRef: { name: 'db' } }] }] },
      },
    },
  }
}

/** A Secret that owes a restart, and a workload in the cache that it owes it to. */
function setUp(answer: (request: KubeRequest) => unknown) {
  const clock = createVirtualClock()
  const views = createViews()
  const debt = { digest: 'digest', since: timestamp(clock.wall()), gaveUp: [] }
  const annotations = { [INSTANCE]: INSTALLATION, [DIGEST]: 'digest', [RESTART]: formatDebt(debt) }
  const metadata = { namespace: 'shop', name: 'db', uid: 's', resourceVersion: '4', annotations }
  views.secrets.observe(parseSecretMeta({ metadata }))
  views.workloads.Deployment.observe(parseWorkload('Deployment', aWorkload()))
  const kube = answeringKube(answer)
  const queues = createQueues(clock, () => 0, 1)
  const told: string[] = []
  const reconcile = createRolloutReconcile({
    rest: kube,
    views,
    clock,
    policy: { autoRestart: 'false', delayMs: 0 },
    instance: INSTALLATION,
    memory: createDebtMemory(clock),
    events: { emit: () => Promise.resolve() },
    pace: { take: () => 0 },
    rollouts: queues.rollouts,
    debts: queues.debts,
    onRestart: ({ name }, secrets) => told.push(`${name} for ${secrets.join()}`),
    onFailure: (key) => told.push(`${key} failed`),
  })
  /** Lets time pass until the run has ended. */
  async function run() {
    const running = reconcile(KEY, SIGNAL)
    await clock.advance(60_000)
    return running
  }
  return { kube, told, run, views }
}

/** Answers reads with a version each time and patches as told, one after the other. */
function answers(...patches: (Error | object)[]) {
  let reads = 4
  return ({ method }: KubeRequest) => {
    if (method === 'GET') return aWorkload(String((reads += 1)))
    const answer = patches.shift() ?? aWorkload('9', PAID)
    if (answer instanceof Error) throw answer
    return answer
  }
}

test('a workload is read, then patched at that very version, and told of', async () => {
  const { kube, told, run } = setUp(answers())
  expect(await run()).toEqual({ kind: 'forget' })
  expect(kube.requests.map(({ method }) => method)).toEqual(['GET', 'PATCH'])
  expect(kube.requests[1]?.body).toMatchObject({
    metadata: { resourceVersion: '5' },
    spec: { template: { metadata: { annotations: PAID } } },
  })
  expect(told).toEqual(['web for db'])
})

test('a workload that carries the digest already is not patched', async () => {
  const { kube, run } = setUp(() => aWorkload('6', PAID))
  expect(await run()).toEqual({ kind: 'forget' })
  expect(kube.writes()).toEqual([])
})

test('one that was restarted and put back is not restarted again for the same content', async () => {
  const { kube, run, views } = setUp(answers())
  await run()
  views.workloads.Deployment.observe(parseWorkload('Deployment', aWorkload('10')))
  expect(await run()).toEqual({ kind: 'forget' })
  expect(kube.writes()).toEqual(['PATCH deployments/web'])
})

describe('a restart is not lost', () => {
  test('when the workload moves on between the read and the patch', async () => {
    const { kube, told, run } = setUp(answers(refusal(409, 'Conflict'), refusal(409, 'Conflict')))
    expect(await run()).toEqual({ kind: 'forget' })
    expect(kube.writes()).toHaveLength(3)
    expect(told).toEqual(['web for db'])
  })

  test('when the workload never stands still: it keeps its turn for the next time', async () => {
    const conflicts = Array.from({ length: 50 }, () => refusal(409, 'Conflict'))
    const { kube, run } = setUp(answers(...conflicts))
    expect(await run()).toMatchObject({ kind: 'after' })
    expect(kube.writes().length).toBeLessThan(20)
  })

  test.each([500, 429, 504])('when the API server answers %i', async (status) => {
    const { told, run } = setUp(answers(refusal(status)))
    expect(await run()).toEqual({ kind: 'backoff' })
    expect(told).toEqual([`${KEY} failed`])
    expect(await run()).toEqual({ kind: 'forget' })
    expect(told).toEqual([`${KEY} failed`, 'web for db'])
  })
})

test('a workload whose patch is refused three times, ten seconds apart, is given up', async () => {
  const { kube, run } = setUp(({ method }) => {
    if (method === 'PATCH') throw refusal(403, 'Forbidden', 'no')
    return aWorkload()
  })
  expect([await run(), await run(), await run()]).toEqual([
    { kind: 'backoff', ms: 10_000 },
    { kind: 'backoff', ms: 10_000 },
    { kind: 'forget' },
  ])
  expect(await run()).toEqual({ kind: 'forget' })
  expect(kube.writes()).toHaveLength(3)
})

test('a workload that may not even be read is not given up', async () => {
  const { told, run } = setUp(() => {
    throw refusal(403, 'Forbidden', 'no')
  })
  for (let turn = 0; turn < 5; turn += 1) expect(await run()).toEqual({ kind: 'backoff' })
  expect(told).toHaveLength(5)
})

test('a workload that is gone owes nothing', async () => {
  const { told, run } = setUp(() => {
    throw refusal(404)
  })
  expect(await run()).toEqual({ kind: 'forget' })
  expect(told).toEqual([])
})
