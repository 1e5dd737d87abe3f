/** One operator's life with many resources: start, idle polls, single changes, memory. */
import { type Cluster, type KubeObject, isReady } from '../support/cluster.ts'
import { eventually, pause } from '../support/eventually.ts'
import { type OperatorProcess } from '../support/operator.ts'
import { aDeployment } from '../support/stage.ts'
import { tell } from '../support/skip.ts'
import type { Figure } from './figures.ts'
import {
  type BenchCluster,
  type BenchConnect,
  createResource,
  createResources,
  median,
  metric,
  p99,
  processorMs,
  residentMegabytes,
  startBenchConnect,
  startMeasured,
  sum,
  untilSynced,
} from './setting.ts'
import { untilPolled } from './throughput.ts'

/** How large the world is and how often each thing happens. */
export interface Life {
  readonly items: number
  readonly vaults: number
  readonly polls: number
  readonly changes: number
}

/** What an operator with a number of resources is to keep to. */
const GOALS = {
  readyMs: 2_000,
  pollProcessorMs: 10,
  secretMs: 150,
  restartMs: 150,
  repairMs: 500,
  newMs: 1_000,
} as const
const RESTART_DELAY_MS = 200
/** Kinds of objects that are watched. */
const KINDS = 6
/** As the operator counts them: of the same moment as its polls. */
const ASKED = 'keyferry_connect_requests_total'
const LOOK_MS = 3
const NEVER_SECONDS = 3_600
/** Milliseconds after which what a start leaves behind is done. */
const SETTLE_MS = 8_000

interface Actors {
  readonly operator: OperatorProcess
  readonly connect: BenchConnect
  readonly namespace: Cluster
  readonly life: Life
}

/** Scenarios `warm start` to `memory`. */
export async function benchLife(cluster: BenchCluster, life: Life): Promise<Figure[]> {
  const { items, vaults } = life
  const named = (scenario: string) => `${scenario}, N = ${items}`
  using connect = await startBenchConnect(items, vaults, 2)
  const namespace = await cluster.namespace(`life-${items}`)
  tell(`${items} resources in ${vaults} vaults: creating and syncing them`)
  await createResources([namespace], { count: items, vaults })
  const start = (intervalSeconds = 1) => {
    const env = {
      POLLING_INTERVAL: String(intervalSeconds),
      RESTART_DELAY: String(RESTART_DELAY_MS / 1000),
      // With a list of namespaces each would be read every few seconds, polls or not.
      WATCH_NAMESPACE: '',
    }
    return startMeasured(cluster.kubeconfig, connect, namespace.namespace, { env, ready: false })
  }
  const first = await start(NEVER_SECONDS)
  await untilSynced(first, items)
  tell('no polls, to compare')
  await pause(SETTLE_MS)
  const idleMs = await processorMsIn(first, life.polls * 1_000)
  await first.stop()

  const operator = await start()
  try {
    const actors = { operator, connect, namespace, life }
    const figures = [
      ...(await warmStart(actors, named('warm start'))),
      ...(await idlePolls(actors, named('idle poll'), idleMs)),
      ...(await singleChanges(actors, named('one item changes'))),
      ...(await repairs(actors, named('Secret deleted'))),
      ...(await newcomer(actors, named('new while all change'))),
      {
        scenario: named('memory'),
        what: 'resident after all of this',
        value: await residentMegabytes(operator.pid),
        unit: 'MB',
      },
    ]
    return figures.map((figure) => ({ ...figure, n: items }))
  } finally {
    await operator.stop()
  }
}

/** Starts with a process that is just being started. */
async function warmStart({ operator, life }: Actors, scenario: string): Promise<Figure[]> {
  tell('warm start')
  const started = performance.now()
  await eventually('it is ready', async () => (await operator.probe('/readyz')).startsWith('200'))
  const readyMs = performance.now() - started
  await untilSynced(operator, life.items)
  await pause(2_000)
  const text = await operator.metrics()
  const asked = metric(text, ASKED)
  const polls = metric(text, ASKED, 'operation="vaults"')
  const writes = ['POST', 'PUT', 'PATCH', 'DELETE'].map((method) =>
    metric(text, 'keyferry_kubernetes_requests_total', `method="${method}"`),
  )
  return [
    { scenario, what: 'until ready', value: readyMs, unit: 'ms', goal: { atMost: GOALS.readyMs } },
    { scenario, what: 'writes', value: sum(writes), unit: '', goal: { atMost: 0 } },
    {
      scenario,
      what: 'requests to Connect besides polls',
      value: asked - polls,
      unit: '',
      goal: { atMost: life.vaults },
    },
    {
      scenario,
      what: 'reads from the API server',
      value: metric(text, 'keyferry_kubernetes_requests_total', 'method="GET"'),
      unit: '',
      // Two lists for each kind, the schema, and each kind's watch.
      goal: { atMost: KINDS * 3 + 2 },
    },
  ]
}

/** @param idleMs processor time in as many seconds without polls */
async function idlePolls(
  { operator, life }: Actors,
  scenario: string,
  idleMs: number,
): Promise<Figure[]> {
  tell(`${life.polls} idle polls`)
  const read = async () => {
    const text = await operator.metrics()
    return {
      polls: metric(text, 'keyferry_poll_seconds_count'),
      kube: metric(text, 'keyferry_kubernetes_requests_total'),
      connect: metric(text, ASKED),
      memory: await residentMegabytes(operator.pid),
    }
  }
  await pause(SETTLE_MS)
  const before = await read()
  const busyMs = await processorMsIn(operator, life.polls * 1_000)
  const after = await read()
  const polls = after.polls - before.polls
  return [
    {
      scenario,
      what: 'requests to Connect for each',
      value: (after.connect - before.connect) / polls,
      unit: '',
      goal: { atMost: 1 },
    },
    {
      scenario,
      what: 'requests to the API server',
      value: after.kube - before.kube,
      unit: '',
      // A watch that the API server ends after some minutes is opened again.
      goal: { atMost: Math.ceil(life.polls / 200) * KINDS },
    },
    {
      scenario,
      what: 'processor time for each',
      value: Math.max(0, busyMs - idleMs) / polls,
      unit: 'ms',
      goal: { atMost: GOALS.pollProcessorMs },
    },
    {
      scenario,
      what: 'memory grown by',
      value: after.memory - before.memory,
      unit: 'MB',
    },
  ]
}

async function processorMsIn({ pid }: OperatorProcess, ms: number): Promise<number> {
  const before = await processorMs(pid)
  await pause(ms)
  return (await processorMs(pid)) - before
}

/** Items that a workload uses each; another one each time, as one item is read every 10 s at most. */
async function singleChanges(actors: Actors, scenario: string): Promise<Figure[]> {
  const { connect, namespace, life } = actors
  tell('single changes')
  const annotations = { 'operator.1password.io/auto-restart': 'true' }
  const [written, restarted]: [number[], number[]] = [[], []]
  for (let n = 0; n < life.changes; n += 1) {
    const [item, app] = [`item-${n}`, `app-${n}`]
    const before = await namespace.create('deployments', aDeployment(app, [item], annotations))
    const secret = await namespace.get('secrets', item)
    await connect.ask(`change ${n}`)
    const [wroteAt, restartedAt] = await Promise.all([
      when(async () => versionOf(await namespace.get('secrets', item)) !== versionOf(secret)),
      when(async () => templateOf(await namespace.get('deployments', app)) !== templateOf(before)),
    ])
    written.push(wroteAt - (await untilPolled(connect)))
    restarted.push(restartedAt - wroteAt - RESTART_DELAY_MS)
  }
  return [
    {
      scenario,
      what: 'Secret after the poll',
      value: median(written),
      unit: 'ms',
      goal: { atMost: GOALS.secretMs },
    },
    {
      scenario,
      what: 'restart after the Secret and RESTART_DELAY',
      value: median(restarted),
      unit: 'ms',
      goal: { atMost: GOALS.restartMs },
    },
  ]
}

const versionOf = (object: KubeObject) => object.metadata.resourceVersion
const templateOf = (object: KubeObject) => JSON.stringify(object['spec'].template.metadata)

/** When something holds first, in milliseconds since the epoch. */
async function when(holds: () => Promise<boolean>): Promise<number> {
  while (!(await holds())) await pause(LOOK_MS)
  return Date.now()
}

async function repairs({ namespace, life }: Actors, scenario: string): Promise<Figure[]> {
  tell('deleted Secrets')
  const times: number[] = []
  for (let n = 0; n < life.changes * 5; n += 1) {
    const name = `item-${(n * 7 + 1) % life.items}`
    await namespace.delete('secrets', name)
    const gone = Date.now()
    times.push(
      (await when(async () => (await namespace.find('secrets', name)) !== undefined)) - gone,
    )
  }
  return [
    {
      scenario,
      what: 'until it is back, p99',
      value: p99(times),
      unit: 'ms',
      goal: { atMost: GOALS.repairMs },
    },
    { scenario, what: 'until it is back, median', value: median(times), unit: 'ms' },
  ]
}

/** A resource that is created while every other one is refreshed. */
async function newcomer(actors: Actors, scenario: string): Promise<Figure[]> {
  const { operator, connect, namespace, life } = actors
  tell('a newcomer among changes')
  const written = async () =>
    metric(await operator.metrics(), 'keyferry_secret_writes_total', 'kind="replace"')
  const before = await written()
  await connect.ask('change all')
  await untilPolled(connect)
  await eventually('the refresh is under way', async () => (await written()) > before + 10)
  const began = Date.now()
  await createResource(namespace, 1, 1 % life.vaults, 'newcomer')
  const synced = await when(async () => isReady(await namespace.get('items', 'newcomer')))
  const during = (await written()) - before
  await eventually('all is refreshed', async () => (await written()) >= before + life.items)
  return [
    {
      scenario,
      what: 'until it is synced',
      value: synced - began,
      unit: 'ms',
      goal: { atMost: GOALS.newMs },
    },
    { scenario, what: 'refreshed until then', value: (during / life.items) * 100, unit: '%' },
  ]
}
