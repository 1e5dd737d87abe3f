import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Store } from '../store/store.ts'

/** Counts answers. */
export interface Metrics {
  /** Counts an answer. @param seconds from the request's arrival */
  answered(operation: string, status: number, seconds: number): void
  /** Prometheus text exposition. */
  render(): Promise<string>
}

/** Metrics of the server; no label names a vault, an item or a caller. */
export function createMetrics(store: Store): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const requests = new Counter({
    name: 'keyferry_connect_requests_total',
    help: 'Answers by operation and HTTP status.',
    labelNames: ['operation', 'status'],
    registers: [registry],
  })
  const seconds = new Histogram({
    name: 'keyferry_connect_request_seconds',
    help: 'Time from the arrival of a request to the end of its answer.',
    labelNames: ['operation'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
    registers: [registry],
  })
  const writable = new Gauge({
    name: 'keyferry_connect_store_writable',
    help: '1 while the store accepts writes.',
    registers: [],
    collect() {
      this.set(store.writeState() === 'ok' ? 1 : 0)
    },
  })
  registry.registerMetric(writable)
  // Finding a child by its labels costs more than counting: each is found once.
  const children = new Map<string, { count(): void; time(elapsed: number): void }>()
  const childOf = (operation: string, status: number) => {
    const name = `${operation} ${status}`
    const known = children.get(name)
    if (known) return known
    const counter = requests.labels({ operation, status })
    const histogram = seconds.labels({ operation })
    const child = {
      count: () => counter.inc(),
      time: (elapsed: number) => histogram.observe(elapsed),
    }
    children.set(name, child)
    return child
  }
  return {
    answered(operation, status, elapsed) {
      const child = childOf(operation, status)
      child.count()
      child.time(elapsed)
    },
    render: () => registry.metrics(),
  }
}
