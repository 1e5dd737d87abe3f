import { expect, test } from 'vitest'
import { runController } from '../../../src/kube/controller.ts'
import type { KubeRequest, KubeRest } from '../../../src/kube/rest.ts'
import { DIGEST, INSTANCE, RESTART } from '../../../src/operator/annotations.ts'
import {
  createClosingReconcile,
  createDebtMemory,
  createDebtReconcile,
  type DebtDeps,
} from '../../../src/operator/debts.ts'
import { createOwnVersions } from '../../../src/operator/intake/history.ts'
import { createViews } from '../../../src/operator/intake/views.ts'
import { parseSecretMeta } from '../../../src/operator/objects.ts'
import { formatDebt, timestamp } from '../../../src/operator/plan/debt.ts'
import { digestKey } from '../../../src/operator/plan/digest.ts'
import { parseWorkload } from '../../../src/operator/plan/workload.ts'
import { createQueues } from '../../../src/operator/queues.ts'
import { refusal } from '../../support/answering-kube.ts'
import { createVirtualClock, type VirtualClock } from '../../support/virtual-clock.ts'

const INSTALLATION = 'keyferry-system/keyferry'
const COUNT = 500

test('of a mass of debts ten a second are closed, and those that wait are not looked at', async () => {
  const clock = createVirtualClock()
  const views = createViews()
  views.workloads.Deployment.feed()({ kind: 'synced', resourceVersion: '9' })
  const debt = { digest: 'digest', since: timestamp(clock.wall()), gaveUp: [] }
  const open = { [INSTANCE]: INSTALLATION, [DIGEST]: debt.digest, [RESTART]: formatDebt(debt) }
  for (let n = 0; n < COUNT; n += 1) views.secrets.observe(parseSecretMeta(aSecret(n, open)))
  let looks = 0
  const counted = {
    ...views,
    secrets: {
      ...views.secrets,
      get(key: Parameters<typeof views.secrets.get>[0]) {
        looks += 1
        return views.secrets.get(key)
      },
    },
  }
  const written: KubeRequest[] = []
  const send: KubeRest['send'] = async (request) => {
    const n = Number(request.path.split('-').at(-1))
    if (request.method === 'GET') return aSecret(n, open)
    written.push(request)
    return aSecret(n, { [INSTANCE]: INSTALLATION }, '8')
  }
  const { queues, deps } = setUp({ clock, views: counted, send })
  const end = new AbortController()
  const onCrash = (_key: string, error: unknown) => expect.fail(String(error))
  const work = [
    { queue: queues.debts, reconcile: createDebtReconcile(deps) },
    { queue: queues.closings, reconcile: createClosingReconcile(deps) },
  ].map((one) => runController({ ...one, onCrash }, end.signal))
  for (let n = 0; n < COUNT; n += 1) queues.debts.add(`shop/db-${n}`)

  await clock.advance(30_000)
  expect(written.length).toBeGreaterThan(190)
  expect(written.length).toBeLessThanOrEqual(201)
  await clock.advance(60_000)
  expect(written).toHaveLength(COUNT)
  expect(looks).toBeLessThanOrEqual(4 * COUNT)
  end.abort()
  await Promise.all(work)
})

test.each([500, 429])(
  'a debt that cannot be closed because of a %i is closed later',
  async (status) => {
    const clock = createVirtualClock()
    const views = createViews()
    views.workloads.Deployment.feed()({ kind: 'synced', resourceVersion: '9' })
    const debt = { digest: 'digest', since: timestamp(clock.wall()), gaveUp: [] }
    const open = { [INSTANCE]: INSTALLATION, [DIGEST]: debt.digest, [RESTART]: formatDebt(debt) }
    views.secrets.observe(parseSecretMeta(aSecret(0, open)))
    const answers = [
      refusal(status),
      aSecret(0, open),
      aSecret(0, { [INSTANCE]: INSTALLATION }, '8'),
    ]
    const send = async () => {
      const answer = answers.shift()
      if (answer instanceof Error) throw answer
      return answer
    }
    const told: string[] = []
    const { deps } = setUp({ clock, views, send, onFailure: (key) => told.push(key) })
    const signal = new AbortController().signal
    const [look, close] = [createDebtReconcile(deps), createClosingReconcile(deps)]
    await look('shop/db-0', signal)
    await clock.advance(10_000)
    expect(await close('shop/db-0', signal)).toEqual({ kind: 'backoff' })
    expect(told).toEqual(['shop/db-0'])
    expect(await close('shop/db-0', signal)).toEqual({ kind: 'forget' })
    expect(views.secrets.get({ namespace: 'shop', name: 'db-0' })?.annotations).toEqual({
      [INSTANCE]: INSTALLATION,
    })
  },
)

test('of a debt that is gone from its Secret nothing is told, and it is not looked at all the time', async () => {
  const clock = createVirtualClock()
  const { views, secret, debt } = aTriedDebt(clock)
  const asked: KubeRequest[] = []
  const send: KubeRest['send'] = async (request) => {
    asked.push(request)
    return aSecret(0, { [INSTANCE]: INSTALLATION }, '8')
  }
  const told: string[] = []
  const { deps } = setUp({ clock, views, send, onGiveUp: ({ name }) => told.push(name) })
  deps.memory.of(secret, debt).tried.add('web-uid')
  const look = createDebtReconcile(deps)
  const next = await look('shop/db-0', new AbortController().signal)
  expect(next).toEqual({ kind: 'after', ms: 5_000 })
  expect(asked.map(({ method }) => method)).toEqual(['GET'])
  expect(told).toEqual([])
})

test('a debt for the same content at another time, as after a restored backup, is paid anew', () => {
  const clock = createVirtualClock()
  const { secret, debt } = aTriedDebt(clock)
  const memory = createDebtMemory(clock)
  memory.of(secret, debt).tried.add('web-uid')
  expect(memory.of(secret, debt).tried.size).toBe(1)
  const later = { ...debt, since: timestamp(clock.wall() + 60_000) }
  expect(memory.of(secret, later).tried.size).toBe(0)
})

/** An open debt, and a workload that uses the Secret and was not restarted for it. */
function aTriedDebt(clock: VirtualClock) {
  const views = createViews()
  const debt = { digest: 'digest', since: timestamp(clock.wall()), gaveUp: [] }
  const open = { [INSTANCE]: INSTALLATION, [DIGEST]: debt.digest, [RESTART]: formatDebt(debt) }
  const secret = parseSecretMeta(aSecret(0, open))
  views.secrets.observe(secret)
  const containers = [{ name: 'app', envFrom: [{ secretRef: { name: 'db-0' } }] }]
  const workload = {
    metadata: {
      namespace: 'shop',
      name: 'web',
      uid: 'web-uid',
      resourceVersion: '3',
      creationTimestamp: timestamp(clock.wall() - 60_000),
    },
    spec: { template: { spec: { containers } } },
  }
  views.workloads.Deployment.observe(parseWorkload('Deployment', workload))
  return { views, secret, debt }
}

/** What debts stand on, over an API server that answers so. */
function setUp({
  clock,
  views,
  send,
  onFailure = (_key, error) => expect.fail(String(error)),
  onGiveUp = () => {},
}: Pick<DebtDeps, 'views'> & {
  readonly clock: VirtualClock
  readonly send: KubeRest['send']
  readonly onFailure?: DebtDeps['onFailure']
  readonly onGiveUp?: DebtDeps['onGiveUp']
}) {
  const queues = createQueues(clock, () => 0, 1)
  const deps: DebtDeps = {
    rest: {
      send,
      stream: () => Promise.reject(new Error('nothing is watched')),
      serverTime: () => clock.wall(),
      close: () => Promise.resolve(),
    },
    views,
    clock,
    policy: { autoRestart: 'true', delayMs: 0 },
    instance: INSTALLATION,
    digestKey: digestKey(Buffer.alloc(32)),
    versions: createOwnVersions(),
    events: { emit: () => Promise.resolve() },
    memory: createDebtMemory(clock),
    debts: queues.debts,
    closings: queues.closings,
    rollouts: queues.rollouts,
    enqueue() {},
    onGiveUp,
    onFailure,
  }
  return { queues, deps }
}

function aSecret(n: number, annotations: Record<string, string>, resourceVersion = '7') {
  const metadata = { namespace: 'shop', name: `db-${n}`, uid: `u-${n}`, resourceVersion }
  return { metadata: { ...metadata, annotations }, type: 'Opaque', data: {} }
}
