/**
 * Paying restart debts, one run per workload: all that is owed to it in one patch of its template.
 */
import { isKeyferryError } from '../errors.ts'
import { type Clock, sleep } from '../kube/clock.ts'
import type { Reconcile } from '../kube/controller.ts'
import type { Pace } from '../kube/pace.ts'
import type { KeyedQueue, Requeue } from '../kube/queue.ts'
import { keyOf, objectPath } from '../kube/resource.ts'
import type { KubeRest } from '../kube/rest.ts'
import { isConflict, isNotFound, isRefused } from '../kube/status.ts'
import { type DebtMemory, openDebt, parseRolloutKey, regarding } from './debts.ts'
import type { Views } from './intake/views.ts'
import type { Debt } from './plan/debt.ts'
import { owes, type RestartPolicy } from './plan/restarts.ts'
import type { EventDraft, SecretMeta } from './plan/types.ts'
import { parseWorkload, type Workload, WORKLOAD_RESOURCES } from './plan/workload.ts'
import type { EventWriter } from './write/event.ts'
import { patchWorkload } from './write/restart.ts'

/** What rollouts stand on. */
export interface RolloutDeps {
  readonly rest: KubeRest
  readonly views: Views
  readonly clock: Clock
  readonly policy: RestartPolicy
  /** Name of this installation: the debts of others are theirs. */
  readonly instance: string
  readonly memory: DebtMemory
  readonly events: EventWriter
  /** RESTARTS_PER_MINUTE. */
  readonly pace: Pace
  readonly rollouts: KeyedQueue
  readonly debts: KeyedQueue
  readonly onRestart: (workload: Workload, secrets: readonly string[]) => void
  /** Called when a restart could not be made yet. */
  readonly onFailure: (key: string, error: unknown) => void
}

/** Refusals for one content after which a workload counts as one that cannot be restarted. */
const MAX_REFUSALS = 3
/** Milliseconds between two of them: a right that is missing for a moment is no refusal for good. */
const REFUSED_MS = 10_000

interface Owed {
  readonly secret: SecretMeta
  readonly debt: Debt
}

/** Milliseconds after which a workload that moved on is read again: five tries a second at most. */
const CONFLICT_MS = 200
/** Tries on one turn: who writes that often keeps us waiting for the next one. */
const MAX_CONFLICTS = 10

/** Works the queue of rollouts. */
export function createRolloutReconcile(deps: RolloutDeps): Reconcile {
  return async (key, signal) => {
    const { kind, ...name } = parseRolloutKey(key)
    const cached = deps.views.workloads[kind].get(name)
    if (!cached || debtsOf(deps, cached).length === 0) return { kind: 'forget' }
    // Waited for with the key in hand: the others stay in the queue, where namespaces take turns.
    await turn(deps, signal)
    if (signal.aborted) return { kind: 'forget' }
    try {
      return await payNow(deps, cached, signal)
    } catch (error) {
      if (isNotFound(error)) return { kind: 'forget' }
      if (isConflict(error)) return { kind: 'after', ms: CONFLICT_MS }
      if (!isKeyferryError(error) || signal.aborted) throw error
      deps.onFailure(key, error)
      return { kind: 'backoff' }
    }
  }
}

/** Resolves when the pace allows the next rollout, or when `signal` aborts. */
async function turn({ pace, clock }: RolloutDeps, signal: AbortSignal): Promise<void> {
  for (let ms = pace.take(); ms > 0 && !signal.aborted; ms = pace.take()) {
    await sleep(clock, ms, signal)
  }
}

/** Reads the workload and pays what it owes, again when it moves on in between. */
async function payNow(
  deps: RolloutDeps,
  { kind, namespace, name }: Workload,
  signal: AbortSignal,
): Promise<Requeue> {
  const path = objectPath(WORKLOAD_RESOURCES[kind], { namespace, name })
  for (let conflicts = 0; ; conflicts += 1) {
    const workload = parseWorkload(kind, await deps.rest.send({ method: 'GET', path }, signal))
    const owed = debtsOf(deps, workload)
    if (owed.length === 0) return { kind: 'forget' }
    try {
      await pay(deps, workload, owed, signal)
      return { kind: 'forget' }
    } catch (error) {
      // That it may not even be read says nothing of the patch: somebody took the rights away.
      if (isKeyferryError(error) && isRefused(error)) return refused(deps, workload, error.message)
      if (!isConflict(error) || conflicts === MAX_CONFLICTS) throw error
    }
    await sleep(deps.clock, CONFLICT_MS, signal)
  }
}

/**
 * The open debts of the Secrets that the workload uses, as far as it owes them. One that was tried
 * or refused for good is not tried again: the debt's own run says so.
 */
function debtsOf({ views, policy, instance, memory }: RolloutDeps, workload: Workload): Owed[] {
  const { namespace, uses } = workload
  const namespaceLevel = views.namespaces.get({ namespace: '', name: namespace })?.autoRestart
  return uses.flatMap((name) => {
    const secret = views.secrets.get({ namespace, name })
    const debt = secret && openDebt(secret, instance)
    if (!secret || !debt) return []
    const { tried, denied } = memory.of(secret, debt)
    if (tried.has(workload.uid) || denied.has(workload.uid)) return []
    return owes({ secret, debt, namespaceLevel, policy }, workload) ? [{ secret, debt }] : []
  })
}

async function pay(
  { rest, views, memory, events, onRestart }: RolloutDeps,
  workload: Workload,
  owed: readonly Owed[],
  signal: AbortSignal,
): Promise<void> {
  const digests = owed.map(({ secret, debt }) => ({ secretName: secret.name, digest: debt.digest }))
  const after = await patchWorkload(rest, workload, digests, signal)
  for (const { secret, debt } of owed) memory.of(secret, debt).tried.add(workload.uid)
  views.workloads[workload.kind].observe(after)
  const names = digests.map(({ secretName }) => secretName)
  onRestart(after, names)
  const occasion = digests.map(({ digest }) => digest).join()
  await events.emit({ ...regarding(workload), occasion }, restartEvent(after, names), signal)
}

const HELD: Readonly<Record<NonNullable<Workload['held']>, string>> = {
  paused: 'it is paused: the rollout starts when it is resumed',
  OnDelete: 'its update strategy is OnDelete: delete its pods to restart them',
  partition: 'its update strategy has a partition: pods below it keep the old content',
}

function restartEvent({ held }: Workload, secrets: readonly string[]): EventDraft {
  const cause = `for the new content of ${secrets.length > 1 ? 'Secrets' : 'Secret'} ${secrets.join(', ')}`
  const note = held ? `Template marked ${cause}; ${HELD[held]}.` : `Restarted ${cause}.`
  return { type: 'Normal', reason: 'Restarted', action: 'Restart', note }
}

/** After a few refusals the debt no longer waits for this workload. Other failures do not count. */
function refused(deps: RolloutDeps, workload: Workload, why: string): Requeue {
  const { uid } = workload
  for (const { secret, debt } of debtsOf(deps, workload)) {
    const { refusals, denied } = deps.memory.of(secret, debt)
    const count = (refusals.get(uid) ?? 0) + 1
    refusals.set(uid, count)
    if (count < MAX_REFUSALS) continue
    denied.set(uid, `the API server refuses it (${why})`)
    deps.debts.add(keyOf(secret))
  }
  const owes = debtsOf(deps, workload).length > 0
  return owes ? { kind: 'backoff', ms: REFUSED_MS } : { kind: 'forget' }
}
