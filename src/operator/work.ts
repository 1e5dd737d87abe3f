/**
 * Everything that works the queues, once the caches are complete and this process may write.
 */
import { randomUUID } from 'node:crypto'
import { type Reconcile, runController } from '../kube/controller.ts'
import { createPace } from '../kube/pace.ts'
import type { KeyedQueue } from '../kube/queue.ts'
import { keyOf } from '../kube/resource.ts'
import type { KubeRest } from '../kube/rest.ts'
import {
  createClosingReconcile,
  createDebtMemory,
  createDebtReconcile,
  regarding,
  rolloutKey,
} from './debts.ts'
import { createBindings } from './intake/bindings.ts'
import { type Catalog, createCatalog } from './intake/catalog.ts'
import { type ClaimSource, resourceClaims, workloadClaims } from './intake/claims.ts'
import { type ContentReader, createContentReader } from './intake/content.ts'
import { createHistory, type History } from './intake/history.ts'
import { type Priority, subscribe } from './intake/keys.ts'
import { enqueueOutdated, type Lane, runPoll } from './intake/poll.ts'
import { createIntake } from './intake/snapshot.ts'
import type { Claim, ItemStatus } from './item.ts'
import type { DigestKey } from './plan/digest.ts'
import { PATIENCE_MS } from './plan/status.ts'
import type { Policy } from './plan/types.ts'
import { createQueues, type Queues } from './queues.ts'
import { createReconcile } from './reconcile.ts'
import { createReleaseReconcile } from './releases.ts'
import { createRolloutReconcile } from './rollouts.ts'
import type { Parts } from './run.ts'
import { createShadowReconcile } from './shadow.ts'
import { createEventWriter, type EventWriter } from './write/event.ts'
import { createWriter, type WriteSinks } from './write/write.ts'

/** What the work of all shards shares. */
export interface Sources {
  readonly catalog: Catalog
  readonly reader: ContentReader
  /** The lanes under way: what the poll looks after. */
  readonly lanes: Set<Lane>
  /** Polls until they end. */
  run(): Promise<void>
}

/** What a term in office adds. */
export interface Office {
  /** Refuses writes outside of the term. */
  readonly rest: KubeRest
  readonly key: DigestKey
  readonly sources: Sources
  /** The namespaces that it is about. */
  readonly serves: (namespace: string) => boolean
  /** Its part of what the installation may do. */
  readonly part: number
}

/** An office that is about everything. */
export const ALL_NAMESPACES: Pick<Office, 'serves' | 'part'> = { serves: () => true, part: 1 }

interface Tools extends Omit<Parts, 'rest' | 'queues'>, Omit<Office, 'sources'> {
  readonly catalog: Catalog
  readonly reader: ContentReader
  readonly queues: Queues
  readonly events: EventWriter
  readonly policy: Policy
  /** Of annotated workloads and their Secrets. */
  readonly workloadHistory: History
  readonly control: (queue: KeyedQueue, reconcile: Reconcile) => Promise<void>
}

/**
 * @param rest for Events on the operator's own Pod
 * @param signal ends the reads that all shards share, and the poll
 */
export async function openSources(
  parts: Parts,
  rest: KubeRest,
  signal: AbortSignal,
): Promise<Sources> {
  const { settings, clock, random, connect, policyFile, report } = parts
  const catalog = createCatalog({ client: connect, clock, policy: policyFile.current, end: signal })
  const lanes = new Set<Lane>()
  const events = eventWriter(parts, rest)
  const poll = {
    catalog,
    lanes,
    clock,
    random,
    intervalMs: settings.pollingIntervalMs,
    staleMs: [PATIENCE_MS, settings.staleAfterMs],
    onPoll: report.pollWith({ ...parts, events }),
    onCrash: (error: unknown) => report.crash('poll', error),
  }
  const onChange = () => enqueueOutdated({ catalog, lanes })
  const handlers = { onChange, onFailure: report.onPolicyFailure }
  // A candidate may have waited for hours: nothing is decided on the policy of then.
  await policyFile.reread(handlers)
  return {
    catalog,
    reader: createContentReader(connect, signal),
    lanes,
    async run() {
      await Promise.all([runPoll(poll, signal), policyFile.follow(clock, handlers, signal)])
    },
  }
}

/** Works until `signal` aborts. */
export async function startWork(parts: Parts, office: Office, signal: AbortSignal): Promise<void> {
  const { settings, clock, random, views, versions } = parts
  const { serves, sources } = office
  const queues = createQueues(clock, random, settings.concurrency)
  const tools = assemble(parts, office, queues, signal)
  const resources = resourceLane(tools)
  const workloads = workloadLane(tools)
  const lanes = [resources.lane, workloads.lane]
  parts.queues.add(queues)
  for (const lane of lanes) sources.lanes.add(lane)
  const unsubscribe = subscribe(views, serves, {
    resource: (key, priority) => queues.resources.add(key, { priority }),
    workloads: (key, priority) => queues.workloads.add(key, { priority }),
    debt: (key) => queues.debts.add(key),
    release: (workload) =>
      queues.releases.add(rolloutKey(workload), { priority: workload.deleting ? 0 : 1 }),
    isOwnVersion: (secret) => versions.isKnown(secret),
  })
  try {
    await Promise.all([
      tools.control(queues.resources, resources.reconcile),
      tools.control(queues.workloads, workloads.reconcile),
      ...(settings.dryRun ? [] : restarting(tools)),
    ])
  } finally {
    unsubscribe()
    for (const lane of lanes) sources.lanes.delete(lane)
    parts.queues.delete(queues)
  }
}

function assemble(parts: Parts, office: Office, queues: Queues, signal: AbortSignal): Tools {
  const { settings, clock, report, namespace } = parts
  const { emptyValues, labelsNotCopied, staleAfterMs, restartOnRemap } = settings
  const { sources, ...rest } = office
  return {
    ...parts,
    ...rest,
    queues,
    catalog: sources.catalog,
    reader: sources.reader,
    events: eventWriter(parts, office.rest),
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

function eventWriter({ report }: Parts, rest: KubeRest): EventWriter {
  return createEventWriter(rest, `keyferry-${randomUUID()}`, report.eventFailure)
}

interface WorkedLane {
  readonly lane: Lane
  readonly reconcile: Reconcile
}

/** Claims of resources. */
function resourceLane(tools: Tools): WorkedLane {
  const { views, queues, clock, serves } = tools
  const keys = () =>
    [...views.claims.values()].filter(({ namespace }) => serves(namespace)).map(keyOf)
  return createLane(tools, queues.resources, {
    claims: resourceClaims(views),
    history: createHistory(clock),
    keys,
    remember: (claim) => claim,
  })
}

/** Claims of annotated workloads, among them those that ask for another item under one name. */
function workloadLane(tools: Tools): WorkedLane {
  const { views, queues, settings, events, selector, serves } = tools
  const claims = workloadClaims(views, selector)
  const stores = Object.values(views.workloads)
  const keys = () =>
    stores.flatMap((store) =>
      [...store.values()].flatMap(({ namespace, asks }) =>
        asks && serves(namespace) ? [`${namespace}/${asks.secretName}`] : [],
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
  const { settings, clock, views, versions, report, connect } = tools
  const bindings = createBindings()
  const { claims, history } = source
  const pollMs = settings.pollingIntervalMs
  const intake = createIntake({ ...tools, claims, client: connect, bindings, history, pollMs })
  const sinks: WriteSinks = {
    claim: (claim) => views.claims.observe(claim),
    secret(secret) {
      versions.note(secret)
      views.secrets.observe(secret)
    },
    secretGone: (key, uid) => views.secrets.forget(key, uid),
    remember: source.remember,
  }
  const writer = createWriter({ ...tools, sinks })
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
    closings: queues.closings,
    onFailure: report.restartFailure,
  }
  const debts = {
    ...common,
    digestKey: key,
    enqueue: (name: string, priority: Priority) => queues.resources.add(name, { priority }),
    onGiveUp: report.giveUp,
  }
  const rollouts = createRolloutReconcile({
    ...common,
    pace: createPace(clock, settings.restartsPerMinute * tools.part),
    onRestart: report.restart,
  })
  const releases = createReleaseReconcile({
    ...tools,
    history: tools.workloadHistory,
    serves: ({ labels }) => tools.selector(labels),
    onFailure: report.releaseFailure,
  })
  return [
    tools.control(queues.debts, createDebtReconcile(debts)),
    tools.control(queues.closings, createClosingReconcile(debts)),
    tools.control(queues.rollouts, rollouts),
    tools.control(queues.releases, releases),
  ]
}
