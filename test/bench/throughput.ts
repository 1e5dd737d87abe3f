/** How fast many resources are synced, and follow when all items change, beside the bare loop. */
import { type Cluster, isReady, type KubeObject } from '../support/cluster.ts'
import { eventually, patience, pause } from '../support/eventually.ts'
import { INCUMBENT, startIncumbent } from '../support/incumbent.ts'
import type { OperatorProcess } from '../support/operator.ts'
import { run } from '../support/processes.ts'
import { tell } from '../support/skip.ts'
import type { Figure } from './figures.ts'
import {
  type BenchConnect,
  CONCURRENCY,
  createResources,
  median,
  metric,
  startBenchCluster,
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
const LOOK_MS = 200
const NAMESPACES = 10
/** Percent of the bare loop's rate at least; times the incumbent's rate at least. */
const GOALS = { bare: 85, incumbent: 4 } as const

/** Scenarios `initial sync` and `all items change`: each contender in a cluster of its own. */
export async function benchThroughput(work: Throughput): Promise<Figure[]> {
  const { items, rounds } = work
  const sync: Times = { bare: [], operator: [], incumbent: [] }
  const change: Times = { bare: [], operator: [], incumbent: [] }
  // The first round warms the machine up and does not count.
  for (let round = 0; round <= rounds; round += 1) {
    const about = `${items} items, ${round === 0 ? 'warming up' : `round ${round} of ${rounds}`}`
    tell(`${about}: the bare loop`)
    const bare = await inPlace(work, runBareLoop)
    tell(`${about}: the operator`)
    const operator = await inPlace(work, (place) => runOperator(place, bare.sync))
    if (INCUMBENT) tell(`${about}: the incumbent`)
    const incumbent = INCUMBENT ? [await inPlace(work, runIncumbent)] : []
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
  ].map((figure) => ({ ...figure, n: items }))
}

/** Resources over several namespaces, as one alone gets half of the operator's workers. */
async function inPlace<T>(
  { items, latencyMs }: Throughput,
  contend: (place: Place) => Promise<T>,
): Promise<T> {
  await using cluster = await startBenchCluster()
  using connect = await startBenchConnect(items, 1, latencyMs)
  const namespaces = await Promise.all(
    Array.from({ length: NAMESPACES }, (_, n) => cluster.namespace(`team-${n}`)),
  )
  await createResources(namespaces, { count: items, vaults: 1 })
  return await contend({ kubeconfig: cluster.kubeconfig, connect, namespaces, items })
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
  readonly namespaces: readonly Cluster[]
  readonly items: number
}

/** Seconds: of the first, from the start of the process; of the second, of the work alone. */
interface Seconds {
  readonly sync: number
  readonly change: number
}

async function runBareLoop({ kubeconfig, connect }: Place): Promise<Seconds> {
  const loop = async (mode: string) => {
    const { url } = connect
    const args = [kubeconfig, url, String(CONCURRENCY), mode]
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
  const { kubeconfig, connect, namespaces, items } = place
  const started = performance.now()
  const env = { POLLING_INTERVAL: '1', WATCH_NAMESPACE: '' }
  const operator = await startMeasured(kubeconfig, connect, 'team-0', { env, ready: false })
  try {
    await pause(atLeast * 1000)
    await until(async () => (await syncedOf(operator)) >= items)
    const sync = since(started)
    const before = await writesOf(operator)
    await connect.ask('change all')
    const polled = await untilPolled(connect)
    await pause(atLeast * 1000)
    await until(async () => {
      const { secrets, statuses } = await writesOf(operator)
      return secrets - before.secrets >= items && statuses - before.statuses >= items
    })
    const change = (Date.now() - polled) / 1000
    for (const namespace of namespaces) {
      const resources = await namespace.list('items')
      if (!resources.every((one) => isReady(one) && versionOf(one) === 2)) {
        throw new Error('not every resource is of the second version')
      }
    }
    return { sync, change }
  } finally {
    await operator.stop()
  }
}

/** Writes of Secrets and statuses so far. */
export async function writesOf(operator: OperatorProcess) {
  const text = await operator.metrics()
  return {
    secrets: metric(text, 'keyferry_secret_writes_total', 'kind="replace"'),
    statuses: metric(text, 'keyferry_kubernetes_requests_total', 'method="PATCH"'),
  }
}

function versionOf(object: KubeObject): number | undefined {
  const status = object['status'] as { items?: { version: number }[] } | undefined
  return status?.items?.[0]?.version
}

/** When the first poll came after the last change. */
export async function untilPolled(connect: BenchConnect): Promise<number> {
  return Number(
    await eventually('the operator polls', async () => (await connect.ask('polled')) || undefined),
  )
}

/** Until every Secret is there: its statuses come before. */
async function runIncumbent({ kubeconfig, connect, namespaces, items }: Place): Promise<number> {
  const started = performance.now()
  const options = { kubeconfig, connect: connect.url, namespace: 'team-0' }
  await using _daemon = await startIncumbent({ ...options, env: { WATCH_NAMESPACE: '' } })
  await until(async () => {
    const secrets = await Promise.all(namespaces.map((one) => one.list('secrets')))
    return secrets.flat().length >= items
  })
  return since(started)
}

/** Looks so rarely that who is asked hardly notices. */
export async function until(holds: () => Promise<boolean>, lookMs = LOOK_MS): Promise<void> {
  const isOver = patience(SYNC_MS)
  while (!(await holds())) {
    if (isOver()) throw new Error('it takes too long')
    await pause(lookMs)
  }
}
