/**
 * What the status page is told: plain data, which goes over the wire as JSON. Names, states and
 * times; nothing here can hold the value of a field or a token. Times are milliseconds since the
 * epoch.
 */

/** How a resource is, from the worst; the first that applies. */
export const STATES = ['failed', 'pending', 'stale', 'restarting', 'ready'] as const

/** One of {@link STATES}. */
export type State = (typeof STATES)[number]

/** A resource in the table. It names no item: who sees the table need not know their titles. */
export interface Row {
  readonly namespace: string
  readonly name: string
  /** Name of its Secret. */
  readonly secret: string
  readonly state: State
  /** Of the closed list in `src/operator/reasons.ts`. */
  readonly reason: string
  /** Versions of the items whose content is in the Secret. */
  readonly versions: readonly number[]
  readonly created: number
  /** When the content last changed; absent before there was any. */
  readonly changed?: number
}

/** How far the operator is. See `Phase` of `src/operator/run.ts`. */
export type Phase = 'starting' | 'standby' | 'working'

/** How the operator is. */
export interface Health {
  readonly version: string
  /** `<namespace>/<name>` of the installation. */
  readonly installation: string
  readonly pod?: string
  /** Absent: all namespaces. */
  readonly namespaces?: readonly string[]
  /** Whether nothing is written: shadow mode. */
  readonly shadow: boolean
  readonly phase: Phase
  /** Absent where no Lease decides. */
  readonly shards?: { readonly held: number; readonly all: number }
  readonly poll: Poll
  /** Keys that wait for a worker, by queue. */
  readonly waiting: Readonly<Record<string, number>>
  /** The operator's clock: ages are told by it, not by that of whoever looks. */
  readonly now: number
}

/** How Connect was at the last poll. */
export interface Poll {
  readonly everyMs: number
  /** When the last one ended, and how long it took; absent before the first. */
  readonly last?: { readonly at: number; readonly ms: number }
  /** What the last one failed for. `since`: the first of an unbroken series. */
  readonly failure?: { readonly reason: string; readonly message: string; readonly since: number }
}

/** What a reason means and what helps. */
export interface Advice {
  readonly meaning: string
  readonly remedy: string
}

/** The whole table: the first event of each stream. */
export interface Snapshot {
  readonly health: Health
  /** By reason. */
  readonly advice: Readonly<Record<string, Advice>>
  readonly rows: readonly Row[]
}

/** What changed since the event before: the others. */
export interface Change {
  readonly health: Health
  /** Resources that came or changed, or whose {@link Details} did. */
  readonly rows: readonly Row[]
  /** `<namespace>/<name>` of those that went. */
  readonly gone: readonly string[]
}

/** All that is told of one resource. */
export interface Details {
  readonly row: Row
  /** Type of the Secret. */
  readonly type: string
  readonly generation: number
  readonly conditions: readonly ConditionView[]
  readonly keys: readonly KeyView[]
  readonly items: readonly ItemView[]
  readonly secret: SecretView
  readonly workloads: readonly WorkloadView[]
  /** From the youngest, since the operator started. */
  readonly history: readonly Happening[]
}

/** A condition of the resource's status. */
export interface ConditionView {
  readonly type: string
  readonly status: string
  readonly reason: string
  readonly message: string
  readonly since: number
}

/** A key of the Secret, and where it comes from in words of the resource. */
export interface KeyView {
  readonly name: string
  readonly from: string
}

/** An item that the resource draws from, as the resource itself names it. */
export interface ItemView {
  readonly vault: string
  readonly item: string
  /** The version whose content is applied, and when the item says that it expires. */
  readonly version?: number
  readonly expires?: number
}

/** The Secret of a resource. */
export interface SecretView {
  readonly name: string
  /** Whether the operator's cache has it: one of its own. */
  readonly present: boolean
  /** Since when a restart is owed for its content. */
  readonly restartSince?: number
}

/** A workload that uses the Secret. */
export interface WorkloadView {
  readonly kind: string
  readonly name: string
  /** Whether its pods hold the content, or kubelets pull images with it. */
  readonly use: 'content' | 'pull'
  /** What is wanted when the content changes. */
  readonly restarts: 'true' | 'false' | 'notify'
  /** Whether it is still to be restarted for the present content. */
  readonly owes: boolean
}

/** Something that the operator did about a resource, or found. */
export interface Happening {
  readonly at: number
  readonly kind:
    | 'created'
    | 'updated'
    | 'recreated'
    | 'deleted'
    | 'repaired'
    | 'state'
    | 'restarted'
    | 'gave up'
  /** A reason, a workload with what hinders it, or versions of items. */
  readonly detail: string
}
