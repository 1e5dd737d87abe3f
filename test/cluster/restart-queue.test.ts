/**
 * How restarts are made when there are many, one after the other, and when the operator dies in
 * between.
 */
import { beforeAll, describe, expect, inject, test } from 'vitest'
import { isWrite, readAudit } from '../support/audit.ts'
import { type Cluster, condition, hasReason, isReady, valueOf } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import {
  aWorkload,
  debtOf,
  digestOf,
  idleDeployments,
  moveCaches,
  restartedFor,
  synced,
  untilClosed,
  untilRestarted,
  untilValue,
  usesAsEnv,
  workloadPatches,
} from '../support/restarts.ts'
import { setStage, type Stage } from '../support/stage.ts'

const names = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, n) => `${prefix}-${n}`)

const generation = async (cluster: Cluster, name: string) =>
  (await cluster.get('deployments', name)).metadata.generation

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
  test('sixty workloads that use one Secret are patched once each', async () => {
    const { cluster, connect } = stage
    const id = await synced(stage, 'shared')
    const all = names('shared', 60)
    await idleDeployments(stage.cluster, all, 'shared')
    connect.set(id, 'password', 'two')
    const secret = await untilValue(cluster, 'shared', 'two')
    for (const name of all) await untilRestarted(cluster, ['deployments', name], secret)
    await untilClosed(cluster, 'shared')
    for (const name of all) expect([name, await generation(cluster, name)]).toEqual([name, 2])
    const made = (await workloadPatches(cluster)).filter(isWrite).map(({ name }) => name)
    expect(made.filter((name) => all.includes(name)).toSorted()).toEqual(all.toSorted())
  })

  test('a change during a rollout starts another one, for the final content', async () => {
    const { cluster } = stage
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

  test('a key that goes restarts who uses the Secret, unless it is required: then nothing changes', async () => {
    const { cluster, connect, vault } = stage
    const fields = ['password', 'needed'].map((label) => ({ label, value: 'one' }))
    const ids = ['free', 'required'].map((title) => connect.add(vault, { title, fields }))
    await stage.item('free', 'free')
    await stage.item('required', 'required', { spec: { requiredKeys: ['needed'] } })
    for (const name of ['free', 'required']) {
      await cluster.until('items', name, isReady)
      await idleDeployments(stage.cluster, [name], name)
    }
    for (const id of ids) connect.edit(id, { fields: [{ label: 'password', value: 'two' }] })
    const secret = await untilValue(cluster, 'free', 'two')
    expect(valueOf(secret, 'needed')).toBeUndefined()
    await untilRestarted(cluster, ['deployments', 'free'], secret)
    const item = await cluster.until('items', 'required', hasReason('MissingKeys'))
    expect(condition(item, 'Ready')?.message).toContain('"needed"')
    const kept = await cluster.get('secrets', 'required')
    expect([valueOf(kept, 'password'), valueOf(kept, 'needed')]).toEqual(['one', 'one'])
    expect(debtOf(kept)).toBeUndefined()
    expect(await generation(cluster, 'required')).toBe(1)
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

  test('the queue of a slow pace survives a kill after each restart', async () => {
    await using stage = await setStage()
    const { cluster, connect } = stage
    const slow = { RESTARTS_PER_MINUTE: '60' }
    let operator = await stage.operator(slow)
    const id = await synced(stage, 'queued')
    const all = names('queued', 6)
    await idleDeployments(stage.cluster, all, 'queued')
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
    expect((await workloadPatches(cluster)).filter(isWrite)).toHaveLength(all.length)
  })

  test('restarts are spread over the minute', async () => {
    await using stage = await setStage()
    const { cluster, connect } = stage
    await stage.operator({ RESTARTS_PER_MINUTE: '120' })
    const id = await synced(stage, 'spread')
    const all = names('spread', 8)
    await idleDeployments(stage.cluster, all, 'spread')
    connect.set(id, 'password', 'two')
    const secret = await untilValue(cluster, 'spread', 'two')
    for (const name of all) await untilRestarted(cluster, ['deployments', name], secret)
    const made = (await workloadPatches(cluster)).filter(isWrite).map(({ cameAt }) => cameAt)
    expect(made).toHaveLength(all.length)
    const took = Math.max(...made) - Math.min(...made)
    // Started half a second apart; the first may have travelled longer than the last.
    expect(took).toBeGreaterThan(((all.length - 1) * 500) / 2)
    // Who waits for its turn asks nothing: one read for each patch, and for each conflict.
    const reads = (await readAudit(inject('auditLog'))).filter(
      ({ userAgent, namespace, resource, verb }) =>
        userAgent.startsWith('keyferry/') &&
        namespace === cluster.namespace &&
        resource === 'deployments' &&
        verb === 'get',
    )
    expect(reads.length).toBeLessThan(all.length * 2)
  })

  test('a workload that comes after the change started with the new content and is left alone', async () => {
    await using stage = await setStage()
    const { cluster, connect } = stage
    const operator = await stage.operator({ RESTART_DELAY: '60' })
    const id = await synced(stage, 'later')
    await idleDeployments(stage.cluster, ['earlier'], 'later')
    connect.set(id, 'password', 'two')
    const secret = await untilValue(cluster, 'later', 'two')
    const since = Date.parse(JSON.parse(debtOf(secret) ?? '{}').since)
    await eventually('the change is over for some seconds', async () => {
      await cluster.get('secrets', 'later')
      return cluster.rest.serverTime() > since + 7_000
    })
    await idleDeployments(stage.cluster, ['later'], 'later')
    await operator.stop()
    await stage.operator()
    await untilRestarted(cluster, ['deployments', 'earlier'], secret)
    const mover = await moveCaches(cluster)
    await untilClosed(cluster, 'later')
    await mover.stop()
    expect(await generation(cluster, 'later')).toBe(1)
  })
})
