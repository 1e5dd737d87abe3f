/**
 * Who is restarted: the levels at which people opt in, and all that restarts nothing.
 */
import { describe, expect, test } from 'vitest'
import { type Cluster, isReady, type KubeObject, valueOf } from '../support/cluster.ts'
import type { OperatorProcess } from '../support/operator.ts'
import {
  AUTO_RESTART,
  aWorkload,
  debtOf,
  digestOf,
  moveCaches,
  OPTED_IN,
  synced,
  untilClosed,
  untilRestarted,
  untilValue,
  usesAsEnv,
} from '../support/restarts.ts'
import { setStage, type Stage } from '../support/stage.ts'

const level = (text: string) => (text === '' ? {} : { [AUTO_RESTART]: text })
const generation = async (cluster: Cluster, name: string) =>
  (await cluster.get('deployments', name)).metadata.generation ?? 0

async function eventsOn({ list }: Cluster, name: string): Promise<string[]> {
  const events = await list('events')
  return events
    .filter(({ regarding, reportingController }) => {
      return regarding.name === name && reportingController === 'keyferry.dev/keyferry'
    })
    .map(({ reason }) => reason as string)
}

/** What the levels say together; the first that says anything decides. */
function oracle(...levels: readonly string[]): boolean {
  const texts = ['true', 'T', '1']
  return texts.includes(levels.find((text) => text !== '') ?? '')
}

const NAMESPACE_LEVELS = ['', 'true', 'false']
const RESOURCE_LEVELS = ['', 'T', 'false', 'yes']
const WORKLOAD_LEVELS = ['', '1', 'F', 'ture']

/** A Secret of an item with an empty field, and a Deployment that uses it. */
async function withEmptyField(stage: Stage, name: string): Promise<void> {
  const { cluster, connect, vault } = stage
  const fields = [
    { label: 'password', value: 'one' },
    { label: 'empty', value: '' },
  ]
  connect.add(vault, { title: name, fields })
  await cluster.create('deployments', aWorkload(name, usesAsEnv(name)))
  await stage.item(name, name)
  await cluster.until('items', name, isReady)
}

const hasEmpty = (secret: KubeObject) => valueOf(secret, 'empty') === ''

/** A Secret as 1Password's own operator left it, and a Deployment that uses it. */
async function leftByIncumbent(
  { cluster, connect, vault }: Stage,
  name: string,
  value: string,
): Promise<KubeObject> {
  const id = connect.add(vault, { title: name, fields: [{ label: 'password', value: 'one' }] })
  await cluster.create('deployments', aWorkload(name, usesAsEnv(name)))
  const annotations = {
    'operator.1password.io/item-path': `vaults/${vault}/items/${id}`,
    'operator.1password.io/item-version': '1',
  }
  return cluster.create('secrets', {
    metadata: { name, annotations },
    stringData: { password: value },
  })
}

/** Starts in a row; the whole number by KEYFERRY_RESTARTS. */
const RESTARTS = Number(process.env['KEYFERRY_RESTARTS'] ?? 5)

describe.concurrent('restarts', () => {
  test('resource comes before workload before namespace before operator, and nonsense says no', async () => {
    await using stage = await setStage()
    const { connect, vault } = stage
    const id = connect.add(vault, {
      title: 'levels',
      fields: [{ label: 'password', value: 'one' }],
    })
    const spec = { itemPath: 'vaults/Production/items/levels' }
    const clusters = new Map<string, Cluster>()
    for (const text of NAMESPACE_LEVELS) clusters.set(text, await stage.another(level(text)))
    const all = [...clusters].flatMap(([space, cluster]) =>
      RESOURCE_LEVELS.flatMap((resource, r) =>
        WORKLOAD_LEVELS.map((workload, w) => ({
          cluster,
          secret: `levels-${r}`,
          name: `levels-${r}-${w}`,
          levels: [resource, workload, space],
        })),
      ),
    )
    for (const cluster of clusters.values()) {
      for (const [r, text] of RESOURCE_LEVELS.entries()) {
        await cluster.create('items', {
          metadata: { name: `levels-${r}`, annotations: level(text) },
          spec,
        })
      }
    }
    for (const { cluster, name, secret, levels } of all) {
      const annotations = level(levels[1] ?? '')
      await cluster.create('deployments', aWorkload(name, usesAsEnv(secret), { annotations }))
    }
    const movers = await Promise.all([...clusters.values()].map((cluster) => moveCaches(cluster)))
    const namespaces = [...clusters.values()].map(({ namespace }) => namespace)
    const expected = new Map(all.map(({ levels }) => [levels.join(), 1]))
    for (const [operatorLevel, value] of [
      ['false', 'two'],
      ['true', 'three'],
    ] as const) {
      const operator = await stage.operator({
        WATCH_NAMESPACE: namespaces.join(),
        AUTO_RESTART: operatorLevel,
      })
      for (const { cluster, secret } of all) await cluster.until('items', secret, isReady)
      connect.set(id, 'password', value)
      for (const { cluster, secret } of all) await untilValue(cluster, secret, value)
      for (const { cluster, secret } of all) await untilClosed(cluster, secret)
      for (const { cluster, name, levels } of all) {
        const key = levels.join()
        const restarts = (expected.get(key) ?? 0) + (oracle(...levels, operatorLevel) ? 1 : 0)
        expected.set(key, restarts)
        expect([key, operatorLevel, await generation(cluster, name)]).toEqual([
          key,
          operatorLevel,
          restarts,
        ])
      }
      await operator.stop()
    }
    for (const mover of movers) await mover.stop()
    const [space] = clusters.values()
    // `yes` on the resource decides, and makes no sense; `ture` on the workload is its own mistake.
    expect(await eventsOn(space as Cluster, 'levels-3-1')).toEqual([
      'RestartUnclear',
      'RestartUnclear',
    ])
    expect(await eventsOn(space as Cluster, 'levels-0-3')).toEqual([
      'RestartUnclear',
      'RestartUnclear',
    ])
    expect(await eventsOn(space as Cluster, 'levels-0-2')).toEqual([])
  })

  test('who wants to be told is told once for each content, and not restarted', async () => {
    await using stage = await setStage()
    const { cluster, connect } = stage
    const mover = await moveCaches(cluster)
    const operator = await stage.operator({ AUTO_RESTART: 'notify' })
    const id = await synced(stage, 'told')
    const pod = usesAsEnv('told')
    await cluster.create('deployments', aWorkload('told', pod, { annotations: {} }))
    await cluster.create(
      'deployments',
      aWorkload('told-itself', pod, { annotations: level('Notify') }),
    )
    await cluster.create('deployments', aWorkload('told-off', pod, { annotations: level('false') }))
    for (const value of ['two', 'three']) {
      connect.set(id, 'password', value)
      await untilValue(cluster, 'told', value)
      await untilClosed(cluster, 'told')
    }
    await mover.stop()
    await operator.stop()
    expect(await eventsOn(cluster, 'told')).toEqual(['RestartDue', 'RestartDue'])
    expect(await eventsOn(cluster, 'told-itself')).toEqual(['RestartDue', 'RestartDue'])
    expect(await eventsOn(cluster, 'told-off')).toEqual([])
    for (const name of ['told', 'told-itself', 'told-off']) {
      expect(await generation(cluster, name)).toBe(1)
    }
  })

  test("a change of Keyferry's own settings changes Secrets and restarts nothing", async () => {
    await using stage = await setStage()
    const { cluster } = stage
    let operator = await stage.operator()
    await withEmptyField(stage, 'remapped')
    await operator.stop()
    operator = await stage.operator({ ALLOW_EMPTY_VALUES: 'true', LABELS_NOT_COPIED: 'team' })
    const secret = await cluster.until('secrets', 'remapped', hasEmpty)
    expect(debtOf(secret)).toBeUndefined()
    await operator.stop()
    expect(await generation(cluster, 'remapped')).toBe(1)
  })

  test('with RESTART_ON_REMAP such a change restarts, too', async () => {
    await using stage = await setStage()
    const { cluster } = stage
    let operator = await stage.operator()
    await withEmptyField(stage, 'remapped-on')
    await operator.stop()
    operator = await stage.operator({ ALLOW_EMPTY_VALUES: 'true', RESTART_ON_REMAP: 'true' })
    const secret = await cluster.until('secrets', 'remapped-on', hasEmpty)
    await untilRestarted(cluster, ['deployments', 'remapped-on'], secret)
    await operator.stop()
  })

  test('a new digest key costs one write of metadata for each Secret and no restart', async () => {
    await using stage = await setStage()
    const { cluster } = stage
    let operator = await stage.operator()
    await synced(stage, 'rekeyed')
    await cluster.create('deployments', aWorkload('rekeyed', usesAsEnv('rekeyed')))
    await operator.stop()
    const before = await cluster.get('secrets', 'rekeyed')
    await cluster.delete('secrets', 'keyferry-digest-key')
    operator = await stage.operator()
    const after = await cluster.until('secrets', 'rekeyed', (secret) => {
      return digestOf(secret) !== digestOf(before)
    })
    await operator.stop()
    expect(debtOf(after)).toBeUndefined()
    expect(after['data']).toEqual(before['data'])
    expect(await generation(cluster, 'rekeyed')).toBe(1)
  })

  test('taking over a Secret changes its metadata and restarts nothing', async () => {
    await using stage = await setStage()
    const { cluster } = stage
    const operator = await stage.operator()
    const before = await leftByIncumbent(stage, 'legacy', 'one')
    await stage.item('legacy', 'legacy')
    await cluster.until('items', 'legacy', isReady)
    const after = await cluster.get('secrets', 'legacy')
    await operator.stop()
    expect(after.metadata.uid).toBe(before.metadata.uid)
    expect(after['data']).toEqual(before['data'])
    expect(debtOf(after)).toBeUndefined()
    const workload = await cluster.get('deployments', 'legacy')
    expect(workload.metadata.generation).toBe(1)
    expect(workload['spec'].template.metadata.annotations).toBeUndefined()
  })

  test('an item that changed before the take-over restarts who uses the Secret', async () => {
    await using stage = await setStage()
    const { cluster } = stage
    const operator = await stage.operator()
    await leftByIncumbent(stage, 'legacy-old', 'zero')
    await stage.item('legacy-old', 'legacy-old')
    const secret = await untilValue(cluster, 'legacy-old', 'one')
    await untilRestarted(cluster, ['deployments', 'legacy-old'], secret)
    await operator.stop()
  })

  test('opting in and starting again and again write nothing, to Secrets, workloads or statuses', async () => {
    await using stage = await setStage()
    const { cluster } = stage
    let operator: OperatorProcess = await stage.operator()
    await synced(stage, 'calm')
    await cluster.create('deployments', aWorkload('calm', usesAsEnv('calm'), { annotations: {} }))
    const optedIn = await cluster.patch('deployments', 'calm', {
      metadata: { annotations: OPTED_IN },
    })
    await cluster.patch('items', 'calm', { metadata: { annotations: OPTED_IN } })
    const secret = await cluster.until('secrets', 'calm', ({ metadata }) => {
      return metadata.annotations?.[AUTO_RESTART] === 'true'
    })
    const item = await cluster.until('items', 'calm', ({ status }) => {
      return status.secretResourceVersion === secret.metadata.resourceVersion
    })
    for (let n = 0; n < RESTARTS; n += 1) {
      await operator.stop()
      operator = await stage.operator()
      // A new resource is the proof that the queue was worked.
      await synced(stage, `calm-${n}`)
    }
    await operator.stop()
    expect((await cluster.get('secrets', 'calm')).metadata.resourceVersion).toBe(
      secret.metadata.resourceVersion,
    )
    expect((await cluster.get('items', 'calm')).metadata.resourceVersion).toBe(
      item.metadata.resourceVersion,
    )
    expect(await generation(cluster, 'calm')).toBe(optedIn.metadata.generation)
  })
})
