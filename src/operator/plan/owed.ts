/**
 * Which restart is owed once content is written.
 */
import { DIGEST, RESTART } from '../annotations.ts'
import { conditionOf } from '../item.ts'
import { type Debt, parseDebt, timestamp } from './debt.ts'
import { keyIdOf } from './digest.ts'
import type { SecretMeta, Snapshot } from './types.ts'

/** What is in the Secret now, as far as debts go. */
interface PresentContent {
  readonly meta: SecretMeta
  readonly digest: string
}

/**
 * The debt that the Secret is to carry once the content with `digest` is written. None for a first
 * creation, for content that was written before, and for a change that is our own doing.
 */
export function debtAfter(
  seen: Snapshot,
  present: PresentContent | undefined,
  change: Change,
): Debt | undefined {
  const { digest, ownDoing, sameData } = change
  const open = openDebt(seen, present)
  const counts = !sameData && (!ownDoing || seen.policy.restartOnRemap)
  if (counts && isChanged(seen, present, digest)) {
    return { digest, since: timestamp(seen.now), gaveUp: [] }
  }
  return open && { ...open, digest }
}

/** What is about to be written. */
interface Change {
  readonly digest: string
  /** Whether only rules and settings of this program have changed since the last write. */
  readonly ownDoing: boolean
  /** Whether the Secret holds these keys and values already, under another type. */
  readonly sameData: boolean
}

/** What the status says was written last; another Secret's content when the name has changed. */
function digestBefore({ claim }: Snapshot): string | undefined {
  const { digest, secretName } = claim.status
  return secretName === claim.spec.secretName ? digest : undefined
}

/**
 * The debt on the Secret, or the one that it lost: with the Secret itself, or because somebody else
 * took the annotation off, which only we may.
 */
export function openDebt(
  seen: Snapshot,
  present: Pick<PresentContent, 'meta'> | undefined,
): Debt | undefined {
  const debt = parseDebt(present?.meta.annotations[RESTART])
  const { claim, now, secret } = seen
  if (debt || (present && secret.verified !== false)) return debt
  const digest = digestBefore(seen)
  const owed = conditionOf(claim.status, 'Restarting')?.status === 'True'
  return owed && digest ? { digest, since: timestamp(now), gaveUp: [] } : undefined
}

/**
 * Whether pods may run with other content than that with `digest`: other than what the Secret's
 * annotation says was written last, or the status, or (at take-over) what the Secret holds.
 */
function isChanged(seen: Snapshot, present: PresentContent | undefined, digest: string): boolean {
  const before = digestBefore(seen)
  const ofThisKey = (one: string | undefined) => keyIdOf(one) === seen.policy.digestKey.id
  const marked = [present?.meta.annotations[DIGEST], before].find(ofThisKey)
  if (marked !== undefined) return marked !== digest
  // Nothing comparable is recorded: the Secret itself tells, and where it is gone too, a status
  // that speaks of some content makes it likely enough that pods run with it.
  return present ? present.digest !== digest : before !== undefined
}
