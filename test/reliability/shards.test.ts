/**
 * Work divided over 1, 2 and 4 processes on the real API server: who works which namespace, who
 * takes over, and that no namespace is ever worked by two.
 */
import { describe, expect, inject, test } from 'vitest'
import { shardLease, shardOf } from '../../src/kube/shards.ts'
import { brief, isWrite, lateWrites, readAudit, termsOf } from '../support/audit.ts'
import { grant } from '../support/accounts.ts'
import { type Cluster, isReady, textsOf } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { holderOf, LEASE, type Replica, RIGHTS, startReplica } from '../support/replicas.ts'
import { tell } from '../support/skip.ts'
import { setStage, type Stage } from '../support/stage.ts'

const SHARDS = 4
const TAKEOVER_MS = 20_000
/** A look a second of each candidate; with load on the machine a little later. */
const SUCCESSOR_MS = 6_000
const NAMES = ['one', 'two', 'three', 'four'] as const

/** A resource in each of two namespaces of every shard, and a stream of changes. */
interface Field {
  readonly stage: Stage
  readonly clusters: readonly Cluster[]
  start(name: string, shards?: number): Promise<Replica>
  /** Changes every item, and waits until all Secrets have the change. */
  change(text: string): Promise<void>
}

async function setField(stage: Stage): Promise<Field> {
  const { connect, vault } = stage
  const clusters: Cluster[] = []
  const full = (shard: number) =>
    clusters.filter(({ namespace }) => shardOf(namespace, SHARDS) === shard).length >= 2
  while (![0, 1, 2, 3].every(full)) clusters.push(await stage.another())
  const ids = clusters.map(({ namespace }) =>
    connect.add(vault, { title: namespace, fields: [{ label: 'password', value: 'at first' }] }),
  )
  for (const cluster of clusters) {
    const itemPath = `vaults/Production/items/${cluster.namespace}`
    await cluster.create('items', { metadata: { name: 'app' }, spec: { itemPath } })
  }
  const scope = clusters.map(({ namespace }) => namespace).join(',')
  return {
    stage,
    clusters,
    async start(name, shards = SHARDS) {
      const { namespace } = stage.cluster
      for (const cluster of clusters) await grant(cluster, name, RIGHTS, namespace)
      return startReplica(stage, name, { env: { SHARDS: String(shards), WATCH_NAMESPACE: scope } })
    },
    async change(text) {
      for (const id of ids) connect.set(id, 'password', text)
      for (const cluster of clusters) {
        await cluster.until('items', 'app', isReady)
        await cluster.until('secrets', 'app', (secret) => textsOf(secret)['password'] === text)
      }
    },
  }
}

/** Name of the replica that holds each shard; empty for nobody. */
async function holders({ cluster }: Stage): Promise<string[]> {
  const leases = Array.from({ length: SHARDS }, async (_, shard) => {
    const lease = await cluster.find('leases', shardLease(LEASE, shard))
    const holder: string = lease?.['spec'].holderIdentity ?? ''
    return holder.split('_')[0] ?? ''
  })
  return Promise.all(leases)
}

/** Waits until each of these works as many shards as the others, and nobody else any. */
function untilShared(stage: Stage, names: readonly string[]): Promise<string[]> {
  return eventually(`${names.join(', ')} share the shards`, async () => {
    const held = await holders(stage)
    const counts = names.map((name) => held.filter((holder) => holder === name).length)
    return counts.every((count) => count === SHARDS / names.length) ? held : undefined
  })
}

/** No write in a served namespace lies outside of a term of its writer for that shard. */
async function expectInTerms({ stage, clusters }: Field, replicas: readonly Replica[]) {
  const leases = await readAudit(inject('auditLog'), stage.cluster.namespace)
  const users = replicas.map(({ login }) => login.user)
  let writes = 0
  for (const { namespace } of clusters) {
    const terms = termsOf(leases, shardLease(LEASE, shardOf(namespace, SHARDS)))
    const records = await readAudit(inject('auditLog'), namespace)
    expect(lateWrites(records, terms, users).map(brief)).toEqual([])
    writes += records.filter((one) => isWrite(one) && users.includes(one.user)).length
  }
  expect(writes).toBeGreaterThan(clusters.length)
}

describe.concurrent('shards', () => {
  test('are worked by 1, 2 and 4 processes, by whoever is left, and never by two', async () => {
    await using stage = await setStage()
    const field = await setField(stage)
    const first = await field.start(NAMES[0])
    await untilShared(stage, ['one'])
    await field.change('by one')
    const second = await field.start(NAMES[1])
    await untilShared(stage, ['one', 'two'])
    await field.change('by two')
    const more = [await field.start(NAMES[2]), await field.start(NAMES[3])]
    await untilShared(stage, NAMES)
    await field.change('by four')
    expect(await stage.cluster.find('leases', LEASE)).toMatchObject({
      spec: { holderIdentity: '4 shards' },
    })

    const killed = Date.now()
    first.process.signal('SIGKILL')
    await eventually('another has the shard', async () => !(await holders(stage)).includes('one'))
    const taken = Date.now() - killed
    await field.change('by three')
    const stopped = Date.now()
    second.process.signal('SIGTERM')
    expect(await second.process.exited).toBe(0)
    await untilShared(stage, ['three', 'four'])
    const handed = Date.now() - stopped
    await field.change('by the other two')
    tell(`SIGKILL: taken after ${taken} ms; SIGTERM: taken and shared after ${handed} ms`)
    expect(taken).toBeLessThan(TAKEOVER_MS)
    expect(handed).toBeLessThan(SUCCESSOR_MS)
    await expectInTerms(field, [first, second, ...more])
  })

  test('are polled for once by each replica, and each item is read by one', async () => {
    await using stage = await setStage()
    const field = await setField(stage)
    await field.start(NAMES[0])
    await field.start(NAMES[1])
    await untilShared(stage, ['one', 'two'])
    await field.change('at last')
    const { requests } = stage.connect
    await eventually('there is nothing to do but to poll', () =>
      Promise.resolve(requests.slice(-2 * SHARDS).every((one) => one === 'GET /v1/vaults')),
    )
    const before = requests.length
    const polls = 8
    await eventually('some polls', () =>
      Promise.resolve(requests.length >= before + 2 * polls ? true : undefined),
    )
    expect(new Set(requests.slice(before))).toEqual(new Set(['GET /v1/vaults']))
    const reads = requests.length
    await field.change('and again')
    const items = requests.slice(reads).filter((one) => /\/items\/\w+$/.test(one))
    expect(items.length).toBe(field.clusters.length)
  })

  test('divided otherwise wait until all others are gone', async () => {
    await using stage = await setStage()
    const field = await setField(stage)
    const old = await field.start(NAMES[0])
    await untilShared(stage, ['one'])
    const fresh = await field.start(NAMES[1], 1)
    await field.change('by the old one')
    expect(await holderOf(stage)).toBe('4 shards')
    old.process.signal('SIGTERM')
    expect(await old.process.exited).toBe(0)
    await eventually('the new one works', async () => (await holderOf(stage)).startsWith('two_'))
    await field.change('by the new one')
    expect(await fresh.process.probe('/readyz')).toContain('200')
  })
})
