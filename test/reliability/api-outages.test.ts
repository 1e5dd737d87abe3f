/**
 * What befalls a whole API server while many namespaces work: it is killed, its etcd is put back to a
 * backup, the definition of resources is taken away and comes back; and webhooks that refuse or
 * change what the operator writes.
 */
import { cp, rm } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import {
  adminRest,
  applyCrd,
  clusterOf,
  isReady,
  type KubeObject,
  textsOf,
} from '../support/cluster.ts'
import type { Processes } from '../support/control-plane/start.ts'
import { CANARY, type Scenario } from '../support/crash.ts'
import { differences } from '../support/ends.ts'
import { eventually } from '../support/eventually.ts'
import { type Berth, type Fleet, startFleet } from '../support/fleet.ts'
import { forEach } from '../support/for-each.ts'
import { isFull, tally } from '../support/gates.ts'
import type { Call } from '../support/kube-proxy.ts'
import { aWorkload, digestOf, OPTED_IN, restartedFor, usesAsEnv } from '../support/restarts.ts'
import { setStage, type Stage } from '../support/stage.ts'
import { startWebhook } from '../support/webhook.ts'
import { listsOf, placeOf, prepare } from './voyage.ts'

/** Namespaces that work when it happens. */
const BERTHS = 16
const KILLS = 3
const CRD = 'onepassworditems.onepassword.com'

/** Ids of items, by namespace. */
const ids = new Map<string, string>()

const single: Scenario = (stage) => {
  const { cluster, connect, vault } = stage
  const fields = [{ label: 'password', value: `${CANARY}one` }]
  ids.set(cluster.namespace, connect.add(vault, { title: 'db', fields }))
  return {
    async prepare() {
      const user = aWorkload('web', usesAsEnv('db'), { spec: { replicas: 0 } })
      await cluster.create('deployments', user)
      await stage.item('db', 'db', { annotations: OPTED_IN })
    },
    isPrepared: async () => isReady(await cluster.get('items', 'db')),
    isDone: async () => true,
  }
}

interface Scene {
  readonly fleet: Fleet
  readonly berths: readonly Berth[]
  readonly processes: Processes
}

describe.runIf(isFull).concurrent('an operator whose API server', () => {
  test('B7, B13: dies again and again, and forgets the resources for a while, goes on', async () => {
    await using fleet = await startFleet()
    const scene = await aScene(fleet)
    const began = fleet.proxy.calls.length
    const kills: string[] = []
    for (let n = 1; n <= KILLS; n += 1) kills.push(...(await killed(scene, `kill ${n}`)))
    // A list may wait until the next kill, and then come together with that one's.
    kills.push(...listedMoreThan(KILLS, fleet.proxy.calls.slice(began)))
    const undefinedFor = await withoutDefinition(scene)
    const others = await leave(scene)
    const what = 'API server, SIGKILL'
    await tally({ gate: 6, what, trials: KILLS, violations: kills.length })
    const violations = undefinedFor.length
    await tally({ gate: 6, what: 'definition removed', trials: 1, violations })
    expect([...kills, ...undefinedFor, ...others]).toEqual([])
  })

  test('B11: goes back to a backup sees it as it is, and deletes nothing', async () => {
    await using fleet = await startFleet()
    const scene = await aScene(fleet)
    const restored = await restoredFromBackup(scene)
    const violations = restored.length
    await tally({ gate: 6, what: 'etcd from a backup', trials: 1, violations })
    expect([...restored, ...(await leave(scene))]).toEqual([])
  })
})

async function aScene(fleet: Fleet): Promise<Scene> {
  const { processes } = fleet.plane
  if (!processes) throw new Error('this control plane runs in a container')
  const names = Array.from({ length: BERTHS }, (_, n) => `single ${n}`)
  const berths = await fleet.moor(names.map((name) => [name, single] as const))
  expect(await prepare(fleet, berths)).toEqual([])
  return { fleet, berths, processes }
}

/** Ends the operator; gives what else is wrong. */
async function leave({ fleet, berths }: Scene): Promise<string[]> {
  const ends = await fleet.dismiss()
  return [...ends, ...berths.flatMap((berth) => fleet.faultsOf(berth))]
}

/** Every item changes; gives the namespaces where that does not arrive. */
async function change({ fleet, berths }: Scene, value: string, meanwhile?: () => Promise<unknown>) {
  for (const { stage, namespace } of berths) {
    stage.connect.set(ids.get(namespace) ?? '', 'password', `${CANARY}${value}`)
  }
  await meanwhile?.()
  return untilRolledOut({ fleet, berths }, value)
}

async function untilRolledOut({ fleet, berths }: Pick<Scene, 'fleet' | 'berths'>, value: string) {
  const late = await fleet.until(berths, async ({ stage: { cluster } }) => {
    const [secret, web] = [
      await cluster.get('secrets', 'db'),
      await cluster.get('deployments', 'web'),
    ]
    const isNew = textsOf(secret)['password'] === `${CANARY}${value}`
    return isNew && restartedFor(web).includes(digestOf(secret))
  })
  return late.map(({ name }) => `${name}: ${value} did not arrive`)
}

/** While all of them write. */
async function killed(scene: Scene, value: string): Promise<string[]> {
  const { fleet, processes } = scene
  const before = fleet.proxy.calls.length
  const writes = () =>
    fleet.proxy.calls.slice(before).filter(({ method }) => method === 'PUT').length
  return change(scene, value, async () => {
    await eventually('they write', async () => writes() >= BERTHS / 4)
    await processes.apiserver.stop()
    await processes.apiserver.start()
  })
}

function listedMoreThan(times: number, calls: readonly Call[]): string[] {
  const lists = Object.entries(listsOf(calls.filter(({ status }) => status === 200)))
  return lists.flatMap(([path, n]) => (n > times ? [`${n} lists of ${path}`] : []))
}

async function restoredFromBackup(scene: Scene): Promise<string[]> {
  const { fleet, berths, processes } = scene
  const { apiserver, etcd, data } = processes
  const backup = `${data}-backup`
  const restart = async (meanwhile: () => Promise<unknown>) => {
    await apiserver.stop()
    await etcd.stop(5_000)
    await meanwhile()
    await etcd.start()
    await apiserver.start()
  }
  await restart(() => cp(data, backup, { recursive: true }))
  const before = await change(scene, 'after the backup')
  // A cache that never saw what is taken back could not notice it.
  await fleet.untilCalm()
  const began = fleet.proxy.calls.length
  await restart(async () => {
    await rm(data, { recursive: true })
    await cp(backup, data, { recursive: true })
  })
  const late = await untilRolledOut({ fleet, berths }, 'after the backup')
  return [...before, ...late, ...deletionsIn(fleet.proxy.calls.slice(began))]
}

const deletionsIn = (calls: readonly Call[]) =>
  calls.filter(({ method }) => method === 'DELETE').map(({ path }) => `DELETE ${path}`)

async function withoutDefinition(scene: Scene): Promise<string[]> {
  const { fleet, berths } = scene
  const { kubeconfig } = fleet.plane
  await fleet.untilCalm()
  const secretsOf = () => Promise.all(berths.map(({ stage }) => stage.cluster.get('secrets', 'db')))
  const held = await secretsOf()
  const began = fleet.proxy.calls.length
  const rest = adminRest(kubeconfig)
  await clusterOf(rest, '').delete('crds', CRD)
  const told = () => {
    const missing = fleet.proxy.calls.slice(began).filter(({ status }) => status === 404)
    return new Set(missing.map((call) => placeOf(call).namespace)).size
  }
  await eventually('every watch has heard of it', async () => told() === BERTHS)
  await fleet.untilStill()
  const gone = differences(await secretsOf(), held)
  await applyCrd(kubeconfig)
  await rest.close()
  await forEach(berths, 8, ({ stage }) => stage.item('db', 'db', { annotations: OPTED_IN }))
  const late = await fleet.until(berths, async ({ stage: { cluster } }) =>
    isReady(await cluster.get('items', 'db')),
  )
  const uids = (all: readonly KubeObject[]) => all.map(({ metadata }) => metadata.uid)
  return [
    ...gone,
    ...late.map(({ name }) => `${name}: its resource is not served again`),
    ...differences(uids(await secretsOf()), uids(held)),
    ...deletionsIn(fleet.proxy.calls.slice(began)),
    ...(await change(scene, 'after the definition')),
  ]
}

const SECRETS = { group: '', resource: 'secrets', operations: ['CREATE', 'UPDATE'] }
const isDb = ({ metadata }: KubeObject) => metadata.name === 'db'

describe.concurrent('B16: a webhook', () => {
  test('that refuses a Secret is asked again, ever less often, and let go', async () => {
    await using stage = await setStage()
    const { cluster } = stage
    {
      await using webhook = await startWebhook(cluster, SECRETS, isDb)
      await prepareOne(stage)
      await eventually('it has refused again and again', async () => webhook.asked >= 5)
      expect(await cluster.find('secrets', 'db')).toBe(undefined)
    }
    await cluster.until('items', 'db', isReady)
    await tally({ gate: 6, what: 'webhooks', trials: 1, violations: 0 })
  })

  test('that changes what is written is not fought', async () => {
    await using stage = await setStage()
    const { cluster, connect } = stage
    await using webhook = await startWebhook(
      cluster,
      SECRETS,
      () => false,
      (object) =>
        isDb(object)
          ? [
              { op: 'add', path: '/metadata/labels/mutated', value: 'yes' },
              { op: 'add', path: '/data/extra', value: 'ZXh0cmE=' },
            ]
          : [],
    )
    const id = await prepareOne(stage)
    await cluster.until('items', 'db', isReady)
    await polls(stage)
    const asked = webhook.asked
    await polls(stage)
    expect(webhook.asked).toBe(asked)
    connect.set(id, 'password', 'two')
    await cluster.until('secrets', 'db', (secret) => textsOf(secret)['password'] === 'two')
    expect((await cluster.get('secrets', 'db')).metadata.labels).toMatchObject({ mutated: 'yes' })
    await tally({ gate: 6, what: 'webhooks', trials: 1, violations: 0 })
  })
})

async function prepareOne(stage: Stage): Promise<string> {
  const fields = [{ label: 'password', value: 'one' }]
  const id = stage.connect.add(stage.vault, { title: 'db', fields })
  await stage.operator()
  await stage.item('db', 'db')
  return id
}

/** Waits until whatever polls would do has been done. */
async function polls({ connect }: Stage): Promise<void> {
  const before = connect.requests.length
  await eventually('some polls pass', async () => connect.requests.length >= before + 4)
}
