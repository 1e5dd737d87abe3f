/**
 * Restart debts, one run per Secret that owes: who is to be restarted, who cannot be, and when the
 * debt is closed. The debt is on the Secret; what is remembered here only spares repetition.
 */
import { isKeyferryError } from '../errors.ts'
import type { Clock } from '../kube/clock.ts'
import type { Reconcile } from '../kube/controller.ts'
import type { KeyedQueue, Requeue } from '../kube/queue.ts'
import { apiVersionOf, compareVersions, keyOf, parseKey } from '../kube/resource.ts'
import type { KubeRest } from '../kube/rest.ts'
import { isConflict, isNotFound } from '../kube/status.ts'
import { AUTO_RESTART, INSTANCE, RESTART } from './annotations.ts'
import type { OwnVersions } from './intake/history.ts'
import { PRIORITY, type Priority } from './intake/keys.ts'
import { BY_SECRET, usersOf, type Views, workloadProgress } from './intake/views.ts'
import { type Debt, parseDebt } from './plan/debt.ts'
import { contentDigest, type DigestKey } from './plan/digest.ts'
import {
  type DebtPlan,
  type DebtSnapshot,
  planDebt,
  type RestartPolicy,
  workloadName,
} from './plan/restarts.ts'
import type { EventDraft, SecretMeta } from './plan/types.ts'
import { type Workload, type WorkloadKind, WORKLOAD_RESOURCES } from './plan/workload.ts'
import type { EventWriter } from './write/event.ts'
import { writeDebt } from './write/restart.ts'

/** What is remembered of the attempts to pay a debt. */
export interface Attempts {
  /** UIDs of workloads whose template was patched for this digest. */
  readonly tried: Set<string>
  /** How often a patch was refused, by UID. */
  readonly refusals: Map<string, number>
  /** Why a patch is refused for good, by UID. */
  readonly denied: Map<string, string>
  /** UIDs of workloads that were told that a restart is due. */
  readonly told: Set<string>
}

/** What debts stand on. */
export interface DebtDeps {
  readonly rest: KubeRest
  readonly views: Views
  readonly clock: Clock
  readonly policy: RestartPolicy
  /** Name of this installation: the debts of others are theirs. */
  readonly instance: string
  readonly digestKey: DigestKey
  readonly versions: OwnVersions
  readonly events: EventWriter
  readonly memory: DebtMemory
  readonly debts: KeyedQueue
  readonly closings: KeyedQueue
  readonly rollouts: KeyedQueue
  /** For the claim of a Secret whose debt was closed. */
  readonly enqueue: (claimKey: string, priority: Priority) => void
  readonly onGiveUp: (workload: Workload, why: string, secret: string) => void
  /** Called when a debt could not be written yet. */
  readonly onFailure: (key: string, error: unknown) => void
}

/** Milliseconds between looks at a debt that waits for the caches to pass its write. */
const PASSING_MS = 5_000
/** Milliseconds after which a debt is looked at again, whatever events said. */
const OPEN_MS = 30_000
/** Milliseconds after which a Secret that moved on is looked at again. */
const CONFLICT_MS = 200

/** Works the queue of debts. */
export function createDebtReconcile(deps: DebtDeps): Reconcile {
  return async (key, signal) => {
    const seen = observe(deps, key)
    if (seen === undefined) return { kind: 'forget' }
    const plan = planDebt(seen)
    for (const workload of plan.owing) {
      deps.rollouts.add(rolloutKey(workload), { afterMs: plan.payAfterMs })
    }
    return attempt(deps, key, signal, async () => {
      await notify(deps, seen, plan, signal)
      if (plan.giveUp.length > 0) return await giveUp(deps, seen, plan, signal)
      if (!plan.close) return { kind: 'after', ms: waitMs(seen, plan) }
      deps.closings.add(key)
      return { kind: 'forget' }
    })
  }
}

/** Works the queue of closings: debts that nobody owes any more, unless that changed meanwhile. */
export function createClosingReconcile(deps: DebtDeps): Reconcile {
  return async (key, signal) => {
    const seen = observe(deps, key)
    if (seen === undefined) return { kind: 'forget' }
    if (planDebt(seen).close) return attempt(deps, key, signal, () => close(deps, seen, signal))
    deps.debts.add(key)
    return { kind: 'forget' }
  }
}

async function attempt(
  { onFailure }: DebtDeps,
  key: string,
  signal: AbortSignal,
  step: () => Promise<Requeue>,
): Promise<Requeue> {
  try {
    return await step()
  } catch (error) {
    if (isNotFound(error)) return { kind: 'forget' }
    if (isConflict(error)) return { kind: 'after', ms: CONFLICT_MS }
    if (!isKeyferryError(error) || signal.aborted) throw error
    onFailure(key, error)
    return { kind: 'backoff' }
  }
}

function waitMs({ passedMs }: DebtSnapshot, { recheckMs, owing }: DebtPlan): number {
  if (recheckMs !== undefined) return recheckMs
  return passedMs === undefined && owing.length === 0 ? PASSING_MS : OPEN_MS
}

function observe(deps: DebtDeps, key: string): DebtSnapshot | undefined {
  const { views, memory, clock, policy, instance } = deps
  const secret = views.secrets.get(parseKey(key))
  const debt = secret && openDebt(secret, instance)
  if (!secret || !debt) {
    memory.drop(key)
    return undefined
  }
  const known = memory.of(secret, debt)
  if (compareVersions(workloadProgress(views), known.version) >= 0) known.passedAt ??= clock.now()
  const namespace = views.namespaces.get({ namespace: '', name: secret.namespace })
  return {
    secret,
    debt,
    users: usersOf(views, key),
    namespaceLevel: namespace?.autoRestart,
    policy,
    tried: known.tried,
    denied: known.denied,
    openMs: clock.now() - known.openedAt,
    passedMs: known.passedAt === undefined ? undefined : clock.now() - known.passedAt,
  }
}

/** The debt on a Secret of ours; undefined without one. */
export function openDebt({ annotations }: SecretMeta, instance: string): Debt | undefined {
  return annotations[INSTANCE] === instance ? parseDebt(annotations[RESTART]) : undefined
}

/** Tells, once for each content, of restarts that are due and that nobody asked us to make. */
async function notify(
  { memory, events }: DebtDeps,
  { secret, debt }: DebtSnapshot,
  plan: DebtPlan,
  signal: AbortSignal,
): Promise<void> {
  const { told } = memory.of(secret, debt)
  const tell = async (workload: Workload, draft: EventDraft) => {
    if (told.has(workload.uid)) return
    told.add(workload.uid)
    await events.emit({ ...regarding(workload), occasion: debt.digest }, draft, signal)
  }
  const due = `Secret ${secret.name} has new content`
  for (const workload of plan.notify) {
    const note = `${due}; restart to use it.`
    await tell(workload, { type: 'Normal', reason: 'RestartDue', action: 'Notify', note })
  }
  for (const workload of plan.unclear) {
    const note = `${due}; not restarted, because ${AUTO_RESTART} is neither true, false nor notify.`
    await tell(workload, { type: 'Warning', reason: 'RestartUnclear', action: 'Notify', note })
  }
}

/** A workload as the subject of an Event. */
export function regarding(workload: Workload) {
  const { namespace, name, uid, kind } = workload
  return { apiVersion: apiVersionOf(WORKLOAD_RESOURCES[kind]), kind, namespace, name, uid }
}

/** Names workloads in the debt that cannot be restarted, so that they no longer hold it open. */
async function giveUp(
  { rest, views, events, onGiveUp }: DebtDeps,
  { secret, debt }: DebtSnapshot,
  { giveUp: hopeless }: DebtPlan,
  signal: AbortSignal,
): Promise<Requeue> {
  const names = hopeless.map(({ workload }) => workloadName(workload))
  const after: Debt = { ...debt, gaveUp: [...debt.gaveUp, ...names] }
  const written = await writeDebt(rest, secret, { before: debt, after }, signal)
  // The Secret has moved on, and the cache is about to say so: nothing is told of what it was.
  if (written === undefined) return { kind: 'after', ms: PASSING_MS }
  views.secrets.observe(written.meta)
  for (const { workload, why } of hopeless) {
    onGiveUp(workload, why, secret.name)
    const note = `Not restarted for the new content of Secret ${secret.name}: ${why}.`
    await events.emit(
      { ...regarding(workload), occasion: debt.digest },
      { type: 'Warning', reason: 'RestartNotPossible', action: 'Restart', note },
      signal,
    )
  }
  return { kind: 'after', ms: 0 }
}

async function close(
  { rest, views, versions, digestKey, enqueue }: DebtDeps,
  { secret, debt }: DebtSnapshot,
  signal: AbortSignal,
): Promise<Requeue> {
  const written = await writeDebt(rest, secret, { before: debt, after: undefined }, signal)
  if (written === undefined) return { kind: 'forget' }
  const { live, meta } = written
  if (contentDigest(digestKey, live) === debt.digest) {
    versions.note(meta)
  }
  views.secrets.observe(meta)
  // The status still says that a restart is owed.
  for (const claim of views.claims.find(BY_SECRET, keyOf(meta))) {
    enqueue(keyOf(claim), PRIORITY.housekeeping)
  }
  return { kind: 'forget' }
}

/** What this process remembers of each open debt. */
export interface DebtMemory {
  of(secret: SecretMeta, debt: Debt): Known
  drop(secretKey: string): void
}

interface Known extends Attempts {
  readonly digest: string
  readonly since: string
  /** Version of the Secret when the debt was first seen: caches must pass it. */
  readonly version: string
  readonly openedAt: number
  passedAt: number | undefined
}

/** Nothing remembered yet. */
export function createDebtMemory(clock: Clock): DebtMemory {
  const debts = new Map<string, Known>()
  return {
    of(secret, { digest, since }) {
      const key = keyOf(secret)
      const known = debts.get(key)
      // The same content may come twice: after a cluster was restored from a backup.
      if (known?.digest === digest && known.since === since) return known
      const fresh: Known = {
        digest,
        since,
        version: secret.resourceVersion,
        openedAt: clock.now(),
        passedAt: undefined,
        tried: new Set(),
        refusals: new Map(),
        denied: new Map(),
        told: new Set(),
      }
      debts.set(key, fresh)
      return fresh
    },
    drop(secretKey) {
      debts.delete(secretKey)
    },
  }
}

/** Key of a workload in the queue of rollouts. */
export function rolloutKey({ kind, namespace, name }: Workload): string {
  return `${namespace}/${kind}/${name}`
}

/** The reverse of {@link rolloutKey}. */
export function parseRolloutKey(key: string) {
  const [namespace = '', kind, name = ''] = key.split('/')
  return { kind: kind as WorkloadKind, namespace, name }
}
