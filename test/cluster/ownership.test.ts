import { beforeAll, expect, test } from 'vitest'
import { condition, isReady, type KubeObject, valueOf } from '../support/cluster.ts'
import { setStage, type Stage } from '../support/stage.ts'

let stage: Stage

beforeAll(async () => {
  stage = await setStage()
  await stage.operator()
  return stage.close
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

test('what another manager applied is nobody’s to take, and what it adds to ours stays or goes', async () => {
  const { cluster } = stage
  anItem('applied')
  const theirs = { metadata: { name: 'applied', labels: { app: 'x' } }, stringData: { a: 'b' } }
  const before = await cluster.apply('secrets', theirs)
  await stage.item('applied', 'applied')
  await cluster.until('items', 'applied', reasonIs('NotOurSecret'))
  const { metadata } = await cluster.get('secrets', 'applied')
  expect(metadata.resourceVersion).toBe(before.metadata.resourceVersion)

  anItem('shared')
  await stage.item('shared', 'shared')
  await cluster.until('items', 'shared', isReady)
  const added = { metadata: { name: 'shared', labels: { app: 'x' } }, stringData: { more: 'y' } }
  await cluster.apply('secrets', added)
  const after = await cluster.until('secrets', 'shared', (one) => !('more' in one['data']))
  expect(after.metadata.labels).toMatchObject({ app: 'x', 'keyferry.dev/managed': 'true' })
  expect(valueOf(after, 'password')).toBe('ours')
})

test('an owner reference that is taken off comes back; who loses all marks besides is foreign', async () => {
  const { cluster } = stage
  anItem('unowned')
  const { uid } = (await stage.item('unowned', 'unowned')).metadata
  await cluster.until('items', 'unowned', isReady)
  await cluster.patch('secrets', 'unowned', { metadata: { ownerReferences: null } })
  await cluster.until('secrets', 'unowned', ({ metadata }) => {
    return metadata.ownerReferences?.[0]?.uid === uid
  })
  await cluster.patch('secrets', 'unowned', {
    metadata: { ownerReferences: null, annotations: null, labels: null },
    data: { password: 'dGhlaXJz' },
  })
  await cluster.until('items', 'unowned', reasonIs('NotOurSecret'))
  const secret = await cluster.get('secrets', 'unowned')
  expect(valueOf(secret, 'password')).toBe('theirs')
  await cluster.delete('items', 'unowned')
  await cluster.untilGone('items', 'unowned')
  expect((await cluster.get('secrets', 'unowned')).metadata.uid).toBe(secret.metadata.uid)
})

test('the Secret goes with its resource while Connect is down', async () => {
  const { cluster, connect } = stage
  anItem('offline')
  await stage.item('offline', 'offline')
  await cluster.until('items', 'offline', isReady)
  connect.intercept = (_request, response) => response.destroy() !== undefined
  await cluster.delete('items', 'offline')
  await cluster.untilGone('secrets', 'offline')
  await cluster.untilGone('items', 'offline')
  connect.intercept = undefined
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
