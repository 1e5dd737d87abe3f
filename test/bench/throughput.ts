/** How fast many resources are synced, and follow when all items change, beside the bare loop. */
import type { Cluster } from '../support/cluster.ts'
import { isReady } from '../support/cluster.ts'
import { eventually, patience, pause } from '../support/eventually.ts'
import { INCUMBENT, startIncumbent } from '../support/incumbent.ts'
import { run } from '../support/processes.ts'
import { tell } from '../support/skip.ts'
import type { Figure } from './figures.ts'
import {
  type BenchCluster,
  type BenchConnect,
  CONCURRENCY,
  createResources,
  median,
  metric,
  startBenchConnect,
  startMeasured,
  syncedOf,
} from './setting.ts'

/** What is measured. */
export interface Throughput {
  readonly items: number
  readonly rounds: number
  readonly latencyMs: number
}

/** Seconds of each round. */
interface Times {
  readonly bare: number[]
  readonly operator: number[]
  readonly incumbent: number[]
}

/** Far more than it takes. */
const SYNC_MS = 1_200_000
const LOOK_MS = 50
/** Percent of the bare loop's rate at least; times the incumbent's rate at least. */
const GOALS = { bare: 85, incumbent: 4 } as const

/** Scenarios `initial sync` and `all items change`. */
export async function benchThroughput(
  cluster: BenchCluster,
  { items, rounds, latencyMs }: Throughput,
): Promise<Figure[]> {
  const sync: Times = { bare: [], operator: [], incumbent: [] }
  const change: Times = { bare: [], operator: [], incumbent: [] }
  // The first round warms the control plane up and does not count.
  for (let round = 0; round <= rounds; round += 1) {
    const about = `${items} items, ${round === 0 ? 'warming up' : `round ${round} of ${rounds}`}`
    using connect = await startBenchConnect(items, 1, latencyMs)
    const place = async (name: string) => {
      tell(`${about}: ${name}`)
      const namespace = await cluster.namespace(`${name.replaceAll(' ', '-')}-${items}-${round}`)
      await createResources(namespace, { count: items, vaults: 1 })
      return { kubeconfig: cluster.kubeconfig, connect, namespace, items }
    }
    const bare = await runBareLoop(await place('the bare loop'))
    const operator = await runOperator(await place('the operator'), bare.sync)
    const incumbent = INCUMBENT ? [await runIncumbent(await place('the incumbent'))] : []
    if (round === 0) continue
    sync.bare.push(bare.sync)
    sync.operator.push(operator.sync)
    sync.incumbent.push(...incumbent)
    change.bare.push(bare.change)
    change.operator.push(operator.change)
  }
  return [
    ...figures(`initial sync of ${items}`, items, sync),
    ...figures(`all of ${items} items change`, items, change),
  ]
}

function figures(scenario: string, items: number, times: Times): Figure[] {
  const rate = (seconds: readonly number[]) => items / median(seconds)
  const found: Figure[] = [
    { scenario, what: 'bare loop', value: rate(times.bare), unit: 'items/s' },
    { scenario, what: 'operator', value: rate(times.operator), unit: 'items/s' },
    {
      scenario,
      what: 'operator / bare loop',
      value: (rate(times.operator) / rate(times.bare)) * 100,
      unit: '%',
      goal: { atLeast: GOALS.bare },
    },
  ]
  if (times.incumbent.length > 0) {
    found.push(
      { scenario, what: 'incumbent', value: rate(times.incumbent), unit: 'items/s' },
      {
        scenario,
        what: 'operator / incumbent',
        value: rate(times.operator) / rate(times.incumbent),
        unit: 'times',
        goal: { atLeast: GOALS.incumbent },
      },
    )
  }
  return found
}

interface Place {
  readonly kubeconfig: string
  readonly connect: BenchConnect
  readonly namespace: Cluster
  readonly items: number
}

/** Seconds: of the first, from the start of the process; of the second, of the work alone. */
interface Seconds {
  readonly sync: number
  readonly change: number
}

async function runBareLoop({ kubeconfig, connect, namespace }: Place): Promise<Seconds> {
  const loop = async (mode: string) => {
    const { url } = connect
    const args = [kubeconfig, url, namespace.namespace, String(CONCURRENCY), mode]
    return Number(await run(process.execPath, ['test/bench/bare-loop.ts', ...args]))
  }
  const started = performance.now()
  await loop('create')
  const sync = since(started)
  return { sync, change: await loop('replace') }
}

const since = (started: number) => (performance.now() - started) / 1000

/** @param atLeast seconds before which nobody need ask: who asks costs the operator time */
async function runOperator(place: Place, atLeast: number): Promise<Seconds> {
  const { kubeconfig, connect, namespace, items } = place
  const started = performance.now()
  const env = { POLLING_INTERVAL: '1' }
  const options = { env, ready: false }
  const operator = await startMeasured(kubeconfig, connect, namespace.namespace, options)
  try {
    await pause(atLeast * 1000)
    await until(async () => (await syncedOf(operator)) >= items)
    const sync = since(started)
    const all = await namespace.list('items')
    if (!all.every(isReady)) throw new Error('not every resource is Ready')
    await connect.ask('change all')
    const polled = await untilPolled(connect)
    await pause(atLeast * 1000)
    await until(async () => {
      const written = metric(await operator.metrics(), 'keyferry_secret_writes_total', 'replace')
      return written >= items
    })
    await until(async () => (await namespace.list('items')).every(isOfSecondVersion))
    return { sync, change: (Date.now() - polled) / 1000 }
  } finally {
    await operator.stop()
  }
}

function isOfSecondVersion(object: Awaited<ReturnType<Cluster['get']>>): boolean {
  const status = object['status'] as { items?: { version: number }[] } | undefined
  return status?.items?.[0]?.version === 2
}

/** When the first poll came after the last change. */
export async function untilPolled(connect: BenchConnect): Promise<number> {
  return Number(
    await eventually('the operator polls', async () => (await connect.ask('polled')) || undefined),
  )
}

/** Until every Secret is there: its statuses come before. */
async function runIncumbent({ kubeconfig, connect, namespace, items }: Place): Promise<number> {
  const started = performance.now()
  await using _daemon = await startIncumbent({
    kubeconfig,
    connect: connect.url,
    namespace: namespace.namespace,
  })
  await until(async () => (await namespace.list('secrets')).length >= items)
  return since(started)
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const isOver = patience(SYNC_MS)
  while (!(await holds())) {
    if (isOver()) throw new Error('it takes too long')
    await pause(LOOK_MS)
  }
}
