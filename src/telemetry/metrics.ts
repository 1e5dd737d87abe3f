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
  /** Whether the last poll could list the vaults: 1 or 0. */
  readonly connectUp: prom.Gauge
  /** Whether this process holds the Lease: 1 or 0. */
  readonly leader: prom.Gauge
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
  /** Ready condition of each resource. */
  readonly resources: () => Iterable<{ readonly ready: string; readonly reason: string }>
}

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
  const resources = new prom.Gauge({
    name: 'keyferry_resources',
    help: 'Resources, by status and reason of their Ready condition.',
    labelNames: ['ready', 'reason'],
    registers,
    collect() {
      resources.reset()
      for (const labels of gauges.resources()) resources.inc(labels)
    },
  })
  return {
    runs: counter('runs_total', 'Runs for a resource, by result and reason.', ['result', 'reason']),
    secretWrites: counter('secret_writes_total', 'Secrets written.', ['kind']),
    repairs: counter('repairs_total', 'Secrets put back after somebody changed or deleted them.'),
    restarts: counter('restarts_total', 'Rollouts started.', ['kind']),
    restartsGivenUp: counter('restarts_given_up_total', 'Workloads that cannot be restarted.', [
      'kind',
    ]),
    connectRequests: counter('connect_requests_total', 'Answers of the Connect server.', [
      'operation',
      'status',
    ]),
    kubeRequests: counter('kubernetes_requests_total', 'Answers of the API server.', [
      'method',
      'status',
    ]),
    pollSeconds: new prom.Histogram({
      name: 'keyferry_poll_seconds',
      help: 'Duration of a poll.',
      buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60],
      registers,
    }),
    connectUp: gauge('connect_up', 'Whether the last poll could list the vaults.'),
    leader: gauge('leader', 'Whether this process holds the Lease.'),
    differences: gauge('shadow_differences', 'Secrets by what shadow mode would do.', ['kind']),
    print: () => registry.metrics(),
    contentType: registry.contentType,
  }
}
