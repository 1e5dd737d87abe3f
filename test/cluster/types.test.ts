/**
 * Types of Secrets: the API server takes what the builders make, and a type changes without a gap
 * or not at all.
 */
import { beforeAll, expect, test } from 'vitest'
import {
  condition,
  hasReason,
  isReady,
  type KubeObject,
  textsOf,
  valueOf,
} from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { aDeployment, setStage, type Stage } from '../support/stage.ts'

let stage: Stage

beforeAll(async () => {
  stage = await setStage()
  await stage.operator()
  return stage.close
})

const LOGIN = [
  { label: 'username', value: 'app' },
  { label: 'password', value: 'secret' },
]

function anItem(title: string, fields: readonly { label: string; value: string }[] = LOGIN) {
  return stage.connect.add(stage.vault, { title, fields })
}

async function synced(name: string, type?: string): Promise<KubeObject> {
  await stage.item(name, name, type ? { type } : {})
  await stage.cluster.until('items', name, isReady)
  return stage.cluster.get('secrets', name)
}

test.each([
  ['basic-auth', LOGIN, { username: 'app', password: 'secret' }],
  ['ssh-auth', [{ label: 'private key', value: 'a key' }], { 'ssh-privatekey': 'a key' }],
  [
    'tls',
    [
      { label: 'certificate', value: 'a chain' },
      { label: 'private key', value: 'a key' },
    ],
    { 'tls.crt': 'a chain', 'tls.key': 'a key' },
  ],
  [
    'dockercfg',
    [...LOGIN, { label: 'registry', value: 'r.example' }],
    {
      '.dockercfg': JSON.stringify({
        'r.example': { username: 'app', password: 'secret', auth: 'YXBwOnNlY3JldA==' },
      }),
    },
  ],
  [
    'dockerconfigjson',
    LOGIN,
    {
      '.dockerconfigjson': JSON.stringify({
        auths: {
          'https://index.docker.io/v1/': {
            username: 'app',
            password: 'secret',
            auth: 'YXBwOnNlY3JldA==',
          },
        },
      }),
    },
  ],
])('kubernetes.io/%s is built from the usual fields', async (name, fields, demanded) => {
  anItem(name, fields)
  const secret = await synced(name, `kubernetes.io/${name}`)
  expect(secret['type']).toBe(`kubernetes.io/${name}`)
  expect(textsOf(secret)).toMatchObject(demanded)
  // What the item gives besides stays.
  expect(textsOf(secret)).toMatchObject(
    Object.fromEntries(fields.map(({ label, value }) => [label.replace(' ', '-'), value])),
  )
})

test('a key that the item or data gives itself is not built over', async () => {
  anItem('own-key', [...LOGIN, { label: '.dockerconfigjson', value: '{"auths":{}}' }])
  const secret = await synced('own-key', 'kubernetes.io/dockerconfigjson')
  expect(valueOf(secret, '.dockerconfigjson')).toBe('{"auths":{}}')
})

test('a type whose keys cannot be built names them and writes nothing', async () => {
  anItem('no-tls')
  await stage.item('no-tls', 'no-tls', { type: 'kubernetes.io/tls' })
  const item = await stage.cluster.until('items', 'no-tls', hasReason('MissingKeys'))
  expect(condition(item, 'Ready')?.message).toContain('tls.crt and tls.key')
  expect(await stage.cluster.find('secrets', 'no-tls')).toBeUndefined()
})

test.each([
  'kubernetes.io/service-account-token',
  'bootstrap.kubernetes.io/token',
  'helm.sh/release.v1',
])('Secrets of type %s are refused', async (type) => {
  const name = `refused-${type.replaceAll(/[^a-z0-9]+/g, '-')}`
  anItem(name)
  await stage.item(name, name, { type })
  const item = await stage.cluster.until('items', name, hasReason('TypeRefused'))
  expect(condition(item, 'Ready')?.status).toBe('False')
  expect(await stage.cluster.find('secrets', name)).toBeUndefined()
})

test.concurrent('a new type makes the Secret anew with the same content, and restarts nothing', async () => {
  const { cluster } = stage
  // A dot where a generated name would be cut.
  const name = `${'n'.repeat(39)}.dotted`
  anItem(name)
  const before = await synced(name)
  const optedIn = { 'operator.1password.io/auto-restart': 'true' }
  await cluster.create('deployments', aDeployment('uses-type', [name], optedIn))
  await cluster.patch('items', name, { type: 'kubernetes.io/basic-auth' })
  const retyped = (secret: KubeObject) => secret['type'] === 'kubernetes.io/basic-auth'
  const after = await cluster.until('secrets', name, retyped)
  expect(after.metadata.uid).not.toBe(before.metadata.uid)
  expect(after['data']).toEqual(before['data'])
  expect(after.metadata.annotations?.['keyferry.dev/restart']).toBeUndefined()
  await cluster.until('items', name, isReady)
  await eventually('an Event tells it', async () => {
    const events = await cluster.list('events')
    return events.some((one) => {
      return one['regarding'].name === name && one['reason'] === 'SecretTypeChanged'
    })
  })
  expect((await cluster.get('deployments', 'uses-type')).metadata.generation).toBe(1)
})

test.concurrent('a new type that the API server does not take leaves the Secret as it is', async () => {
  const { cluster } = stage
  const id = anItem('not-taken', [{ label: '.dockerconfigjson', value: 'no JSON' }])
  const before = await synced('not-taken')
  await cluster.patch('items', 'not-taken', { type: 'kubernetes.io/dockerconfigjson' })
  const item = await cluster.until('items', 'not-taken', hasReason('SecretInvalid'))
  expect(condition(item, 'Ready')?.message).toContain('.dockerconfigjson')
  const kept = await cluster.get('secrets', 'not-taken')
  expect(kept.metadata.resourceVersion).toBe(before.metadata.resourceVersion)
  stage.connect.set(id, '.dockerconfigjson', '{"auths":{}}')
  await cluster.until('items', 'not-taken', isReady)
  const after = await cluster.get('secrets', 'not-taken')
  expect(after['type']).toBe('kubernetes.io/dockerconfigjson')
})

test.concurrent('a type that is put back to Opaque by removing it works the same way', async () => {
  const { cluster } = stage
  anItem('back')
  await synced('back', 'kubernetes.io/basic-auth')
  await cluster.patch('items', 'back', { type: null })
  await cluster.until('secrets', 'back', (secret) => secret['type'] === 'Opaque')
})

test.concurrent('an immutable Secret is never fought, and made anew once it is deleted', async () => {
  const { cluster } = stage
  const id = anItem('fixed')
  await synced('fixed')
  await cluster.patch('secrets', 'fixed', { immutable: true })
  stage.connect.set(id, 'password', 'new')
  const item = await cluster.until('items', 'fixed', hasReason('SecretImmutable'))
  expect(condition(item, 'Stalled')?.status).toBe('True')
  const kept = await cluster.get('secrets', 'fixed')
  expect(valueOf(kept, 'password')).toBe('secret')
  expect(kept['immutable']).toBe(true)
  await cluster.delete('secrets', 'fixed')
  const after = await cluster.until('secrets', 'fixed', (one) => valueOf(one, 'password') === 'new')
  expect(after['immutable']).toBeUndefined()
  await cluster.until('items', 'fixed', isReady)
})

test.concurrent('labels of an immutable Secret still follow the resource', async () => {
  const { cluster } = stage
  anItem('fixed-labels')
  await synced('fixed-labels')
  await cluster.patch('secrets', 'fixed-labels', { immutable: true })
  await cluster.patch('items', 'fixed-labels', { metadata: { labels: { team: 'a' } } })
  const secret = await cluster.until('secrets', 'fixed-labels', ({ metadata }) => {
    return metadata.labels?.['team'] === 'a'
  })
  expect(secret['immutable']).toBe(true)
  expect(textsOf(secret)).toEqual({ username: 'app', password: 'secret' })
})
