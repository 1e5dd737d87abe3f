/**
 * Restarts when others have a say in the workload or in the debt: who puts templates back, refuses
 * patches, edits at the same time, applies manifests, takes our annotations off.
 */
import { beforeAll, describe, expect, inject, test } from 'vitest'
import { grant, logInAs } from '../support/accounts.ts'
import { isWrite } from '../support/audit.ts'
import { type Cluster, condition, type KubeObject } from '../support/cluster.ts'
import {
  aWorkload,
  debtOf,
  digestOf,
  idleDeployments,
  moveCaches,
  OPTED_IN,
  restartedFor,
  synced,
  untilClosed,
  untilRestarted,
  untilValue,
  usesAsEnv,
  workloadPatches,
} from '../support/restarts.ts'
import { setStage, type Stage } from '../support/stage.ts'
import { startWebhook } from '../support/webhook.ts'

const generation = async (cluster: Cluster, name: string) =>
  (await cluster.get('deployments', name)).metadata.generation

async function eventsOn({ list }: Cluster, name: string, reason: string): Promise<KubeObject[]> {
  const events = await list('events')
  return events.filter(
    ({ regarding, ...event }) => regarding.name === name && event['reason'] === reason,
  )
}

/** Tests that need nothing special share an operator: each has names of its own. */
let stage: Stage

beforeAll(async () => {
  stage = await setStage()
  await stage.operator()
  const mover = await moveCaches(stage.cluster)
  return async () => {
    await mover.stop()
    await stage.close()
  }
})

describe.concurrent('restarts', () => {
  test('a template that somebody puts back is named in the debt with one Event, and not fought', async () => {
    const { cluster, connect } = stage
    const id = await synced(stage, 'contested')
    await idleDeployments(stage.cluster, ['contested', 'peaceful'], 'contested')
    const selfHeal = setInterval(() => void putBack(cluster, 'contested'), 50)
    try {
      connect.set(id, 'password', 'two')
      const secret = await untilValue(cluster, 'contested', 'two')
      await cluster.until('secrets', 'contested', (one) => {
        return debtOf(one)?.includes('"Deployment/contested"') ?? false
      })
      await untilRestarted(cluster, ['deployments', 'peaceful'], secret)
      await untilClosed(cluster, 'contested')
    } finally {
      clearInterval(selfHeal)
    }
    expect(await eventsOn(cluster, 'contested', 'RestartNotPossible')).toHaveLength(1)
    const made = (await workloadPatches(cluster)).filter(
      (one) => isWrite(one) && one.name === 'contested',
    )
    expect(made).toHaveLength(1)
  })

  test('a workload whose patch a webhook refuses does not hold the debt open', async () => {
    const { cluster, connect } = stage
    const id = await synced(stage, 'guarded')
    await idleDeployments(stage.cluster, ['guarded', 'unguarded'], 'guarded')
    const rule = { group: 'apps', resource: 'deployments', operations: ['UPDATE'] }
    await using webhook = await startWebhook(cluster, rule, ({ metadata }) => {
      return metadata.name === 'guarded'
    })
    connect.set(id, 'password', 'two')
    const secret = await untilValue(cluster, 'guarded', 'two')
    await untilRestarted(cluster, ['deployments', 'unguarded'], secret)
    await cluster.until('secrets', 'guarded', (one) => {
      return debtOf(one)?.includes('"Deployment/guarded"') ?? false
    })
    await untilClosed(cluster, 'guarded')
    expect(webhook.asked).toBeGreaterThan(0)
    const [event] = await eventsOn(cluster, 'guarded', 'RestartNotPossible')
    expect(event?.['note']).toContain('not here')
    expect(await generation(cluster, 'guarded')).toBe(1)
  })

  test('only the annotation is patched while a user edits the workload all the time', async () => {
    const { cluster, connect } = stage
    const id = await synced(stage, 'edited')
    await idleDeployments(stage.cluster, ['edited'], 'edited')
    let edits = 0
    const editing = new AbortController()
    const writer = (async () => {
      while (!editing.signal.aborted) {
        edits += 1
        await cluster.patch('deployments', 'edited', { spec: { minReadySeconds: edits } })
      }
    })()
    connect.set(id, 'password', 'two')
    const secret = await untilValue(cluster, 'edited', 'two')
    await untilRestarted(cluster, ['deployments', 'edited'], secret)
    editing.abort()
    await writer
    const after = await cluster.get('deployments', 'edited')
    expect(after['spec'].minReadySeconds).toBe(edits)
    expect(after['spec'].replicas).toBe(0)
    expect(after.metadata.generation).toBe(edits + 2)
    const made = (await workloadPatches(cluster)).filter(
      (one) => isWrite(one) && one.name === 'edited',
    )
    expect(made).toHaveLength(1)
  })

  test('manifests that are applied again keep the restart, and its fields have our name', async () => {
    const { cluster, connect } = stage
    const id = await synced(stage, 'gitops')
    const manifest = aWorkload('gitops', usesAsEnv('gitops'), { spec: { replicas: 0 } })
    await cluster.apply('deployments', manifest)
    connect.set(id, 'password', 'two')
    const secret = await untilValue(cluster, 'gitops', 'two')
    const restarted = await untilRestarted(cluster, ['deployments', 'gitops'], secret)
    const after = await cluster.apply('deployments', manifest)
    expect(restartedFor(after)).toEqual([digestOf(secret)])
    expect(after.metadata.generation).toBe(restarted.metadata.generation)
    const fields = after.metadata.managedFields as { manager: string; fieldsV1: object }[]
    const ours = fields.filter(({ manager }) => manager === 'keyferry')
    const [[annotation] = []] = Object.entries(after['spec'].template.metadata.annotations)
    expect(ours.map(({ fieldsV1 }) => fieldsV1)).toEqual([
      {
        'f:spec': {
          'f:template': {
            'f:metadata': { 'f:annotations': { '.': {}, [`f:${annotation}`]: {} } },
          },
        },
      },
    ])
  })

  test('workloads that the operator may not patch do not hold the debt open', async () => {
    await using stage = await setStage()
    const { cluster, connect } = stage
    const { namespace } = cluster
    const all = ['*']
    const read = ['get', 'list', 'watch']
    await grant(cluster, 'reader', [
      { apiGroups: ['onepassword.com', 'events.k8s.io', ''], resources: all, verbs: all },
      { apiGroups: ['apps'], resources: all, verbs: read },
    ])
    await using login = await logInAs(cluster, 'reader', inject('kubeconfig'))
    await stage.operator({ KUBECONFIG: login.kubeconfig, WATCH_NAMESPACE: namespace })
    const id = await synced(stage, 'denied')
    await idleDeployments(stage.cluster, ['denied'], 'denied')
    connect.set(id, 'password', 'two')
    await cluster.until('secrets', 'denied', (one) => {
      return debtOf(one)?.includes('"Deployment/denied"') ?? false
    })
    const mover = await moveCaches(cluster)
    await untilClosed(cluster, 'denied')
    await mover.stop()
    const [event] = await eventsOn(cluster, 'denied', 'RestartNotPossible')
    expect(event?.['note']).toContain('cannot patch resource')
    const refused = await workloadPatches(cluster)
    expect(refused.some(isWrite)).toBe(false)
    expect(refused.length).toBeLessThanOrEqual(3)
  })

  test('a debt whose annotation somebody takes off is written again, and paid', async () => {
    await using stage = await setStage()
    const { cluster, connect } = stage
    let operator = await stage.operator({ RESTART_DELAY: '60' })
    const id = await synced(stage, 'stripped')
    await idleDeployments(stage.cluster, ['stripped'], 'stripped')
    connect.set(id, 'password', 'two')
    const secret = await untilValue(cluster, 'stripped', 'two')
    await cluster.until('items', 'stripped', (item) => condition(item, 'Restarting') !== undefined)
    const strip = { metadata: { annotations: { 'keyferry.dev/restart': null } } }
    await cluster.patch('secrets', 'stripped', strip)
    await cluster.until('secrets', 'stripped', (one) => debtOf(one) !== undefined)
    // Also where nobody looked.
    await operator.stop()
    await cluster.patch('secrets', 'stripped', strip)
    operator = await stage.operator()
    await untilRestarted(cluster, ['deployments', 'stripped'], secret)
    const mover = await moveCaches(cluster)
    await untilClosed(cluster, 'stripped')
    await cluster.until('items', 'stripped', (item) => condition(item, 'Restarting') === undefined)
    await mover.stop()
    expect(await generation(cluster, 'stripped')).toBe(2)
    await operator.stop()
  })
})

/** What a GitOps tool does that owns the whole template. */
async function putBack({ get, patch }: Cluster, name: string): Promise<void> {
  const workload = await get('deployments', name)
  if (restartedFor(workload).length === 0) return
  await patch('deployments', name, {
    metadata: { annotations: OPTED_IN },
    spec: { template: { metadata: { annotations: null } } },
  })
}
