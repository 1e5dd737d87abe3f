/**
 * Wires the operator: caches fill, an election is won, queues feed workers, one signal ends it all.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { isKeyferryError, KeyferryError } from '../errors.ts'
import { type Clock, sleep, systemClock } from '../kube/clock.ts'
import { type Access, loadAccess } from '../kube/config.ts'
import type { Crd } from '../kube/crd.ts'
import { guardWrites, type Term, winElection } from '../kube/lease.ts'
import { createQueue, type KeyedQueue } from '../kube/queue.ts'
import { keyOf, parseKey } from '../kube/resource.ts'
import { createRest, type KubeRest } from '../kube/rest.ts'
import { parseSelector, type Selector } from '../kube/selector.ts'
import { isForbidden, isNotFound } from '../kube/status.ts'
import type { Settings } from '../settings/settings.ts'
import type { Logger } from '../telemetry/log.ts'
import { createMetrics, type Metrics, type ResourceState } from '../telemetry/metrics.ts'
import { rolloutKey } from './debts.ts'
import { createOwnVersions, type OwnVersions } from './intake/history.ts'
import { PRIORITY, subscribe } from './intake/keys.ts'
import {
  createViews,
  runWatches,
  synced,
  type Views,
  type WatchDeps,
  watchWorkloads,
} from './intake/views.ts'
import { type Claim, conditionOf } from './item.ts'
import { findDigestKey, type KeyLocation, loadDigestKey } from './key.ts'
import { type DigestKey, digestKey } from './plan/digest.ts'
import { WORKLOAD_RESOURCES, type WorkloadKind } from './plan/workload.ts'
import { openPolicyFile, type PolicyFile } from './policy-file.ts'
import { createReporter, type Reporter } from './report.ts'
import { requireSchema } from './schema.ts'
import { createConnect, type Connect } from './connect.ts'
import { startWork } from './work.ts'

/** What the operator is given from outside. */
export interface OperatorInput {
  readonly settings: Settings
  readonly log: Logger
  readonly version: string
  /** PEM of the authorities for the Connect server. */
  readonly connectCa: string | undefined
  /** The CustomResourceDefinition that this program is made for. */
  readonly crd: Crd
}

/**
 * How far the operator is: its caches fill; it waits for the Lease with complete caches; it works,
 * because it holds the Lease or needs none.
 */
export type Phase = 'starting' | 'standby' | 'working'

/** A running operator, as probes and metrics see it. */
export interface Operator {
  readonly metrics: Metrics
  readonly phase: () => Phase
  /** Resolves when the operator has ended; rejects when it had to. */
  readonly ended: Promise<void>
}

/** The queues: what to look at next. */
export interface Queues {
  /** Claims of resources. */
  readonly resources: KeyedQueue
  /** Claims of annotated workloads. */
  readonly workloads: KeyedQueue
  readonly debts: KeyedQueue
  readonly rollouts: KeyedQueue
  readonly releases: KeyedQueue
}

/** Everything that exists from the start. */
export interface Parts extends OperatorInput {
  readonly clock: Clock
  readonly random: () => number
  readonly queues: Queues
  readonly metrics: Metrics
  readonly views: Views
  readonly versions: OwnVersions
  readonly report: Reporter
  readonly connect: Connect
  readonly policyFile: PolicyFile
  /** Which annotated workloads are served; the API server applies it to resources. */
  readonly selector: Selector
  readonly rest: KubeRest
  /** The operator's own namespace. */
  readonly namespace: string
  readonly enter: (phase: Phase) => void
}

/** Back-off of claims: quick at first, at most twelve tries an hour. */
const CLAIM_BACKOFF = { firstMs: 500, maxMs: 300_000 }
const RESTART_BACKOFF = { firstMs: 500, maxMs: 60_000 }
const RESTART_WORKERS = 4
/** Milliseconds between two runs that only tell: a mass of statuses is no reason to hurry. */
const HOUSEKEEPING_MS = 100
const KEY_RETRY_MS = 2_000
/** Milliseconds between two looks whether Argo Rollouts has been installed. */
const ROLLOUTS_MS = 30_000

/** Queues are fair between namespaces. */
const groupOf = (key: string) => parseKey(key).namespace

/**
 * Starts the operator; it runs until `signal` aborts.
 *
 * @throws KeyferryError SETTING_INVALID, KUBE_CONFIG for what can be judged without a request;
 *   CRD_UNFIT comes by `ended`
 */
export async function startOperator(input: OperatorInput, signal: AbortSignal): Promise<Operator> {
  const { settings, log, version } = input
  const [clock, random] = [systemClock, Math.random]
  const queues = createQueues(clock, random, settings.concurrency)
  const views = createViews()
  const metrics = createMetrics({
    waiting: () =>
      Object.fromEntries(Object.entries(queues).map(([name, { waiting }]) => [name, waiting])),
    resources: () => [...views.claims.values()].map(stateOf),
  })
  metrics.pollInterval.set(settings.pollingIntervalMs / 1000)
  for (const kind of Object.keys(WORKLOAD_RESOURCES)) {
    // From zero, so that the first one is an increase.
    metrics.restarts.inc({ kind }, 0)
    metrics.restartsGivenUp.inc({ kind }, 0)
  }
  const access = loadAccess(settings.kubeconfig)
  const report = createReporter(log, metrics)
  const rest = createRest({
    access,
    clock,
    userAgent: `keyferry/${version}`,
    onAnswer: (method, status) => metrics.kubeRequests.inc({ method, status }),
  })
  let phase: Phase = 'starting'
  const enter = (next: Phase) => {
    phase = next
    metrics.leader.set(phase === 'working' ? 1 : 0)
  }
  const parts: Parts = {
    ...input,
    enter,
    clock,
    random,
    queues,
    metrics,
    views,
    report,
    rest: settings.dryRun ? readOnly(rest) : rest,
    versions: createOwnVersions(),
    connect: createConnect(input, { clock, random, metrics, report }),
    policyFile: await openPolicyFile(settings.vaultPolicyFile),
    selector: readSelector(settings),
    namespace: ownNamespace(settings, access),
  }
  return { metrics, phase: () => phase, ended: run(parts, signal) }
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

function createQueues(clock: Clock, random: () => number, concurrency: number): Queues {
  const common = { clock, random, groupOf }
  const priorities = Object.keys(PRIORITY).length
  const ofClaims = { ...common, priorities, workers: concurrency, backoff: CLAIM_BACKOFF }
  const claims = () => createQueue({ ...ofClaims, spacingMs: HOUSEKEEPING_MS })
  const others = (workers: number, levels = 1) =>
    createQueue({ ...common, priorities: levels, workers, backoff: RESTART_BACKOFF })
  return {
    resources: claims(),
    workloads: claims(),
    debts: others(RESTART_WORKERS),
    rollouts: others(RESTART_WORKERS),
    // What is being deleted goes first.
    releases: others(1, 2),
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

async function run(parts: Parts, signal: AbortSignal): Promise<void> {
  const { log, views, queues, rest, versions } = parts
  subscribe(views, {
    resource: (key, priority) => queues.resources.add(key, { priority }),
    workloads: (key, priority) => queues.workloads.add(key, { priority }),
    debt: (key) => queues.debts.add(key),
    release: (workload) =>
      queues.releases.add(rolloutKey(workload), { priority: workload.deleting ? 0 : 1 }),
    isOwnVersion: (secret) => versions.isKnown(secret),
  })
  views.secrets.subscribe((before, after) => {
    if (before && !after) versions.forget(before)
  })
  // Shadow mode writes nothing, so it runs under the definition of the former operator, too.
  if (!parts.settings.dryRun) await requireSchema(parts, signal)
  const watching = watch(parts, await presentKinds(parts, signal), signal)
  await Promise.race([synced(views), watching])
  if (!signal.aborted) {
    log.info({ resources: views.claims.size, secrets: views.secrets.size }, 'caches are complete')
    parts.enter('standby')
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
    await sleep(parts.clock, KEY_RETRY_MS, signal)
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

/** Works while this process holds the Lease, or without one where that is wanted. */
async function workInTerms(parts: Parts, signal: AbortSignal): Promise<void> {
  const { settings, rest, clock, log, namespace, enter } = parts
  if (settings.dryRun) {
    enter('working')
    log.info('shadow mode: nothing is written')
    // Of an installation that already works here: its Secrets are then known by their digests.
    const present = await findDigestKey(rest, keyLocation(parts), signal).catch(() => undefined)
    return startWork(parts, { rest, key: present ?? digestKey(randomBytes(32)) }, signal)
  }
  if (!settings.leaderElection) {
    enter('working')
    return workWithKey(parts, rest, signal)
  }
  const term = await winElection(
    {
      rest,
      clock,
      lease: { namespace, name: settings.instance },
      identity: `${settings.podName ?? 'keyferry'}_${randomUUID()}`,
      onFailure: (error) => log.warn({ error }, 'the Lease cannot be had or renewed'),
    },
    signal,
  )
  if (term === undefined) return
  log.info({ lease: `${namespace}/${settings.instance}` }, 'holds the Lease and begins to work')
  enter('working')
  try {
    await workWithKey(parts, guardWrites(rest, term), term.signal)
  } finally {
    enter('standby')
  }
  if (!signal.aborted) throw endOf(term)
  await term.release()
  log.info('the Lease is released')
}

/** A process that lost its Lease ends: what it knows may be out of date in ways it cannot see. */
function endOf(term: Term): KeyferryError {
  const { reason } = term.signal
  if (isKeyferryError(reason)) return reason
  return new KeyferryError('LEASE_LOST', {
    message: 'the Lease is lost',
    remedy: 'Nothing to do: the process ends and is started again as a candidate.',
    retry: 'soon',
  })
}

async function workWithKey(parts: Parts, rest: KubeRest, signal: AbortSignal): Promise<void> {
  const key = await untilKey(parts, rest, signal)
  if (key) await startWork(parts, { rest, key }, signal)
}

function keyLocation({ settings, namespace }: Parts): KeyLocation {
  return { namespace, name: `${settings.instance}-digest-key` }
}

/** The key, as soon as the API server gives it: an operator waits for its API server. */
async function untilKey(
  parts: Parts,
  rest: KubeRest,
  signal: AbortSignal,
): Promise<DigestKey | undefined> {
  const { log, clock } = parts
  const at = keyLocation(parts)
  while (!signal.aborted) {
    try {
      return await loadDigestKey(rest, at, signal)
    } catch (error) {
      if (signal.aborted) break
      if (!isKeyferryError(error) || error.code === 'INPUT_INVALID') throw error
      log.warn({ error, secret: keyOf(at) }, 'cannot get the digest key yet')
    }
    await sleep(clock, KEY_RETRY_MS, signal)
  }
  return undefined
}
