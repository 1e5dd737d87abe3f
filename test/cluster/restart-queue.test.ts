/**
 * How restarts are made when there are many, when somebody is against them, and when the operator
 * dies in between.
 */
import { describe, expect, inject, test } from 'vitest'
import { grant, logInAs } from '../support/accounts.ts'
import { type AuditRecord, isWrite, readAudit } from '../support/audit.ts'
import { type Cluster, type KubeObject, valueOf } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import {
  aWorkload,
  debtOf,
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
import { startWebhook } from '../support/webhook.ts'

const names = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, n) => `${prefix}-${n}`)

async function deployments(
  { cluster }: Stage,
  all: readonly string[],
  secret: string,
): Promise<void> {
  for (const name of all) {
    const spec = { replicas: 0 }
    await cluster.create('deployments', aWorkload(name, usesAsEnv(secret), { spec }))
  }
}

const generation = async (cluster: Cluster, name: string) =>
  (await cluster.get('deployments', name)).metadata.generation

/** Patches of workloads that the operator made in the namespace, as the API server saw them. */
async function patches({ namespace }: Cluster): Promise<AuditRecord[]> {
  const all = await readAudit(inject('auditLog'), namespace)
  return all.filter((record) => {
    const ours = record.userAgent.startsWith('keyferry/')
    return ours && record.resource === 'deployments' && record.verb === 'patch'
  })
}

async function eventsOn({ list }: Cluster, name: string, reason: string): Promise<KubeObject[]> {
  const events = await list('events')
  return events.filter(
    ({ regarding, ...event }) => regarding.name === name && event['reason'] === reason,
  )
}

describe.concurrent('restarts', () => {
  test('sixty workloads that use one Secret are patched once each', async () => {
    await using stage = await setStage()
    const { cluster, connect } = stage
    await stage.operator()
    const id = await synced(stage, 'shared')
    const all = names('shared', 60)
    await deployments(stage, all, 'shared')
    connect.set(id, 'password', 'two')
    const secret = await untilValue(cluster, 'shared', 'two')
    for (const name of all) await untilRestarted(cluster, ['deployments', name], secret)
    const mover = await moveCaches(cluster)
    await untilClosed(cluster, 'shared')
    await mover.stop()
    for (const name of all) expect([name, await generation(cluster, name)]).toEqual([name, 2])
    const made = (await patches(cluster)).filter(isWrite).map(({ name }) => name)
    expect(made.toSorted()).toEqual(all.toSorted())
  })

  test('a workload restarts once for five Secrets, and once for twenty changes within the delay', async () => {
    await using stage = await setStage()
    const { cluster, connect } = stage
    const patient = await stage.operator({ RESTART_DELAY: '600' })
    const five = names('five', 5)
    const ids: string[] = []
    for (const name of five) ids.push(await synced(stage, name))
    const envFrom = five.map((name) => ({ secretRef: { name } }))
    const containers = [{ name: 'app', image: 'example.invalid/app', envFrom }]
    await cluster.create('deployments', aWorkload('user', { containers }))
    for (const id of ids) connect.set(id, 'password', 'two')
    // A resource that is edited is looked at at once, as often as it is edited.
    for (let n = 1; n <= 20; n += 1) {
      await cluster.patch('items', 'five-0', { spec: { data: { edit: String(n) } } })
    }
    const last = await cluster.until('secrets', 'five-0', (secret) => {
      return valueOf(secret, 'edit') === '20' && valueOf(secret, 'password') === 'two'
    })
    const secrets = [last]
    for (const name of five.slice(1)) secrets.push(await untilValue(cluster, name, 'two'))
    expect(await generation(cluster, 'user')).toBe(1)
    // The delay of the next one begins anew, and is over at once.
    await patient.stop()
    await stage.operator({ RESTART_DELAY: '0' })
    const workload = await untilRestarted(cluster, ['deployments', 'user'], last)
    expect(restartedFor(workload).toSorted()).toEqual(secrets.map(digestOf).toSorted())
    expect(workload.metadata.generation).toBe(2)
  })

  test('a change during a rollout starts another one, for the final content', async () => {
    await using stage = await setStage()
    const { cluster } = stage
    await stage.operator()
    await synced(stage, 'rolling')
    await cluster.create('deployments', aWorkload('rolling', usesAsEnv('rolling')))
    for (const n of [1, 2]) {
      await cluster.patch('items', 'rolling', { spec: { data: { edit: String(n) } } })
      const secret = await cluster.until('secrets', 'rolling', (secret) => {
        return valueOf(secret, 'edit') === String(n)
      })
      const workload = await untilRestarted(cluster, ['deployments', 'rolling'], secret)
      // Its pods never run: the rollout is under way for ever.
      expect(workload.metadata.generation).toBe(n + 1)
      expect(restartedFor(workload)).toEqual([digestOf(secret)])
    }
  })

  test('the queue of a slow pace survives a kill after each restart', async () => {
    await using stage = await setStage()
    const { cluster, connect } = stage
    const slow = { RESTARTS_PER_MINUTE: '60' }
    let operator = await stage.operator(slow)
    const id = await synced(stage, 'queued')
    const all = names('queued', 6)
    await deployments(stage, all, 'queued')
    connect.set(id, 'password', 'two')
    const secret = await untilValue(cluster, 'queued', 'two')
    const done = async () =>
      (await cluster.list('deployments')).filter((one) =>
        restartedFor(one).includes(digestOf(secret)),
      )
    const kills: number[] = []
    while ((await done()).length < all.length) {
      const before = (await done()).length
      await eventually('one more is restarted', async () => (await done()).length > before)
      operator.signal('SIGKILL')
      await operator.exited
      kills.push(Date.now())
      operator = await stage.operator(slow)
    }
    expect(kills.length).toBeGreaterThan(2)
    for (const name of all) expect([name, await generation(cluster, name)]).toEqual([name, 2])
    expect((await patches(cluster)).filter(isWrite)).toHaveLength(all.length)
  })

  test('restarts are spread over the minute', async () => {
    await using stage = await setStage()
    const { cluster, connect } = stage
    await stage.operator({ RESTARTS_PER_MINUTE: '120' })
    const id = await synced(stage, 'spread')
    const all = names('spread', 8)
    await deployments(stage, all, 'spread')
    connect.set(id, 'password', 'two')
    const secret = await untilValue(cluster, 'spread', 'two')
    for (const name of all) await untilRestarted(cluster, ['deployments', name], secret)
    const made = (await patches(cluster)).filter(isWrite).map(({ cameAt }) => cameAt)
    expect(made).toHaveLength(all.length)
    const took = Math.max(...made) - Math.min(...made)
    // Started half a second apart; the first may have travelled longer than the last.
    expect(took).toBeGreaterThan(((all.length - 1) * 500) / 2)
    // Who waits for its turn asks nothing: one read for each patch, and for each conflict.
    const reads = (await readAudit(inject('auditLog'), cluster.namespace)).filter(
      ({ userAgent, resource, verb }) =>
        userAgent.startsWith('keyferry/') && resource === 'deployments' && verb === 'get',
    )
    expect(reads.length).toBeLessThan(all.length * 2)
  })

  test('a template that somebody puts back is named in the debt with one Event, and not fought', async () => {
    await using stage = await setStage()
    const { cluster, connect } = stage
    await stage.operator()
    const id = await synced(stage, 'contested')
    await deployments(stage, ['contested', 'peaceful'], 'contested')
    const selfHeal = setInterval(() => void putBack(cluster, 'contested'), 50)
    try {
      connect.set(id, 'password', 'two')
      const secret = await untilValue(cluster, 'contested', 'two')
      await cluster.until('secrets', 'contested', (one) => {
        return debtOf(one)?.includes('"Deployment/contested"') ?? false
      })
      await untilRestarted(cluster, ['deployments', 'peaceful'], secret)
      const mover = await moveCaches(cluster)
      await untilClosed(cluster, 'contested')
      await mover.stop()
    } finally {
      clearInterval(selfHeal)
    }
    expect(await eventsOn(cluster, 'contested', 'RestartNotPossible')).toHaveLength(1)
    const made = (await patches(cluster)).filter((one) => isWrite(one) && one.name === 'contested')
    expect(made).toHaveLength(1)
  })

  test('a workload whose patch a webhook refuses does not hold the debt open', async () => {
    await using stage = await setStage()
    const { cluster, connect } = stage
    await stage.operator()
    const id = await synced(stage, 'guarded')
    await deployments(stage, ['guarded', 'unguarded'], 'guarded')
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
    const mover = await moveCaches(cluster)
    await untilClosed(cluster, 'guarded')
    await mover.stop()
    expect(webhook.asked).toBeGreaterThan(0)
    const [event] = await eventsOn(cluster, 'guarded', 'RestartNotPossible')
    expect(event?.['note']).toContain('not here')
    expect(await generation(cluster, 'guarded')).toBe(1)
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
    await deployments(stage, ['denied'], 'denied')
    connect.set(id, 'password', 'two')
    await cluster.until('secrets', 'denied', (one) => {
      return debtOf(one)?.includes('"Deployment/denied"') ?? false
    })
    const mover = await moveCaches(cluster)
    await untilClosed(cluster, 'denied')
    await mover.stop()
    const [event] = await eventsOn(cluster, 'denied', 'RestartNotPossible')
    expect(event?.['note']).toContain('cannot patch resource')
    const refused = await patches(cluster)
    expect(refused.some(isWrite)).toBe(false)
    expect(refused.length).toBeLessThanOrEqual(3)
  })

  test('only the annotation is patched while a user edits the workload all the time', async () => {
    await using stage = await setStage()
    const { cluster, connect } = stage
    await stage.operator()
    const id = await synced(stage, 'edited')
    await deployments(stage, ['edited'], 'edited')
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
    expect((await patches(cluster)).filter(isWrite)).toHaveLength(1)
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
