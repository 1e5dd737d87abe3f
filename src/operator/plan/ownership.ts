/**
 * Whose is a Secret? Only what is provably ours is ever changed or deleted.
 */
import { ADOPT, ITEM_PATH, ITEM_VERSION, OWNER } from '../annotations.ts'
import { type Claim, ONE_PASSWORD_ITEM, type OwnerReference } from '../item.ts'
import { isRefusedType } from './builders.ts'
import { type DigestKey, verifiedOwner } from './digest.ts'
import type { LiveSecret, SecretMeta, SecretSight } from './types.ts'
import { isWorkloadReference } from './workload.ts'

/** The relation of a Secret to a claim. */
export type Ownership =
  /** It names an owner of ours by UID, or bears our proof for this claim. */
  | 'ours'
  /** It was made for this claim by 1Password's own operator. */
  | 'incumbents'
  /** It is somebody else's, who allows us to take it over. */
  | 'offered'
  /** All else: never touched. */
  | 'foreign'

/** What is known of the Secret besides its content; undefined where it was not seen. */
export function metaOf(sight: SecretSight): SecretMeta | undefined {
  return sight.kind === 'cached' ? sight.meta : sight.secret
}

/** Name under which a claim owns a Secret, in the owner annotation. */
export function ownerName(claim: Claim): string {
  return claim.origin === 'resource'
    ? `${ONE_PASSWORD_ITEM.kind}/${claim.name}`
    : workloadsName(claim.spec.secretName)
}

function workloadsName(secretName: string): string {
  return `Workloads/${secretName}`
}

/** Whether a Secret says that it was made for workloads: unproven, so a cause to look, not to act. */
export function isOfWorkloads({ name, annotations }: SecretMeta): boolean {
  return annotations[OWNER]?.startsWith(`${workloadsName(name)} `) === true
}

/** Whether a Secret bears our proof that it is this claim's. */
export function isMarkedFor(
  { namespace, name, annotations }: SecretMeta,
  claim: Claim,
  key: DigestKey,
): boolean {
  return verifiedOwner(key, namespace, name, annotations[OWNER]) === ownerName(claim)
}

/** @param dead UIDs of owners that are gone */
export function ownershipOf(
  secret: LiveSecret,
  claim: Claim,
  key: DigestKey,
  dead: ReadonlySet<string>,
): Ownership {
  const { annotations, ownerReferences } = secret
  const marked = verifiedOwner(key, secret.namespace, secret.name, annotations[OWNER])
  const named = ownerReferences.some(({ uid }) => claim.owners.some((owner) => owner.uid === uid))
  // Anybody may name a workload as an owner; only we name a resource.
  if (named && claim.origin === 'resource') return 'ours'
  const others = othersOf(claim, ownerReferences, { dead, marked })
  if (others.length > 0) return 'foreign'
  // A resource wins over workloads that ask for a Secret of the same name.
  if (marked === ownerName(claim) || marked === workloadsName(secret.name)) return 'ours'
  if (marked === undefined && isIncumbents(secret, claim)) return 'incumbents'
  return isOffered(secret, claim) ? 'offered' : 'foreign'
}

/** Owners that live and are neither ours nor workloads that we put there. */
function othersOf(
  claim: Claim,
  references: readonly OwnerReference[],
  { dead, marked }: { readonly dead: ReadonlySet<string>; readonly marked: string | undefined },
): OwnerReference[] {
  const oursToo = (owner: OwnerReference) =>
    isWorkloadReference(owner) && marked === workloadsName(claim.spec.secretName)
  return references.filter((owner) => {
    const own = claim.owners.some(({ uid }) => uid === owner.uid)
    return !own && !dead.has(owner.uid) && !oursToo(owner)
  })
}

function isIncumbents({ name, annotations }: SecretMeta, claim: Claim): boolean {
  const named = claim.origin === 'workloads' || name === claim.name
  return named && ITEM_PATH in annotations && ITEM_VERSION in annotations
}

/** Never one that a controller keeps, of a type that is refused, or the operator's own. */
function isOffered(
  { type, labels, annotations, ownerReferences }: LiveSecret,
  claim: Claim,
): boolean {
  return (
    claim.spec.existingSecret === 'Adopt' &&
    annotations[ADOPT] === 'true' &&
    !ownerReferences.some(({ controller }) => controller === true) &&
    !isRefusedType(type) &&
    labels['app.kubernetes.io/part-of'] !== 'keyferry'
  )
}

/**
 * The references that the Secret is to have: those of other living owners, and ours unless it is to
 * be retained. Workloads own a Secret only through us, so those that no longer ask for it go.
 */
export function ownerReferencesFor(
  claim: Claim,
  present: readonly OwnerReference[],
  dead: ReadonlySet<string>,
): readonly OwnerReference[] {
  const own = claim.spec.deletionPolicy === 'Retain' ? [] : claim.owners
  const others = present.filter(
    (owner) =>
      !dead.has(owner.uid) &&
      !claim.owners.some(({ uid }) => uid === owner.uid) &&
      !isWorkloadReference(owner),
  )
  const kept = own.map((owner) => present.find((one) => isSame(one, owner)) ?? owner)
  return [...others, ...kept]
}

function isSame(a: OwnerReference, b: OwnerReference): boolean {
  return a.uid === b.uid && a.name === b.name && a.kind === b.kind
}
