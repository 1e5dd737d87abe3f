/**
 * Secrets that annotated workloads ask for without a resource.
 */
import { beforeAll, expect, test } from 'vitest'
import { objectPath } from '../../src/kube/resource.ts'
import {
  hasReason,
  isReady,
  type Kind,
  type KubeObject,
  RESOURCES,
  valueOf,
} from '../support/cluster.ts'
import { eventually, timeout } from '../support/eventually.ts'
import type { OperatorProcess } from '../support/operator.ts'
import { setStage, type Stage } from '../support/stage.ts'

let stage: Stage
let operator: OperatorProcess

beforeAll(async () => {
  stage = await setStage()
  operator = await stage.operator()
  return stage.close
})

const ITEM_PATH = 'operator.1password.io/item-path'
const ITEM_NAME = 'operator.1password.io/item-name'
const KINDS = ['deployments', 'statefulsets', 'daemonsets'] as const

type WorkloadKind = (typeof KINDS)[number]

function anItem(title: string, value = 'ours'): string {
  return stage.connect.add(stage.vault, { title, fields: [{ label: 'password', value }] })
}

const asksFor = (secretName: string, item = secretName) => ({
  [ITEM_PATH]: `vaults/Production/items/${item}`,
  [ITEM_NAME]: secretName,
})

interface Options {
  readonly annotations?: Record<string, string>
  readonly onTemplate?: Record<string, string>
  readonly labels?: Record<string, string>
}

function create(kind: WorkloadKind, name: string, options: Options): Promise<KubeObject> {
  const { annotations = {}, onTemplate = {}, labels = {} } = options
  const app = { app: name }
  return stage.cluster.create(kind, {
    metadata: { name, annotations, labels },
    spec: {
      ...(kind === 'daemonsets' ? {} : { replicas: 0 }),
      ...(kind === 'statefulsets' ? { serviceName: name } : {}),
      selector: { matchLabels: app },
      template: {
        metadata: { labels: app, annotations: onTemplate },
        spec: { containers: [{ name: 'app', image: 'example.invalid/app' }] },
      },
    },
  })
}

const ownersOf = ({ metadata }: KubeObject) =>
  (metadata.ownerReferences ?? []).map(({ kind, name }) => `${kind}/${name}`).toSorted()

const untilOwned = (name: string, owners: readonly string[]) =>
  stage.cluster.until('secrets', name, (secret) => ownersOf(secret).join() === owners.join())

const withoutAnnotation = { metadata: { annotations: { [ITEM_NAME]: null } } }

async function eventAbout(name: string, reason: string): Promise<KubeObject> {
  return eventually(`an Event ${reason} tells of ${name}`, async () => {
    const events = await stage.cluster.list('events')
    return events.find((one) => one['regarding'].name === name && one['reason'] === reason)
  })
}

test.each(KINDS)('annotated %s get their Secret, which goes with them', async (kind) => {
  const { cluster, connect } = stage
  const name = `plain-${kind}`
  const id = anItem(name)
  const workload = await create(kind, name, { annotations: asksFor(name) })
  const secret = await cluster.until('secrets', name, () => true)
  expect(valueOf(secret, 'password')).toBe('ours')
  expect(secret.metadata.ownerReferences).toEqual([
    { apiVersion: 'apps/v1', kind: workload['kind'], name, uid: workload.metadata.uid },
  ])
  connect.set(id, 'password', 'new')
  await cluster.until('secrets', name, (one) => valueOf(one, 'password') === 'new')
  const { metadata } = await cluster.get(kind, name)
  expect(metadata.finalizers).toBeUndefined()
  expect(metadata.generation).toBe(1)
  await cluster.delete(kind, name)
  await cluster.untilGone('secrets', name)
})

test('annotations on the pod template count as well', async () => {
  anItem('on-template')
  await create('deployments', 'on-template', { onTemplate: asksFor('on-template') })
  await untilOwned('on-template', ['Deployment/on-template'])
})

test('workloads of all kinds that ask for one Secret own it together, the last takes it along', async () => {
  const { cluster } = stage
  anItem('shared')
  for (const kind of KINDS) {
    await create(kind, `shared-${kind}`, { annotations: asksFor('shared') })
  }
  const all = ['DaemonSet/shared-daemonsets', 'Deployment/shared-deployments']
  const secret = await untilOwned('shared', [...all, 'StatefulSet/shared-statefulsets'])
  await cluster.patch('statefulsets', 'shared-statefulsets', withoutAnnotation)
  await untilOwned('shared', all)
  await cluster.delete('deployments', 'shared-deployments')
  const last = await untilOwned('shared', ['DaemonSet/shared-daemonsets'])
  expect(last.metadata.uid).toBe(secret.metadata.uid)
  await cluster.patch('daemonsets', 'shared-daemonsets', withoutAnnotation)
  await cluster.untilGone('secrets', 'shared')
  expect((await cluster.get('daemonsets', 'shared-daemonsets')).metadata.generation).toBe(1)
})

test('an annotation that was taken off while the operator was down is noticed', async () => {
  const { cluster } = stage
  anItem('down')
  await create('deployments', 'down', { annotations: asksFor('down') })
  await untilOwned('down', ['Deployment/down'])
  await operator.stop()
  await cluster.patch('deployments', 'down', withoutAnnotation)
  operator = await stage.operator()
  await cluster.untilGone('secrets', 'down')
})

test('a Secret that is orphaned on purpose waits for the successor of its workload', async () => {
  const { cluster } = stage
  anItem('orphan')
  await create('deployments', 'orphan', { annotations: asksFor('orphan') })
  const before = await untilOwned('orphan', ['Deployment/orphan'])
  const hold = 'tests.keyferry.dev/hold'
  await cluster.patch('deployments', 'orphan', { metadata: { finalizers: [hold] } })
  const path = objectPath(RESOURCES.deployments, { namespace: cluster.namespace, name: 'orphan' })
  const body = { propagationPolicy: 'Orphan' }
  await cluster.rest.send({ method: 'DELETE', path, body }, timeout(10_000))
  // What comes after is worked after: the deletion has been looked at.
  anItem('later')
  await create('deployments', 'later', { annotations: asksFor('later') })
  await untilOwned('later', ['Deployment/later'])
  expect((await cluster.get('secrets', 'orphan')).metadata.uid).toBe(before.metadata.uid)
  await cluster.until('deployments', 'orphan', ({ metadata }) => {
    return metadata.finalizers?.join() === hold
  })
  await cluster.patch('deployments', 'orphan', { metadata: { finalizers: null } })
  await cluster.untilGone('deployments', 'orphan')
  expect(ownersOf(await untilOwned('orphan', []))).toEqual([])
  await create('deployments', 'successor', { annotations: asksFor('orphan') })
  const after = await untilOwned('orphan', ['Deployment/successor'])
  expect(after.metadata.uid).toBe(before.metadata.uid)
})

test('a workload that asks for another Secret name gets that and leaves the first', async () => {
  const { cluster } = stage
  anItem('moves')
  await create('deployments', 'moves', { annotations: asksFor('moves') })
  await untilOwned('moves', ['Deployment/moves'])
  await cluster.patch('deployments', 'moves', {
    metadata: { annotations: { [ITEM_NAME]: 'moved' } },
  })
  await untilOwned('moved', ['Deployment/moves'])
  await cluster.untilGone('secrets', 'moves')
})

test('a resource of that Secret name wins over workloads, which get it back after it', async () => {
  const { cluster } = stage
  anItem('won', 'of the workload')
  anItem('of-resource', 'of the resource')
  await create('deployments', 'won', { annotations: asksFor('won') })
  const before = await untilOwned('won', ['Deployment/won'])
  await stage.item('won', 'of-resource')
  await cluster.until('items', 'won', isReady)
  const secret = await untilOwned('won', ['OnePasswordItem/won'])
  expect(valueOf(secret, 'password')).toBe('of the resource')
  expect(secret.metadata.uid).toBe(before.metadata.uid)
  await cluster.delete('items', 'won')
  const after = await untilOwned('won', ['Deployment/won'])
  expect(valueOf(after, 'password')).toBe('of the workload')
})

test('of two workloads with different items under one name the older gets it, the other is told', async () => {
  const { cluster } = stage
  anItem('first', 'first')
  anItem('second', 'second')
  await create('deployments', 'a-first', { annotations: asksFor('contested', 'first') })
  await untilOwned('contested', ['Deployment/a-first'])
  await create('deployments', 'b-second', { annotations: asksFor('contested', 'second') })
  const event = await eventAbout('b-second', 'SecretClaimedTwice')
  expect(event['note']).toContain('contested')
  const secret = await cluster.get('secrets', 'contested')
  expect(valueOf(secret, 'password')).toBe('first')
  expect(ownersOf(secret)).toEqual(['Deployment/a-first'])
  await cluster.delete('deployments', 'a-first')
  const after = await untilOwned('contested', ['Deployment/b-second'])
  expect(valueOf(after, 'password')).toBe('second')
})

test('a Secret of somebody else is left alone, and the workload is told', async () => {
  const { cluster } = stage
  anItem('theirs')
  const before = await cluster.create('secrets', { metadata: { name: 'theirs' } })
  await create('deployments', 'wants-theirs', { annotations: asksFor('theirs') })
  await eventAbout('wants-theirs', 'NotOurSecret')
  await cluster.delete('deployments', 'wants-theirs')
  await cluster.untilGone('deployments', 'wants-theirs')
  const { metadata } = await cluster.get('secrets', 'theirs')
  expect(metadata.resourceVersion).toBe(before.metadata.resourceVersion)
})

test('a path that means nothing is told on the workload, and its Secret stays', async () => {
  const { cluster } = stage
  anItem('vanishing')
  await create('deployments', 'vanishing', { annotations: asksFor('vanishing') })
  await untilOwned('vanishing', ['Deployment/vanishing'])
  await cluster.patch('deployments', 'vanishing', {
    metadata: { annotations: { [ITEM_PATH]: 'vaults/Production/items/nothing' } },
  })
  await eventAbout('vanishing', 'ItemNotFound')
  expect(valueOf(await cluster.get('secrets', 'vanishing'), 'password')).toBe('ours')
})

test('an edited or deleted Secret of a workload is put right, also after a restart', async () => {
  const { cluster } = stage
  for (const name of ['edited', 'deleted']) {
    anItem(name)
    await create('deployments', name, { annotations: asksFor(name) })
  }
  await untilOwned('edited', ['Deployment/edited'])
  const before = await untilOwned('deleted', ['Deployment/deleted'])
  await operator.stop()
  await cluster.patch('secrets', 'edited', { data: { password: 'aGFuZA==' } })
  operator = await stage.operator()
  await cluster.until('secrets', 'edited', (one) => valueOf(one, 'password') === 'ours')
  await cluster.delete('secrets', 'deleted')
  await cluster.until('secrets', 'deleted', ({ metadata }) => metadata.uid !== before.metadata.uid)
})

test('workloads that an installation no longer serves keep their Secret', async () => {
  const { cluster } = stage
  anItem('unserved')
  const labels = { team: 'a' }
  await create('deployments', 'unserved', { annotations: asksFor('unserved'), labels })
  const before = await untilOwned('unserved', ['Deployment/unserved'])
  await operator.stop()
  operator = await stage.operator({ ITEM_SELECTOR: 'team=b' })
  await stage.item('served', 'unserved', { labels: { team: 'b' } })
  await stage.item('not-served', 'unserved', { labels })
  await cluster.until('items', 'served', isReady)
  await cluster.patch('deployments', 'unserved', { metadata: { labels: { other: 'x' } } })
  anItem('served-later')
  const served = { annotations: asksFor('served-later'), labels: { team: 'b' } }
  await create('deployments', 'served-later', served)
  await untilOwned('served-later', ['Deployment/served-later'])
  const after = await cluster.get('secrets', 'unserved')
  expect(after.metadata.resourceVersion).toBe(before.metadata.resourceVersion)
  const ignored = await cluster.get('items', 'not-served')
  expect(ignored['status'].observedGeneration).toBe(-1)
  await operator.stop()
  operator = await stage.operator()
  await cluster.until('items', 'not-served', isReady)
})

test('nothing is written twice: neither to workloads nor to their Secrets', async () => {
  const { cluster, connect } = stage
  const versions = async () => {
    const kinds: readonly Kind[] = ['secrets', ...KINDS]
    const all = await Promise.all(kinds.map((kind) => cluster.list(kind)))
    return all.flat().map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`)
  }
  await cluster.until('items', 'served', hasReason('Synced'))
  const polls = () => connect.requests.filter((one) => one === 'GET /v1/vaults').length
  const passes = async () => {
    const before = polls()
    await eventually('polls pass', async () => polls() >= before + 3)
  }
  await passes()
  const before = await versions()
  await passes()
  expect(await versions()).toEqual(before)
})
