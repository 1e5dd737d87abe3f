/**
 * Everything that works the queues, once the caches are complete and this process may write.
 */
import { randomUUID } from 'node:crypto'
import { type Reconcile, runController } from '../kube/controller.ts'
import { createPace } from '../kube/pace.ts'
import type { KeyedQueue } from '../kube/queue.ts'
import { keyOf } from '../kube/resource.ts'
import type { KubeRest } from '../kube/rest.ts'
import { createDebtMemory, createDebtReconcile, regarding } from './debts.ts'
import { createBindings } from './intake/bindings.ts'
import { type Catalog, createCatalog } from './intake/catalog.ts'
import { type ClaimSource, resourceClaims, workloadClaims } from './intake/claims.ts'
import { type ContentReader, createContentReader } from './intake/content.ts'
import { createHistory, type History } from './intake/history.ts'
import type { Priority } from './intake/keys.ts'
import { enqueueOutdated, type Lane, runPoll } from './intake/poll.ts'
import { createIntake } from './intake/snapshot.ts'
import type { Claim, ItemStatus } from './item.ts'
import type { DigestKey } from './plan/digest.ts'
import { PATIENCE_MS } from './plan/status.ts'
import type { Policy } from './plan/types.ts'
import { createReconcile } from './reconcile.ts'
import { createReleaseReconcile } from './releases.ts'
import { createRolloutReconcile } from './rollouts.ts'
import type { Parts } from './run.ts'
import { createShadowReconcile } from './shadow.ts'
import { createEventWriter, type EventWriter } from './write/event.ts'
import { createWriter } from './write/write.ts'

/** What a term in office adds. */
export interface Office {
  /** Refuses writes outside of the term. */
  readonly rest: KubeRest
  readonly key: DigestKey
}

/** Debts closed in a minute: never urgent, so never many at once. */
const CLOSINGS_PER_MINUTE = 600

interface Tools extends Omit<Parts, 'rest'>, Office {
  readonly catalog: Catalog
  readonly reader: ContentReader
  readonly events: EventWriter
  readonly policy: Policy
  /** Of annotated workloads and their Secrets. */
  readonly workloadHistory: History
  readonly control: (queue: KeyedQueue, reconcile: Reconcile) => Promise<void>
}

/** Works until `signal` aborts. */
export async function startWork(parts: Parts, office: Office, signal: AbortSignal): Promise<void> {
  const tools = assemble(parts, office, signal)
  const { settings, queues, clock, random, catalog, report } = tools
  const resources = resourceLane(tools)
  const workloads = workloadLane(tools)
  const lanes = [resources.lane, workloads.lane]
  const poll = {
    catalog,
    lanes,
    clock,
    random,
    intervalMs: settings.pollingIntervalMs,
    staleMs: [PATIENCE_MS, settings.staleAfterMs],
    onPoll: report.pollWith(tools),
    onCrash: (error: unknown) => report.crash('poll', error),
  }
  const onChange = () => enqueueOutdated({ catalog, lanes })
  const handlers = { onChange, onFailure: report.onPolicyFailure }
  // A candidate may have waited for hours: nothing is decided on the policy of then.
  await parts.policyFile.reread(handlers)
  await Promise.all([
    tools.control(queues.resources, resources.reconcile),
    tools.control(queues.workloads, workloads.reconcile),
    ...(settings.dryRun ? [] : restarting(tools)),
    runPoll(poll, signal),
    parts.policyFile.follow(clock, handlers, signal),
  ])
}

function assemble(parts: Parts, office: Office, signal: AbortSignal): Tools {
  const { settings, clock, connect, policyFile, report, namespace } = parts
  const { emptyValues, labelsNotCopied, staleAfterMs, restartOnRemap } = settings
  return {
    ...parts,
    ...office,
    catalog: createCatalog({ client: connect, clock, policy: policyFile.current }),
    reader: createContentReader(connect),
    events: createEventWriter(office.rest, `keyferry-${randomUUID()}`, report.eventFailure),
    policy: {
      emptyValues,
      labelsNotCopied,
      staleAfterMs,
      restartOnRemap,
      digestKey: office.key,
      instance: `${namespace}/${settings.instance}`,
    },
    workloadHistory: createHistory(clock),
    control: (queue, reconcile) =>
      runController({ queue, reconcile, onCrash: report.crash }, signal),
  }
}

interface WorkedLane {
  readonly lane: Lane
  readonly reconcile: Reconcile
}

/** Claims of resources. */
function resourceLane(tools: Tools): WorkedLane {
  const { views, queues, clock } = tools
  const keys = () => [...views.claims.values()].map(keyOf)
  return createLane(tools, queues.resources, {
    claims: resourceClaims(views),
    history: createHistory(clock),
    keys,
    remember: (claim) => claim,
  })
}

/** Claims of annotated workloads, among them those that ask for another item under one name. */
function workloadLane(tools: Tools): WorkedLane {
  const { views, queues, settings, events, selector } = tools
  const claims = workloadClaims(views, selector)
  const stores = Object.values(views.workloads)
  const keys = () =>
    stores.flatMap((store) =>
      [...store.values()].flatMap(({ namespace, asks }) =>
        asks ? [`${namespace}/${asks.secretName}`] : [],
      ),
    )
  const lane = createLane(tools, queues.workloads, {
    claims,
    history: tools.workloadHistory,
    keys,
    remember: (claim, status) => claims.remember(claim, status),
  })
  return {
    ...lane,
    async reconcile(key, signal) {
      const requeue = await lane.reconcile(key, signal)
      for (const workload of settings.dryRun ? [] : claims.losersOf(key)) {
        const note = `Another workload asks for another item under the Secret name ${workload.asks?.secretName}.`
        const draft = {
          type: 'Warning',
          reason: 'SecretClaimedTwice',
          action: 'Sync',
          note,
        } as const
        await events.emit({ ...regarding(workload), occasion: key }, draft, signal)
      }
      return requeue
    },
  }
}

function createLane(
  tools: Tools,
  queue: KeyedQueue,
  source: {
    readonly claims: ClaimSource
    readonly history: History
    readonly keys: () => Iterable<string>
    readonly remember: (claim: Claim, status: ItemStatus) => Claim
  },
): WorkedLane {
  const { settings, clock, rest, views, versions, events, report, connect } = tools
  const bindings = createBindings()
  const { claims, history } = source
  const pollMs = settings.pollingIntervalMs
  const intake = createIntake({ ...tools, claims, client: connect, bindings, history, pollMs })
  const writer = createWriter(rest, events, {
    claim: (claim) => views.claims.observe(claim),
    secret(secret) {
      versions.note(secret)
      views.secrets.observe(secret)
    },
    secretGone: (key, uid) => views.secrets.forget(key, uid),
    remember: source.remember,
  })
  const reconcile = settings.dryRun
    ? createShadowReconcile(intake, report.difference)
    : createReconcile({ intake, writer, history, clock, onOutcome: report.outcome })
  const enqueue = (key: string, priority: Priority) => queue.add(key, { priority })
  const isFailing = (key: string) => history.failingMs(key) > 0
  return { reconcile, lane: { bindings, keys: source.keys, isFailing, enqueue } }
}

/** Changed content to restarted workloads, and workloads freed of the incumbent's finalizer. */
function restarting(tools: Tools): Promise<void>[] {
  const { settings, clock, queues, key, report } = tools
  const common = {
    ...tools,
    memory: createDebtMemory(clock),
    policy: { autoRestart: settings.autoRestart, delayMs: settings.restartDelayMs },
    instance: tools.policy.instance,
    rollouts: queues.rollouts,
    debts: queues.debts,
    onFailure: report.restartFailure,
  }
  const debts = createDebtReconcile({
    ...common,
    digestKey: key,
    closing: createPace(clock, CLOSINGS_PER_MINUTE),
    enqueue: (name, priority) => queues.resources.add(name, { priority }),
    onGiveUp: report.giveUp,
  })
  const rollouts = createRolloutReconcile({
    ...common,
    pace: createPace(clock, settings.restartsPerMinute),
    onRestart: report.restart,
  })
  const releases = createReleaseReconcile({
    ...tools,
    history: tools.workloadHistory,
    serves: ({ labels }) => tools.selector(labels),
    onFailure: report.releaseFailure,
  })
  return [
    tools.control(queues.debts, debts),
    tools.control(queues.rollouts, rollouts),
    tools.control(queues.releases, releases),
  ]
}
