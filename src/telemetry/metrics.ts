import prom from 'prom-client'

/** The operator's metrics, and how to print them. */
export interface Metrics {
  /** A run for a claim ended. `result`: settled, recheck, wait, retry or blocked. */
  readonly runs: prom.Counter<'result' | 'reason'>
  /** Secrets written, by kind: create, replace. */
  readonly secretWrites: prom.Counter<'kind'>
  /** Secrets put back after somebody changed or deleted them. */
  readonly repairs: prom.Counter
  /** Rollouts started, by kind of workload. */
  readonly restarts: prom.Counter<'kind'>
  /** Workloads that could not be restarted, by kind. */
  readonly restartsGivenUp: prom.Counter<'kind'>
  /** Answers of the Connect server, by operation and status; status 0 is a failed connection. */
  readonly connectRequests: prom.Counter<'operation' | 'status'>
  /** Answers of the Kubernetes API server, by method and status. */
  readonly kubeRequests: prom.Counter<'method' | 'status'>
  /** Seconds a poll took. */
  readonly pollSeconds: prom.Histogram
  /** Seconds between two polls, as set. */
  readonly pollInterval: prom.Gauge
  /** Whether the last poll could list the vaults: 1 or 0. */
  readonly connectUp: prom.Gauge
  /** When the last poll ended that could list the vaults, in seconds since the epoch. */
  readonly lastPoll: prom.Gauge
  /** Whether this process works, by holding the Lease or without an election: 1 or 0. */
  readonly leader: prom.Gauge
  /** Shards that this process works; all work is one shard where it is not divided. */
  readonly shardsHeld: prom.Gauge
  /** Shards that the work is divided into. */
  readonly shards: prom.Gauge
  /** Secrets by what shadow mode would do about them now. */
  readonly differences: prom.Gauge<'kind'>
  /** Exposition format of everything. */
  print(): Promise<string>
  readonly contentType: string
}

/** Numbers that are read when metrics are printed. */
export interface Gauges {
  /** Keys that wait for a worker, by queue. */
  readonly waiting: () => Readonly<Record<string, number>>
  /** All resources. */
  readonly resources: () => Iterable<ResourceState>
}

/** What is counted of a resource. */
export interface ResourceState {
  readonly namespace: string
  readonly name: string
  /** Status and reason of the Ready condition. */
  readonly ready: string
  readonly reason: string
  /** Types of the other conditions that are True. */
  readonly conditions: readonly string[]
  /** When the first of its items expires, in seconds since the epoch. */
  readonly expires: number | undefined
}

/** Conditions that are counted, also while no resource has them. */
const CONDITIONS = ['Stale', 'Stalled', 'Restarting']

const HELP = {
  runs: 'Looks at one resource: settled or recheck for reason Synced, else retry (may pass by itself) or blocked.',
  secretWrites: 'Secrets written: create, replace, recreate, delete.',
  restartsGivenUp: 'Workloads that cannot be restarted; an Event on each says why.',
  connect: 'Answers of the Connect server; status 0 is a failed connection.',
  kubernetes: 'Answers of the Kubernetes API server.',
  connectUp: 'Whether the last poll could list the vaults; 0 on a replica that does not work.',
  lastPoll: 'When the last poll ended that could list the vaults; 0 before the first.',
  leader: 'Whether the replica works: it holds the Lease, or that of a shard, or needs none.',
  shardsHeld: 'Shards that the replica works; 1 or 0 where the work is not divided.',
  differences: 'Secrets by what shadow mode (DRY_RUN) would do about them now.',
} as const

/** A registry of its own, so that tests can have several. */
export function createMetrics(gauges: Gauges): Metrics {
  const registry = new prom.Registry()
  prom.collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const counter = <T extends string>(name: string, help: string, labelNames: readonly T[] = []) =>
    new prom.Counter<T>({ name: `keyferry_${name}`, help, labelNames, registers })
  const gauge = <T extends string>(name: string, help: string, labelNames: readonly T[] = []) =>
    new prom.Gauge<T>({ name: `keyferry_${name}`, help, labelNames, registers })
  const waiting = new prom.Gauge({
    name: 'keyferry_queue_waiting',
    help: 'Keys that wait for a worker.',
    labelNames: ['queue'],
    registers,
    collect() {
      for (const [queue, count] of Object.entries(gauges.waiting())) waiting.set({ queue }, count)
    },
  })
  let states: readonly ResourceState[] = []
  addResourceGauges(registers, () => states)
  return {
    runs: counter('runs_total', HELP.runs, ['result', 'reason']),
    secretWrites: counter('secret_writes_total', HELP.secretWrites, ['kind']),
    repairs: counter('repairs_total', 'Secrets put back after somebody changed or deleted them.'),
    restarts: counter('restarts_total', 'Rollouts started.', ['kind']),
    restartsGivenUp: counter('restarts_given_up_total', HELP.restartsGivenUp, ['kind']),
    connectRequests: counter('connect_requests_total', HELP.connect, ['operation', 'status']),
    kubeRequests: counter('kubernetes_requests_total', HELP.kubernetes, ['method', 'status']),
    pollSeconds: new prom.Histogram({
      name: 'keyferry_poll_seconds',
      help: 'How long polls take.',
      buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60],
      registers,
    }),
    pollInterval: gauge('poll_interval_seconds', 'POLLING_INTERVAL.'),
    connectUp: gauge('connect_up', HELP.connectUp),
    lastPoll: gauge('last_poll_timestamp_seconds', HELP.lastPoll),
    leader: gauge('leader', HELP.leader),
    shardsHeld: gauge('shards_held', HELP.shardsHeld),
    shards: gauge('shards', 'SHARDS: what the held ones of all replicas add up to.'),
    differences: gauge('shadow_differences', HELP.differences, ['kind']),
    print() {
      // Once for all gauges: with thousands of resources that is most of a page's cost.
      states = [...gauges.resources()]
      return registry.metrics()
    },
    contentType: registry.contentType,
  }
}

/** Gauges over the resources as they are when metrics are printed. */
function addResourceGauges(registers: prom.Registry[], all: Gauges['resources']): void {
  const gauge = <T extends string>(
    name: string,
    help: string,
    given: { readonly labelNames: T[]; readonly collect: (gauge: prom.Gauge<T>) => void },
  ) =>
    new prom.Gauge<T>({
      name: `keyferry_${name}`,
      help,
      labelNames: given.labelNames,
      registers,
      collect() {
        this.reset()
        given.collect(this)
      },
    })
  gauge('resources', 'OnePasswordItems by status and reason of their condition Ready.', {
    labelNames: ['ready', 'reason'],
    collect(resources) {
      for (const { ready, reason } of all()) resources.inc({ ready, reason })
    },
  })
  gauge(
    'resource_conditions',
    'OnePasswordItems with condition Stale (items cannot be read for over 2 min), Stalled (a person is needed) or Restarting (workloads run with old values).',
    {
      labelNames: ['type'],
      collect(counts) {
        for (const type of CONDITIONS) counts.set({ type }, 0)
        for (const { conditions } of all()) {
          for (const type of conditions) if (CONDITIONS.includes(type)) counts.inc({ type })
        }
      },
    },
  )
  // Prometheus puts the operator's own namespace under `namespace`.
  gauge(
    'item_expiry_timestamp_seconds',
    'When the first item of a resource expires; only of those whose items say so.',
    {
      labelNames: ['resource_namespace', 'resource'],
      collect(times) {
        for (const { namespace, name, expires } of all()) {
          if (expires !== undefined)
            times.set({ resource_namespace: namespace, resource: name }, expires)
        }
      },
    },
  )
}
