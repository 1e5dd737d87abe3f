/**
 * Whose is a Secret? Only what is provably ours is ever changed or deleted.
 */
import { ITEM_PATH, ITEM_VERSION, OWNER } from '../annotations.ts'
import { type Claim, ONE_PASSWORD_ITEM } from '../item.ts'
import { apiVersionOf } from '../../kube/resource.ts'
import { type DigestKey, verifiedOwner } from './digest.ts'
import type { OwnerReference, SecretMeta } from './types.ts'

/** The relation of a Secret to a claim. */
export type Ownership =
  /** It names this resource's UID as an owner, or bears our proof for this resource. */
  | 'ours'
  /** It was made for this resource by 1Password's own operator. */
  | 'incumbents'
  /** All else: never touched. */
  | 'foreign'

/** Name under which a resource owns a Secret, in the owner annotation. */
export function ownerName(claim: Claim): string {
  return `${ONE_PASSWORD_ITEM.kind}/${claim.name}`
}

/** @param dead UIDs of owners that are gone */
export function ownershipOf(
  secret: SecretMeta,
  claim: Claim,
  key: DigestKey,
  dead: ReadonlySet<string>,
): Ownership {
  const { ownerReferences, annotations } = secret
  if (ownerReferences.some(({ uid }) => uid === claim.uid)) return 'ours'
  const living = ownerReferences.filter(({ uid }) => !dead.has(uid))
  if (living.length > 0) return 'foreign'
  const marked = verifiedOwner(key, secret.namespace, secret.name, annotations[OWNER])
  if (marked === ownerName(claim)) return 'ours'
  const fromIncumbent =
    secret.name === claim.name && ITEM_PATH in annotations && ITEM_VERSION in annotations
  return fromIncumbent && marked === undefined ? 'incumbents' : 'foreign'
}

/** Our owner reference: plain, so that the garbage collector deletes and nothing else follows. */
export function ownerReferenceOf(claim: Claim): OwnerReference {
  const { kind } = ONE_PASSWORD_ITEM
  return { apiVersion: apiVersionOf(ONE_PASSWORD_ITEM), kind, name: claim.name, uid: claim.uid }
}

/** The references that the Secret is to have: those of the living, and ours. */
export function ownerReferencesFor(
  claim: Claim,
  present: readonly OwnerReference[],
  dead: ReadonlySet<string>,
): readonly OwnerReference[] {
  const others = present.filter(({ uid }) => uid !== claim.uid && !dead.has(uid))
  const own = present.find(({ uid, name }) => uid === claim.uid && name === claim.name)
  return [...others, own ?? ownerReferenceOf(claim)]
}
