import { beforeAll, expect, test } from 'vitest'
import { condition, isReady, type KubeObject, valueOf } from '../support/cluster.ts'
import { setStage, type Stage } from '../support/stage.ts'

let stage: Stage

beforeAll(async () => {
  stage = await setStage()
  await stage.operator()
})

const reasonIs = (reason: string) => (item: KubeObject) =>
  condition(item, 'Ready')?.reason === reason

function anItem(title: string) {
  stage.connect.add(stage.vault, { title, fields: [{ label: 'password', value: 'ours' }] })
}

test('a Secret of somebody else is not touched, also when the resource is deleted', async () => {
  const { cluster } = stage
  anItem('foreign')
  const before = await cluster.create('secrets', {
    metadata: { name: 'foreign', labels: { app: 'theirs' } },
    stringData: { password: 'theirs' },
  })
  await stage.item('foreign', 'foreign')
  const item = await cluster.until('items', 'foreign', reasonIs('NotOurSecret'))
  expect(condition(item, 'Ready')?.status).toBe('False')
  expect(condition(item, 'Stalled')?.status).toBe('True')
  await cluster.delete('items', 'foreign')
  await cluster.untilGone('items', 'foreign')
  const after = await cluster.get('secrets', 'foreign')
  expect(after.metadata.resourceVersion).toBe(before.metadata.resourceVersion)
})

test('a Secret that was foreign is taken once it is gone', async () => {
  const { cluster } = stage
  anItem('freed')
  await cluster.create('secrets', { metadata: { name: 'freed' }, stringData: { a: 'b' } })
  await stage.item('freed', 'freed')
  await cluster.until('items', 'freed', reasonIs('NotOurSecret'))
  await cluster.delete('secrets', 'freed')
  // Nothing watches a foreign Secret: the next change of the resource looks again.
  await cluster.patch('items', 'freed', {
    metadata: { annotations: { 'keyferry.dev/refresh': '1' } },
  })
  await cluster.until('items', 'freed', isReady)
})

test('the Secret goes with its resource, without a finalizer', async () => {
  const { cluster } = stage
  anItem('gone')
  const item = await stage.item('gone', 'gone')
  expect(item.metadata.finalizers).toBeUndefined()
  await cluster.until('items', 'gone', isReady)
  await cluster.delete('items', 'gone')
  await cluster.untilGone('secrets', 'gone')
})

test('a Secret of the former operator is taken over without a change of its data', async () => {
  const { cluster, connect, vault } = stage
  const id = connect.add(vault, { title: 'legacy', fields: [{ label: 'password', value: 'same' }] })
  const before = await cluster.create('secrets', {
    metadata: {
      name: 'legacy',
      labels: { team: 'a' },
      annotations: {
        'operator.1password.io/item-path': `vaults/${vault}/items/${id}`,
        'operator.1password.io/item-version': '1',
      },
    },
    stringData: { password: 'same' },
  })
  await stage.item('legacy', 'legacy')
  const item = await cluster.until('items', 'legacy', isReady)
  const after = await cluster.get('secrets', 'legacy')
  expect(after.metadata.uid).toBe(before.metadata.uid)
  expect(after['data']).toEqual(before['data'])
  expect(after.metadata.ownerReferences?.map(({ uid }) => uid)).toEqual([item.metadata.uid])
  expect(after.metadata.annotations?.['keyferry.dev/restart']).toBeUndefined()
})

test('a Secret that another controller owns is foreign even with the former annotations', async () => {
  const { cluster, connect, vault } = stage
  const id = connect.add(vault, { title: 'owned', fields: [{ label: 'password', value: 'x' }] })
  const owner = await cluster.create('deployments', deployment('owner'))
  await cluster.create('secrets', {
    metadata: {
      name: 'owned',
      annotations: {
        'operator.1password.io/item-path': `vaults/${vault}/items/${id}`,
        'operator.1password.io/item-version': '1',
      },
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'Deployment', name: 'owner', uid: owner.metadata.uid },
      ],
    },
    stringData: { password: 'theirs' },
  })
  await stage.item('owned', 'owned')
  await cluster.until('items', 'owned', reasonIs('NotOurSecret'))
  expect(valueOf(await cluster.get('secrets', 'owned'), 'password')).toBe('theirs')
})

function deployment(name: string) {
  const labels = { app: name }
  return {
    metadata: { name },
    spec: {
      replicas: 0,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { containers: [{ name: 'app', image: 'example.invalid/app' }] },
      },
    },
  }
}
