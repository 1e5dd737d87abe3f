/** What resources cost in memory. */
import { pause } from '../support/eventually.ts'
import { tell } from '../support/skip.ts'
import type { Figure } from './figures.ts'
import {
  type BenchCluster,
  createResources,
  residentMegabytes,
  startBenchConnect,
  startMeasured,
  untilSynced,
} from './setting.ts'

const SETTLE_MS = 30_000
/** Megabytes with the few; kilobytes for each further one. */
const GOALS = { few: 100, each: 3 } as const

/** Scenario `memory`: with a few resources, and what each further one adds, after a start. */
export async function benchMemory(
  cluster: BenchCluster,
  { few, many }: { readonly few: number; readonly many: number },
): Promise<Figure[]> {
  const [small, large] = [await resident(cluster, few), await resident(cluster, many)]
  const scenario = 'memory'
  return [
    {
      scenario,
      what: `with ${few} resources`,
      value: small,
      unit: 'MB',
      goal: { atMost: GOALS.few },
    },
    { scenario, what: `with ${many} resources`, value: large, unit: 'MB' },
    {
      scenario,
      what: 'for each further one',
      value: ((large - small) * 1_000) / (many - few),
      unit: 'KB',
      goal: { atMost: GOALS.each },
    },
  ]
}

async function resident(cluster: BenchCluster, count: number): Promise<number> {
  using connect = await startBenchConnect(count, 10, 0)
  const namespace = await cluster.namespace(`memory-${count}`)
  tell(`memory with ${count} resources`)
  await createResources([namespace], { count, vaults: 10 })
  const start = () => {
    const env = { POLLING_INTERVAL: '5' }
    return startMeasured(cluster.kubeconfig, connect, namespace.namespace, { env })
  }
  const first = await start()
  await untilSynced(first, count)
  await first.stop()
  const operator = await start()
  try {
    await untilSynced(operator, count)
    await pause(SETTLE_MS)
    return await residentMegabytes(operator.pid)
  } finally {
    await operator.stop()
  }
}
