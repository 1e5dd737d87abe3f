import { beforeAll, expect, inject, test } from 'vitest'
import { condition, isReady, type KubeObject, valueOf } from '../support/cluster.ts'
import { startOperator, TOKEN } from '../support/operator.ts'
import { setStage, type Stage } from '../support/stage.ts'

let stage: Stage

beforeAll(async () => {
  stage = await setStage()
  await stage.operator()
  return stage.close
})

const untilReason = (name: string, reason: string) =>
  stage.cluster.until(
    'items',
    name,
    (item: KubeObject) => condition(item, 'Ready')?.reason === reason,
  )

test.each([
  ['bad-path', 'foo/bar', 'InvalidItemPath'],
  ['empty-vault', 'vaults//items/x', 'InvalidItemPath'],
  ['dots', 'vaults/../items/..', 'VaultNotFound'],
  ['no-vault', 'vaults/Nowhere/items/x', 'VaultNotFound'],
  ['no-item', 'vaults/Production/items/Nothing', 'ItemNotFound'],
])('%s: the path %s gives the reason %s', async (name, itemPath, reason) => {
  await stage.item(name, 'x', { spec: { itemPath } })
  const item = await untilReason(name, reason)
  expect(condition(item, 'Ready')?.status).toBe('False')
  expect(condition(item, 'Ready')?.message).not.toBe('')
  expect(await stage.cluster.find('secrets', name)).toBeUndefined()
})

test('an item without any key, and one that is too large, leave the Secret as it is', async () => {
  const { cluster, connect, vault } = stage
  const id = connect.add(vault, { title: 'shrinks', fields: [{ label: 'a', value: 'kept' }] })
  await stage.item('shrinks', 'shrinks')
  await cluster.until('items', 'shrinks', isReady)
  connect.edit(id, { fields: [{ label: '', value: 'x' }] })
  await untilReason('shrinks', 'NoKeys')
  expect(valueOf(await cluster.get('secrets', 'shrinks'), 'a')).toBe('kept')
  connect.edit(id, { fields: [{ label: 'huge', value: 'x'.repeat(2 * 2 ** 20) }] })
  const item = await untilReason('shrinks', 'TooLarge')
  expect(condition(item, 'Ready')?.message).toContain('huge 2097152')
  expect(valueOf(await cluster.get('secrets', 'shrinks'), 'a')).toBe('kept')
  connect.edit(id, { fields: [{ label: 'a', value: 'new' }] })
  await cluster.until('items', 'shrinks', isReady)
  expect(valueOf(await cluster.get('secrets', 'shrinks'), 'a')).toBe('new')
})

test('exactly 1 MiB fits, one byte more does not', async () => {
  const { cluster, connect, vault } = stage
  const value = 'x'.repeat(2 ** 20)
  connect.add(vault, { title: 'fits', fields: [{ label: 'a', value }] })
  connect.add(vault, { title: 'one-more', fields: [{ label: 'a', value: `${value}x` }] })
  await stage.item('fits', 'fits')
  await stage.item('one-more', 'one-more')
  await cluster.until('items', 'fits', isReady)
  await untilReason('one-more', 'TooLarge')
})

test('a file that is too large is not even fetched', async () => {
  const { connect, vault } = stage
  connect.add(vault, {
    title: 'big-file',
    fields: [{ label: 'a', value: 'b' }],
    files: [{ name: 'dump.bin', content: Buffer.alloc(3 * 2 ** 20) }],
  })
  await stage.item('big-file', 'big-file')
  const item = await untilReason('big-file', 'TooLarge')
  expect(condition(item, 'Ready')?.message).toContain('dump.bin 3145728')
  expect(connect.requests.some((request) => request.endsWith('/content'))).toBe(false)
})

test('a Connect server that cannot be reached, and a refused token, show as such', async () => {
  await using elsewhere = await setStage()
  elsewhere.connect.tokens = new Set(['another token'])
  const refused = await elsewhere.operator()
  elsewhere.connect.add(elsewhere.vault, { title: 'x', fields: [{ label: 'a', value: 'b' }] })
  await elsewhere.item('x', 'x')
  const item = await elsewhere.cluster.until('items', 'x', (one) => {
    return condition(one, 'Ready')?.reason === 'ConnectUnauthorized'
  })
  expect(condition(item, 'Ready')?.status).toBe('Unknown')
  expect(condition(item, 'Reconciling')?.status).toBe('True')
  expect(await refused.logs()).not.toContain(TOKEN)
  elsewhere.connect.tokens = undefined
  await elsewhere.cluster.until('items', 'x', isReady)
})

test.each([
  [{ OP_CONNECT_HOST: 'ftp://x' }, 'OP_CONNECT_HOST'],
  [{ OP_CONNECT_TOKEN: 'two words' }, 'OP_CONNECT_TOKEN'],
  [{ POLLING_INTERVAL: '0' }, 'POLLING_INTERVAL'],
  [{ WATCH_NAMESPACE: 'Not A Namespace' }, 'WATCH_NAMESPACE'],
])('the setting %o stops the start with one sentence that names it', async (env, name) => {
  const operator = await startOperator({
    kubeconfig: inject('kubeconfig'),
    connect: stage.connect.url,
    namespace: stage.cluster.namespace,
    env,
    ready: false,
  })
  expect(await operator.exited).toBe(1)
  const logs = await operator.logs()
  expect(logs).toContain(name)
  expect(logs.trim().split('\n').length).toBeLessThanOrEqual(2)
})
