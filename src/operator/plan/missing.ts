/**
 * The item is gone. Usually everything is kept; where the resource says so, the Secret goes once the
 * absence is beyond doubt: lists that hold the vault and not the item, and a 404, all twice, a poll
 * apart. A vault that is not there is an outage or a lost right, never a missing item.
 */
import { type AppliedItem, type Claim, conditionOf } from '../item.ts'
import { isMarkedFor, metaOf } from './ownership.ts'
import { withoutContent } from './status.ts'
import { fail } from './trouble.ts'
import type { Decision, Outcome, Snapshot } from './types.ts'

/** How often the absence must be confirmed. */
const CONFIRMATIONS = 2
/** Milliseconds after which an absence that is not confirmed yet is looked at again. */
const RECHECK_MS = 10_000

/** @param path of the item, as the resource names it */
export function planMissing(seen: Snapshot, path: string, message: string): Decision {
  const { claim, secret, policy } = seen
  const meta = metaOf(secret)
  const owned =
    meta?.ownerReferences.some(({ uid }) => uid === claim.uid) ||
    (meta && isMarkedFor(meta, claim, policy.digestKey))
  // Whoever deleted the Secret may have died before telling so.
  const untold = !meta && claim.status.digest !== undefined
  const mayGo = claim.spec.onItemMissing !== 'Keep' && (owned || untold)
  const withDeletion = `${message} The Secret was deleted.`
  if (!mayGo || path !== wholeItem(claim)?.path) {
    // What was told of it stays told.
    const isTold = !meta && conditionOf(claim.status, 'Ready')?.message === withDeletion
    return fail(seen, 'ItemNotFound', isTold ? withDeletion : message)
  }
  if (seen.absences === undefined) return { kind: 'look', at: 'absence' }
  if (seen.absences < CONFIRMATIONS) {
    const outcome: Outcome = { kind: 'recheck', afterMs: RECHECK_MS }
    return fail(seen, 'ItemNotFound', message, outcome)
  }
  // That the cache lacks it proves nothing.
  if (!meta && secret.kind === 'cached') return { kind: 'look', at: 'secret' }
  const decision = fail(seen, 'ItemNotFound', withDeletion)
  if (decision.kind !== 'act') return decision
  const status = withoutContent(decision.plan.status ?? claim.status)
  if (!meta) return { kind: 'act', plan: { ...decision.plan, status } }
  const { namespace, name, uid, resourceVersion } = meta
  const from = { namespace, name, uid, resourceVersion }
  return { kind: 'act', plan: { ...decision.plan, status, secret: { kind: 'delete', from } } }
}

/**
 * The item that gives the Secret as a whole, and alone can take it along: that of `itemPath`, or
 * the only one. Undefined where there is none, or where its content is not applied.
 */
export function wholeItem({ spec, status }: Claim): AppliedItem | undefined {
  const { items = [] } = status
  if (spec.itemPath !== '') return items.find(({ path }) => path === spec.itemPath)
  return items.length === 1 ? items[0] : undefined
}
