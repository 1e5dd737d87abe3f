import { isReady, type Cluster } from '../support/cluster.ts'
import { patience, pause } from '../support/eventually.ts'
import { forEach } from '../support/for-each.ts'
import { startOperator } from '../support/operator.ts'
import { run } from '../support/processes.ts'
import { tell } from '../support/skip.ts'
import { type BenchCluster, median, startBenchConnect } from './setting.ts'

/** What is measured. */
export interface InitialSync {
  readonly items: number
  readonly rounds: number
  readonly latencyMs: number
}

/** One row of the table. */
interface Row {
  readonly what: string
  readonly 'items/s (median)': number
  readonly seconds: string
}

const CONCURRENCY = 16
/** Far more than it takes. */
const SYNC_MS = 300_000
const LOOK_MS = 50

/** From the start of the process until every resource is synced, beside the bare loop. */
export async function benchInitialSync(
  cluster: BenchCluster,
  { items, rounds, latencyMs }: InitialSync,
): Promise<{ readonly rows: Row[]; readonly ratio: number }> {
  const connect = await startBenchConnect(items, 1, latencyMs)
  const bare: number[] = []
  const operator: number[] = []
  try {
    // The first round warms the control plane up and does not count.
    for (let round = 0; round <= rounds; round += 1) {
      const which = round === 0 ? 'warming up' : `round ${round} of ${rounds}`
      const about = `initial sync of ${items} items, ${which}`
      tell(`${about}: creating the resources`)
      const a = await resources(cluster, `bare-${items}-${round}`, items)
      const b = await resources(cluster, `operator-${items}-${round}`, items)
      tell(`${about}: the bare loop`)
      const one = await bareLoop(cluster.kubeconfig, connect.url, a)
      tell(`${about}: the operator`)
      const two = await operatorSync(cluster.kubeconfig, connect.url, b, { items, atLeast: one })
      if (round === 0) continue
      bare.push(one)
      operator.push(two)
    }
  } finally {
    connect.stop()
  }
  const row = (what: string, times: readonly number[]): Row => ({
    what,
    'items/s (median)': Math.round(items / median(times)),
    seconds: times.map((time) => time.toFixed(2)).join(' '),
  })
  return {
    rows: [row('bare loop', bare), row('operator', operator)],
    ratio: median(bare) / median(operator),
  }
}

async function resources(cluster: BenchCluster, name: string, count: number): Promise<Cluster> {
  const namespace = await cluster.namespace(name)
  const numbers = Array.from({ length: count }, (_, n) => n)
  await forEach(numbers, 32, (n) =>
    namespace.create('items', {
      metadata: { name: `item-${n}` },
      spec: { itemPath: `vaults/Vault 0/items/Item ${n}` },
    }),
  )
  return namespace
}

async function bareLoop(
  kubeconfig: string,
  connect: string,
  { namespace }: Cluster,
): Promise<number> {
  const started = performance.now()
  const args = ['test/bench/bare-loop.ts', kubeconfig, connect, namespace, String(CONCURRENCY)]
  await run(process.execPath, args)
  return (performance.now() - started) / 1000
}

async function operatorSync(
  kubeconfig: string,
  connect: string,
  cluster: Cluster,
  { items, atLeast }: { readonly items: number; readonly atLeast: number },
): Promise<number> {
  const started = performance.now()
  const { namespace } = cluster
  const env = { CONCURRENCY: String(CONCURRENCY), POLLING_INTERVAL: '30', LOG_LEVEL: 'warn' }
  const operator = await startOperator({ kubeconfig, connect, namespace, env, ready: false })
  try {
    // Who asks costs the operator time, and before the limit nothing is to be learnt.
    await pause(atLeast * 1000)
    const isOver = patience(SYNC_MS)
    while ((await synced(operator.metrics)) < items) {
      if (isOver()) throw new Error(`not all are synced:\n${await operator.metrics()}`)
      await pause(LOOK_MS)
    }
    const seconds = (performance.now() - started) / 1000
    const all = await cluster.list('items')
    if (!all.every(isReady)) throw new Error('not every resource is Ready')
    return seconds
  } finally {
    await operator.stop()
  }
}

async function synced(metrics: () => Promise<string>): Promise<number> {
  const text = await metrics().catch(() => '')
  const line = /keyferry_resources\{ready="True",reason="Synced"\} (\d+)/.exec(text)
  return Number(line?.[1] ?? 0)
}
