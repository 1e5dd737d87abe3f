/** What an operator costs that has nothing to do. */
import { tell } from '../support/skip.ts'
import type { Figure } from './figures.ts'
import {
  type BenchCluster,
  createResources,
  metric,
  residentMegabytes,
  startBenchConnect,
  startMeasured,
  untilSynced,
} from './setting.ts'
import { until } from './throughput.ts'

/** Polls after which what a start leaves behind is gone. */
const SETTLED_POLLS = 100
/** Megabytes: less than it varies by from one moment to the next. */
const GROWTH_MB = 3
const VAULTS = 10
/** An idle operator does little but answer who scrapes it: that must not be most of its life. */
const SCRAPE_MS = 5_000

/** Scenario `idle`: memory over many polls in which nothing changed. */
export async function benchIdle(
  cluster: BenchCluster,
  { items, polls }: { readonly items: number; readonly polls: number },
): Promise<Figure[]> {
  using connect = await startBenchConnect(items, VAULTS, 2)
  const namespace = await cluster.namespace('idle')
  tell(`${items} resources, ${polls} polls: about ${Math.ceil((polls + SETTLED_POLLS) / 60)} min`)
  await createResources([namespace], { count: items, vaults: VAULTS })
  const env = { POLLING_INTERVAL: '1' }
  const operator = await startMeasured(cluster.kubeconfig, connect, namespace.namespace, { env })
  const pollsSoFar = async () => metric(await operator.metrics(), 'keyferry_poll_seconds_count')
  const untilPolls = (count: number) => until(async () => (await pollsSoFar()) >= count, SCRAPE_MS)
  try {
    await untilSynced(operator, items)
    const settled = (await pollsSoFar()) + SETTLED_POLLS
    await untilPolls(settled)
    const before = await residentMegabytes(operator.pid)
    await untilPolls(settled + polls)
    const after = await residentMegabytes(operator.pid)
    const scenario = `${polls} idle polls, N = ${items}`
    return [
      { scenario, what: 'memory before', value: before, unit: 'MB' },
      { scenario, what: 'memory after', value: after, unit: 'MB' },
      {
        scenario,
        what: 'memory grown by',
        value: after - before,
        unit: 'MB',
        goal: { atMost: GROWTH_MB },
      },
    ]
  } finally {
    await operator.stop()
  }
}
