/**
 * Shadow mode: every decision is made and none is carried out. What would be done goes to the log
 * and to metrics, so that an installation can be watched beside the operator that it is to replace.
 */
import type { SecretValue } from '../connect/secret-value.ts'
import { isKeyferryError } from '../errors.ts'
import type { Reconcile } from '../kube/controller.ts'
import { INCUMBENT_FINALIZER } from './annotations.ts'
import type { Intake } from './intake/snapshot.ts'
import type { Claim } from './item.ts'
import { planSync } from './plan/plan.ts'
import type { Plan, Snapshot } from './plan/types.ts'

/** What would be done about one claim. */
export interface Difference {
  readonly kind: 'none' | 'create' | 'metadata' | 'content' | 'recreate' | 'delete' | 'refuse'
  /** Reason of a refusal. */
  readonly reason?: string
  /** Names of keys; never values. */
  readonly added: readonly string[]
  readonly changed: readonly string[]
  readonly removed: readonly string[]
}

/** @param before what would have been done; undefined at first sight. @param after undefined: gone */
export type OnDifference = (
  key: string,
  before: Difference | undefined,
  after: Difference | undefined,
) => void

const MAX_ROUNDS = 12
/** Milliseconds after which a difference is looked at again: the other operator may be late. */
const RECHECK_MS = 60_000

/** @param onDifference called whenever what would be done about a claim has changed */
export function createShadowReconcile(intake: Intake, onDifference: OnDifference): Reconcile {
  const told = new Map<string, Difference>()
  function tell(key: string, after: Difference | undefined): void {
    const before = told.get(key)
    if (JSON.stringify(before) === JSON.stringify(after)) return
    if (after) told.set(key, after)
    else told.delete(key)
    onDifference(key, before, after)
  }
  return async (key, signal) => {
    const first = intake.observe(key)
    if (first === undefined) {
      tell(key, undefined)
      return { kind: 'forget' }
    }
    const found = await decideUnwritten(intake, first, signal).catch(unlessTold)
    if (found === undefined) return { kind: 'backoff' }
    const { seen, plan } = found
    // Not known yet is not the same as nothing to do.
    if (plan.outcome.kind === 'wait') return { kind: 'after', ms: plan.outcome.afterMs }
    const difference = differenceOf(seen, plan)
    tell(key, difference)
    if (plan.outcome.kind === 'retry') return { kind: 'backoff' }
    return isQuiet(difference) ? { kind: 'forget' } : { kind: 'after', ms: RECHECK_MS }
  }
}

/** A failure of the API server passes: it is asked again. */
function unlessTold(error: unknown): undefined {
  if (!isKeyferryError(error)) throw error
}

/**
 * What would be done about a claim, and what that was decided on. Looks and writes nothing.
 *
 * @returns undefined when looks and decisions circle
 * @throws KeyferryError when the API server fails
 */
export async function decideUnwritten(
  intake: Intake,
  first: Snapshot,
  signal: AbortSignal,
): Promise<{ readonly seen: Snapshot; readonly plan: Plan } | undefined> {
  let seen: Snapshot = { ...first, claim: withoutFinalizer(first.claim) }
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const decision = planSync(seen)
    if (decision.kind === 'act') {
      const { plan } = decision
      // A write would meet what is there: the other operator's Secrets have no label of ours, so no
      // cache has them.
      if (plan.secret === undefined || seen.secret.kind === 'read') return { seen, plan }
    }
    const at = decision.kind === 'look' ? decision.at : 'secret'
    seen = await intake.look(seen, at, signal)
  }
  return undefined
}

/** The incumbent's finalizer would be taken off first of all: what comes after it is the question. */
function withoutFinalizer(claim: Claim): Claim {
  return { ...claim, finalizers: claim.finalizers.filter((one) => one !== INCUMBENT_FINALIZER) }
}

/** Whether nothing would happen that anybody could notice. */
function isQuiet({ kind }: Difference): boolean {
  return kind === 'none' || kind === 'metadata'
}

const NOTHING = { added: [], changed: [], removed: [] }

/** What a plan would change, by names of keys. */
export function differenceOf({ secret: sight }: Snapshot, { secret, fault }: Plan): Difference {
  const live = sight.kind === 'read' ? sight.secret : undefined
  if (secret === undefined) {
    // Whether it is tried again says nothing: a Secret of somebody else is looked at every 5 min.
    return fault === undefined
      ? { kind: 'none', ...NOTHING }
      : { kind: 'refuse', reason: fault.reason, ...NOTHING }
  }
  if (secret.kind === 'delete') return { kind: 'delete', ...NOTHING }
  const keys = keysOf(live?.data ?? new Map(), secret.manifest.data)
  const same = keys.added.length + keys.changed.length + keys.removed.length === 0
  const kind = secret.kind === 'replace' ? (same ? 'metadata' : 'content') : secret.kind
  return { kind, ...keys }
}

function keysOf(
  before: ReadonlyMap<string, SecretValue>,
  after: ReadonlyMap<string, SecretValue>,
): Pick<Difference, 'added' | 'changed' | 'removed'> {
  const equal = (key: string) => {
    const [a, b] = [before.get(key), after.get(key)]
    return a !== undefined && b !== undefined && Buffer.compare(a.reveal(), b.reveal()) === 0
  }
  return {
    added: [...after.keys()].filter((key) => !before.has(key)).toSorted(),
    changed: [...after.keys()].filter((key) => before.has(key) && !equal(key)).toSorted(),
    removed: [...before.keys()].filter((key) => !after.has(key)).toSorted(),
  }
}
