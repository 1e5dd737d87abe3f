/**
 * From a failure to what is told about it and how the run ends.
 */
import type { ErrorCode, KeyferryError } from '../../errors.ts'
import { type Claim, conditionOf, type ItemStatus } from '../item.ts'
import { type Reason, REASONS } from '../reasons.ts'
import { openDebt } from './owed.ts'
import { metaOf } from './ownership.ts'
import { sentenceOf } from './render.ts'
import { statusAfter, type Trouble, type Verdict } from './status.ts'
import type { Decision, EventDraft, Outcome, Plan, SecretWrite, Snapshot } from './types.ts'

const REASON_OF: Partial<Record<ErrorCode, Reason>> = {
  CONNECT_UNREACHABLE: 'ConnectUnreachable',
  CONNECT_TIMEOUT: 'ConnectUnreachable',
  CONNECT_UNAUTHORIZED: 'ConnectUnauthorized',
  CONNECT_FORBIDDEN: 'ConnectForbidden',
  CONNECT_RATE_LIMITED: 'ConnectRateLimited',
  CONNECT_UNAVAILABLE: 'ConnectUnavailable',
  // The list has the item, the item is not found: two replicas that disagree, or a deletion that
  // the next list will confirm.
  CONNECT_NOT_FOUND: 'ConnectUnavailable',
  CONNECT_REFUSED_INPUT: 'ConnectBadAnswer',
  CONNECT_BAD_ANSWER: 'ConnectBadAnswer',
  CONNECT_ANSWER_TOO_LARGE: 'TooLarge',
}

/** Milliseconds after which is looked again for a change that no event tells of. */
export const UNTOLD_RECHECK_MS = 5 * 60_000

/** The reason that stands for an error of Connect or of the API server. */
export function reasonOf({ code }: KeyferryError): Reason {
  return REASON_OF[code] ?? 'KubernetesUnavailable'
}

/** The failure of polling as a whole, if it fails. */
export function outageOf({ outage }: Snapshot): Trouble | undefined {
  if (outage === undefined) return undefined
  return { reason: reasonOf(outage.error), message: sentenceOf(outage.error), ms: outage.ms }
}

/** A plan that writes nothing but the status and an Event. */
export function fail(
  seen: Snapshot,
  reason: Reason,
  message: string,
  outcome: Outcome = outcomeOf(reason),
): Decision {
  const trouble = { reason, message, ms: seen.failingMs }
  const verdict: Verdict = { kind: 'failed', trouble, restarting: isRestartOwed(seen) }
  return { kind: 'act', plan: { ...conclude(seen, verdict), fault: { reason, message }, outcome } }
}

/** Undefined where the Secret that would tell is not there or was not looked at. */
function isRestartOwed(seen: Snapshot): boolean | undefined {
  const meta = metaOf(seen.secret)
  return meta && openDebt(seen, { meta }) !== undefined
}

/** As {@link fail}, for an error. */
export function failWith(seen: Snapshot, error: KeyferryError): Decision {
  const reason = reasonOf(error)
  return fail(seen, reason, sentenceOf(error), outcomeOfError(reason, error))
}

function outcomeOfError(reason: Reason, { code, retryAfterMs }: KeyferryError): Outcome {
  // The item may be too large, or something on the way may have sent without an end.
  if (code === 'CONNECT_ANSWER_TOO_LARGE') return { kind: 'recheck', afterMs: UNTOLD_RECHECK_MS }
  const outcome = outcomeOf(reason)
  if (outcome.kind !== 'retry' || retryAfterMs === undefined) return outcome
  return { ...outcome, afterMs: retryAfterMs }
}

function outcomeOf(reason: Reason): Outcome {
  return REASONS[reason].kind === 'person' ? { kind: 'blocked', reason } : { kind: 'retry', reason }
}

/** A plan that does nothing yet. */
export function later(afterMs: number): Decision {
  return { kind: 'act', plan: { events: [], repair: false, outcome: { kind: 'wait', afterMs } } }
}

/** The plan that tells a verdict, with or without a write of the Secret. */
export function conclude(seen: Snapshot, verdict: Verdict, secret?: SecretWrite): Plan {
  const { claim, policy, now } = seen
  const status = statusAfter(claim, verdict, { now, staleAfterMs: policy.staleAfterMs })
  const changed = status !== claim.status || secret !== undefined
  return {
    ...(secret ? { secret } : {}),
    ...(changed ? { status } : {}),
    events: failureEvents(claim, status, verdict),
    repair: false,
    outcome: { kind: 'settled' },
  }
}

/** A Warning when a reason shows for the first time. */
function failureEvents(claim: Claim, status: ItemStatus, { trouble }: Verdict): EventDraft[] {
  if (trouble === undefined) return []
  const shows = (from: ItemStatus) =>
    ['Ready', 'Stale'].some((type) => conditionOf(from, type)?.reason === trouble.reason)
  if (!shows(status) || shows(claim.status)) return []
  const { remedy } = REASONS[trouble.reason]
  const note = `${trouble.message} ${remedy}`
  return [{ type: 'Warning', reason: trouble.reason, action: 'Sync', note }]
}
