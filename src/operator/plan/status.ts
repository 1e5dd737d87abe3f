/**
 * What the resource's status says. Ready keeps the contract that Argo CD has for this kind;
 * Reconciling and Stalled are kstatus' conditions, there only while they are True.
 * Source: cli-utils `kstatus` README; argo-cd `onepassword.com/OnePasswordItem/health.lua`.
 */
import { REFRESH } from '../annotations.ts'
import { type Claim, type Condition, conditionOf, type ItemStatus } from '../item.ts'
import { type EventReason, type Reason, REASONS } from '../reasons.ts'
import { timestamp } from './debt.ts'
import { isEqual } from './equal.ts'

/** Milliseconds for which a cause that may pass is given the chance to. */
export const PATIENCE_MS = 120_000

/** Facts of the content that is in the Secret. */
export type Applied = Required<
  Pick<ItemStatus, 'secretName' | 'digest' | 'mapping' | 'items' | 'keys'>
>

/** The status of a claim whose Secret was deleted. */
export function withoutContent(status: ItemStatus): ItemStatus {
  const { observedGeneration, conditions } = status
  return { observedGeneration, conditions }
}

/** What a run found out. */
export type Verdict =
  | {
      readonly kind: 'synced'
      readonly reason: 'Synced' | 'Frozen'
      readonly applied: Applied
      /** Undefined: as written in this run. */
      readonly secretResourceVersion: string | undefined
      readonly message: string
      /** Whether a restart is owed for the content. */
      readonly restarting: boolean
      readonly trouble: Trouble | undefined
    }
  /** Nothing was written; what is in the Secret stays. */
  | {
      readonly kind: 'failed'
      readonly trouble: Trouble
      /** Whether a restart is owed; undefined: as the status says. */
      readonly restarting: boolean | undefined
    }

/** Why the content could not be looked at or written. */
export interface Trouble {
  readonly reason: Reason
  readonly message: string
  /** Milliseconds for which this has lasted. */
  readonly ms: number
}

/** What the clock and settings contribute. */
export interface StatusContext {
  readonly now: number
  readonly staleAfterMs: number
}

/** The status after a run; the same object as before when nothing would change. */
export function statusAfter(claim: Claim, verdict: Verdict, context: StatusContext): ItemStatus {
  const { status: before, generation } = claim
  const { refresh, ...lasting } = before
  const next: ItemStatus = {
    ...lasting,
    // Kept while a request may still wait for its answer; `appliedMembers` notes the answer.
    ...(verdict.kind === 'failed' && refresh ? { refresh } : {}),
    ...(verdict.kind === 'synced' ? appliedMembers(claim, verdict, context) : {}),
    observedGeneration: generation,
    conditions: conditionsAfter(claim, verdict, context),
  }
  return isEqual(before, next) ? before : next
}

/** A status for the time until the first attempt has ended. */
export function interimStatus(claim: Claim, context: StatusContext): ItemStatus {
  const trouble = { reason: 'Progressing', message: REASONS.Progressing.meaning, ms: 0 } as const
  return statusAfter(claim, { kind: 'failed', trouble, restarting: undefined }, context)
}

/** Whether the content in the Secret is that of the claim's present generation. */
export function isApplied({ status, generation }: Claim): boolean {
  return status.appliedGeneration === generation
}

function appliedMembers(
  { status: before, generation, annotations }: Claim,
  { applied, secretResourceVersion }: Extract<Verdict, { kind: 'synced' }>,
  { now }: StatusContext,
): Partial<ItemStatus> {
  const changed = before.digest !== applied.digest || before.lastSyncTime === undefined
  const version = secretResourceVersion ?? before.secretResourceVersion
  return {
    ...applied,
    appliedGeneration: generation,
    ...(version === undefined ? {} : { secretResourceVersion: version }),
    ...(annotations[REFRESH] ? { refresh: annotations[REFRESH] } : {}),
    ...(changed ? { lastSyncTime: timestamp(now) } : {}),
  }
}

function conditionsAfter(claim: Claim, verdict: Verdict, context: StatusContext): Condition[] {
  const wanted: Wanted[] = [ready(claim, verdict, context)]
  if (wanted[0]?.status === 'Unknown')
    wanted.push({ ...wanted[0], type: 'Reconciling', status: 'True' })
  const { trouble } = verdict
  if (verdict.kind === 'failed' && REASONS[verdict.trouble.reason].kind === 'person') {
    wanted.push({ ...told(verdict.trouble), type: 'Stalled', status: 'True' })
  } else if (trouble && isStale(claim, verdict, trouble)) {
    wanted.push({ ...told(trouble), type: 'Stale', status: 'True' })
  }
  if (isRestarting(claim, verdict)) {
    const message = 'Workloads that use the Secret are being restarted for its new content.'
    const reason: EventReason = 'RestartOwed'
    wanted.push({ type: 'Restarting', status: 'True', reason, message })
  }
  return wanted.map((condition) => dated(claim, condition, context))
}

interface Wanted {
  readonly type: string
  readonly status: Condition['status']
  readonly reason: string
  readonly message: string
}

function ready(claim: Claim, verdict: Verdict, { staleAfterMs }: StatusContext): Wanted {
  const type = 'Ready'
  const { trouble } = verdict
  const synced: Wanted =
    verdict.kind === 'synced'
      ? { type, status: 'True', reason: verdict.reason, message: verdict.message }
      : { ...lastGood(claim), type }
  if (trouble === undefined) return synced
  const failed: Wanted = { ...told(trouble), type, status: 'False' }
  const { kind } = REASONS[trouble.reason]
  if (kind === 'damaged') return failed
  const patient = kind === 'passes'
  if (verdict.kind === 'synced' || isApplied(claim)) {
    return patient && trouble.ms < staleAfterMs ? synced : failed
  }
  return patient && trouble.ms < PATIENCE_MS ? { ...failed, status: 'Unknown' } : failed
}

/** Ready as it was while the content was last looked at. */
function lastGood({ status }: Claim): Omit<Wanted, 'type'> {
  const before = conditionOf(status, 'Ready')
  const fine = before?.status === 'True'
  const message = fine ? (before.message ?? '') : REASONS.Synced.meaning
  return { status: 'True', reason: (fine && before.reason) || 'Synced', message }
}

function told({ reason, message }: Trouble): { reason: string; message: string } {
  return { reason, message }
}

function isStale(claim: Claim, verdict: Verdict, { ms }: Trouble): boolean {
  return (verdict.kind === 'synced' || isApplied(claim)) && ms >= PATIENCE_MS
}

function isRestarting({ status }: Claim, verdict: Verdict): boolean {
  return verdict.restarting ?? conditionOf(status, 'Restarting')?.status === 'True'
}

/** With the time of the last change of its status, which a mere change of message keeps. */
function dated({ status, generation }: Claim, wanted: Wanted, { now }: StatusContext): Condition {
  const before = conditionOf(status, wanted.type)
  const kept = before?.status === wanted.status ? before.lastTransitionTime : undefined
  return {
    ...wanted,
    message: printable(wanted.message),
    observedGeneration: generation,
    lastTransitionTime: kept ?? timestamp(now),
  }
}

const MAX_MESSAGE = 4_096
// oxlint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

/**
 * Labels and titles as people may read them. What JSON cannot carry would come back changed, and the
 * status would never be what was written.
 */
function printable(message: string): string {
  return message.slice(0, MAX_MESSAGE).toWellFormed().replaceAll(UNPRINTABLE, '\uFFFD')
}
