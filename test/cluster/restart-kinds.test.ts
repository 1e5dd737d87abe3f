/**
 * What is restarted, and how: every kind of workload and every way in which a pod can hold a Secret.
 * On a control plane of its own, because it installs kinds that other tests must not meet.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { applyCrd, type Kind, type KubeObject } from '../support/cluster.ts'
import { type ControlPlane, startControlPlane } from '../support/control-plane/start.ts'
import { eventually, timeout } from '../support/eventually.ts'
import { installArgoCd, installRollouts } from '../support/argo.ts'
import type { OperatorProcess } from '../support/operator.ts'
import {
  aTemplate,
  aWorkload,
  digestOf,
  moveCaches,
  OPTED_IN,
  restartedFor,
  synced,
  untilClosed,
  untilRestarted,
  untilValue,
  usesAsEnv,
} from '../support/restarts.ts'
import { setStage, type Stage } from '../support/stage.ts'

let plane: ControlPlane
let stage: Stage
let operator: OperatorProcess
let mover: Awaited<ReturnType<typeof moveCaches>>

beforeAll(async () => {
  plane = await startControlPlane()
  await applyCrd(plane.kubeconfig)
  stage = await setStage(plane.kubeconfig)
  // The group alone says nothing of Rollouts: it is Argo CD's, too.
  await installArgoCd(stage.cluster)
  operator = await stage.operator()
  await installRollouts(stage.cluster)
  mover = await moveCaches(stage.cluster, ['deployments', 'statefulsets', 'daemonsets', 'rollouts'])
})
afterAll(async () => {
  await mover?.stop()
  await stage?.close()
  await plane?.stop()
})

const generation = async (kind: Kind, name: string) =>
  (await stage.cluster.get(kind, name)).metadata.generation

/** Notes of the Events about a workload. */
async function notesOn(name: string): Promise<string> {
  const events = await stage.cluster.list('events')
  return events
    .filter(({ reportingController, regarding }) => {
      return reportingController === 'keyferry.dev/keyferry' && regarding.name === name
    })
    .map(({ note }) => note)
    .join('\n')
}

/** Changes the content and waits until the Secret has it. */
function change(id: string, name: string): Promise<KubeObject> {
  stage.connect.set(id, 'password', 'two')
  return untilValue(stage.cluster, name, 'two')
}

const SERVICE = { serviceName: 'none' }

const asVolume = (source: object) => ({ volumes: [{ name: 'v', ...source }] })
const container = { name: 'app', image: 'example.invalid/app' }
const secretRef = { name: 'used' }

/** Every way in which a pod template can name a Secret. Source: `core/v1 PodSpec`. */
const WAYS: Readonly<Record<string, object>> = {
  env: {
    containers: [
      {
        ...container,
        env: [{ name: 'A', valueFrom: { secretKeyRef: { ...secretRef, key: 'a' } } }],
      },
    ],
  },
  'optional-env': {
    containers: [
      {
        ...container,
        env: [
          { name: 'A', valueFrom: { secretKeyRef: { ...secretRef, key: 'a', optional: true } } },
        ],
      },
    ],
  },
  'env-from': usesAsEnv('used'),
  'init-env': { initContainers: [{ ...container, name: 'init', envFrom: [{ secretRef }] }] },
  volume: asVolume({ secret: { secretName: 'used' } }),
  projected: asVolume({ projected: { sources: [{ secret: secretRef }] } }),
  csi: asVolume({ csi: { driver: 'd', nodePublishSecretRef: secretRef } }),
  'azure-file': asVolume({ azureFile: { secretName: 'used', shareName: 's' } }),
  cephfs: asVolume({ cephfs: { monitors: ['m'], secretRef } }),
  rbd: asVolume({ rbd: { monitors: ['m'], image: 'i', secretRef } }),
  iscsi: asVolume({
    iscsi: { targetPortal: 'p', iqn: 'iqn.2026-01.invalid:a', lun: 0, secretRef },
  }),
  flex: asVolume({ flexVolume: { driver: 'd/d', secretRef } }),
  'scale-io': asVolume({ scaleIO: { gateway: 'g', system: 's', volumeName: 'v', secretRef } }),
  storageos: asVolume({ storageos: { volumeName: 'v', secretRef } }),
}

describe.concurrent('new content', () => {
  test.each<[string, Kind, object, object, string]>([
    ['StatefulSet', 'statefulsets', SERVICE, {}, 'Restarted for'],
    ['DaemonSet', 'daemonsets', {}, {}, 'Restarted for'],
    ['Deployment scaled to zero', 'deployments', {}, { replicas: 0 }, 'Restarted for'],
    ['paused Deployment', 'deployments', {}, { paused: true }, 'it is paused'],
    [
      'StatefulSet with OnDelete',
      'statefulsets',
      SERVICE,
      { updateStrategy: { type: 'OnDelete' } },
      'delete its pods',
    ],
    ['DaemonSet with OnDelete', 'daemonsets', {}, { updateStrategy: { type: 'OnDelete' } }, 'pods'],
    [
      'StatefulSet with a partition',
      'statefulsets',
      SERVICE,
      { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 1 } } },
      'has a partition',
    ],
  ])('a %s is patched once, and its Event says what is left to do', async (...given) => {
    const [title, kind, needed, special, note] = given
    const name = title.toLowerCase().replaceAll(' ', '-')
    const id = await synced(stage, name)
    await stage.cluster.create(
      kind,
      aWorkload(name, usesAsEnv(name), { spec: { ...needed, ...special } }),
    )
    await untilRestarted(stage.cluster, [kind, name], await change(id, name))
    await untilClosed(stage.cluster, name)
    expect(await generation(kind, name)).toBe(2)
    expect(await notesOn(name)).toContain(note)
  })

  test('Jobs and CronJobs are left alone', async () => {
    const id = await synced(stage, 'batch')
    const pod = { ...usesAsEnv('batch'), restartPolicy: 'Never' }
    const { labels: _, ...metadata } = { ...aTemplate('batch').metadata, annotations: OPTED_IN }
    const job = { template: { metadata, spec: pod } }
    await stage.cluster.create('jobs', { metadata: { name: 'batch' }, spec: job })
    await stage.cluster.create('cronjobs', {
      metadata: { name: 'batch', annotations: OPTED_IN },
      spec: { schedule: '0 0 1 1 *', jobTemplate: { spec: job } },
    })
    await change(id, 'batch')
    await untilClosed(stage.cluster, 'batch')
    expect(await generation('jobs', 'batch')).toBe(1)
    expect(await generation('cronjobs', 'batch')).toBe(1)
  })

  test('an Argo Rollout restarts by its own means, its template untouched', async () => {
    const { cluster } = stage
    await eventually('Rollouts that were installed later are noticed', async () =>
      (await operator.logs()).includes('Argo Rollouts is there by now'),
    )
    const id = await synced(stage, 'rollout')
    const before = await cluster.create('rollouts', aWorkload('rollout', usesAsEnv('rollout')))
    const secret = await change(id, 'rollout')
    const after = await untilRestarted(cluster, ['rollouts', 'rollout'], secret)
    expect(after['spec'].template).toEqual(before['spec'].template)
    const { restartAt, ...spec } = after['spec']
    expect(spec).toEqual(before['spec'])
    const since = JSON.parse(secret.metadata.annotations?.['keyferry.dev/restart'] ?? '{}').since
    expect(Date.parse(restartAt)).toBeGreaterThanOrEqual(Date.parse(since))
    await untilClosed(cluster, 'rollout')
    expect(await generation('rollouts', 'rollout')).toBe(2)
  })

  test('a workload that another controller keeps is named, and patched once it opts in itself', async () => {
    const { cluster } = stage
    const id = await synced(stage, 'kept', { annotations: OPTED_IN })
    const owner = await cluster.create('configmaps', { metadata: { name: 'owner' } })
    const { uid } = owner.metadata
    const ownerReferences = [
      { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid, controller: true },
    ]
    const metadata = { ownerReferences }
    const pod = usesAsEnv('kept')
    const plain = aWorkload('kept-plain', pod, { annotations: {}, metadata })
    await cluster.create('deployments', plain)
    await cluster.create('deployments', aWorkload('kept-opted', pod, { metadata }))
    const secret = await change(id, 'kept')
    await untilRestarted(cluster, ['deployments', 'kept-opted'], secret)
    await untilClosed(cluster, 'kept')
    expect(await generation('deployments', 'kept-plain')).toBe(1)
    expect(await notesOn('kept-plain')).toContain('a controller keeps its pod template')
  })

  test('a Deployment of an autoscaler keeps the number of replicas that that set', async () => {
    const { cluster } = stage
    const id = await synced(stage, 'scaled')
    await cluster.create('deployments', aWorkload('scaled', usesAsEnv('scaled')))
    const path = `/apis/apps/v1/namespaces/${cluster.namespace}/deployments/scaled/scale`
    const body = { spec: { replicas: 3 } }
    await cluster.rest.send({ method: 'PATCH', patch: 'merge', path, body }, timeout(10_000))
    const secret = await change(id, 'scaled')
    const after = await untilRestarted(cluster, ['deployments', 'scaled'], secret)
    expect(after['spec'].replicas).toBe(3)
    expect(after.metadata.generation).toBe(3)
  })

  test('a workload that is being deleted is left alone', async () => {
    const { cluster } = stage
    const id = await synced(stage, 'leaving')
    const metadata = { finalizers: ['example.invalid/wait'] }
    await cluster.create('deployments', aWorkload('leaving', usesAsEnv('leaving'), { metadata }))
    await cluster.delete('deployments', 'leaving')
    const before = await generation('deployments', 'leaving')
    await change(id, 'leaving')
    await untilClosed(cluster, 'leaving')
    expect(await generation('deployments', 'leaving')).toBe(before)
    await cluster.patch('deployments', 'leaving', { metadata: { finalizers: null } })
  })

  test('every way of use counts, names of others and pull Secrets do not', async () => {
    const { cluster } = stage
    const id = await synced(stage, 'used')
    for (const [name, pod] of Object.entries(WAYS)) {
      await cluster.create('deployments', aWorkload(name, { containers: [container], ...pod }))
    }
    const asked = { 'operator.1password.io/item-path': 'vaults/Production/items/used' }
    await cluster.create(
      'deployments',
      aWorkload(
        'item-name',
        {},
        { annotations: { ...OPTED_IN, ...asked, 'operator.1password.io/item-name': 'used' } },
      ),
    )
    await cluster.create('deployments', aWorkload('pulls', { imagePullSecrets: [secretRef] }))
    const other = { ...asVolume({ configMap: { name: 'used' } }), serviceAccountName: 'used' }
    await cluster.create('deployments', aWorkload('other', other))
    const secret = await change(id, 'used')
    for (const name of [...Object.keys(WAYS), 'item-name']) {
      await untilRestarted(cluster, ['deployments', name], secret)
    }
    await untilClosed(cluster, 'used')
    for (const name of [...Object.keys(WAYS), 'item-name']) {
      const workload = await cluster.get('deployments', name)
      expect([name, workload.metadata.generation]).toEqual([name, 2])
      expect(restartedFor(workload)).toEqual([digestOf(secret)])
    }
    expect(await generation('deployments', 'pulls')).toBe(1)
    expect(await generation('deployments', 'other')).toBe(1)
  })
})
