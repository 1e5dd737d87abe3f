/**
 * Wires the operator: caches fill, an election is won, queues feed workers, one signal ends it all.
 */
import { isKeyferryError, KeyferryError } from '../errors.ts'
import { type Clock, sleep, systemClock } from '../kube/clock.ts'
import { type Access, loadAccess } from '../kube/config.ts'
import type { Crd } from '../kube/crd.ts'
import { createRest, type KubeRest } from '../kube/rest.ts'
import { parseSelector, type Selector } from '../kube/selector.ts'
import { isForbidden, isNotFound } from '../kube/status.ts'
import type { Settings } from '../settings/settings.ts'
import type { Logger } from '../telemetry/log.ts'
import { createMetrics, type Metrics, type ResourceState } from '../telemetry/metrics.ts'
import { createConnect, type Connect } from './connect.ts'
import { createOwnVersions, type OwnVersions } from './intake/history.ts'
import { createRenewal, type Renewal } from './intake/renewal.ts'
import {
  createViews,
  runWatches,
  synced,
  type Views,
  type WatchDeps,
  watchWorkloads,
} from './intake/views.ts'
import { type Claim, conditionOf } from './item.ts'
import { WORKLOAD_RESOURCES, type WorkloadKind } from './plan/workload.ts'
import { openPolicyFile, type PolicyFile } from './policy-file.ts'
import { QUEUES, type Queues } from './queues.ts'
import { createReporter, type Reporter, type Witness } from './report.ts'
import { requireSchema } from './schema.ts'
import { workInTerms } from './terms.ts'

/** What the operator is given from outside. */
export interface OperatorInput {
  readonly settings: Settings
  readonly log: Logger
  readonly version: string
  /** PEM of the authorities for the Connect server. */
  readonly connectCa: string | undefined
  /** The CustomResourceDefinition that this program is made for. */
  readonly crd: Crd
  /** Told of what is done, where somebody wants to know. */
  readonly witness?: Witness | undefined
}

/**
 * How far the operator is: its caches fill; it waits for the Lease with complete caches; it works,
 * because it holds the Lease or needs none.
 */
export type Phase = 'starting' | 'standby' | 'working'

/** A running operator, as probes, metrics and the status page see it. */
export interface Operator {
  readonly metrics: Metrics
  readonly phase: () => Phase
  /** Shards that this process works. */
  readonly shards: () => number
  /** Keys that wait for a worker, by queue. */
  readonly waiting: () => Readonly<Record<string, number>>
  /** The caches that it decides on, and nobody else may fill. */
  readonly views: Views
  /** The operator's own namespace. */
  readonly namespace: string
  /** Resolves when the operator has ended; rejects when it had to. */
  readonly ended: Promise<void>
}

/** Everything that exists from the start. */
export interface Parts extends OperatorInput {
  readonly clock: Clock
  readonly random: () => number
  /** The queues of the terms under way. */
  readonly queues: Set<Queues>
  readonly metrics: Metrics
  readonly views: Views
  readonly versions: OwnVersions
  readonly renewal: Renewal
  readonly report: Reporter
  readonly connect: Connect
  readonly policyFile: PolicyFile
  /** Which annotated workloads are served; the API server applies it to resources. */
  readonly selector: Selector
  readonly rest: KubeRest
  /** The operator's own namespace. */
  readonly namespace: string
  /** Told how many shards this process works; all work is one where it is not divided. */
  readonly holds: (shards: number) => void
}

const API_RETRY_MS = 2_000
/** Milliseconds between two looks whether Argo Rollouts has been installed. */
const ROLLOUTS_MS = 30_000

/**
 * Starts the operator; it runs until `signal` aborts.
 *
 * @throws KeyferryError SETTING_INVALID, KUBE_CONFIG for what can be judged without a request;
 *   CRD_UNFIT comes by `ended`
 */
export async function startOperator(input: OperatorInput, signal: AbortSignal): Promise<Operator> {
  const { settings, log, version } = input
  const [clock, random] = [systemClock, Math.random]
  const queues = new Set<Queues>()
  const views = createViews()
  const metrics = createMetrics({
    waiting: () => waitingIn(queues),
    resources: () => [...views.claims.values()].map(stateOf),
  })
  metrics.pollInterval.set(settings.pollingIntervalMs / 1000)
  for (const kind of Object.keys(WORKLOAD_RESOURCES)) {
    // From zero, so that the first one is an increase.
    metrics.restarts.inc({ kind }, 0)
    metrics.restartsGivenUp.inc({ kind }, 0)
  }
  const access = loadAccess(settings.kubeconfig)
  const report = createReporter(log, metrics, input.witness)
  const rest = createRest({
    access,
    clock,
    userAgent: `keyferry/${version}`,
    onAnswer: (method, status) => metrics.kubeRequests.inc({ method, status }),
  })
  let phase: Phase = 'starting'
  let held = 0
  const holds = (shards: number) => {
    held = shards
    phase = shards > 0 ? 'working' : 'standby'
    metrics.leader.set(shards > 0 ? 1 : 0)
    metrics.shardsHeld.set(shards)
  }
  const parts: Parts = {
    ...input,
    holds,
    clock,
    random,
    queues,
    metrics,
    views,
    report,
    rest: settings.dryRun ? readOnly(rest) : rest,
    versions: createOwnVersions(),
    renewal: createRenewal(clock),
    connect: createConnect(input, { clock, random, metrics, report }),
    policyFile: await openPolicyFile(settings.vaultPolicyFile),
    selector: readSelector(settings),
    namespace: ownNamespace(settings, access),
  }
  return {
    metrics,
    phase: () => phase,
    shards: () => held,
    waiting: () => waitingIn(queues),
    views,
    namespace: parts.namespace,
    ended: runOperator(parts, signal),
  }
}

/** Keys that wait, by queue. */
function waitingIn(all: Iterable<Queues>): Record<string, number> {
  const counts = Object.fromEntries(QUEUES.map((name) => [name, 0]))
  for (const queues of all) {
    for (const name of QUEUES) counts[name] = (counts[name] ?? 0) + queues[name].waiting
  }
  return counts
}

function ownNamespace(settings: Settings, access: Access): string {
  return settings.ownNamespace ?? access.namespace
}

/** @throws KeyferryError SETTING_INVALID: a watch with it would fail for ever */
function readSelector({ itemSelector }: Settings): Selector {
  try {
    return parseSelector(itemSelector)
  } catch (cause) {
    if (!isKeyferryError(cause)) throw cause
    const { message, remedy } = cause
    const text = `ITEM_SELECTOR cannot be used: ${message}`
    throw new KeyferryError('SETTING_INVALID', { message: text, remedy, retry: 'on-change', cause })
  }
}

/** What metrics tell of a resource. */
function stateOf({ namespace, name, status }: Claim): ResourceState {
  const ready = conditionOf(status, 'Ready')
  const others = status.conditions.filter((one) => one !== ready && one.status === 'True')
  const times = (status.items ?? []).flatMap(({ expires }) =>
    expires === undefined ? [] : [Date.parse(expires) / 1000],
  )
  return {
    namespace,
    name,
    ready: ready?.status ?? 'Unknown',
    reason: ready?.reason ?? '',
    conditions: others.map(({ type }) => type),
    expires: times.length === 0 ? undefined : Math.min(...times),
  }
}

/** A second net below shadow mode: not even a mistake can write. */
function readOnly(rest: KubeRest): KubeRest {
  return {
    ...rest,
    send(request, signal) {
      if (request.method === 'GET') return rest.send(request, signal)
      throw new Error(`shadow mode must not ${request.method} ${request.path}`)
    },
  }
}

/**
 * Runs the operator on parts that are there already, whatever their clock and their servers are.
 *
 * @throws KeyferryError CRD_UNFIT, LEASE_LOST
 */
export async function runOperator(parts: Parts, signal: AbortSignal): Promise<void> {
  const { log, views, rest, versions } = parts
  views.secrets.subscribe((before, after) => {
    if (before && !after) versions.forget(before)
  })
  // Shadow mode writes nothing, so it runs under the definition of the former operator, too.
  if (!parts.settings.dryRun) await requireSchema(parts, signal)
  const watching = watch(parts, await presentKinds(parts, signal), signal)
  await Promise.race([synced(views), watching])
  if (!signal.aborted) {
    log.info({ resources: views.claims.size, secrets: views.secrets.size }, 'caches are complete')
    parts.holds(0)
    await workInTerms(parts, signal)
  }
  await watching
  await rest.close()
}

async function watch(
  parts: Parts,
  kinds: readonly WorkloadKind[],
  signal: AbortSignal,
): Promise<void> {
  const { settings, log, views } = parts
  const deps: WatchDeps = {
    ...parts,
    kinds,
    namespaces: settings.watchNamespaces,
    selector: settings.itemSelector,
    onFailure: (kind: string, error: unknown, waitMs: number) =>
      log.warn({ kind, error, waitMs: Math.round(waitMs) }, 'watch interrupted'),
  }
  const later = kinds.includes('Rollout') ? undefined : watchRolloutsLater(parts, deps, signal)
  await Promise.all([runWatches(views, deps, signal), later])
}

/** Kinds of workloads that the API server knows. */
async function presentKinds(parts: Parts, signal: AbortSignal): Promise<WorkloadKind[]> {
  const kinds = Object.keys(WORKLOAD_RESOURCES) as WorkloadKind[]
  while (!signal.aborted) {
    try {
      const rollouts = await hasRollouts(parts, signal)
      return rollouts ? kinds : kinds.filter((kind) => kind !== 'Rollout')
    } catch (error) {
      if (!signal.aborted) parts.log.warn({ error }, 'the API server cannot be asked yet')
    }
    await sleep(parts.clock, API_RETRY_MS, signal)
  }
  return []
}

/** Whether Argo Rollouts is installed; its API group is Argo CD's too, so the group says nothing. */
async function hasRollouts({ rest }: Parts, signal: AbortSignal): Promise<boolean> {
  const { group, version, plural } = WORKLOAD_RESOURCES.Rollout
  try {
    const path = `/apis/${group}/${version}`
    const { resources = [] } = (await rest.send({ method: 'GET', path }, signal)) as {
      readonly resources?: readonly { readonly name: string }[]
    }
    return resources.some(({ name }) => name === plural)
  } catch (error) {
    if (isNotFound(error) || isForbidden(error)) return false
    throw error
  }
}

/** Argo Rollouts may be installed after Keyferry: its workloads must not miss their restarts. */
async function watchRolloutsLater(
  parts: Parts,
  deps: WatchDeps,
  signal: AbortSignal,
): Promise<void> {
  const { views, clock, log } = parts
  let present = false
  while (!present && !signal.aborted) {
    await sleep(clock, ROLLOUTS_MS, signal)
    present = await hasRollouts(parts, signal).catch(() => false)
  }
  if (signal.aborted) return
  log.info('Argo Rollouts is there by now')
  await watchWorkloads(views, 'Rollout', deps, signal)
}
