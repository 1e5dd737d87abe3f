import { beforeAll, expect, inject, test } from 'vitest'
import { isWrite, readAudit } from '../support/audit.ts'
import { condition, hasReason, isReady, textsOf, valueOf } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { aWorkload, untilRestarted, untilValue, usesAsEnv } from '../support/restarts.ts'
import { setStage, type Stage } from '../support/stage.ts'

let stage: Stage

beforeAll(async () => {
  stage = await setStage()
  await stage.operator()
  return stage.close
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
  expect(Object.keys(secret.metadata.annotations ?? {}).toSorted()).toEqual([
    'keyferry.dev/applied',
    'keyferry.dev/digest',
    'keyferry.dev/instance',
    'keyferry.dev/owner',
    'operator.1password.io/item-path',
    'operator.1password.io/item-version',
  ])
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

test('an item stays meant while it bears the title, and is not found under another', async () => {
  const { cluster, connect, vault } = stage
  const fields = (value: string) => [{ label: 'password', value }]
  const id = connect.add(vault, { title: 'Bound', fields: fields('bound') })
  await stage.item('bound', 'Bound')
  await cluster.until('items', 'bound', isReady)
  const createdAt = '2020-01-01T00:00:00Z'
  const older = connect.add(vault, { title: 'Bound', fields: fields('older'), createdAt })
  connect.set(id, 'password', 'still bound')
  await cluster.until('secrets', 'bound', (one) => valueOf(one, 'password') === 'still bound')
  connect.remove(older)
  connect.edit(id, { title: 'Renamed' })
  await cluster.until('items', 'bound', hasReason('ItemNotFound'))
  expect(valueOf(await cluster.get('secrets', 'bound'), 'password')).toBe('still bound')
  connect.edit(id, { title: 'Bound', fields: fields('back') })
  await cluster.until('secrets', 'bound', (one) => valueOf(one, 'password') === 'back')
  await cluster.until('items', 'bound', isReady)
})

test('the key of digests is an immutable Secret that no resource can have', async () => {
  const { cluster, connect, vault } = stage
  const name = 'keyferry-digest-key'
  const key = await cluster.get('secrets', name)
  expect(key['immutable']).toBe(true)
  connect.add(vault, { title: name, fields: [{ label: 'key', value: 'x' }] })
  await stage.item(name, name, { spec: { existingSecret: 'Adopt' } })
  await cluster.patch('secrets', name, {
    metadata: { annotations: { 'keyferry.dev/adopt': 'true' } },
  })
  await cluster.until('items', name, hasReason('NotOurSecret'))
  expect((await cluster.get('secrets', name))['data']).toEqual(key['data'])
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

test('labels whose key another one took are told, and the rule decides', async () => {
  const { cluster, connect, vault } = stage
  connect.add(vault, {
    title: 'Colliding',
    fields: [
      { label: 'a b', value: 'first' },
      { label: 'a-b', value: 'last' },
      { label: 'site', value: 'field' },
    ],
    urls: [{ href: 'https://example.com', label: 'site', primary: true }],
    files: [{ name: 'site', content: Buffer.from('file') }],
  })
  await stage.item('colliding', 'Colliding')
  const item = await cluster.until('items', 'colliding', isReady)
  expect(textsOf(await cluster.get('secrets', 'colliding'))).toEqual({
    'a-b': 'last',
    site: 'field',
  })
  expect(condition(item, 'Ready')?.message).toContain('"a b", "site"')
})

test('what is taken out of an item, or emptied, leaves the Secret', async () => {
  const { cluster, connect, vault } = stage
  const fields = ['kept', 'removed', 'emptied'].map((label) => ({ label, value: 'x' }))
  const files = [{ name: 'file', content: Buffer.from('x') }]
  const id = connect.add(vault, { title: 'Shrinking', fields, files })
  await stage.item('shrinking', 'Shrinking')
  await cluster.until('items', 'shrinking', isReady)
  connect.edit(id, {
    fields: [
      { label: 'kept', value: 'x' },
      { label: 'emptied', value: '' },
    ],
    files: [],
  })
  const secret = await cluster.until('secrets', 'shrinking', (one) => !('removed' in one['data']))
  expect(textsOf(secret)).toEqual({ kept: 'x' })
})

test('a successful sync makes no Event, and one write of the status', async () => {
  const { cluster, connect, vault } = stage
  connect.add(vault, { title: 'Silent', fields: [{ label: 'a', value: 'b' }] })
  await stage.item('silent', 'Silent')
  await cluster.until('items', 'silent', isReady)
  const events = await cluster.list('events')
  expect(events.filter(({ regarding }) => regarding.name === 'silent')).toEqual([])
  const records = await readAudit(inject('auditLog'))
  const ours = records.filter(({ namespace, name, ...one }) => {
    return (
      isWrite({ namespace, name, ...one }) && namespace === cluster.namespace && name === 'silent'
    )
  })
  const writes = ours.filter(({ userAgent }) => userAgent.startsWith('keyferry/'))
  expect(writes.map(({ verb, resource }) => `${verb} ${resource}`)).toEqual([
    'create secrets',
    'patch onepassworditems/status',
  ])
})

test('a first attempt that takes long says that it is under way', async () => {
  const { cluster, connect, vault } = stage
  const id = connect.add(vault, { title: 'Slow', fields: [{ label: 'a', value: 'b' }] })
  let answer = () => {}
  connect.intercept = ({ url }) => {
    if (!url?.endsWith(`/items/${id}`)) return false
    return new Promise<boolean>((resolve) => (answer = () => resolve(false)))
  }
  await stage.item('slow', 'Slow')
  const item = await cluster.until('items', 'slow', hasReason('Progressing'))
  expect(condition(item, 'Ready')?.status).toBe('Unknown')
  expect(condition(item, 'Reconciling')?.status).toBe('True')
  connect.intercept = undefined
  answer()
  const after = await cluster.until('items', 'slow', isReady)
  expect(condition(after, 'Reconciling')).toBeUndefined()
})

test('a name of 253 characters with dots is the name of the Secret, of its Events and restarts', async () => {
  const { cluster, connect, vault } = stage
  const name = `${'a.'.repeat(126)}z`
  const id = connect.add(vault, { title: 'Long', fields: [{ label: 'password', value: 'one' }] })
  await stage.item(name, 'Long')
  await cluster.until('items', name, isReady)
  await cluster.create('deployments', aWorkload('long', usesAsEnv(name)))
  await cluster.patch('items', name, { type: 'kubernetes.io/basic-auth' })
  await cluster.until('secrets', name, (secret) => secret['type'] === 'kubernetes.io/basic-auth')
  connect.set(id, 'password', 'two')
  const secret = await untilValue(cluster, name, 'two')
  await untilRestarted(cluster, ['deployments', 'long'], secret)
  connect.remove(id)
  await cluster.until('items', name, hasReason('ItemNotFound'))
  await eventually('Events tell of it', async () => {
    const events = await cluster.list('events')
    const reasons = events
      .filter((one) => one['regarding'].name === name)
      .map(({ reason }) => reason)
    return reasons.includes('SecretTypeChanged') && reasons.includes('ItemNotFound')
  })
})
