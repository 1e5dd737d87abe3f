/**
 * The decision about one claim. Pure: what must be known and is not yet is asked for by name
 * (`look`), and the same Snapshot always gives the same Plan.
 *
 * It goes through gates from the cheap to the costly: can the claim be served at all; what does
 * its path mean; whose is the Secret; does anything differ; only then the content is wanted.
 */
import { parseItemPath } from '../../connect/item-path.ts'
import { isKeyferryError, type KeyferryError } from '../../errors.ts'
import { DIGEST, INCUMBENT_FINALIZER } from '../annotations.ts'
import type { Claim } from '../item.ts'
import type { Reason } from '../reasons.ts'
import { keyIdOf } from './digest.ts'
import { ownershipOf } from './ownership.ts'
import { planSecret, presentOf } from './secret.ts'
import { fail, failWith, later, sentenceOf } from './trouble.ts'
import type { Decision, LiveSecret, Plan, Snapshot } from './types.ts'

/** Milliseconds after which a Secret of somebody else is looked at again. */
const FOREIGN_RECHECK_MS = 5 * 60_000
/** Milliseconds after which a Secret that is being deleted is looked at again. */
const DELETING_RECHECK_MS = 2_000

/** Decides about one claim. */
export function planSync(seen: Snapshot): Decision {
  const { claim, rival, reference } = seen
  if (claim.deleting) return { kind: 'act', plan: planRelease(claim) }
  const fault = faultOf(claim)
  if (fault) return fail(seen, fault.reason, fault.message)
  if (rival !== undefined) {
    const message = `Resource ${rival} has the older claim to Secret ${claim.spec.secretName}.`
    return fail(seen, 'SecretClaimedTwice', message)
  }
  if (reference === undefined) return { kind: 'look', at: 'reference' }
  switch (reference.kind) {
    case 'unknown':
      return failWith(seen, reference.error)
    case 'later':
      return later(reference.ms)
    case 'no-vault':
      return fail(seen, 'VaultNotFound', notFound(claim, 'vault'))
    case 'no-item':
      return fail(seen, 'ItemNotFound', notFound(claim, 'item'))
    case 'found':
      return planFound(seen)
  }
}

/**
 * A resource that is being deleted gets nothing but the incumbent's finalizer taken off: the
 * garbage collector does the rest, also without us.
 */
function planRelease({ finalizers }: Claim): Plan {
  const at = finalizers.indexOf(INCUMBENT_FINALIZER)
  return {
    ...(at === -1 ? {} : { stripFinalizerAt: at }),
    events: [],
    repair: false,
    outcome: { kind: 'settled' },
  }
}

/** A fault of the resource itself, which no look at the world can change. */
function faultOf({ spec }: Claim): { reason: Reason; message: string } | undefined {
  const [unsupported] = spec.unsupported
  if (unsupported !== undefined) {
    const message = `This version of Keyferry does not act on spec.${unsupported}.`
    return { reason: 'NotSupportedYet', message }
  }
  try {
    parseItemPath(spec.itemPath)
    return undefined
  } catch (error) {
    if (!isKeyferryError(error, 'PATH_INVALID')) throw error
    return { reason: 'InvalidItemPath', message: sentenceOf(error) }
  }
}

function notFound({ spec: { itemPath } }: Claim, what: 'vault' | 'item'): string {
  const { vault, item } = parseItemPath(itemPath)
  return what === 'vault'
    ? `The Connect token sees no vault "${vault}".`
    : `Vault "${vault}" has no active item "${item}".`
}

/** The item is known; now for the Secret. */
function planFound(seen: Snapshot): Decision {
  const { secret, policy } = seen
  if (secret.kind === 'read') {
    return secret.secret ? planLive(seen, secret.secret) : planSecret(seen, undefined)
  }
  const { meta, verified } = secret
  if (meta === undefined) return planSecret(seen, undefined)
  const digest = meta.annotations[DIGEST]
  if (!verified || digest === undefined || keyIdOf(digest) !== policy.digestKey.id) {
    return { kind: 'look', at: 'secret' }
  }
  return planSecret(seen, { meta, digest, ownership: 'ours' })
}

function planLive(seen: Snapshot, live: LiveSecret): Decision {
  const { claim, policy, deadOwners } = seen
  const ownership = ownershipOf(live, claim, policy.digestKey, deadOwners)
  if (ownership === 'foreign') {
    const message = `Secret ${live.name} exists and does not belong to this resource.`
    return fail(seen, 'NotOurSecret', message, { kind: 'recheck', afterMs: FOREIGN_RECHECK_MS })
  }
  if (live.deleting) return later(DELETING_RECHECK_MS)
  if (live.type !== claim.type) {
    const message = `Secret ${live.name} has type ${live.type}, the resource wants ${claim.type}.`
    return fail(seen, 'SecretTypeChanged', message)
  }
  return planSecret(seen, presentOf(live, seen, ownership))
}

/** The API server does not take the Secret that was planned. */
export function planRefusal(seen: Snapshot, error: KeyferryError): Decision {
  return fail(seen, 'SecretInvalid', sentenceOf(error))
}

/** The API server failed or refused a request that it should take. */
export function planFailure(seen: Snapshot, error: KeyferryError): Decision {
  return failWith(seen, error)
}
