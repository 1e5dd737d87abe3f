/** What a cluster costs that is full of objects that are none of the operator's business. */
import type { Cluster } from '../support/cluster.ts'
import { eventually, pause } from '../support/eventually.ts'
import { forEach } from '../support/for-each.ts'
import { tell } from '../support/skip.ts'
import { aDeployment } from '../support/stage.ts'
import type { Figure } from './figures.ts'
import {
  type BenchCluster,
  type BenchConnect,
  createResources,
  median,
  residentMegabytes,
  startBenchConnect,
  startMeasured,
  untilSynced,
} from './setting.ts'

/** How many of each. */
export interface Crowd {
  readonly items: number
  readonly secrets: number
  readonly deployments: number
}

const STARTS = 5
/** Percent. */
const GROWTH = 10
const SETTLE_MS = 5_000

interface Cost {
  readonly readyMs: number
  readonly megabytes: number
}

/** Scenario `unrelated objects`: a start with and without them. */
export async function benchCrowd(cluster: BenchCluster, crowd: Crowd): Promise<Figure[]> {
  const scenario = `${crowd.secrets} Secrets and ${crowd.deployments} Deployments of others`
  using connect = await startBenchConnect(crowd.items, 1, 2)
  const namespace = await cluster.namespace('crowd')
  tell(`${scenario}: creating and syncing ${crowd.items} resources`)
  await createResources([namespace], { count: crowd.items, vaults: 1 })
  const place = { kubeconfig: cluster.kubeconfig, connect, namespace, items: crowd.items }
  // The first one syncs.
  await start(place)
  tell(`${scenario}: starts without them`)
  const without = await starts(place)
  tell(`${scenario}: creating them`)
  await createCrowd(await cluster.namespace('others'), crowd)
  tell(`${scenario}: starts with them`)
  const withThem = await starts(place)
  const growth = (what: string, of: (cost: Cost) => number, unit: string): Figure[] => {
    const [before, after] = [median(without.map(of)), median(withThem.map(of))]
    const goal = { atMost: GROWTH }
    return [
      { scenario, what: `${what} without`, value: before, unit },
      { scenario, what: `${what} with`, value: after, unit },
      { scenario, what: `${what} grown by`, value: (after / before - 1) * 100, unit: '%', goal },
    ]
  }
  return [
    ...growth('start', ({ readyMs }) => readyMs, 'ms'),
    ...growth('memory', ({ megabytes }) => megabytes, 'MB'),
  ]
}

async function createCrowd(others: Cluster, { secrets, deployments }: Crowd): Promise<void> {
  const value = Buffer.alloc(256, 'x').toString('base64')
  const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)
  await forEach(numbers(secrets), 32, (n) =>
    others.create('secrets', { metadata: { name: `other-${n}` }, data: { value } }),
  )
  await forEach(numbers(deployments), 32, (n) =>
    others.create('deployments', aDeployment(`other-${n}`, [])),
  )
}

interface Place {
  readonly kubeconfig: string
  readonly connect: BenchConnect
  readonly namespace: Cluster
  readonly items: number
}

async function starts(place: Place): Promise<Cost[]> {
  const costs: Cost[] = []
  for (let n = 0; n < STARTS; n += 1) costs.push(await start(place))
  return costs
}

/** Of an operator for the whole cluster. */
async function start({ kubeconfig, connect, namespace, items }: Place): Promise<Cost> {
  const began = performance.now()
  const env = { WATCH_NAMESPACE: '' }
  const options = { env, ready: false }
  const operator = await startMeasured(kubeconfig, connect, namespace.namespace, options)
  try {
    await eventually('it is ready', async () => (await operator.probe('/readyz')).startsWith('200'))
    const readyMs = performance.now() - began
    await untilSynced(operator, items)
    await pause(SETTLE_MS)
    return { readyMs, megabytes: await residentMegabytes(operator.pid) }
  } finally {
    await operator.stop()
  }
}
