/**
 * Wires the operator: caches and poll feed queues, queues feed workers, one signal ends it all.
 */
import { randomUUID } from 'node:crypto'
import { type ConnectClient, createConnectClient } from '../connect/client.ts'
import { isKeyferryError } from '../errors.ts'
import { type Clock, sleep, systemClock } from '../kube/clock.ts'
import { loadAccess } from '../kube/config.ts'
import { type Reconcile, runController } from '../kube/controller.ts'
import { createPace } from '../kube/pace.ts'
import { createQueue, type KeyedQueue } from '../kube/queue.ts'
import { keyOf, parseKey } from '../kube/resource.ts'
import { createRest, type KubeRest } from '../kube/rest.ts'
import type { Settings } from '../settings/settings.ts'
import { createTokenSource } from '../settings/token.ts'
import type { Logger } from '../telemetry/log.ts'
import { createMetrics, type Metrics } from '../telemetry/metrics.ts'
import { createDebtMemory, createDebtReconcile } from './debts.ts'
import { createBindings } from './intake/bindings.ts'
import { createCatalog } from './intake/catalog.ts'
import { createContentReader } from './intake/content.ts'
import { createHistory, type History } from './intake/history.ts'
import { PRIORITY, type Priority, subscribe } from './intake/keys.ts'
import { runPoll } from './intake/poll.ts'
import { createIntake } from './intake/snapshot.ts'
import { createViews, runWatches, synced, type Views } from './intake/views.ts'
import { type Claim, conditionOf } from './item.ts'
import { loadDigestKey } from './key.ts'
import type { DigestKey } from './plan/digest.ts'
import { PATIENCE_MS } from './plan/status.ts'
import { createReconcile } from './reconcile.ts'
import { createRolloutReconcile } from './rollouts.ts'
import type { Policy } from './plan/types.ts'
import { createReporter, type Reporter } from './report.ts'
import { createEventWriter, type EventWriter } from './write/event.ts'
import { createWriter } from './write/write.ts'

/** What the operator is given from outside. */
export interface OperatorInput {
  readonly settings: Settings
  readonly log: Logger
  readonly version: string
  /** PEM of the authorities for the Connect server. */
  readonly connectCa: string | undefined
}

/** A running operator, as probes and metrics see it. */
export interface Operator {
  readonly metrics: Metrics
  readonly isReady: () => boolean
  /** Resolves when the operator has ended. */
  readonly ended: Promise<void>
}

/** Back-off of claims: quick at first, at most twelve tries an hour. */
const CLAIM_BACKOFF = { firstMs: 500, maxMs: 300_000 }
const RESTART_BACKOFF = { firstMs: 500, maxMs: 60_000 }
/** Debts closed in a minute: never urgent, so never many at once. */
const CLOSINGS_PER_MINUTE = 600
const DEBT_WORKERS = 4
const ROLLOUT_WORKERS = 4
const KEY_RETRY_MS = 2_000

/** Queues are fair between namespaces. */
const groupOf = (key: string) => parseKey(key).namespace

/** Starts the operator; it runs until `signal` aborts. */
export function startOperator(input: OperatorInput, signal: AbortSignal): Operator {
  const clock = systemClock
  const random = Math.random
  const queue = (priorities: number, backoff: typeof CLAIM_BACKOFF) =>
    createQueue({ clock, random, priorities, backoff, groupOf })
  const queues: Queues = {
    claims: queue(Object.keys(PRIORITY).length, CLAIM_BACKOFF),
    debts: queue(1, RESTART_BACKOFF),
    rollouts: queue(1, RESTART_BACKOFF),
  }
  const views = createViews()
  const metrics = createMetrics({
    waiting: () =>
      Object.fromEntries(Object.entries(queues).map(([name, { waiting }]) => [name, waiting])),
    resources: () => [...views.claims.values()].map(readiness),
  })
  let ready = false
  const parts = { ...input, clock, random, queues, metrics, views, onReady: () => (ready = true) }
  return { metrics, isReady: () => ready, ended: run(parts, signal) }
}

function readiness({ status }: Claim): { ready: string; reason: string } {
  const ready = conditionOf(status, 'Ready')
  return { ready: ready?.status ?? 'Unknown', reason: ready?.reason ?? '' }
}

interface Queues {
  readonly claims: KeyedQueue
  readonly debts: KeyedQueue
  readonly rollouts: KeyedQueue
}

interface Parts extends OperatorInput {
  readonly clock: Clock
  readonly random: () => number
  readonly queues: Queues
  readonly metrics: Metrics
  readonly views: Views
  readonly onReady: () => void
}

async function run(parts: Parts, signal: AbortSignal): Promise<void> {
  const { settings, log, clock, random, metrics, views, queues } = parts
  const access = loadAccess(settings.kubeconfig)
  const rest = createRest({
    access,
    clock,
    userAgent: `keyferry/${parts.version}`,
    onAnswer: (method, status) => metrics.kubeRequests.inc({ method, status }),
  })
  const namespace = settings.ownNamespace ?? access.namespace
  const key = await untilKey(parts, rest, namespace, signal)
  if (key === undefined) return rest.close()
  const history = createHistory(clock)
  subscribe(views, {
    claim: (name, priority) => queues.claims.add(name, { priority }),
    debt: (name) => queues.debts.add(name),
    isOwnVersion: (name, version) => history.isKnownVersion(name, version),
  })
  const watching = runWatches(
    views,
    {
      rest,
      clock,
      random,
      namespaces: settings.watchNamespaces,
      onFailure: (kind, error, waitMs) => log.warn({ kind, error, waitMs }, 'watch interrupted'),
    },
    signal,
  )
  await Promise.race([synced(views), watching])
  if (signal.aborted) return rest.close()
  log.info({ resources: views.claims.size, secrets: views.secrets.size }, 'caches are complete')
  parts.onReady()
  await Promise.all([watching, ...work(parts, { rest, namespace, key, history }, signal)])
  await rest.close()
}

/** The key, as soon as the API server gives it: an operator waits for its API server. */
async function untilKey(
  { log, clock, settings }: Parts,
  rest: KubeRest,
  namespace: string,
  signal: AbortSignal,
): Promise<DigestKey | undefined> {
  const name = `${settings.instance}-digest-key`
  while (!signal.aborted) {
    try {
      return await loadDigestKey(rest, { namespace, name }, signal)
    } catch (error) {
      if (signal.aborted) break
      if (!isKeyferryError(error) || error.code === 'INPUT_INVALID') throw error
      log.warn({ error, secret: `${namespace}/${name}` }, 'cannot get the digest key yet')
    }
    await sleep(clock, KEY_RETRY_MS, signal)
  }
  return undefined
}

/** What all work stands on, once the caches are complete. */
interface Ground {
  readonly rest: KubeRest
  readonly namespace: string
  readonly key: DigestKey
  readonly history: History
}

/** Everything that works the queues. */
function work(parts: Parts, ground: Ground, signal: AbortSignal): Promise<void>[] {
  const report = createReporter(parts.log, parts.metrics)
  const events = createEventWriter(ground.rest, `keyferry-${randomUUID()}`, report.eventFailure)
  const tools: Tools = {
    ...parts,
    ...ground,
    report,
    events,
    control: (queue, reconcile, concurrency) =>
      runController({ queue, reconcile, concurrency, onCrash: report.crash }, signal),
  }
  return [...syncing(tools, signal), ...restarting(tools)]
}

interface Tools extends Parts, Ground {
  readonly report: Reporter
  readonly events: EventWriter
  readonly control: (queue: KeyedQueue, reconcile: Reconcile, concurrency: number) => Promise<void>
}

/** Items to Secrets: the poll and the workers of claims. */
function syncing(tools: Tools, signal: AbortSignal): Promise<void>[] {
  const { settings, clock, random, views, queues, rest, history, events, report } = tools
  const client = connectClientFor(tools)
  const catalog = createCatalog(client, clock)
  const bindings = createBindings()
  const reader = createContentReader(client)
  const policy = policyOf(tools)
  const intake = createIntake({ rest, views, catalog, reader, bindings, history, policy })
  const writer = createWriter(rest, events, {
    claim: (claim) => views.claims.observe(claim),
    secret(secret) {
      history.noteVersion(keyOf(secret), secret.resourceVersion)
      views.secrets.observe(secret)
    },
  })
  const reconcile = createReconcile({ intake, writer, history, clock, onOutcome: report.outcome })
  const poll = {
    catalog,
    bindings,
    clock,
    random,
    intervalMs: settings.pollingIntervalMs,
    staleMs: [PATIENCE_MS, settings.staleAfterMs],
    keys: () => [...views.claims.values()].map(keyOf),
    enqueue: (name: string, priority: Priority) => queues.claims.add(name, { priority }),
    onPoll: report.poll,
  }
  return [tools.control(queues.claims, reconcile, settings.concurrency), runPoll(poll, signal)]
}

function connectClientFor({ settings, clock, metrics, report, ...parts }: Tools): ConnectClient {
  const source = { token: settings.connectToken, file: settings.connectTokenFile }
  return createConnectClient({
    host: settings.connectHost,
    token: createTokenSource(source, () => clock.now(), report.tokenFailure),
    userAgent: `keyferry/${parts.version}`,
    ...(parts.connectCa === undefined ? {} : { ca: parts.connectCa }),
    onAnswer: (operation, status) => metrics.connectRequests.inc({ operation, status }),
  })
}

function policyOf({ settings, key, namespace }: Tools): Policy {
  const { emptyValues, labelsNotCopied, staleAfterMs } = settings
  const instance = `${namespace}/${settings.instance}`
  return { emptyValues, labelsNotCopied, staleAfterMs, digestKey: key, instance }
}

/** Changed content to restarted workloads: the workers of debts and rollouts. */
function restarting(tools: Tools): Promise<void>[] {
  const { settings, clock, queues, key, report } = tools
  const common = {
    ...tools,
    memory: createDebtMemory(clock),
    policy: { autoRestart: settings.autoRestart, delayMs: settings.restartDelayMs },
    rollouts: queues.rollouts,
    debts: queues.debts,
    claims: queues.claims,
  }
  const debts = createDebtReconcile({
    ...common,
    digestKey: key,
    closing: createPace(clock, CLOSINGS_PER_MINUTE),
    onGiveUp: report.giveUp,
  })
  const rollouts = createRolloutReconcile({
    ...common,
    pace: createPace(clock, settings.restartsPerMinute),
    onRestart: report.restart,
  })
  return [
    tools.control(queues.debts, debts, DEBT_WORKERS),
    tools.control(queues.rollouts, rollouts, ROLLOUT_WORKERS),
  ]
}
