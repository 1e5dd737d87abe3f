/**
 * Shadow mode beside 1Password's own operator, under the resource definition that came with it; then
 * the take-over of the same objects under ours. A control plane of its own, because the definition
 * is one for the whole cluster.
 */
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { isWrite, readAudit } from '../support/audit.ts'
import { applyCrd, hasReason, isReady, type KubeObject } from '../support/cluster.ts'
import { type ControlPlane, startControlPlane } from '../support/control-plane/start.ts'
import { eventually } from '../support/eventually.ts'
import {
  addFinalizer,
  FINALIZER,
  INCUMBENT_CRD,
  ITEM_NAME,
  ITEM_PATH,
  leaveItem,
  leaveSecret,
} from '../support/incumbent.ts'
import type { OperatorProcess } from '../support/operator.ts'
import { aDeployment, setStage, type Stage } from '../support/stage.ts'

let plane: ControlPlane
let stage: Stage

beforeAll(async () => {
  plane = await startControlPlane()
  stage = await setStage(plane.kubeconfig)
  await applyCrd(plane.kubeconfig, INCUMBENT_CRD)
})

afterAll(async () => {
  await stage.close()
  await plane.stop()
})

const SECRET_VALUE = 'a value that nobody may read'
const EDITED_VALUE = 'a value that somebody edited'

/** What the log says would be done, by name of the resource or Secret: the last word counts. */
async function differences(operator: OperatorProcess): Promise<Record<string, Difference>> {
  const lines = (await operator.logs()).split('\n').filter((line) => line.includes('"difference"'))
  const told = lines.map((line) => JSON.parse(line) as Difference)
  return Object.fromEntries(told.map((one) => [one.resource.split('/')[1], one]))
}

interface Difference {
  readonly resource: string
  readonly difference: string
  readonly added: readonly string[]
  readonly changed: readonly string[]
  readonly removed: readonly string[]
}

/** Everything that the former operator left, but for what moves by itself. */
async function everything(): Promise<KubeObject[]> {
  const kinds = ['items', 'secrets', 'deployments', 'replicasets', 'events', 'leases'] as const
  return (await Promise.all(kinds.map((kind) => stage.cluster.list(kind)))).flat()
}

function anItem(title: string, password = SECRET_VALUE) {
  const fields = [
    { label: 'username', value: 'app' },
    { label: 'password', value: password },
  ]
  const id = stage.connect.add(stage.vault, { title, fields })
  return `vaults/${stage.vault}/items/${id}`
}

test('shadow mode tells every difference and writes nothing; the take-over changes nothing', async () => {
  const { cluster } = stage
  const data = { username: 'app', password: SECRET_VALUE }
  await leaveItem(cluster, { name: 'same', itemPath: anItem('same'), data })
  await leaveItem(cluster, {
    name: 'edited',
    itemPath: anItem('edited'),
    data: { password: EDITED_VALUE, old: 'x' },
  })
  await cluster.create('secrets', { metadata: { name: 'foreign' }, stringData: { a: 'b' } })
  await cluster.create('items', {
    metadata: { name: 'foreign' },
    spec: { itemPath: anItem('foreign') },
  })
  await cluster.create('items', { metadata: { name: 'new' }, spec: { itemPath: anItem('new') } })
  const asked = anItem('asked')
  const asks = { [ITEM_PATH]: asked, [ITEM_NAME]: 'asked' }
  await cluster.create('deployments', aDeployment('asks', ['asked', 'same'], asks))
  await addFinalizer(cluster, 'deployments', 'asks')
  const owner = await cluster.until('deployments', 'asks', ({ status }) => {
    return status?.unavailableReplicas === 1
  })
  const annotations = { [ITEM_NAME]: 'asked' }
  await leaveSecret(cluster, { name: 'asked', itemPath: asked, data, owner, annotations })

  const before = await everything()
  const env = { DRY_RUN: 'true', LEADER_ELECTION: 'true', POD_NAME: 'keyferry-0' }
  const shadow = await stage.operator(env)
  const told = await eventually('every difference is told', async () => {
    const all = await differences(shadow)
    return Object.keys(all).length === 5 && all
  })
  const kinds = Object.fromEntries(
    Object.entries(told).map(([name, one]) => [name, one.difference]),
  )
  expect(kinds).toEqual({
    same: 'metadata',
    asked: 'metadata',
    edited: 'content',
    foreign: 'refuse',
    new: 'create',
  })
  expect(told['edited']).toMatchObject({
    added: ['username'],
    changed: ['password'],
    removed: ['old'],
  })
  expect(told['foreign']).toMatchObject({ reason: 'NotOurSecret' })
  const metrics = await shadow.metrics()
  expect(metrics).toContain('keyferry_shadow_differences{kind="metadata"} 2')
  expect(metrics).toContain('keyferry_shadow_differences{kind="content"} 1')
  const log = await readFile(shadow.logFile, 'utf8')
  expect(log).not.toContain(SECRET_VALUE)
  expect(log).not.toContain(EDITED_VALUE)
  await shadow.stop()
  expect(await everything()).toEqual(before)
  // Not even a request to write that was refused.
  const ours = (await readAudit(plane.auditLog ?? '')).filter(({ userAgent }) =>
    userAgent.startsWith('keyferry/'),
  )
  expect(ours.length).toBeGreaterThan(0)
  expect(ours.filter(({ verb }) => !['get', 'list', 'watch'].includes(verb))).toEqual([])
  expect(ours.some(isWrite)).toBe(false)

  await cluster.delete('items', 'foreign')
  await applyCrd(plane.kubeconfig)
  await stage.operator()
  for (const name of ['same', 'edited', 'new']) await cluster.until('items', name, isReady)
  await cluster.until('deployments', 'asks', ({ metadata }) => metadata.finalizers === undefined)
  await cluster.until('secrets', 'asked', ({ metadata }) => {
    return metadata.labels?.['keyferry.dev/managed'] === 'true'
  })
  const essence = ({ metadata, ...rest }: KubeObject) => [metadata.uid, rest['type'], rest['data']]
  const after = await everything()
  for (const name of ['same', 'asked']) {
    const find = (all: readonly KubeObject[]) =>
      all.find((one) => one.metadata.name === name && one['type'] === 'Opaque')
    const [was, is] = [find(before), find(after)]
    expect(is && essence(is)).toEqual(was && essence(was))
  }
  const workload = await cluster.get('deployments', 'asks')
  expect(workload.metadata.generation).toBe(owner.metadata.generation)
  expect(workload['spec']).toEqual(owner['spec'])
  expect(await cluster.list('replicasets')).toHaveLength(1)
  expect((await cluster.get('items', 'same')).metadata.finalizers ?? []).not.toContain(FINALIZER)
})

test('what asks for nothing, which the former definition let through, is told so and can go', async () => {
  const { cluster } = stage
  await applyCrd(plane.kubeconfig, INCUMBENT_CRD)
  for (const name of ['empty', 'going']) {
    await cluster.create('items', { metadata: { name }, spec: {} })
    await addFinalizer(cluster, 'items', name)
  }
  await cluster.delete('items', 'going')
  await applyCrd(plane.kubeconfig)
  await stage.operator()
  await cluster.untilGone('items', 'going')
  const item = await cluster.until('items', 'empty', hasReason('InvalidItemPath'))
  expect(item.metadata.finalizers).toBeUndefined()
  await cluster.delete('items', 'empty')
  await cluster.untilGone('items', 'empty')
})
