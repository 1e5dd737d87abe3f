/** What more processes bring, with the work divided. */
import { shardLease } from '../../src/kube/shards.ts'
import { eventually } from '../support/eventually.ts'
import type { OperatorProcess } from '../support/operator.ts'
import { tell } from '../support/skip.ts'
import type { Figure } from './figures.ts'
import {
  type BenchCluster,
  createResources,
  startBenchConnect,
  startMeasured,
  sum,
  untilSynced,
} from './setting.ts'
import { until, untilPolled, writesOf } from './throughput.ts'

const SHARDS = 4
const NAMESPACES = 20
const PROCESSES = [1, 2, 4]
const HOME = 'shards-0'

/** Scenario `shards`: all items change, with one, two and four processes. */
export async function benchShards(cluster: BenchCluster, items: number): Promise<Figure[]> {
  using connect = await startBenchConnect(items, 1, 2)
  const namespaces = await Promise.all(
    Array.from({ length: NAMESPACES }, (_, n) => cluster.namespace(`shards-${n}`)),
  )
  await createResources(namespaces, { count: items, vaults: 1 })
  const [home] = namespaces
  const figures: Figure[] = []
  const operators: OperatorProcess[] = []
  try {
    for (const count of PROCESSES) {
      tell(`${items} items, ${SHARDS} shards: ${count} processes`)
      while (operators.length < count) {
        const env = {
          SHARDS: String(SHARDS),
          LEADER_ELECTION: 'true',
          POLLING_INTERVAL: '1',
          WATCH_NAMESPACE: '',
          POD_NAME: `replica-${operators.length}`,
        }
        operators.push(await startMeasured(cluster.kubeconfig, connect, HOME, { env }))
      }
      await eventually('they share the shards', async () => {
        const holders = new Set<string>()
        for (let shard = 0; shard < SHARDS; shard += 1) {
          const lease = await home?.find('leases', shardLease('keyferry', shard))
          holders.add(lease?.['spec'].holderIdentity || 'nobody')
        }
        return (holders.size === count && !holders.has('nobody')) || undefined
      })
      for (const operator of operators) await untilSynced(operator, items)
      const before = await allWrites(operators)
      await connect.ask('change all')
      const polled = await untilPolled(connect)
      await until(async () => {
        const { secrets, statuses } = await allWrites(operators)
        return secrets - before.secrets >= items && statuses - before.statuses >= items
      })
      const scenario = `all of ${items} items change, ${SHARDS} shards`
      figures.push({
        scenario,
        what: `${count} processes`,
        value: items / ((Date.now() - polled) / 1000),
        unit: 'items/s',
      })
    }
    return figures
  } finally {
    for (const operator of operators) await operator.stop()
  }
}

async function allWrites(operators: readonly OperatorProcess[]) {
  const each = await Promise.all(operators.map(writesOf))
  return {
    secrets: sum(each.map(({ secrets }) => secrets)),
    statuses: sum(each.map(({ statuses }) => statuses)),
  }
}
