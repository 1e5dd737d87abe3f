import { beforeAll, expect, test } from 'vitest'
import { isReady, type KubeObject } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import type { OperatorProcess } from '../support/operator.ts'
import { aDeployment, setStage, type Stage } from '../support/stage.ts'

let stage: Stage
let operator: OperatorProcess

beforeAll(async () => {
  stage = await setStage()
  operator = await stage.operator()
})

const versions = (objects: readonly KubeObject[]) =>
  Object.fromEntries(objects.map(({ metadata }) => [metadata.name, metadata.resourceVersion]))

/** Completed polls so far. */
async function polls(): Promise<number> {
  const found = /keyferry_poll_seconds_count (\d+)/.exec(await operator.metrics())
  return Number(found?.[1] ?? 0)
}

async function morePolls(count: number): Promise<void> {
  const before = await polls()
  await eventually(`${count} more polls`, async () => (await polls()) >= before + count)
}

async function everything(): Promise<unknown> {
  const kinds = ['items', 'secrets', 'deployments'] as const
  return Promise.all(kinds.map(async (kind) => versions(await stage.cluster.list(kind))))
}

test('after convergence two more polls move no resourceVersion and cost two requests', async () => {
  const { cluster, connect, vault } = stage
  for (let n = 0; n < 20; n += 1) {
    connect.add(vault, { title: `item-${n}`, fields: [{ label: 'password', value: String(n) }] })
    await stage.item(`item-${n}`, `item-${n}`)
  }
  await stage.item('missing', 'no such item')
  await stage.item('bad', 'x', { spec: { itemPath: 'nonsense' } })
  await cluster.create('deployments', { ...aDeployment('web', ['item-0']) })
  for (let n = 0; n < 20; n += 1) await cluster.until('items', `item-${n}`, isReady)
  await morePolls(2)
  const before = await everything()
  connect.requests.length = 0
  await morePolls(2)
  expect(await everything()).toEqual(before)
  expect(new Set(connect.requests)).toEqual(new Set(['GET /v1/vaults']))
})

test('a restart of the operator writes nothing and reads no item', async () => {
  const { connect } = stage
  const before = await everything()
  await operator.stop()
  connect.requests.length = 0
  operator = await stage.operator()
  await morePolls(2)
  expect(await everything()).toEqual(before)
  expect(connect.requests.filter((request) => /\/items\/./.test(request))).toEqual([])
})
