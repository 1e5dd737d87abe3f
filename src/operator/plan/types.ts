/**
 * The two ends of the plan stage: what is known (a Snapshot) and what is to be done (a Plan).
 * Both are plain data, so that a stage can be printed, tested and replayed.
 */
import type { ItemSummary } from '../../connect/model.ts'
import type { SecretValue } from '../../connect/secret-value.ts'
import type { KeyferryError } from '../../errors.ts'
import type { Tracked } from '../../kube/resource.ts'
import type { Claim, ItemStatus } from '../item.ts'
import type { Reason } from '../reasons.ts'
import type { ItemContent } from './content.ts'
import type { DigestKey } from './digest.ts'

/** Source: `meta/v1 OwnerReference`. */
export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
  readonly blockOwnerDeletion?: boolean
}

/** What the cache holds of a Secret: everything but its content. */
export interface SecretMeta extends Tracked {
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
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
  | { readonly kind: 'read'; readonly secret: LiveSecret | undefined }

/** What the path of an item means at present. */
export type Resolution =
  | { readonly kind: 'found'; readonly item: ItemSummary }
  | { readonly kind: 'no-vault' }
  | { readonly kind: 'no-item'; readonly vaultId: string }
  /** Connect could not be asked. */
  | { readonly kind: 'unknown'; readonly error: KeyferryError }
  /** The name is not in a list that is older than the question; lists are made again in `ms`. */
  | { readonly kind: 'later'; readonly ms: number }

/** How much is known of the item's content. */
export type ContentSight =
  | { readonly kind: 'unread' }
  | { readonly kind: 'read'; readonly content: ItemContent }
  | { readonly kind: 'failed'; readonly error: KeyferryError }
  /** It was read a moment ago: not again before this many milliseconds. */
  | { readonly kind: 'later'; readonly ms: number }

/** Settings that decide what is written. */
export interface Policy {
  readonly emptyValues: boolean
  /** Label names, or prefixes with `*`, that stay off Secrets besides the built-in ones. */
  readonly labelsNotCopied: readonly string[]
  readonly digestKey: DigestKey
  /** Name of this installation, as the instance annotation carries it. */
  readonly instance: string
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
  /** Undefined until it was looked up in this run. */
  readonly reference: Resolution | undefined
  readonly secret: SecretSight
  /** UIDs among the Secret's owner references whose objects are gone. */
  readonly deadOwners: ReadonlySet<string>
  readonly content: ContentSight
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
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly ownerReferences: readonly OwnerReference[]
  readonly finalizers: readonly string[]
  /** Carried on as it was found; Keyferry never makes a Secret immutable. */
  readonly immutable: boolean
  readonly data: ReadonlyMap<string, SecretValue>
}

/** The one write of a Secret that a plan may hold. */
export type SecretWrite =
  | { readonly kind: 'create'; readonly manifest: SecretManifest }
  | {
      readonly kind: 'replace'
      readonly manifest: SecretManifest
      readonly uid: string
      readonly resourceVersion: string
    }

/** An Event to tell. Its name derives from object, reason and generation, so repeats are one. */
export interface EventDraft {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly action: string
  readonly note: string
}

/** How a run ends. */
export type Outcome =
  | { readonly kind: 'settled' }
  | { readonly kind: 'recheck'; readonly afterMs: number }
  /** The cause may pass: again after a back-off. */
  | { readonly kind: 'retry'; readonly reason: Reason; readonly afterMs?: number }
  /** Only a change can help; the watches and the poll tell of one. */
  | { readonly kind: 'blocked'; readonly reason: Reason }

/** What is to be done, in this order: finalizer, Secret, status, Events. */
export interface Plan {
  /** Position of the incumbent's finalizer on the resource, when it is to go. */
  readonly stripFinalizerAt?: number
  readonly secret?: SecretWrite
  /**
   * The new status; absent when it would not change. After a write of the Secret its
   * `secretResourceVersion` is the version that the write gave.
   */
  readonly status?: ItemStatus
  readonly events: readonly EventDraft[]
  /** Whether the write undoes what somebody else did to the Secret. */
  readonly repair: boolean
  readonly outcome: Outcome
}

/** The plan, or what must be known before there can be one. */
export type Decision =
  | { readonly kind: 'look'; readonly at: 'reference' | 'secret' | 'content' }
  | { readonly kind: 'act'; readonly plan: Plan }
