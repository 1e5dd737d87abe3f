/**
 * Shadow mode: every decision is made and none is carried out. What would be done goes to the log
 * and to metrics, so that an installation can be watched beside the operator that it is to replace.
 */
import type { SecretValue } from '../connect/secret-value.ts'
import { isKeyferryError } from '../errors.ts'
import type { Reconcile } from '../kube/controller.ts'
import type { Intake } from './intake/snapshot.ts'
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

const MAX_ROUNDS = 12

/** @param onDifference called whenever what would be done about a claim has changed */
export function createShadowReconcile(
  intake: Intake,
  onDifference: (key: string, difference: Difference) => void,
): Reconcile {
  const told = new Map<string, string>()
  return async (key, signal) => {
    let seen = intake.observe(key)
    if (seen === undefined) {
      told.delete(key)
      return { kind: 'forget' }
    }
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const decision = planSync(seen)
      if (decision.kind === 'act') {
        const difference = differenceOf(
          await lookBefore(intake, seen, decision.plan, signal),
          decision.plan,
        )
        const text = JSON.stringify(difference)
        if (told.get(key) !== text) onDifference(key, difference)
        told.set(key, text)
        const { outcome } = decision.plan
        return outcome.kind === 'retry' ? { kind: 'backoff' } : { kind: 'forget' }
      }
      seen = await intake.look(seen, decision.at, signal)
    }
    return { kind: 'backoff' }
  }
}

/** A creation may meet a Secret that exists without our label: the real write would find out. */
async function lookBefore(
  intake: Intake,
  seen: Snapshot,
  plan: Plan,
  signal: AbortSignal,
): Promise<Snapshot> {
  if (!plan.secret || seen.secret.kind === 'read') return seen
  try {
    return await intake.look(seen, 'secret', signal)
  } catch (error) {
    if (isKeyferryError(error)) return seen
    throw error
  }
}

const NOTHING = { added: [], changed: [], removed: [] }

/** What a plan would change, by names of keys. */
export function differenceOf(seen: Snapshot, plan: Plan): Difference {
  const { secret, outcome } = plan
  const live = seen.secret.kind === 'read' ? seen.secret.secret : undefined
  if (secret === undefined) {
    return outcome.kind === 'blocked' || outcome.kind === 'retry'
      ? { kind: 'refuse', reason: outcome.reason, ...NOTHING }
      : { kind: 'none', ...NOTHING }
  }
  if (secret.kind === 'delete') return { kind: 'delete', ...NOTHING }
  if (secret.kind === 'create' && live) {
    // It exists: whose it is decides, which a second look with it in sight says.
    const again = planSync(seen)
    return again.kind === 'act' ? differenceOf(seen, again.plan) : { kind: 'none', ...NOTHING }
  }
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
