import { beforeAll, expect, test } from 'vitest'
import { condition, isReady, valueOf } from '../support/cluster.ts'
import { setStage, type Stage } from '../support/stage.ts'

let stage: Stage

beforeAll(async () => {
  stage = await setStage()
  await stage.operator()
})

test('an item becomes a Secret with a key for each field, URL and file', async () => {
  const { cluster, connect, vault } = stage
  const binary = Buffer.from([0, 255, 128, 10, 13])
  connect.add(vault, {
    title: 'Everything',
    fields: [
      { label: 'username', value: 'app' },
      { label: 'pass word', value: 'p\r\nq ' },
      { label: 'empty', value: '' },
    ],
    urls: [{ href: 'https://example.com', label: 'website', primary: true }],
    files: [{ name: 'key.bin', content: binary }],
  })
  await stage.item('everything', 'Everything', { labels: { team: 'a' } })
  const item = await cluster.until('items', 'everything', isReady)
  const secret = await cluster.get('secrets', 'everything')
  expect(Object.keys(secret['data']).toSorted()).toEqual([
    'key.bin',
    'pass-word',
    'username',
    'website',
  ])
  expect(valueOf(secret, 'pass-word')).toBe('p\r\nq ')
  expect(secret['data']['key.bin']).toBe(binary.toString('base64'))
  expect(secret.metadata.labels).toMatchObject({ team: 'a', 'keyferry.dev/managed': 'true' })
  expect(secret.metadata.ownerReferences).toEqual([
    {
      apiVersion: 'onepassword.com/v1',
      kind: 'OnePasswordItem',
      name: 'everything',
      uid: item.metadata.uid,
    },
  ])
  expect(item['status']).toMatchObject({
    secretName: 'everything',
    secretResourceVersion: secret.metadata.resourceVersion,
    keys: ['key.bin', 'pass-word', 'username', 'website'],
    items: [{ path: 'vaults/Production/items/Everything', version: 1 }],
  })
})

test('a change of the item reaches the Secret', async () => {
  const { cluster, connect, vault } = stage
  const id = connect.add(vault, {
    title: 'Changing',
    fields: [{ label: 'password', value: 'one' }],
  })
  await stage.item('changing', 'Changing')
  await cluster.until('items', 'changing', isReady)
  connect.edit(id, {
    fields: [
      { label: 'password', value: 'two' },
      { label: 'new', value: 'x' },
    ],
  })
  const secret = await cluster.until('secrets', 'changing', (one) => valueOf(one, 'new') === 'x')
  expect(valueOf(secret, 'password')).toBe('two')
  expect(secret.metadata.annotations?.['operator.1password.io/item-version']).toBe('2')
})

test('a label that gives no legal key is reported, and the rest is synced', async () => {
  const { cluster, connect, vault } = stage
  connect.add(vault, {
    title: 'Odd',
    fields: [
      { label: '.', value: 'a' },
      { label: '..x', value: 'b' },
      { label: '__proto__', value: 'c' },
      { label: 'ok', value: 'd' },
    ],
  })
  await stage.item('odd', 'Odd')
  const item = await cluster.until('items', 'odd', isReady)
  const secret = await cluster.get('secrets', 'odd')
  expect(Object.keys(secret['data']).toSorted()).toEqual(['__proto__', 'ok'])
  expect(condition(item, 'Ready')?.message).toContain('"."')
  expect(condition(item, 'Ready')?.message).toContain('"..x"')
})
