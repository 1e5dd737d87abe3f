/** One Secret that hundreds of workloads use. */
import { eventually, pause } from '../support/eventually.ts'
import { forEach } from '../support/for-each.ts'
import { tell } from '../support/skip.ts'
import { aDeployment } from '../support/stage.ts'
import type { Figure } from './figures.ts'
import {
  type BenchCluster,
  createResource,
  metric,
  startBenchConnect,
  startMeasured,
  untilSynced,
} from './setting.ts'

const PER_MINUTE = 1_200
/** Percent by which the time may differ from what the rate asks for. */
const TOLERANCE = 15

/** Scenario `one Secret, many workloads`: each is restarted once, at the rate that is set. */
export async function benchWorkloads(
  cluster: BenchCluster,
  { workloads }: { readonly workloads: number },
): Promise<Figure[]> {
  const scenario = `one Secret, ${workloads} workloads`
  using connect = await startBenchConnect(1, 1, 2)
  const namespace = await cluster.namespace('workloads')
  tell(`${scenario}: creating them`)
  await createResource(namespace, 0, 0)
  const annotations = { 'operator.1password.io/auto-restart': 'true' }
  const numbers = Array.from({ length: workloads }, (_, n) => n)
  await forEach(numbers, 32, (n) =>
    namespace.create('deployments', aDeployment(`app-${n}`, ['item-0'], annotations)),
  )
  const env = { POLLING_INTERVAL: '1', RESTARTS_PER_MINUTE: String(PER_MINUTE) }
  const operator = await startMeasured(cluster.kubeconfig, connect, namespace.namespace, { env })
  try {
    await untilSynced(operator, 1)
    tell(`${scenario}: restarting them`)
    const restarts = async () => metric(await operator.metrics(), 'keyferry_restarts_total')
    await connect.ask('change 0')
    await eventually('the first one restarts', async () => (await restarts()) > 0)
    const began = performance.now()
    await eventually('all restart', async () => (await restarts()) >= workloads)
    const seconds = (performance.now() - began) / 1000
    // Whoever would restart one twice does it soon.
    await pause(5_000)
    const deployments = await namespace.list('deployments')
    const once = deployments.filter(({ metadata: { generation } }) => generation === 2)
    const wanted = (workloads / PER_MINUTE) * 60
    return [
      {
        scenario,
        what: 'restarted once',
        value: once.length,
        unit: '',
        goal: { atLeast: workloads },
      },
      {
        scenario,
        what: 'restarts',
        value: await restarts(),
        unit: '',
        goal: { atMost: workloads },
      },
      {
        scenario,
        what: `time against that of ${PER_MINUTE} a minute`,
        value: Math.abs(seconds / wanted - 1) * 100,
        unit: '% off',
        goal: { atMost: TOLERANCE },
      },
    ]
  } finally {
    await operator.stop()
  }
}
