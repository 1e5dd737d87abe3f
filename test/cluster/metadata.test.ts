/**
 * Labels and annotations of Secrets, and the wishes that a resource may have about its keys.
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
import type { OperatorProcess } from '../support/operator.ts'
import { type ItemOptions, setStage, type Stage } from '../support/stage.ts'

let stage: Stage
let operator: OperatorProcess

beforeAll(async () => {
  stage = await setStage()
  operator = await stage.operator({ LABELS_NOT_COPIED: 'private,internal.example/*' })
  return stage.close
})

const REFRESH = 'keyferry.dev/refresh'
const ITEM_VERSION = 'operator.1password.io/item-version'

function anItem(title: string, tags: readonly string[] = []): string {
  const fields = [
    { label: 'username', value: 'app' },
    { label: 'password', value: 'secret' },
    { label: 'empty', value: '' },
  ]
  return stage.connect.add(stage.vault, { title, fields, tags })
}

async function synced(name: string, more: ItemOptions = {}): Promise<string> {
  const id = anItem(name)
  await stage.item(name, name, more)
  await stage.cluster.until('items', name, isReady)
  return id
}

const secretOf = (name: string) => stage.cluster.get('secrets', name)

test('labels are copied but those of tracking tools and those that the operator keeps back', async () => {
  const labels = {
    team: 'a',
    'argocd.argoproj.io/secret-type': 'repository',
    'app.kubernetes.io/name': 'app',
    'app.kubernetes.io/instance': 'x',
    'app.kubernetes.io/managed-by': 'x',
    'argocd.argoproj.io/instance': 'x',
    'kustomize.toolkit.fluxcd.io/name': 'x',
    'helm.toolkit.fluxcd.io/name': 'x',
    'applyset.kubernetes.io/part-of': 'x',
    'kapp.k14s.io/app': 'x',
    'objectset.rio.cattle.io/hash': 'x',
    'configmanagement.gke.io/x': 'x',
    'configsync.gke.io/x': 'x',
    'velero.io/backup-name': 'x',
    private: 'x',
    'internal.example/cost': 'x',
  }
  await synced('labels', { labels, annotations: { note: 'not copied' } })
  const { metadata } = await secretOf('labels')
  expect(metadata.labels).toEqual({
    team: 'a',
    'argocd.argoproj.io/secret-type': 'repository',
    'app.kubernetes.io/name': 'app',
    'keyferry.dev/managed': 'true',
  })
  expect(metadata.annotations).not.toHaveProperty('note')
  expect(metadata.managedFields).toHaveLength(1)
})

test('labels and annotations are set, changed and taken off again; those of others stay', async () => {
  const { cluster } = stage
  await synced('wishes', {
    labels: { team: 'a' },
    annotations: { 'operator.1password.io/auto-restart': 'true' },
    spec: {
      secretMetadata: {
        labels: { tier: 'gold' },
        annotations: { 'reflector.example/to': 'b', note: 'one' },
      },
    },
  })
  await cluster.patch('secrets', 'wishes', {
    metadata: { labels: { theirs: 'x' }, annotations: { theirs: 'y' } },
  })
  const full = (await secretOf('wishes')).metadata
  expect(full.labels).toMatchObject({ team: 'a', tier: 'gold', theirs: 'x' })
  expect(full.annotations).toMatchObject({
    'reflector.example/to': 'b',
    note: 'one',
    theirs: 'y',
    'operator.1password.io/auto-restart': 'true',
  })
  await cluster.patch('items', 'wishes', {
    metadata: {
      labels: { team: null },
      annotations: { 'operator.1password.io/auto-restart': null },
    },
    spec: {
      secretMetadata: { labels: null, annotations: { note: 'two', 'reflector.example/to': null } },
    },
  })
  const { metadata } = await cluster.until('secrets', 'wishes', (secret) => {
    const { labels = {}, annotations = {} } = secret.metadata
    return !('team' in labels) && annotations['note'] === 'two'
  })
  expect(metadata.labels).toEqual({ theirs: 'x', 'keyferry.dev/managed': 'true' })
  expect(metadata.annotations).toMatchObject({ theirs: 'y', note: 'two' })
  expect(metadata.annotations).not.toHaveProperty('reflector.example/to')
  expect(metadata.annotations).not.toHaveProperty('operator.1password.io/auto-restart')
  expect(metadata.annotations).not.toHaveProperty('keyferry.dev/restart')
  expect(metadata.uid).toBe(full.uid)
})

test.each([
  ['annotations', 'kubernetes.io/service-account.name'],
  ['annotations', 'kubectl.kubernetes.io/last-applied-configuration'],
  ['annotations', 'meta.helm.sh/release-name'],
  ['annotations', 'argocd.argoproj.io/tracking-id'],
  ['annotations', 'keyferry.dev/owner'],
  ['annotations', 'operator.1password.io/item-path'],
  ['labels', 'app.kubernetes.io/managed-by'],
  ['labels', 'keyferry.dev/managed'],
])('in secretMetadata the %s may not hold %s', async (member, key) => {
  const name = `reserved-${member}-${key.replaceAll(/[^a-z]+/g, '-')}`
  anItem(name)
  await stage.item(name, name, { spec: { secretMetadata: { [member]: { [key]: 'x' } } } })
  const item = await stage.cluster.until('items', name, hasReason('InvalidMetadata'))
  expect(condition(item, 'Ready')?.message).toContain(key)
  expect(await stage.cluster.find('secrets', name)).toBeUndefined()
})

test('metadata that the API server refuses is told and leaves the Secret as it is', async () => {
  const { cluster } = stage
  await synced('bad-label')
  const before = await secretOf('bad-label')
  await cluster.patch('items', 'bad-label', {
    spec: { secretMetadata: { labels: { team: 'no label value' } } },
  })
  const item = await cluster.until('items', 'bad-label', hasReason('SecretInvalid'))
  expect(condition(item, 'Ready')?.message).toContain('no label value')
  const { metadata } = await secretOf('bad-label')
  expect(metadata.resourceVersion).toBe(before.metadata.resourceVersion)
})

test('annotations of more than Kubernetes takes are told and leave the Secret as it is', async () => {
  const { cluster } = stage
  await synced('bulky')
  const before = await secretOf('bulky')
  const many = Array.from({ length: 20 }, (_, n) => [`note-${n}`, 'x'.repeat(15_000)] as const)
  await cluster.patch('items', 'bulky', {
    spec: { secretMetadata: { annotations: Object.fromEntries(many) } },
  })
  const item = await cluster.until('items', 'bulky', hasReason('SecretInvalid'))
  expect(condition(item, 'Ready')?.message).toContain('annotations')
  expect((await secretOf('bulky')).metadata.resourceVersion).toBe(before.metadata.resourceVersion)
  await cluster.patch('items', 'bulky', { spec: { secretMetadata: null } })
  await cluster.until('items', 'bulky', isReady)
})

test('keys that are required and missing leave the Secret as it is until they come', async () => {
  const { cluster, connect } = stage
  const id = await synced('required', { spec: { requiredKeys: ['username', 'password'] } })
  connect.edit(id, {
    fields: [
      { label: 'username', value: 'new' },
      { label: 'host', value: 'db' },
    ],
  })
  const item = await cluster.until('items', 'required', hasReason('MissingKeys'))
  expect(condition(item, 'Ready')?.message).toContain('"password"')
  expect(textsOf(await secretOf('required'))).toEqual({ username: 'app', password: 'secret' })
  await cluster.patch('items', 'required', { spec: { requiredKeys: ['username'] } })
  await cluster.until('items', 'required', isReady)
  expect(textsOf(await secretOf('required'))).toEqual({ username: 'new', host: 'db' })
})

test('a required key that is there but empty counts as missing', async () => {
  anItem('required-empty')
  await stage.item('required-empty', 'required-empty', { spec: { requiredKeys: ['empty'] } })
  await stage.cluster.until('items', 'required-empty', hasReason('MissingKeys'))
})

test('empty values become keys where the resource or the operator says so', async () => {
  const { cluster } = stage
  await synced('empties')
  expect(await secretOf('empties').then(textsOf)).not.toHaveProperty('empty')
  await cluster.patch('items', 'empties', { spec: { emptyValues: 'Include' } })
  await cluster.until('secrets', 'empties', (secret) => valueOf(secret, 'empty') === '')
  await operator.stop()
  operator = await stage.operator({ ALLOW_EMPTY_VALUES: 'true' })
  await synced('empties-allowed')
  expect(await secretOf('empties-allowed').then(textsOf)).toHaveProperty('empty', '')
  await cluster.patch('items', 'empties-allowed', { spec: { emptyValues: 'Skip' } })
  await cluster.until('secrets', 'empties-allowed', (secret) => {
    return valueOf(secret, 'empty') === undefined
  })
  // What was made under the other setting follows, and nothing restarts for it.
  const { metadata } = await cluster.until('secrets', 'labels', (secret) => {
    return valueOf(secret, 'empty') === ''
  })
  expect(metadata.annotations).not.toHaveProperty('keyferry.dev/restart')
})

test('a refresh that is asked for looks at Connect now, is noted, and may be taken back', async () => {
  const { cluster, connect } = stage
  const id = await synced('refreshed')
  const reads = () => connect.requests.filter((one) => one.endsWith(`/items/${id}`)).length
  const before = reads()
  await cluster.patch('items', 'refreshed', { metadata: { annotations: { [REFRESH]: 'now' } } })
  await cluster.until('items', 'refreshed', (item) => item['status'].refresh === 'now')
  expect(reads()).toBe(before + 1)
  await cluster.patch('items', 'refreshed', { metadata: { annotations: { [REFRESH]: null } } })
  await cluster.until('items', 'refreshed', (item) => item['status'].refresh === undefined)
  const after = reads()
  await cluster.patch('items', 'refreshed', { metadata: { labels: { team: 'a' } } })
  await cluster.until('secrets', 'refreshed', ({ metadata }) => metadata.labels?.['team'] === 'a')
  expect(reads()).toBe(after)
})

test('a frozen item keeps its Secret as it is, also when it is edited by hand', async () => {
  const { cluster, connect } = stage
  const id = await synced('frozen')
  connect.edit(id, { tags: ['operator.1password.io:ignore-secret'] })
  await cluster.until('items', 'frozen', hasReason('Frozen'))
  connect.set(id, 'password', 'new')
  await cluster.patch('secrets', 'frozen', { data: { password: 'aGFuZA==' } })
  await cluster.patch('items', 'frozen', { metadata: { labels: { team: 'a' } } })
  const kept = await cluster.until('secrets', 'frozen', ({ metadata }) => {
    return metadata.labels?.['team'] === 'a'
  })
  expect(valueOf(kept, 'password')).toBe('hand')
  expect(kept.metadata.annotations?.[ITEM_VERSION]).toBe('1')
  expect(condition(await cluster.get('items', 'frozen'), 'Ready')?.status).toBe('True')
  connect.edit(id, { tags: [] })
  await cluster.until('secrets', 'frozen', (secret) => valueOf(secret, 'password') === 'new')
  await cluster.until('items', 'frozen', hasReason('Synced'))
})

test('the Secret of a frozen item that is deleted comes back', async () => {
  const { cluster } = stage
  const id = await synced('frozen-lost')
  stage.connect.edit(id, { tags: ['operator.1password.io:ignore-secret'] })
  await cluster.until('items', 'frozen-lost', hasReason('Frozen'))
  const { metadata } = await secretOf('frozen-lost')
  await cluster.delete('secrets', 'frozen-lost')
  const isNew = (secret: KubeObject) => secret.metadata.uid !== metadata.uid
  expect(textsOf(await cluster.until('secrets', 'frozen-lost', isNew))).toMatchObject({
    username: 'app',
    password: 'secret',
  })
})

test('events of resources that change nothing for the Secret write nothing', async () => {
  const { cluster } = stage
  await synced('quiet', { labels: { 'argocd.argoproj.io/instance': 'x' } })
  const before = (await secretOf('quiet')).metadata.resourceVersion
  await cluster.patch('items', 'quiet', {
    metadata: {
      labels: { 'argocd.argoproj.io/instance': 'y' },
      annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
    },
  })
  const { metadata } = await cluster.get('items', 'quiet')
  // A later one that is done proves that the first was seen.
  await synced('after-quiet')
  expect((await secretOf('quiet')).metadata.resourceVersion).toBe(before)
  expect((await cluster.get('items', 'quiet')).metadata.resourceVersion).toBe(
    metadata.resourceVersion,
  )
})
