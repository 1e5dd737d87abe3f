import { beforeAll, expect, inject, test } from 'vitest'
import { isReady, type KubeObject, valueOf } from '../support/cluster.ts'
import { eventually, pause } from '../support/eventually.ts'
import type { OperatorProcess } from '../support/operator.ts'
import { run } from '../support/processes.ts'
import { aDeployment, setStage, type Stage } from '../support/stage.ts'

let stage: Stage
let operator: OperatorProcess

const OPTED_IN = { 'operator.1password.io/auto-restart': 'true' }
const DEBT = 'keyferry.dev/restart'

beforeAll(async () => {
  stage = await setStage()
  operator = await stage.operator()
})

/** A synced Secret of that name; gives the id of its item. */
async function synced(name: string): Promise<string> {
  const { cluster, connect, vault } = stage
  const id = connect.add(vault, { title: name, fields: [{ label: 'password', value: 'one' }] })
  await stage.item(name, name)
  await cluster.until('items', name, isReady)
  return id
}

const digestOf = ({ metadata }: KubeObject) => metadata.annotations?.['keyferry.dev/digest'] ?? ''
const debtOf = ({ metadata }: KubeObject) => metadata.annotations?.[DEBT]
const templateAnnotations = (workload: KubeObject): Record<string, string> =>
  workload['spec'].template.metadata.annotations ?? {}
const restartedFor = (workload: KubeObject, digest: string) =>
  Object.values(templateAnnotations(workload)).includes(digest)

async function untilValue(name: string, value: string): Promise<KubeObject> {
  return stage.cluster.until('secrets', name, (secret) => valueOf(secret, 'password') === value)
}

async function untilRestarted(name: string, secret: KubeObject): Promise<KubeObject> {
  const digest = digestOf(secret)
  return stage.cluster.until('deployments', name, (workload) => restartedFor(workload, digest))
}

/**
 * Makes every workload cache move on: a debt is closed once the caches have passed its write, and in
 * a quiet namespace only a bookmark, once a minute, says so.
 */
async function nudgeCaches(name: string): Promise<void> {
  const labels = { app: `nudge-${name}` }
  const template = {
    metadata: { labels },
    spec: { containers: [{ name: 'app', image: 'example.invalid/app' }] },
  }
  const metadata = { name: `nudge-${name}` }
  const selector = { matchLabels: labels }
  await stage.cluster.create('statefulsets', {
    metadata,
    spec: { replicas: 0, selector, serviceName: 'none', template },
  })
  await stage.cluster.create('daemonsets', { metadata, spec: { selector, template } })
  await stage.cluster.create('deployments', { metadata, spec: { replicas: 0, selector, template } })
}

async function untilClosed(name: string): Promise<KubeObject> {
  await nudgeCaches(name)
  return stage.cluster.until('secrets', name, (secret) => debtOf(secret) === undefined)
}

test('a workload that uses the Secret and opted in restarts once when the content changes', async () => {
  const { cluster, connect } = stage
  const id = await synced('plain')
  await cluster.create('deployments', aDeployment('plain', ['plain'], OPTED_IN))
  await cluster.create('deployments', aDeployment('plain-out', ['plain']))
  await cluster.create('deployments', aDeployment('plain-other', ['another'], OPTED_IN))
  connect.set(id, 'password', 'two')
  await untilRestarted('plain', await untilValue('plain', 'two'))
  await untilClosed('plain')
  expect((await cluster.get('deployments', 'plain')).metadata.generation).toBe(2)
  expect((await cluster.get('deployments', 'plain-out')).metadata.generation).toBe(1)
  expect((await cluster.get('deployments', 'plain-other')).metadata.generation).toBe(1)
})

test('a first creation, an opt-in and a version without new content restart nothing', async () => {
  const { cluster, connect } = stage
  await cluster.create('deployments', aDeployment('calm', ['calm'], OPTED_IN))
  const id = await synced('calm')
  connect.edit(id, { tags: ['only a tag'] })
  const secret = await cluster.until('secrets', 'calm', ({ metadata }) => {
    return metadata.annotations?.['operator.1password.io/item-version'] === '2'
  })
  expect(debtOf(secret)).toBeUndefined()
  expect((await cluster.get('deployments', 'calm')).metadata.generation).toBe(1)
})

test('a restart survives a kill between the write of the Secret and the restart', async () => {
  const { cluster, connect } = stage
  const id = await synced('killed')
  await cluster.create('deployments', aDeployment('killed', ['killed'], OPTED_IN))
  await operator.stop()
  operator = await stage.operator({ RESTART_DELAY: '30' })
  connect.set(id, 'password', 'two')
  const secret = await untilValue('killed', 'two')
  expect(debtOf(secret)).toBeDefined()
  operator.signal('SIGKILL')
  await operator.exited
  expect((await cluster.get('deployments', 'killed')).metadata.generation).toBe(1)
  operator = await stage.operator()
  const workload = await untilRestarted('killed', secret)
  expect(workload.metadata.generation).toBe(2)
})

test('two resources that one Deployment uses restart it once when both change', async () => {
  const { cluster, connect } = stage
  const [first, second] = [await synced('pair-a'), await synced('pair-b')]
  await cluster.create('deployments', aDeployment('pair', ['pair-a', 'pair-b'], OPTED_IN))
  await operator.stop()
  operator = await stage.operator({ RESTART_DELAY: '3' })
  connect.set(first, 'password', 'two')
  connect.set(second, 'password', 'two')
  const a = await untilValue('pair-a', 'two')
  const b = await untilValue('pair-b', 'two')
  const workload = await untilRestarted('pair', a)
  expect(restartedFor(workload, digestOf(b))).toBe(true)
  expect(workload.metadata.generation).toBe(2)
  await operator.stop()
  operator = await stage.operator()
})

test('a Deployment created just before the change is restarted', async () => {
  const { cluster, connect } = stage
  const id = await synced('late')
  await operator.stop()
  await cluster.create('deployments', aDeployment('late', ['late'], OPTED_IN))
  await pause(50)
  connect.set(id, 'password', 'two')
  operator = await stage.operator()
  await untilRestarted('late', await untilValue('late', 'two'))
})

test('a rollout undo while the debt is open is not fought', async () => {
  const { cluster, connect } = stage
  const id = await synced('undone')
  await cluster.create('deployments', aDeployment('undone', ['undone'], OPTED_IN))
  await eventually('the first revision exists', async () => revisions('undone', 1))
  connect.set(id, 'password', 'two')
  await untilRestarted('undone', await untilValue('undone', 'two'))
  await eventually('the second revision exists', async () => revisions('undone', 2))
  await undo('undone')
  await cluster.until('secrets', 'undone', (secret) => {
    const debt = debtOf(secret)
    return debt === undefined || debt.includes('Deployment/undone')
  })
  expect((await cluster.get('deployments', 'undone')).metadata.generation).toBe(3)
})

test('a rollout undo after the debt is closed restarts nothing', async () => {
  const { cluster, connect } = stage
  const id = await synced('undone-later')
  await cluster.create('deployments', aDeployment('undone-later', ['undone-later'], OPTED_IN))
  await eventually('the first revision exists', async () => revisions('undone-later', 1))
  connect.set(id, 'password', 'two')
  await untilRestarted('undone-later', await untilValue('undone-later', 'two'))
  await eventually('the second revision exists', async () => revisions('undone-later', 2))
  await untilClosed('undone-later')
  await undo('undone-later')
  // A later change is the proof that the workload was looked at since: it restarts for that alone.
  connect.set(id, 'password', 'three')
  await untilRestarted('undone-later', await untilValue('undone-later', 'three'))
  expect((await cluster.get('deployments', 'undone-later')).metadata.generation).toBe(4)
})

test('a Secret that is deleted while a restart is owed still causes the restart', async () => {
  const { cluster, connect } = stage
  const id = await synced('lost')
  await cluster.create('deployments', aDeployment('lost', ['lost'], OPTED_IN))
  await operator.stop()
  operator = await stage.operator({ RESTART_DELAY: '30' })
  connect.set(id, 'password', 'two')
  await untilValue('lost', 'two')
  await cluster.until('items', 'lost', (item) => {
    return item['status'].conditions.some(({ type }: { type: string }) => type === 'Restarting')
  })
  operator.signal('SIGKILL')
  await operator.exited
  await cluster.delete('secrets', 'lost')
  operator = await stage.operator()
  const secret = await untilValue('lost', 'two')
  await untilRestarted('lost', secret)
})

async function revisions(name: string, count: number): Promise<true | undefined> {
  const sets = await stage.cluster.list('replicasets')
  const own = sets.filter(({ metadata }) =>
    metadata.ownerReferences?.some((one) => one.name === name),
  )
  return own.length === count || undefined
}

async function undo(name: string): Promise<void> {
  const kubectl = inject('kubectl') || 'kubectl'
  const args = ['rollout', 'undo', `deployment/${name}`, '-n', stage.cluster.namespace]
  await run(kubectl, args, { env: { ...process.env, KUBECONFIG: inject('kubeconfig') } })
}
