/**
 * What is logged and counted. Transitions only: a state that lasts is told once.
 */
import type { KeyferryError } from '../errors.ts'
import { keyOf } from '../kube/resource.ts'
import type { Settings } from '../settings/settings.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { conditionOf } from './item.ts'
import { REASONS } from './reasons.ts'
import { workloadName } from './plan/restarts.ts'
import { reasonOf } from './plan/trouble.ts'
import type { Plan, Snapshot } from './plan/types.ts'
import type { Workload } from './plan/workload.ts'
import type { OnDifference } from './shadow.ts'
import type { EventWriter } from './write/event.ts'

/** Callbacks of the operator's parts. */
export interface Reporter {
  outcome(seen: Snapshot, plan: Plan): void
  /** For the end of polls: transitions also make an Event on the operator's own Pod. */
  pollWith(pod: PodEvents): (ms: number, error: KeyferryError | undefined) => void
  readonly difference: OnDifference
  restart(workload: Workload, secrets: readonly string[]): void
  giveUp(workload: Workload, why: string, secret: string): void
  restartFailure(key: string, error: unknown): void
  releaseFailure(key: string, error: unknown): void
  crash(key: string, error: unknown): void
  eventFailure(error: unknown): void
  tokenFailure(error: KeyferryError): void
  onPolicyFailure(error: KeyferryError): void
}

/** Who is told of what the operator does, besides log and metrics. */
export interface Witness {
  /** A run for a claim ended. */
  outcome(seen: Snapshot, plan: Plan): void
  /** A workload was restarted for these Secrets of its namespace. */
  restart(workload: Workload, secrets: readonly string[]): void
  /** A workload cannot be restarted for that Secret of its namespace. */
  giveUp(workload: Workload, why: string, secret: string): void
  /** A poll of so many milliseconds ended; `error` undefined is success. */
  poll(ms: number, error: KeyferryError | undefined): void
}

/** What Events about the operator itself need. */
export interface PodEvents {
  readonly events: EventWriter
  readonly settings: Pick<Settings, 'podName' | 'dryRun'>
  readonly namespace: string
}

/** A reporter over a log and metrics. */
export function createReporter(log: Logger, metrics: Metrics, witness?: Witness): Reporter {
  return {
    outcome(seen, plan) {
      tellOutcome(log, metrics, { seen, plan })
      witness?.outcome(seen, plan)
    },
    pollWith(pod) {
      const tell = createPollReporter(log, metrics, pod)
      return (ms, error) => {
        tell(ms, error)
        witness?.poll(ms, error)
      }
    },
    difference(resource, before, after) {
      if (before) metrics.differences.dec({ kind: before.kind })
      if (after === undefined) return
      const { kind, ...details } = after
      metrics.differences.inc({ kind })
      log.info({ resource, difference: kind, ...details }, 'shadow mode: what would be done')
    },
    restart(workload, secrets) {
      metrics.restarts.inc({ kind: workload.kind })
      const { namespace } = workload
      log.info({ namespace, workload: workloadName(workload), secrets }, 'workload restarted')
      witness?.restart(workload, secrets)
    },
    giveUp(workload, why, secret) {
      metrics.restartsGivenUp.inc({ kind: workload.kind })
      const { namespace } = workload
      log.warn({ namespace, workload: workloadName(workload), why }, 'workload cannot be restarted')
      witness?.giveUp(workload, why, secret)
    },
    restartFailure: (key, error) =>
      log.warn({ key, error }, 'a restart cannot be made or noted yet; it is tried again'),
    releaseFailure: (key, error) =>
      log.warn({ key, error }, 'the former finalizer cannot be taken off yet; it is tried again'),
    crash: (key, error) => log.error({ key, error }, 'a run ended unexpectedly; it is repeated'),
    eventFailure: (error) => log.warn({ error }, 'an Event could not be written'),
    onPolicyFailure: (error) =>
      log.error({ error }, 'the vault policy file cannot be used; the last good one stays'),
    tokenFailure: (error) =>
      log.warn({ error }, 'the token file cannot be used; the last one stays'),
  }
}

function createPollReporter(
  log: Logger,
  metrics: Metrics,
  pod: PodEvents,
): ReturnType<Reporter['pollWith']> {
  let connectUp: boolean | undefined
  return (ms, error) => {
    const up = error === undefined
    metrics.pollSeconds.observe(ms / 1000)
    metrics.connectUp.set(up ? 1 : 0)
    if (up) metrics.lastPoll.setToCurrentTime()
    if (up === connectUp) return
    if (error) log.error({ error }, 'Connect cannot be polled')
    else log.info(connectUp === undefined ? 'Connect answers' : 'Connect answers again')
    if (error || connectUp === false) void tellOnPod(pod, error)
    connectUp = up
  }
}

/** Counts a run, and logs what it wrote and what it failed for. */
function tellOutcome(
  log: Logger,
  metrics: Metrics,
  { seen, plan }: { readonly seen: Snapshot; readonly plan: Plan },
): void {
  const { outcome, secret, repair, status } = plan
  const reason = ('reason' in outcome && outcome.reason) || plan.fault?.reason || 'Synced'
  const ready = status && conditionOf(status, 'Ready')
  const before = conditionOf(seen.claim.status, 'Ready')
  metrics.runs.inc({ result: outcome.kind, reason })
  if (secret) metrics.secretWrites.inc({ kind: secret.kind })
  if (repair) metrics.repairs.inc()
  const resource = keyOf(seen.claim)
  if (secret) {
    const keys = status?.keys?.length
    log.info({ resource, write: secret.kind, keys, repair }, 'Secret written')
  }
  if (ready && ready.status !== 'True' && ready.reason !== before?.reason) {
    const { remedy } = REASONS[ready.reason as keyof typeof REASONS]
    log.warn({ resource, reason: ready.reason, remedy }, ready.message)
  }
}

/** An outage of Connect is told once, where the operator is, not on thousands of resources. */
async function tellOnPod(
  { events, settings, namespace }: PodEvents,
  error: KeyferryError | undefined,
): Promise<void> {
  if (settings.podName === undefined || settings.dryRun) return
  const about = { apiVersion: 'v1', kind: 'Pod', namespace, name: settings.podName, uid: '' }
  const draft = error
    ? ({
        type: 'Warning',
        reason: reasonOf(error),
        note: `${error.message}. ${error.remedy}`,
      } as const)
    : ({ type: 'Normal', reason: 'ConnectAnswers', note: 'Connect answers again.' } as const)
  const occasion = new Date().toISOString()
  await events.emit(
    { ...about, occasion },
    { ...draft, action: 'Poll' },
    AbortSignal.timeout(10_000),
  )
}
