/**
 * From the first claim to a Secret to its end: renamed, retained, adopted, contested, missing
 * upstream.
 */
import { beforeAll, expect, inject, test } from 'vitest'
import { readAudit } from '../support/audit.ts'
import {
  applyCrd,
  clusterOf,
  condition,
  hasReason,
  isReady,
  type KubeObject,
  textsOf,
  valueOf,
} from '../support/cluster.ts'
import { startControlPlane } from '../support/control-plane/start.ts'
import { eventually } from '../support/eventually.ts'
import { aDeployment, type ItemOptions, setStage, type Stage } from '../support/stage.ts'

let stage: Stage

beforeAll(async () => {
  stage = await setStage()
  await stage.operator()
  return stage.close
})

const CRD = 'onepassworditems.onepassword.com'
const ADOPT = { 'keyferry.dev/adopt': 'true' }

function anItem(title: string): string {
  return stage.connect.add(stage.vault, { title, fields: [{ label: 'password', value: 'ours' }] })
}

async function synced(name: string, more: ItemOptions = {}): Promise<string> {
  const id = anItem(name)
  await stage.item(name, name, more)
  await stage.cluster.until('items', name, isReady)
  return id
}

const secretOf = (name: string) => stage.cluster.get('secrets', name)
const ownersOf = ({ metadata }: KubeObject) =>
  (metadata.ownerReferences ?? []).map(({ uid }) => uid)

/** Waits for two lists of the vault: whatever a poll would do has been done by then. */
async function twoPolls(): Promise<void> {
  const { requests } = stage.connect
  const count = () => requests.filter((one) => one === 'GET /v1/vaults').length
  const before = count()
  await eventually('two polls pass', async () => count() >= before + 3)
}

test.concurrent('a renamed Secret stays until no workload uses it', async () => {
  const { cluster } = stage
  // First, so that the operator knows of it by the time that the resource is synced.
  await cluster.create('deployments', aDeployment('user', ['renamed']))
  await synced('renamed')
  await cluster.patch('items', 'renamed', { spec: { secretName: 'renamed-new' } })
  const fresh = await cluster.until('secrets', 'renamed-new', () => true)
  expect(textsOf(fresh)).toEqual({ password: 'ours' })
  await cluster.until('items', 'renamed', (item) => item['status'].secretName === 'renamed-new')
  expect(await cluster.find('secrets', 'renamed')).toBeDefined()
  await cluster.patch('deployments', 'user', {
    spec: {
      template: {
        spec: {
          containers: [
            {
              name: 'app',
              image: 'example.invalid/app',
              envFrom: [{ secretRef: { name: 'renamed-new' } }],
            },
          ],
        },
      },
    },
  })
  await cluster.untilGone('secrets', 'renamed')
  expect((await secretOf('renamed-new')).metadata.uid).toBe(fresh.metadata.uid)
})

test.concurrent('a renamed Secret that pods pull images with stays as well', async () => {
  const { cluster } = stage
  const deployment = aDeployment('puller', [])
  Object.assign(deployment.spec.template.spec, { imagePullSecrets: [{ name: 'pull' }] })
  await cluster.create('deployments', deployment)
  await synced('pull')
  await cluster.patch('items', 'pull', { spec: { secretName: 'pull-new' } })
  await cluster.until('items', 'pull', (item) => item['status'].secretName === 'pull-new')
  expect(await cluster.find('secrets', 'pull')).toBeDefined()
  await cluster.delete('deployments', 'puller')
  await cluster.untilGone('secrets', 'pull')
})

test.concurrent('a name that a resource has left goes to the next one that asks for it', async () => {
  const { cluster } = stage
  await cluster.create('deployments', aDeployment('holds', ['leaves']))
  await synced('leaves')
  await cluster.patch('items', 'leaves', { spec: { secretName: 'leaves-new' } })
  await cluster.until('secrets', 'leaves-new', () => true)
  anItem('comes')
  await stage.item('comes', 'comes', { spec: { secretName: 'leaves' } })
  await cluster.until('items', 'comes', hasReason('NotOurSecret'))
  await cluster.delete('deployments', 'holds')
  const item = await cluster.until('items', 'comes', isReady)
  expect(ownersOf(await secretOf('leaves'))).toEqual([item.metadata.uid])
})

test.concurrent('a retained Secret outlives its resource and is taken back by its successor', async () => {
  const { cluster, connect } = stage
  const id = await synced('retained')
  await cluster.patch('items', 'retained', { spec: { deletionPolicy: 'Retain' } })
  await cluster.until('items', 'retained', isReady)
  const before = await secretOf('retained')
  expect(ownersOf(before)).toEqual([])
  await cluster.delete('items', 'retained')
  await cluster.untilGone('items', 'retained')
  connect.set(id, 'password', 'new')
  await twoPolls()
  const orphan = await secretOf('retained')
  expect(orphan.metadata.resourceVersion).toBe(before.metadata.resourceVersion)
  await stage.item('retained', 'retained')
  const item = await cluster.until('items', 'retained', isReady)
  const after = await secretOf('retained')
  expect(after.metadata.uid).toBe(before.metadata.uid)
  expect(valueOf(after, 'password')).toBe('new')
  expect(ownersOf(after)).toEqual([item.metadata.uid])
  await cluster.delete('items', 'retained')
  await cluster.untilGone('secrets', 'retained')
})

test.concurrent('a retained Secret is not taken by a resource of another name', async () => {
  const { cluster } = stage
  await synced('kept', { spec: { deletionPolicy: 'Retain' } })
  await cluster.delete('items', 'kept')
  anItem('thief')
  await stage.item('thief', 'thief', { spec: { secretName: 'kept' } })
  await cluster.until('items', 'thief', hasReason('NotOurSecret'))
})

test.concurrent('a retained Secret that is in use is not lost to an older resource', async () => {
  const { cluster } = stage
  await synced('elder-of-kept')
  await synced('kept-in-use', { spec: { deletionPolicy: 'Retain' } })
  await cluster.patch('items', 'elder-of-kept', { spec: { secretName: 'kept-in-use' } })
  await cluster.until('items', 'elder-of-kept', hasReason('SecretClaimedTwice'))
  expect(isReady(await cluster.get('items', 'kept-in-use'))).toBe(true)
})

test.concurrent('a Secret whose item is gone is kept unless the resource says otherwise', async () => {
  const { cluster, connect } = stage
  const id = await synced('gone-kept')
  connect.remove(id)
  const item = await cluster.until('items', 'gone-kept', hasReason('ItemNotFound'))
  expect(condition(item, 'Ready')?.status).toBe('False')
  expect(valueOf(await secretOf('gone-kept'), 'password')).toBe('ours')
})

test.concurrent.each([['Delete'], ['Retain']])(
  'with onItemMissing Delete and deletionPolicy %s the Secret goes once the absence is confirmed',
  async (deletionPolicy) => {
    const { cluster, connect, vault } = stage
    const name = `gone-${deletionPolicy.toLowerCase()}`
    const id = await synced(name, { spec: { onItemMissing: 'Delete', deletionPolicy } })
    connect.remove(id)
    await cluster.untilGone('secrets', name)
    const asked = connect.requests.filter((one) => one.endsWith(`/items/${id}`))
    // The first read made the Secret, two answers of "not found" took it away.
    expect(asked.length).toBeGreaterThanOrEqual(3)
    const item = await cluster.until('items', name, (one) => one['status'].digest === undefined)
    expect(condition(item, 'Ready')?.reason).toBe('ItemNotFound')
    connect.add(vault, { title: name, fields: [{ label: 'password', value: 'back' }] })
    await cluster.until('secrets', name, (secret) => valueOf(secret, 'password') === 'back')
  },
)

test.concurrent('one of several items that is gone never takes the Secret along', async () => {
  const { cluster, connect } = stage
  const [first, second] = [anItem('several-a'), anItem('several-b')]
  const data = {
    a: 'op://Production/several-a/password',
    b: 'op://Production/several-b/password',
  }
  await stage.item('several', '', { spec: { itemPath: undefined, data, onItemMissing: 'Delete' } })
  await cluster.until('items', 'several', isReady)
  connect.remove(first)
  await cluster.until('items', 'several', hasReason('ItemNotFound'))
  await twoPolls()
  await twoPolls()
  expect(connect.requests.filter((one) => one.endsWith(`/items/${first}`))).toHaveLength(1)
  expect(textsOf(await secretOf('several'))).toEqual({ a: 'ours', b: 'ours' })
  expect(second).toBeDefined()
})

test('a vault that vanishes is an outage and takes nothing along', async () => {
  const { cluster, connect } = stage
  const other = connect.vault('Doomed')
  connect.add(other, { title: 'x', fields: [{ label: 'password', value: 'ours' }] })
  const spec = { itemPath: 'vaults/Doomed/items/x', onItemMissing: 'Delete' }
  await stage.item('doomed', 'x', { spec })
  await cluster.until('items', 'doomed', isReady)
  connect.removeVault(other)
  await cluster.until('items', 'doomed', hasReason('VaultNotFound'))
  await twoPolls()
  expect(valueOf(await secretOf('doomed'), 'password')).toBe('ours')
})

test.concurrent('a Secret is adopted when the resource asks for it and its owner allows it', async () => {
  const { cluster } = stage
  anItem('adopted')
  const before = await cluster.create('secrets', {
    metadata: { name: 'adopted', labels: { theirs: 'x' } },
    stringData: { old: 'value' },
  })
  await stage.item('adopted', 'adopted', { spec: { existingSecret: 'Adopt' } })
  await cluster.until('items', 'adopted', hasReason('NotOurSecret'))
  expect(textsOf(await secretOf('adopted'))).toEqual({ old: 'value' })
  await cluster.patch('secrets', 'adopted', { metadata: { annotations: ADOPT } })
  // Nothing watches a foreign Secret: the next change of the resource looks again.
  await cluster.patch('items', 'adopted', { metadata: { labels: { look: 'again' } } })
  const item = await cluster.until('items', 'adopted', isReady)
  const after = await secretOf('adopted')
  expect(after.metadata.uid).toBe(before.metadata.uid)
  expect(after.metadata.labels).toMatchObject({ theirs: 'x', look: 'again' })
  expect(textsOf(after)).toEqual({ password: 'ours' })
  expect(ownersOf(after)).toEqual([item.metadata.uid])
  await eventually('an Event tells it', async () => {
    const events = await cluster.list('events')
    return events.some((one) => {
      return one['regarding'].name === 'adopted' && one['reason'] === 'SecretTakenOver'
    })
  })
})

test.concurrent('the annotation alone allows nothing', async () => {
  const { cluster } = stage
  anItem('not-asked')
  await cluster.create('secrets', { metadata: { name: 'not-asked', annotations: ADOPT } })
  await stage.item('not-asked', 'not-asked')
  await cluster.until('items', 'not-asked', hasReason('NotOurSecret'))
})

test.concurrent('a Secret that a controller keeps is never adopted', async () => {
  const { cluster } = stage
  anItem('controlled')
  const owner = await cluster.create('configmaps', { metadata: { name: 'controller' } })
  const { uid } = owner.metadata
  await cluster.create('secrets', {
    metadata: {
      name: 'controlled',
      annotations: ADOPT,
      ownerReferences: [
        { apiVersion: 'v1', kind: 'ConfigMap', name: 'controller', uid, controller: true },
      ],
    },
  })
  await stage.item('controlled', 'controlled', { spec: { existingSecret: 'Adopt' } })
  await cluster.until('items', 'controlled', hasReason('NotOurSecret'))
})

test.concurrent.each([
  ['bootstrap.kubernetes.io/token', {}],
  ['Opaque', { 'app.kubernetes.io/part-of': 'keyferry' }],
])('a Secret of type %s with the labels %j is never adopted', async (type, labels) => {
  const { cluster } = stage
  const name = `unfit-${type.length}`
  anItem(name)
  const before = await cluster.create('secrets', {
    metadata: { name, labels, annotations: ADOPT },
    type,
  })
  await stage.item(name, name, { spec: { existingSecret: 'Adopt' } })
  await cluster.until('items', name, hasReason('NotOurSecret'))
  const { metadata } = await secretOf(name)
  expect(metadata.resourceVersion).toBe(before.metadata.resourceVersion)
})

test.concurrent('of two resources with one Secret its owner wins, and the other one inherits', async () => {
  const { cluster } = stage
  anItem('twice')
  await stage.item('twice-elder', 'twice', { spec: { secretName: 'twice-elder-own' } })
  await cluster.until('items', 'twice-elder', isReady)
  await stage.item('twice-owner', 'twice', { spec: { secretName: 'twice' } })
  await cluster.until('items', 'twice-owner', isReady)
  await cluster.patch('items', 'twice-elder', { spec: { secretName: 'twice' } })
  const loser = await cluster.until('items', 'twice-elder', hasReason('SecretClaimedTwice'))
  expect(condition(loser, 'Ready')?.message).toContain('twice-owner')
  expect(isReady(await cluster.get('items', 'twice-owner'))).toBe(true)
  await cluster.delete('items', 'twice-owner')
  await cluster.until('items', 'twice-elder', isReady)
  expect(ownersOf(await secretOf('twice'))).toEqual([loser.metadata.uid])
})

test.concurrent('of two resources with one Secret that nobody owns yet the older one wins', async () => {
  const { cluster } = stage
  const foreign = await cluster.create('secrets', { metadata: { name: 'oldest' } })
  anItem('oldest')
  await stage.item('oldest-b', 'oldest', { spec: { secretName: 'oldest' } })
  await cluster.until('items', 'oldest-b', hasReason('NotOurSecret'))
  await eventually('a second has passed, the precision of creation times', async () => {
    const { metadata } = await cluster.get('items', 'oldest-b')
    return cluster.rest.serverTime() - Date.parse(metadata.creationTimestamp) > 2_000
  })
  await stage.item('oldest-a', 'oldest', { spec: { secretName: 'oldest' } })
  await cluster.until('items', 'oldest-a', hasReason('SecretClaimedTwice'))
  expect((await secretOf('oldest')).metadata.uid).toBe(foreign.metadata.uid)
})

test('a namespace goes with everything in it, also without the operator', async () => {
  await using elsewhere = await setStage()
  const { cluster, connect, vault } = elsewhere
  connect.add(vault, { title: 'x', fields: [{ label: 'a', value: 'b' }] })
  const operator = await elsewhere.operator()
  await elsewhere.item('x', 'x')
  await elsewhere.item('y', 'x', { spec: { deletionPolicy: 'Retain' } })
  for (const name of ['x', 'y']) await cluster.until('items', name, isReady)
  const annotations = {
    'operator.1password.io/item-path': 'vaults/Production/items/x',
    'operator.1password.io/item-name': 'z',
  }
  await cluster.create('deployments', aDeployment('z', ['z'], annotations))
  await cluster.until('secrets', 'z', () => true)
  await operator.stop()
  await elsewhere.close()
  await stage.cluster.untilGone('namespaces', cluster.namespace)
})

test('a namespace goes while the operator works in it, which writes nothing to it any more', async () => {
  await using elsewhere = await setStage()
  const { cluster, connect, vault } = elsewhere
  connect.add(vault, { title: 'x', fields: [{ label: 'a', value: 'b' }] })
  // Where it lives is not where it works.
  const namespace = `${cluster.namespace}-worked`
  const worked = clusterOf(cluster.rest, namespace)
  await cluster.create('namespaces', { metadata: { name: namespace } })
  await elsewhere.operator({ WATCH_NAMESPACE: namespace })
  for (let n = 0; n < 5; n += 1) {
    const spec = { itemPath: 'vaults/Production/items/x' }
    await worked.create('items', { metadata: { name: `x-${n}` }, spec })
  }
  for (let n = 0; n < 5; n += 1) await worked.until('items', `x-${n}`, isReady)
  await worked.delete('namespaces', namespace)
  await cluster.untilGone('namespaces', namespace)
  const all = (await readAudit(inject('auditLog'))).filter((one) => one.namespace === namespace)
  const creates = all.filter(({ userAgent, resource, verb }) => {
    return userAgent.startsWith('keyferry/') && resource === 'secrets' && verb === 'create'
  })
  // One attempt each may have been under way; a refusal of a terminating namespace is final.
  expect(creates.filter(({ code }) => code >= 300).length).toBeLessThanOrEqual(5)
  expect(creates.filter(({ code }) => code === 201)).toHaveLength(5)
})

test('the CRD goes with all resources, also without the operator, and may come back', async () => {
  const plane = await startControlPlane()
  try {
    await applyCrd(plane.kubeconfig)
    await using elsewhere = await setStage(plane.kubeconfig)
    const { cluster, connect, vault } = elsewhere
    connect.add(vault, { title: 'x', fields: [{ label: 'password', value: 'ours' }] })
    const first = await elsewhere.operator()
    await elsewhere.item('x', 'x', { spec: { deletionPolicy: 'Retain' } })
    await cluster.until('items', 'x', isReady)
    await first.stop()
    await cluster.delete('crds', CRD)
    await cluster.untilGone('crds', CRD)
    const kept = await cluster.get('secrets', 'x')

    await applyCrd(plane.kubeconfig)
    await elsewhere.operator()
    await elsewhere.item('x', 'x', { spec: { deletionPolicy: 'Retain' } })
    await cluster.until('items', 'x', isReady)
    expect((await cluster.get('secrets', 'x')).metadata.uid).toBe(kept.metadata.uid)
    await cluster.delete('crds', CRD)
    await cluster.untilGone('crds', CRD)
    await applyCrd(plane.kubeconfig)
    await elsewhere.item('y', 'x')
    await cluster.until('items', 'y', isReady)
  } finally {
    await plane.stop()
  }
})
