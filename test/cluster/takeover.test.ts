/**
 * Replacing 1Password's own operator, from objects as that operator leaves them. Unchanged means
 * data, type and UID of the Secret, generation and pod template of the workload.
 */
import { beforeAll, expect, inject, test } from 'vitest'
import { isWrite, readAudit } from '../support/audit.ts'
import { type Cluster, hasReason, isReady, type KubeObject, textsOf } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import {
  addFinalizer,
  asIncumbent,
  FINALIZER,
  ITEM_NAME,
  ITEM_PATH,
  ITEM_VERSION,
  leaveItem,
  leaveSecret,
  type Left,
} from '../support/incumbent.ts'
import { OPTED_IN } from '../support/restarts.ts'
import { aDeployment, setStage, type Stage } from '../support/stage.ts'

let stage: Stage

beforeAll(async () => {
  stage = await setStage()
  return stage.close
})

const DATA = { username: 'app', password: 'secret' }

/** An item with that data, and where it is. */
function anItem(title: string, tags: readonly string[] = []) {
  const { connect, vault } = stage
  const fields = Object.entries(DATA).map(([label, value]) => ({ label, value }))
  const id = connect.add(vault, { title, fields, tags })
  return { id, itemPath: `vaults/${vault}/items/${id}` }
}

/** A namespace of its own with what the former operator left: nobody has started there yet. */
async function left(name: string, more: Partial<Left> = {}, tags: readonly string[] = []) {
  const cluster = await stage.another()
  const { id, itemPath } = anItem(`${name} ${cluster.namespace}`, tags)
  const asked = `vaults/Production/items/${name} ${cluster.namespace}`
  const { secret } = await leaveItem(cluster, { name, itemPath, asked, data: DATA, ...more })
  await cluster.create('deployments', aDeployment('user', [name], OPTED_IN))
  const deployment = await cluster.until('deployments', 'user', isRolledOut)
  return { cluster, id, secret, deployment }
}

/** Nothing but Keyferry would change it from here: no pod ever runs in these tests. */
const isRolledOut = ({ metadata, status }: KubeObject) =>
  status?.observedGeneration === metadata.generation && status?.unavailableReplicas === 1

function operate({ namespace }: Cluster, env: Readonly<Record<string, string>> = {}) {
  return stage.operator({ WATCH_NAMESPACE: namespace, ...env })
}

/** Every write of Keyferry in the namespace, in order. */
async function writesIn({ namespace }: Cluster) {
  const records = await readAudit(inject('auditLog'))
  return records.filter(
    (one) => one.namespace === namespace && one.userAgent.startsWith('keyferry/') && isWrite(one),
  )
}

/** What must not change of a Secret. */
const essence = ({ metadata, ...secret }: KubeObject) => ({
  uid: metadata.uid,
  type: secret['type'],
  data: secret['data'],
})

/** Nothing of the workload changed, and nothing was rolled out. */
async function expectUntouched(cluster: Cluster, before: KubeObject) {
  const { name } = before.metadata
  const after = await cluster.get('deployments', name)
  expect(after.metadata.generation).toBe(before.metadata.generation)
  expect(after['spec']).toEqual(before['spec'])
  const own = (await cluster.list('replicasets')).filter(({ metadata }) =>
    metadata.ownerReferences?.some(({ uid }) => uid === before.metadata.uid),
  )
  expect(own).toHaveLength(1)
}

const isReleased = ({ metadata }: KubeObject) => !metadata.finalizers?.includes(FINALIZER)

test.concurrent.each([
  ['with', undefined],
  ['without', false],
] as const)('a Secret %s an owner reference is taken over by one write', async (_, owner) => {
  const before = await left('plain', owner === undefined ? {} : { owner })
  const { cluster } = before
  if (owner === false) {
    await cluster.patch('secrets', 'plain', { metadata: { ownerReferences: null } })
  }
  await operate(cluster)
  const item = await cluster.until('items', 'plain', isReady)
  expect(isReleased(item)).toBe(true)
  const after = await cluster.get('secrets', 'plain')
  expect(essence(after)).toEqual(essence(before.secret))
  expect(after.metadata.ownerReferences?.map(({ uid }) => uid)).toEqual([item.metadata.uid])
  expect(after.metadata.labels).toEqual({ 'keyferry.dev/managed': 'true' })
  expect(after.metadata.annotations).not.toHaveProperty('keyferry.dev/restart')
  await expectUntouched(cluster, before.deployment)
  const writes = await writesIn(cluster)
  const of = (resource: string) =>
    writes.filter((one) => one.resource === resource && one.name === 'plain')
  expect(of('secrets').map(({ verb }) => verb)).toEqual(['update'])
  expect(of('onepassworditems').map(({ verb }) => verb)).toEqual(['patch'])
  expect(writes.filter(({ group }) => group === 'apps')).toEqual([])
})

test.concurrent('a key that the former operator owns goes with its field', async () => {
  const { cluster, id, secret } = await left('owned-keys')
  expect(secret.metadata.managedFields).toHaveLength(1)
  await operate(cluster)
  await cluster.until('items', 'owned-keys', isReady)
  stage.connect.edit(id, { fields: [{ label: 'password', value: 'new' }] })
  const after = await cluster.until('secrets', 'owned-keys', (one) => {
    return textsOf(one)['password'] === 'new'
  })
  expect(textsOf(after)).toEqual({ password: 'new' })
})

test.concurrent('a frozen item whose item-version is newer than its data is taken over as it is', async () => {
  const tags = ['operator.1password.io:ignore-secret']
  const data = { ...DATA, password: 'from before the tag' }
  const before = await left('frozen', { data, version: '7' }, tags)
  const { cluster } = before
  await operate(cluster)
  await cluster.until('items', 'frozen', hasReason('Frozen'))
  const after = await cluster.get('secrets', 'frozen')
  expect(essence(after)).toEqual(essence(before.secret))
  expect(after.metadata.annotations?.[ITEM_VERSION]).toBe('7')
  await expectUntouched(cluster, before.deployment)
})

test.concurrent('labels by which tools prune come off, all others stay', async () => {
  const labels = {
    team: 'a',
    'argocd.argoproj.io/instance': 'shop',
    'app.kubernetes.io/managed-by': 'Helm',
  }
  const before = await left('tracked', { labels })
  const { cluster } = before
  await cluster.patch('secrets', 'tracked', {
    metadata: { labels: { 'velero.io/of-somebody': 'else' } },
  })
  await operate(cluster)
  await cluster.until('items', 'tracked', isReady)
  const after = await cluster.get('secrets', 'tracked')
  expect(essence(after)).toEqual(essence(before.secret))
  expect(after.metadata.labels).toEqual({
    team: 'a',
    'velero.io/of-somebody': 'else',
    'keyferry.dev/managed': 'true',
  })
  await cluster.patch('items', 'tracked', { metadata: { labels: { team: null } } })
  await cluster.until('secrets', 'tracked', ({ metadata }) => !metadata.labels?.['team'])
})

test.concurrent('a Secret that two Deployments share is taken over for both', async () => {
  const cluster = await stage.another()
  const { itemPath } = anItem(`shared ${cluster.namespace}`)
  const asks = { ...OPTED_IN, [ITEM_PATH]: itemPath, [ITEM_NAME]: 'shared' }
  for (const name of ['first', 'second']) {
    await cluster.create('deployments', aDeployment(name, ['shared'], asks))
    await cluster.until('deployments', name, isRolledOut)
    await addFinalizer(cluster, 'deployments', name)
  }
  const [first, second] = [
    await cluster.get('deployments', 'first'),
    await cluster.get('deployments', 'second'),
  ]
  // It names the Deployment that came first and never adds another.
  const before = await leaveSecret(cluster, {
    name: 'shared',
    itemPath,
    data: DATA,
    owner: first,
    annotations: { [ITEM_NAME]: 'shared' },
  })
  await operate(cluster)
  const both = ({ metadata }: KubeObject) => metadata.ownerReferences?.length === 2
  expect(essence(await cluster.until('secrets', 'shared', both))).toEqual(essence(before))
  for (const one of [first, second]) {
    await cluster.until('deployments', one.metadata.name, isReleased)
    await expectUntouched(cluster, one)
  }
  await cluster.delete('deployments', 'first')
  await cluster.untilGone('deployments', 'first')
  await cluster.until('secrets', 'shared', ({ metadata }) => metadata.ownerReferences?.length === 1)
  await cluster.delete('deployments', 'second')
  await cluster.untilGone('secrets', 'shared')
})

test.concurrent('what waits for the former finalizer is freed first, also while Connect is away', async () => {
  const cluster = await stage.another()
  for (const name of ['a', 'b', 'c', 'waits']) {
    await leaveItem(cluster, { name, ...anItem(`${name} ${cluster.namespace}`), data: DATA })
    await cluster.create('deployments', aDeployment(name, [name]))
    await addFinalizer(cluster, 'deployments', name)
  }
  for (const kind of ['items', 'deployments'] as const) await cluster.delete(kind, 'waits')
  expect((await cluster.get('items', 'waits')).metadata.deletionTimestamp).toBeDefined()
  await operate(cluster, { OP_CONNECT_HOST: 'http://127.0.0.1:9', CONCURRENCY: '1' })
  for (const kind of ['items', 'deployments'] as const) {
    await cluster.untilGone(kind, 'waits')
    for (const name of ['a', 'b', 'c']) await cluster.until(kind, name, isReleased)
  }
  await cluster.untilGone('secrets', 'waits')
  const patched = (await writesIn(cluster)).filter(({ verb }) => verb === 'patch')
  for (const resource of ['onepassworditems', 'deployments']) {
    expect(patched.find((one) => one.resource === resource)?.name).toBe('waits')
  }
})

test.concurrent('a finalizer that returns stops every write, until it is gone', async () => {
  const before = await left('contested')
  const { cluster } = before
  await operate(cluster)
  await cluster.until('items', 'contested', isReady)
  await addFinalizer(cluster, 'items', 'contested')
  const item = await cluster.until('items', 'contested', hasReason('AnotherOperator'))
  const { resourceVersion } = await cluster
    .get('secrets', 'contested')
    .then(({ metadata }) => metadata)
  stage.connect.set(before.id, 'password', 'new')
  // Another resource that follows its item is the proof that the poll has passed.
  const witness = anItem(`witness ${cluster.namespace}`)
  await cluster.create('items', { metadata: { name: 'witness' }, spec: witness })
  await cluster.until('items', 'witness', isReady)
  stage.connect.set(witness.id, 'password', 'new')
  await cluster.until('secrets', 'witness', (one) => textsOf(one)['password'] === 'new')
  const after = await cluster.get('items', 'contested')
  expect(after.metadata.resourceVersion).toBe(item.metadata.resourceVersion)
  expect(after.metadata.finalizers).toEqual([FINALIZER])
  const secret = await cluster.get('secrets', 'contested')
  expect(secret.metadata.resourceVersion).toBe(resourceVersion)
  const events = (await cluster.list('events')).filter((one) => one['reason'] === 'AnotherOperator')
  expect(events).toHaveLength(1)
  // Whoever is gone for good takes its finalizer off or lets a person do so.
  await cluster.patch('items', 'contested', { metadata: { finalizers: null } })
  await cluster.until('items', 'contested', isReady)
  await cluster.until('secrets', 'contested', (one) => textsOf(one)['password'] === 'new')
})

test.concurrent('a finalizer that returns to a Deployment is left there, and told once', async () => {
  const { cluster } = await left('busy')
  await addFinalizer(cluster, 'deployments', 'user')
  await operate(cluster)
  await cluster.until('deployments', 'user', isReleased)
  const contested = await addFinalizer(cluster, 'deployments', 'user')
  await eventually('an Event tells of it', async () => {
    const events = await cluster.list('events')
    return events.some((one) => one['reason'] === 'AnotherOperator')
  })
  const after = await cluster.get('deployments', 'user')
  expect(after.metadata.finalizers).toEqual([FINALIZER])
  expect(after.metadata.resourceVersion).toBe(contested.metadata.resourceVersion)
})

test.concurrent('a Secret that is rewritten twice by the former operator is left to it', async () => {
  const { cluster, id } = await left('rewritten')
  await operate(cluster)
  await cluster.until('items', 'rewritten', isReady)
  // Its reconcile puts the labels and annotations that it knows in the place of all others.
  await rewrite(cluster, 'rewritten', ({ annotations = {}, ...metadata }) => ({
    ...metadata,
    labels: undefined,
    annotations: { [ITEM_PATH]: annotations[ITEM_PATH], [ITEM_VERSION]: annotations[ITEM_VERSION] },
  }))
  const isOurs = ({ metadata }: KubeObject) => 'keyferry.dev/digest' in (metadata.annotations ?? {})
  await cluster.until('secrets', 'rewritten', isOurs)
  // Its poll changes nothing but its own two annotations and the data.
  const last = await rewrite(cluster, 'rewritten', ({ annotations, ...metadata }) => ({
    ...metadata,
    annotations: { ...annotations, [ITEM_VERSION]: '99' },
  }))
  await cluster.until('items', 'rewritten', hasReason('AnotherOperator'))
  stage.connect.set(id, 'password', 'new')
  await cluster.patch('items', 'rewritten', { metadata: { annotations: { looked: 'at' } } })
  const after = await cluster.get('secrets', 'rewritten')
  expect(after.metadata.resourceVersion).toBe(last.metadata.resourceVersion)
})

type Metadata = KubeObject['metadata']

function rewrite(cluster: Cluster, name: string, change: (metadata: Metadata) => object) {
  return eventually('the Secret is rewritten', async () => {
    const secret = await cluster.get('secrets', name)
    const metadata = { ...change(secret.metadata), name }
    return asIncumbent(cluster, 'secrets', { ...secret, metadata }, 'update')
  })
}

test.concurrent('what another living installation serves is left alone, until that one is gone', async () => {
  const { cluster, id } = await left('served')
  const elections = { LEADER_ELECTION: 'true' }
  const first = await operate(cluster, { ...elections, INSTANCE: 'first' })
  await cluster.until('items', 'served', isReady)
  const told = await cluster.get('items', 'served')
  const second = await operate(cluster, { ...elections, INSTANCE: 'second' })
  await eventually('the second one has seen the first', async () =>
    (await second.metrics()).includes('reason="OtherInstance"'),
  )
  // Both tell of the resource: only one may.
  expect((await cluster.get('items', 'served'))['status']).toEqual(told['status'])
  stage.connect.set(id, 'password', 'two')
  const by = async () =>
    (await cluster.get('secrets', 'served')).metadata.annotations?.['keyferry.dev/instance']
  await cluster.until('secrets', 'served', (one) => textsOf(one)['password'] === 'two')
  const { namespace } = stage.cluster
  expect(await by()).toBe(`${namespace}/first`)
  await first.stop()
  await cluster.patch('items', 'served', {
    metadata: { annotations: { 'keyferry.dev/refresh': '1' } },
  })
  await cluster.until('secrets', 'served', ({ metadata }) => {
    return metadata.annotations?.['keyferry.dev/instance'] === `${namespace}/second`
  })
  await cluster.until('items', 'served', isReady)
})
