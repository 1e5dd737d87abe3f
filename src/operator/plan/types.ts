/**
 * The two ends of the plan stage: what is known (a Snapshot) and what is to be done (a Plan).
 * Both are plain data, so that a stage can be printed, tested and replayed.
 */
import type { ItemHead } from '../../connect/model.ts'
import type { SecretValue } from '../../connect/secret-value.ts'
import type { KeyferryError } from '../../errors.ts'
import type { Tracked } from '../../kube/resource.ts'
import type { Claim, ItemStatus, OwnerReference, Texts } from '../item.ts'
import type { EventReason, Reason } from '../reasons.ts'
import type { ItemContent } from './content.ts'
import type { DigestKey } from './digest.ts'

/** What the cache holds of a Secret: everything but its content. */
export interface SecretMeta extends Tracked {
  readonly labels: Texts
  readonly annotations: Texts
  readonly ownerReferences: readonly OwnerReference[]
  readonly finalizers: readonly string[]
  readonly deleting: boolean
}

/** A Secret as it was read in this run. */
export interface LiveSecret extends SecretMeta {
  readonly type: string
  readonly immutable: boolean
  readonly data: ReadonlyMap<string, SecretValue>
}

/** How much is known of the Secret. */
export type SecretSight =
  /**
   * As the cache has it. Undefined is no proof of absence: the cache sees our label only.
   * `verified`: this very version was written or compared by us.
   */
  | { readonly kind: 'cached'; readonly meta: SecretMeta | undefined; readonly verified: boolean }
  /** As the API server answered in this run; undefined means there is none. */
  | {
      readonly kind: 'read'
      readonly secret: LiveSecret | undefined
      /** As above; absent for a Secret that is not there. */
      readonly verified?: boolean
    }

/** What the path of an item means at present. */
export type Resolution =
  | { readonly kind: 'found'; readonly item: ItemHead }
  | { readonly kind: 'no-vault' }
  /** The vault policy keeps the vault from this namespace. */
  | { readonly kind: 'not-allowed'; readonly vaultId: string }
  | { readonly kind: 'no-item'; readonly vaultId: string }
  /** Connect could not be asked. */
  | { readonly kind: 'unknown'; readonly error: KeyferryError }
  /** The name is not in a list that is older than the question; lists are made again in `ms`. */
  | { readonly kind: 'later'; readonly ms: number }

/** Resolutions by path, see `pathsOf`. */
export type References = ReadonlyMap<string, Resolution>

/** How much is known of the items' content. */
export type ContentSight =
  | { readonly kind: 'unread' }
  | { readonly kind: 'read'; readonly items: ReadonlyMap<string, ItemContent> }
  | { readonly kind: 'failed'; readonly error: KeyferryError }
  /** It was read a moment ago: not again before this many milliseconds. */
  | { readonly kind: 'later'; readonly ms: number }

/** A Secret that the claim wrote under a former name. */
export interface Leftover {
  readonly meta: SecretMeta
  /** Whether a workload of the namespace uses it. */
  readonly inUse: boolean
}

/** Settings that decide what is written. */
export interface Policy {
  readonly emptyValues: boolean
  /** Label names, or prefixes with `*`, that stay off Secrets besides the built-in ones. */
  readonly labelsNotCopied: readonly string[]
  readonly digestKey: DigestKey
  /** Name of this installation, as the instance annotation carries it. */
  readonly instance: string
  /** Whether a change by our own rules or settings restarts workloads. */
  readonly restartOnRemap: boolean
  /** Milliseconds of failure after which Ready turns False although the content stands. */
  readonly staleAfterMs: number
}

/** All that a decision about one claim rests on. */
export interface Snapshot {
  readonly claim: Claim
  /** The API server's clock, milliseconds since the epoch. */
  readonly now: number
  readonly policy: Policy
  /** Name of another resource with an older claim to the same Secret. */
  readonly rival: string | undefined
  /** Undefined until they were looked up in this run. */
  readonly references: References | undefined
  readonly secret: SecretSight
  /** UIDs among the Secret's owner references whose objects are gone. */
  readonly deadOwners: ReadonlySet<string>
  /** Whether the installation that the Secret names is alive; undefined until it was looked at. */
  readonly otherInstance: 'alive' | 'gone' | undefined
  readonly content: ContentSight
  readonly leftovers: readonly Leftover[]
  /**
   * How often, at least a poll apart, Connect said by its lists and by a 404 that the item whose
   * content is applied is gone; undefined until it was asked in this run.
   */
  readonly absences: number | undefined
  /**
   * Whether the incumbent works on this resource right now, and whether that was told already. It
   * answers each write with writes of its own, so it is told once.
   */
  readonly anotherOperator: 'met' | 'told' | undefined
  /** Milliseconds for which this claim has failed without a break; 0 when it did not. */
  readonly failingMs: number
  /** The failure of polling as a whole, with its age; undefined while polling works. */
  readonly outage: { readonly error: KeyferryError; readonly ms: number } | undefined
  /** Repairs of the Secret's content in the last minute. */
  readonly recentRepairs: number
}

/** A Secret as it is to be written: the whole of it. */
export interface SecretManifest {
  readonly namespace: string
  readonly name: string
  readonly type: string
  readonly labels: Texts
  readonly annotations: Texts
  readonly ownerReferences: readonly OwnerReference[]
  readonly finalizers: readonly string[]
  /** Carried on as it was found; Keyferry never makes a Secret immutable. */
  readonly immutable: boolean
  readonly data: ReadonlyMap<string, SecretValue>
}

/** A Secret in the very version that was decided on. */
export interface SecretVersion {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
}

/** The one write of the claim's Secret that a plan may hold. */
export type SecretWrite =
  | { readonly kind: 'create'; readonly manifest: SecretManifest }
  | { readonly kind: 'replace'; readonly manifest: SecretManifest; readonly from: SecretVersion }
  /** A type cannot be changed in place: tried as a dry run, then deleted and created at once. */
  | { readonly kind: 'recreate'; readonly manifest: SecretManifest; readonly from: SecretVersion }
  | { readonly kind: 'delete'; readonly from: SecretVersion }

/** An Event to tell. Its name derives from object, reason and generation, so repeats are one. */
export interface EventDraft {
  readonly type: 'Normal' | 'Warning'
  readonly reason: EventReason
  readonly action: string
  readonly note: string
}

/** How a run ends. */
export type Outcome =
  | { readonly kind: 'settled' }
  /** A time will tell; the reason is there when the status does not name it. */
  | { readonly kind: 'recheck'; readonly afterMs: number; readonly reason?: Reason }
  /** Nothing was found out yet: what was known before stands, a failure too. */
  | { readonly kind: 'wait'; readonly afterMs: number }
  /** The cause may pass: again after a back-off. */
  | { readonly kind: 'retry'; readonly reason: Reason; readonly afterMs?: number }
  /** Only a change can help; the watches and the poll tell of one. */
  | { readonly kind: 'blocked'; readonly reason: Reason }

/** What is to be done, in this order: finalizer, Secret, status, former Secrets, Events. */
export interface Plan {
  /** Position of the incumbent's finalizer on the resource, when it is to go. */
  readonly stripFinalizerAt?: number
  readonly secret?: SecretWrite
  /**
   * The new status; absent when it would not change. After a write of the Secret its
   * `secretResourceVersion` is the version that the write gave.
   */
  readonly status?: ItemStatus
  /** Secrets of former names that nobody uses any more. */
  readonly remove?: readonly SecretVersion[]
  readonly events: readonly EventDraft[]
  /** Why the claim is not served as it asks, where it is not. */
  readonly fault?: { readonly reason: Reason; readonly message: string }
  /** Whether the write undoes what somebody else did to the Secret. */
  readonly repair: boolean
  readonly outcome: Outcome
}

/** Where to look for what a decision rests on. */
export type Look = 'references' | 'secret' | 'instance' | 'content' | 'absence'

/** The plan, or what must be known before there can be one. */
export type Decision =
  | { readonly kind: 'look'; readonly at: Look }
  | { readonly kind: 'act'; readonly plan: Plan }
