import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Store } from '../store/store.ts'

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
    help: 'Answers by operation and HTTP status',
    labelNames: ['operation', 'status'],
    registers: [registry],
  })
  const seconds = new Histogram({
    name: 'keyferry_connect_request_seconds',
    help: 'Time from the arrival of a request to the end of its answer',
    labelNames: ['operation'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
    registers: [registry],
  })
  const writable = new Gauge({
    name: 'keyferry_connect_store_writable',
    help: '1 while the store accepts writes',
    registers: [],
    collect() {
      this.set(store.writeState() === 'ok' ? 1 : 0)
    },
  })
  registry.registerMetric(writable)
  return {
    answered(operation, status, elapsed) {
      requests.inc({ operation, status })
      seconds.observe({ operation }, elapsed)
    },
    render: () => registry.metrics(),
  }
}
