import { beforeAll, expect, inject, test } from 'vitest'
import type { KubeObject } from '../support/cluster.ts'
import { eventually, pause } from '../support/eventually.ts'
import type { OperatorProcess } from '../support/operator.ts'
import { run } from '../support/processes.ts'
import {
  debtOf,
  digestOf,
  moveCaches,
  OPTED_IN,
  restartedFor,
  synced,
  untilClosed,
  untilRestarted,
  untilValue,
} from '../support/restarts.ts'
import { aDeployment, setStage, type Stage } from '../support/stage.ts'

let stage: Stage
let operator: OperatorProcess

beforeAll(async () => {
  stage = await setStage()
  operator = await stage.operator()
  const mover = await moveCaches(stage.cluster)
  return async () => {
    await mover.stop()
    await stage.close()
  }
})

const add = (name: string) => synced(stage, name)
const untilValueOf = (name: string, value: string) => untilValue(stage.cluster, name, value)
const untilDeployment = (name: string, secret: KubeObject) =>
  untilRestarted(stage.cluster, ['deployments', name], secret)
const untilDebtClosed = (name: string) => untilClosed(stage.cluster, name)

test('a workload that uses the Secret and opted in restarts once when the content changes', async () => {
  const { cluster, connect } = stage
  const id = await add('plain')
  await cluster.create('deployments', aDeployment('plain', ['plain'], OPTED_IN))
  await cluster.create('deployments', aDeployment('plain-out', ['plain']))
  await cluster.create('deployments', aDeployment('plain-other', ['another'], OPTED_IN))
  connect.set(id, 'password', 'two')
  await untilDeployment('plain', await untilValueOf('plain', 'two'))
  await untilDebtClosed('plain')
  expect((await cluster.get('deployments', 'plain')).metadata.generation).toBe(2)
  expect((await cluster.get('deployments', 'plain-out')).metadata.generation).toBe(1)
  expect((await cluster.get('deployments', 'plain-other')).metadata.generation).toBe(1)
})

test('a first creation, an opt-in and a version without new content restart nothing', async () => {
  const { cluster, connect } = stage
  await cluster.create('deployments', aDeployment('calm', ['calm'], OPTED_IN))
  const id = await add('calm')
  connect.edit(id, { tags: ['only a tag'] })
  const secret = await cluster.until('secrets', 'calm', ({ metadata }) => {
    return metadata.annotations?.['operator.1password.io/item-version'] === '2'
  })
  expect(debtOf(secret)).toBeUndefined()
  expect((await cluster.get('deployments', 'calm')).metadata.generation).toBe(1)
})

test('a restart survives a kill between the write of the Secret and the restart', async () => {
  const { cluster, connect } = stage
  const id = await add('killed')
  await cluster.create('deployments', aDeployment('killed', ['killed'], OPTED_IN))
  await operator.stop()
  operator = await stage.operator({ RESTART_DELAY: '30' })
  connect.set(id, 'password', 'two')
  const secret = await untilValueOf('killed', 'two')
  expect(debtOf(secret)).toBeDefined()
  operator.signal('SIGKILL')
  await operator.exited
  expect((await cluster.get('deployments', 'killed')).metadata.generation).toBe(1)
  operator = await stage.operator()
  const workload = await untilDeployment('killed', secret)
  expect(workload.metadata.generation).toBe(2)
})

test('two resources that one Deployment uses restart it once when both change', async () => {
  const { cluster, connect } = stage
  const [first, second] = [await add('pair-a'), await add('pair-b')]
  await cluster.create('deployments', aDeployment('pair', ['pair-a', 'pair-b'], OPTED_IN))
  await operator.stop()
  operator = await stage.operator({ RESTART_DELAY: '3' })
  connect.set(first, 'password', 'two')
  connect.set(second, 'password', 'two')
  const a = await untilValueOf('pair-a', 'two')
  const b = await untilValueOf('pair-b', 'two')
  const workload = await untilDeployment('pair', a)
  expect(restartedFor(workload)).toContain(digestOf(b))
  expect(workload.metadata.generation).toBe(2)
  await operator.stop()
  operator = await stage.operator()
})

test('a Deployment created just before the change is restarted', async () => {
  const { cluster, connect } = stage
  const id = await add('late')
  await operator.stop()
  await cluster.create('deployments', aDeployment('late', ['late'], OPTED_IN))
  await pause(50)
  connect.set(id, 'password', 'two')
  operator = await stage.operator()
  await untilDeployment('late', await untilValueOf('late', 'two'))
})

test('a rollout undo while the debt is open is not fought', async () => {
  const { cluster, connect } = stage
  const id = await add('undone')
  await cluster.create('deployments', aDeployment('undone', ['undone'], OPTED_IN))
  await eventually('the first revision exists', async () => revisions('undone', 1))
  connect.set(id, 'password', 'two')
  await untilDeployment('undone', await untilValueOf('undone', 'two'))
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
  const id = await add('undone-later')
  await cluster.create('deployments', aDeployment('undone-later', ['undone-later'], OPTED_IN))
  await eventually('the first revision exists', async () => revisions('undone-later', 1))
  connect.set(id, 'password', 'two')
  await untilDeployment('undone-later', await untilValueOf('undone-later', 'two'))
  await eventually('the second revision exists', async () => revisions('undone-later', 2))
  await untilDebtClosed('undone-later')
  await undo('undone-later')
  // A later change is the proof that the workload was looked at since: it restarts for that alone.
  connect.set(id, 'password', 'three')
  await untilDeployment('undone-later', await untilValueOf('undone-later', 'three'))
  expect((await cluster.get('deployments', 'undone-later')).metadata.generation).toBe(4)
})

test('a Secret that is deleted while a restart is owed still causes the restart', async () => {
  const { cluster, connect } = stage
  const id = await add('lost')
  await cluster.create('deployments', aDeployment('lost', ['lost'], OPTED_IN))
  await operator.stop()
  operator = await stage.operator({ RESTART_DELAY: '30' })
  connect.set(id, 'password', 'two')
  await untilValueOf('lost', 'two')
  await cluster.until('items', 'lost', (item) => {
    return item['status'].conditions.some(({ type }: { type: string }) => type === 'Restarting')
  })
  operator.signal('SIGKILL')
  await operator.exited
  await cluster.delete('secrets', 'lost')
  operator = await stage.operator()
  const secret = await untilValueOf('lost', 'two')
  await untilDeployment('lost', secret)
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
