/**
 * Who suffers when things go wrong: nobody but those whose things they are. What must not take longer
 * than a second is judged by how far the disturbance itself got in the meantime, so that load on the
 * machine changes nothing; the times are printed.
 */
import { beforeAll, expect, test } from 'vitest'
import { type Cluster, condition, isReady, type KubeObject, valueOf } from '../support/cluster.ts'
import { SLOW } from '../support/connect-faults.ts'
import { eventually, pause } from '../support/eventually.ts'
import type { OperatorProcess } from '../support/operator.ts'
import { setStage, type Stage } from '../support/stage.ts'

let stage: Stage
/** Another namespace of the same operator. */
let other: Cluster
let operator: OperatorProcess

beforeAll(async () => {
  stage = await setStage()
  addItems(stage, ['beside-what-hangs', 'restless', ...BESIDE_EDITS, 'new'])
  other = await stage.another()
  operator = await stage.operator({ WATCH_NAMESPACE: namespaces(stage.cluster, other) })
  return stage.close
})

const namespaces = (...all: Cluster[]) => all.map(({ namespace }) => namespace).join()

async function inParallel(count: number, make: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0
  const work = async () => {
    for (let n = next++; n < count; n = next++) await make(n)
  }
  await Promise.all(Array.from({ length: 16 }, work))
}

function anItem(cluster: Cluster, name: string, itemPath: string): Promise<KubeObject> {
  return cluster.create('items', { metadata: { name }, spec: { itemPath } })
}

/** Items that are there for long when their resources come: what they wait for is not a new list. */
function addItems({ connect, vault }: Stage, titles: readonly string[]): void {
  for (const title of titles) {
    connect.add(vault, { title, fields: [{ label: 'password', value: 'one' }] })
  }
}

const BESIDE_EDITS = [0, 1, 2, 3, 4].map((n) => `beside-edits-${n}`)

/** Makes the resource of an item and waits for it. @returns milliseconds that took */
async function untilServed({ cluster }: Stage, name: string): Promise<number> {
  const started = performance.now()
  await anItem(cluster, name, `vaults/Production/items/${name}`)
  await cluster.until('items', name, isReady)
  return performance.now() - started
}

/** The sum of those metrics. */
async function metric({ metrics }: OperatorProcess, pattern: RegExp): Promise<number> {
  const lines = (await metrics()).split('\n').filter((line) => pattern.test(line))
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
}

const print = (what: string, ms: number, meanwhile: string) =>
  console.log(`${what}: ready after ${ms.toFixed(0)} ms, meanwhile ${meanwhile}`)

test('5,000 bad resources of a namespace hardly delay the new one of another, or cost Connect anything', async () => {
  await using flooded = await setStage()
  addItems(flooded, ['new'])
  const flood = await flooded.another()
  const ways = ['nonsense', 'vaults/Nowhere/items/x', 'vaults/Production/items/none', 'op://a/b/c']
  const count = 5_000
  await inParallel(count, (n) => anItem(flood, `bad-${n}`, ways[n % ways.length] ?? ''))
  const drowning = await flooded.operator({ WATCH_NAMESPACE: namespaces(flooded.cluster, flood) })
  const told = () => metric(drowning, /^keyferry_resources{ready="False"/)
  await eventually('the flood is being worked', async () => (await told()) > 100)
  const before = await told()
  const ms = await untilServed(flooded, 'new')
  const meanwhile = (await told()) - before
  print(`beside ${count} bad resources`, ms, `${meanwhile} of them were told`)
  expect(before).toBeLessThan(count / 2)
  expect(meanwhile).toBeLessThan(count / 4)
  // A list answers all who ask in its moment.
  expect(flooded.connect.requests.length).toBeLessThan((await told()) / 2)
  const some = (await flood.list('items')).filter((item) => condition(item, 'Ready') !== undefined)
  for (const item of some) {
    expect(condition(item, 'Stalled')?.status).toBe('True')
    expect(condition(item, 'Ready')?.message).not.toBe('')
  }
}, 240_000)

test('items that hang in a namespace keep no worker from the resources of another', async () => {
  const { connect, vault } = stage
  const count = 100
  const ids = Array.from({ length: count }, (_, n) =>
    connect.add(vault, { title: `hangs-${n}`, fields: [{ label: 'a', value: 'b' }] }),
  )
  for (const id of ids) connect.faults.set(id, SLOW['no answer'] ?? (() => {}))
  const asked = () => connect.requests.filter((one) => ids.some((id) => one.endsWith(id))).length
  await inParallel(count, (n) => anItem(other, `hangs-${n}`, `vaults/Production/items/hangs-${n}`))
  await eventually('half of the workers hang', async () => asked() >= 16)
  const ms = await untilServed(stage, 'beside-what-hangs')
  const givenUp = await metric(
    operator,
    /^keyferry_connect_requests_total{operation="item",status="0"}/,
  )
  print(`beside ${count} items that hang`, ms, `${asked()} were asked for, ${givenUp} given up`)
  // Who hangs holds half of the workers, whoever else waits; others need not wait for one to be freed.
  expect(asked()).toBeLessThanOrEqual(16 + givenUp)
  const interim = (item: KubeObject) => condition(item, 'Reconciling')?.status === 'True'
  const told = await eventually('those that wait say so', async () => {
    return (await other.list('items')).find(interim)
  })
  expect(condition(told, 'Ready')?.status).toBe('Unknown')
  expect(['Progressing', 'ConnectUnreachable']).toContain(condition(told, 'Ready')?.reason)
  connect.faults.clear()
  connect.release()
  await eventually('all are served in the end', async () =>
    (await other.list('items')).every(isReady),
  )
})

test('a Secret that is edited 50 times a second delays no resource of another namespace', async () => {
  const restless = { ...stage, cluster: other }
  await untilServed(restless, 'restless')
  let edits = 0
  const stop = new AbortController()
  async function edit(): Promise<void> {
    while (!stop.signal.aborted) {
      const data = { password: Buffer.from(`wrong ${edits}`).toString('base64') }
      await Promise.all([other.patch('secrets', 'restless', { data }), pause(20)])
      edits += 1
    }
  }
  const editor = edit()
  for (const name of BESIDE_EDITS) {
    const before = edits
    const ms = await untilServed(stage, name)
    print('beside 50 edits a second', ms, `${edits - before} edits`)
    expect(edits - before).toBeLessThan(50)
  }
  stop.abort()
  await editor
})

test('a new resource does not wait for the refresh of old ones, not even in its own namespace', async () => {
  const { connect, cluster } = stage
  const vault = connect.vault('Old')
  const count = 200
  const ids = Array.from({ length: count }, (_, n) =>
    connect.add(vault, { title: `old-${n}`, fields: [{ label: 'password', value: 'one' }] }),
  )
  await inParallel(count, (n) => anItem(cluster, `old-${n}`, `vaults/Old/items/old-${n}`))
  const isOld = ({ metadata }: KubeObject) => metadata.name.startsWith('old-')
  const holding = async (value: string) => {
    const secrets = await cluster.list('secrets')
    return secrets.filter((one) => isOld(one) && valueOf(one, 'password') === value).length
  }
  await eventually('the old ones are synced', async () => (await holding('one')) === count)
  // Each answer takes its time, so that the refresh as a whole does.
  connect.latencyMs = 300
  for (const id of ids) connect.set(id, 'password', 'two')
  await eventually('the refresh has begun', async () => (await holding('two')) > 0)
  const ms = await untilServed(stage, 'new')
  const meanwhile = await holding('two')
  print(`beside a refresh of ${count}`, ms, `${meanwhile} were refreshed`)
  expect(meanwhile).toBeLessThan(count * 0.9)
  connect.latencyMs = 0
  await eventually('all are refreshed', async () => (await holding('two')) === count)
})
