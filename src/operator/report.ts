/**
 * What is logged and counted. Transitions only: a state that lasts is told once.
 */
import type { KeyferryError } from '../errors.ts'
import { keyOf } from '../kube/resource.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { conditionOf } from './item.ts'
import { REASONS } from './reasons.ts'
import { workloadName } from './plan/restarts.ts'
import type { Plan, Snapshot } from './plan/types.ts'
import type { Workload } from './plan/workload.ts'

/** Callbacks of the operator's parts. */
export interface Reporter {
  outcome(seen: Snapshot, plan: Plan): void
  poll(ms: number, error: KeyferryError | undefined): void
  restart(workload: Workload, secrets: readonly string[]): void
  giveUp(workload: Workload, why: string): void
  crash(key: string, error: unknown): void
  eventFailure(error: unknown): void
  tokenFailure(error: KeyferryError): void
}

/** A reporter over a log and metrics. */
export function createReporter(log: Logger, metrics: Metrics): Reporter {
  let connectUp: boolean | undefined
  return {
    outcome(seen, plan) {
      const { outcome, secret, repair, status } = plan
      const reason = 'reason' in outcome ? outcome.reason : 'Synced'
      metrics.runs.inc({ result: outcome.kind, reason })
      if (secret) metrics.secretWrites.inc({ kind: secret.kind })
      if (repair) metrics.repairs.inc()
      const resource = keyOf(seen.claim)
      if (secret) {
        const keys = status?.keys?.length
        log.info({ resource, write: secret.kind, keys, repair }, 'Secret written')
      }
      const ready = status && conditionOf(status, 'Ready')
      const before = conditionOf(seen.claim.status, 'Ready')
      if (ready && ready.status !== 'True' && ready.reason !== before?.reason) {
        const { remedy } = REASONS[ready.reason as keyof typeof REASONS]
        log.warn({ resource, reason: ready.reason, remedy }, ready.message)
      }
    },
    poll(ms, error) {
      metrics.pollSeconds.observe(ms / 1000)
      metrics.connectUp.set(error ? 0 : 1)
      const up = error === undefined
      if (up === connectUp) return
      if (error) log.error({ error }, 'Connect cannot be polled')
      else log.info(connectUp === undefined ? 'Connect answers' : 'Connect answers again')
      connectUp = up
    },
    restart(workload, secrets) {
      metrics.restarts.inc({ kind: workload.kind })
      const { namespace } = workload
      log.info({ namespace, workload: workloadName(workload), secrets }, 'workload restarted')
    },
    giveUp(workload, why) {
      metrics.restartsGivenUp.inc({ kind: workload.kind })
      const { namespace } = workload
      log.warn({ namespace, workload: workloadName(workload), why }, 'workload cannot be restarted')
    },
    crash: (key, error) => log.error({ key, error }, 'a run ended unexpectedly; it is repeated'),
    eventFailure: (error) => log.warn({ error }, 'an Event could not be written'),
    tokenFailure: (error) =>
      log.warn({ error }, 'the token file cannot be used; the last one stays'),
  }
}
