/**
 * Which workloads still owe a restart for a Secret's content, and when the debt can be closed.
 * Pure; the debt itself is on the Secret, so whoever comes after a crash decides the same.
 */
import { AUTO_RESTART, parseBoolean } from '../annotations.ts'
import { type Debt, timestamp } from './debt.ts'
import type { SecretMeta } from './types.ts'
import { templateAnnotation, type Workload } from './workload.ts'

/**
 * A workload created later than this after `since` started with the new content. It covers the
 * 4 s that a write may take and the whole seconds of both timestamps.
 */
const CREATED_SLACK_MS = 5_000
/** Milliseconds for which nobody must owe, with caches that have passed the write. */
const QUIET_MS = 10_000

/** What is wanted when content changes: a restart, nothing, or an Event that says one is due. */
export type OptIn = 'true' | 'false' | 'notify'

/** Defaults for restarts below the levels that a user annotates. */
export interface RestartPolicy {
  /** The operator's own setting, the last level. */
  readonly autoRestart: OptIn
  readonly delayMs: number
}

/** All that a decision about one debt rests on. */
export interface DebtSnapshot {
  readonly secret: SecretMeta
  readonly debt: Debt
  /** Workloads of the namespace whose pods hold the Secret. */
  readonly users: readonly Workload[]
  /** Text of the namespace's auto-restart annotation. */
  readonly namespaceLevel: string | undefined
  readonly policy: RestartPolicy
  /** UIDs of workloads that were patched for this digest before. */
  readonly tried: ReadonlySet<string>
  /** Why the API server refused a patch for this digest, by UID. */
  readonly denied: ReadonlyMap<string, string>
  /** Milliseconds for which this process has known of the debt. */
  readonly openMs: number
  /** Milliseconds since the workload caches passed the write; undefined while they lag. */
  readonly passedMs: number | undefined
}

/** What is to be done about one debt. */
export interface DebtPlan {
  /** Workloads to restart, not before `payAfterMs`. */
  readonly owing: readonly Workload[]
  readonly payAfterMs: number
  /** Workloads that want to be told instead of restarted. */
  readonly notify: readonly Workload[]
  /** Workloads that are not restarted because the text that decides about them makes no sense. */
  readonly unclear: readonly Workload[]
  /** Workloads that cannot be restarted, with the reason: named in the debt from now on. */
  readonly giveUp: readonly { readonly workload: Workload; readonly why: string }[]
  /** Whether the debt is to be taken off the Secret. */
  readonly close: boolean
  /** Milliseconds after which to look again, when nothing else will say so. */
  readonly recheckMs: number | undefined
}

/** Decides about one debt. */
export function planDebt(seen: DebtSnapshot): DebtPlan {
  const { policy, openMs, passedMs } = seen
  const owing: Workload[] = []
  const notify: Workload[] = []
  const unclear: Workload[] = []
  const giveUp: { workload: Workload; why: string }[] = []
  for (const workload of seen.users) {
    if (!isConcerned(seen, workload)) continue
    const wish = optInOf(seen, workload)
    if (wish === 'notify') notify.push(workload)
    if (wish === 'false' && isUnclear(seen, workload)) unclear.push(workload)
    if (wish !== 'true') continue
    const why = hindrance(seen, workload)
    if (why === undefined) owing.push(workload)
    else giveUp.push({ workload, why })
  }
  const payAfterMs = Math.max(0, policy.delayMs - openMs)
  const settled = owing.length === 0 && giveUp.length === 0
  const quiet = passedMs !== undefined && passedMs >= QUIET_MS
  const recheckMs = settled && passedMs !== undefined ? QUIET_MS - passedMs : undefined
  return { owing, payAfterMs, notify, unclear, giveUp, close: settled && quiet, recheckMs }
}

/** What decides whether a workload owes. */
export type Claimed = Pick<DebtSnapshot, 'secret' | 'debt' | 'namespaceLevel' | 'policy'>

/** Whether a workload is to be restarted for this debt. */
export function owes(seen: Claimed, workload: Workload): boolean {
  return isConcerned(seen, workload) && optInOf(seen, workload) === 'true'
}

/** Whether the workload's pods may still run with the content before. */
function isConcerned({ secret, debt }: Claimed, workload: Workload): boolean {
  return (
    !workload.deleting &&
    workload.uses.includes(secret.name) &&
    workload.restartedFor[templateAnnotation(secret.name)] !== debt.digest &&
    Date.parse(workload.createdAt) <= Date.parse(debt.since) + CREATED_SLACK_MS &&
    !debt.gaveUp.includes(workloadName(workload))
  )
}

type Levels = Pick<Claimed, 'secret' | 'namespaceLevel' | 'policy'>

/**
 * The four levels, the first that says anything decides: resource (copied to its Secret), workload,
 * namespace, operator. A text that makes no sense says no.
 */
export function optInOf(seen: Levels, workload: Workload): OptIn {
  const text = decidingText(seen, workload)
  return text ? readOptIn(text) : seen.policy.autoRestart
}

function decidingText({ secret, namespaceLevel }: Levels, workload: Workload): string | undefined {
  return secret.annotations[AUTO_RESTART] || workload.autoRestart || namespaceLevel
}

function isUnclear(seen: Levels, workload: Workload): boolean {
  const text = decidingText(seen, workload)
  return text !== undefined && text !== '' && parseBoolean(text) === undefined
}

/** What a text of the auto-restart annotation means. */
export function readOptIn(text: string): OptIn {
  if (text.toLowerCase() === 'notify') return 'notify'
  return parseBoolean(text) === true ? 'true' : 'false'
}

function hindrance({ tried, denied }: DebtSnapshot, workload: Workload): string | undefined {
  const refusal = denied.get(workload.uid)
  if (refusal !== undefined) return refusal
  if (tried.has(workload.uid)) return 'its pod template was put back after a restart'
  if (workload.controlled && readOptIn(workload.autoRestart ?? '') !== 'true') {
    return 'a controller keeps its pod template, and it is not opted in itself'
  }
  return undefined
}

/** `Kind/name`, as debts and Events name a workload. */
export function workloadName({ kind, name }: Workload): string {
  return `${kind}/${name}`
}

/**
 * The merge patch that restarts a workload for the content of these Secrets: annotations of its
 * template; for a Rollout `restartAt` and annotations of its own, because its template is Argo's.
 *
 * @param now the API server's clock, milliseconds since the epoch
 */
export function restartPatch(
  { kind, resourceVersion }: Workload,
  owed: readonly { readonly secretName: string; readonly digest: string }[],
  now: number,
): unknown {
  const annotations = Object.fromEntries(
    owed.map(({ secretName, digest }) => [templateAnnotation(secretName), digest]),
  )
  if (kind === 'Rollout') {
    return { metadata: { resourceVersion, annotations }, spec: { restartAt: timestamp(now) } }
  }
  return { metadata: { resourceVersion }, spec: { template: { metadata: { annotations } } } }
}
