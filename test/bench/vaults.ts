/** What the resources of healthy vaults notice of one that is slow or fails. */
import type { Cluster, KubeObject } from '../support/cluster.ts'
import { pause } from '../support/eventually.ts'
import { tell } from '../support/skip.ts'
import type { Figure } from './figures.ts'
import {
  type BenchCluster,
  type BenchConnect,
  createResources,
  median,
  startBenchConnect,
  startMeasured,
  untilSynced,
} from './setting.ts'
import { untilPolled } from './throughput.ts'

/** How large the world is and how often an item changes. */
export interface Vaults {
  readonly items: number
  readonly vaults: number
  readonly changes: number
}

const SLOW_MS = 5_000
/** Milliseconds that a change in another vault may take longer. */
const DELAY_MS = 100
const LOOK_MS = 3

/** Scenario `one bad vault among many`. */
export async function benchVaults(
  cluster: BenchCluster,
  { items, vaults, changes }: Vaults,
): Promise<Figure[]> {
  const scenario = `one bad vault among ${vaults}`
  using connect = await startBenchConnect(items, vaults, 2)
  const namespace = await cluster.namespace('vaults')
  tell(`${scenario}: creating and syncing ${items} resources`)
  await createResources([namespace], { count: items, vaults })
  const env = { POLLING_INTERVAL: '1' }
  const operator = await startMeasured(cluster.kubeconfig, connect, namespace.namespace, { env })
  try {
    await untilSynced(operator, items)
    tell(`${scenario}: all are well`)
    const others = healthyItems(vaults)
    const well = await delays(connect, namespace, others, changes)
    tell(`${scenario}: one answers after ${SLOW_MS} ms`)
    await connect.ask(`slow 0 ${SLOW_MS}`)
    const slow = await delays(connect, namespace, others, changes)
    tell(`${scenario}: one fails`)
    await connect.ask('slow 0 -1')
    const failing = await delays(connect, namespace, others, changes)
    const later = (what: string, times: readonly number[]): Figure => ({
      scenario,
      what,
      value: median(times) - median(well),
      unit: 'ms later',
      goal: { atMost: DELAY_MS },
    })
    return [
      { scenario, what: 'change in another vault, all well', value: median(well), unit: 'ms' },
      later('while it is slow', slow),
      later('while it fails', failing),
    ]
  } finally {
    await operator.stop()
  }
}

/** Numbers of items outside of vault 0: each once, as one item is read every 10 s at most. */
function* healthyItems(vaults: number): Generator<number, never> {
  for (let n = 0; ; n += 1) if (n % vaults !== 0) yield n
}

/** Milliseconds from the poll that sees a change to the Secret; items of vault 0 change, too. */
async function delays(
  connect: BenchConnect,
  { get }: Cluster,
  others: Generator<number, never>,
  changes: number,
): Promise<number[]> {
  const times: number[] = []
  for (let n = 0; n < changes; n += 1) {
    const item = others.next().value
    const name = `item-${item}`
    const before = versionOf(await get('secrets', name))
    await connect.ask('change 0')
    await connect.ask(`change ${item}`)
    while (versionOf(await get('secrets', name)) === before) await pause(LOOK_MS)
    times.push(Date.now() - (await untilPolled(connect)))
  }
  return times
}

const versionOf = (object: KubeObject) => object.metadata.resourceVersion
