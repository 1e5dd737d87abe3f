/**
 * The decision about one claim. Pure: what must be known and is not yet is asked for by name
 * (`look`), and the same Snapshot always gives the same Plan.
 *
 * It goes through gates from the cheap to the costly: can the claim be served at all; what do its
 * paths mean; whose is the Secret; does anything differ; only then the content is wanted.
 */
import type { ItemPath } from '../../connect/item-path.ts'
import type { KeyferryError } from '../../errors.ts'
import { DIGEST, IGNORE_TAG, INCUMBENT_FINALIZER, INSTANCE } from '../annotations.ts'
import { keyIdOf } from './digest.ts'
import { planMissing } from './missing.ts'
import { isMarkedFor, metaOf, ownershipOf } from './ownership.ts'
import { conditionOf } from '../item.ts'
import { isFault, type Paths, pathsOf, sentenceOf } from './render.ts'
import { planFrozen, planSecret, presentOf } from './secret.ts'
import { fail, failWith, later, UNTOLD_RECHECK_MS } from './trouble.ts'
import type { Decision, LiveSecret, Plan, Resolution, SecretMeta, Snapshot } from './types.ts'
import { isWorkloadReference } from './workload.ts'

/** Milliseconds after which a Secret that is being deleted is looked at again. */
const DELETING_RECHECK_MS = 2_000
/** Milliseconds after which it is seen whether another operator or installation has gone. */
const COMPETITOR_RECHECK_MS = 60_000

/** Decides about one claim. */
export function planSync(seen: Snapshot): Decision {
  const { claim, rival } = seen
  const finalizerAt = claim.finalizers.indexOf(INCUMBENT_FINALIZER)
  if (claim.deleting) {
    const plan = claim.origin === 'resource' ? planRelease(finalizerAt) : planOrphan(seen)
    return { kind: 'act', plan }
  }
  if (seen.anotherOperator === 'told') return later(COMPETITOR_RECHECK_MS)
  if (seen.anotherOperator === 'met') {
    const message = '1Password’s own operator works on this resource, too.'
    const outcome = { kind: 'recheck', afterMs: COMPETITOR_RECHECK_MS } as const
    return fail(seen, 'AnotherOperator', message, outcome)
  }
  if (finalizerAt !== -1) return { kind: 'act', plan: planRelease(finalizerAt) }
  const paths = pathsOf(claim)
  if (isFault(paths)) return fail(seen, paths.reason, paths.message)
  if (rival !== undefined) {
    if (mayOwnUnseen(seen)) return { kind: 'look', at: 'secret' }
    const message = `Resource ${rival} has the older claim to Secret ${claim.spec.secretName}.`
    return fail(seen, 'SecretClaimedTwice', message)
  }
  return planReferences(seen, paths)
}

/**
 * Whether the claim may own a Secret that the cache lacks, because somebody took its label off. It
 * would lose it to a rival otherwise, who cannot have it either.
 */
function mayOwnUnseen({ claim, secret }: Snapshot): boolean {
  const isUnseen = secret.kind === 'cached' && secret.meta === undefined
  const { secretName, secretResourceVersion } = claim.status
  return isUnseen && secretName === claim.spec.secretName && secretResourceVersion !== undefined
}

/**
 * The incumbent's finalizer is taken off. A resource that is being deleted gets nothing else: the
 * garbage collector does the rest, also without us.
 */
function planRelease(finalizerAt: number): Plan {
  return {
    ...(finalizerAt === -1 ? {} : { stripFinalizerAt: finalizerAt }),
    events: [],
    repair: false,
    outcome: { kind: 'settled' },
  }
}

/**
 * No workload asks for the Secret any more: what was made for workloads alone goes. Without any
 * owner it was orphaned on purpose and waits for its workload to come back.
 */
function planOrphan({ claim, secret, policy }: Snapshot): Plan {
  const meta = metaOf(secret)
  const { namespace, name } = claim
  const end = { events: [], repair: false, outcome: { kind: 'settled' } } as const
  const ours = meta && isMarkedFor(meta, claim, policy.digestKey)
  if (!meta || !ours || meta.ownerReferences.length === 0) return end
  if (!meta.ownerReferences.every(isWorkloadReference)) return end
  const { uid, resourceVersion } = meta
  return { ...end, secret: { kind: 'delete', from: { namespace, name, uid, resourceVersion } } }
}

function planReferences(seen: Snapshot, paths: Paths): Decision {
  const { references } = seen
  if (references === undefined) return { kind: 'look', at: 'references' }
  for (const [path, itemPath] of paths) {
    const reference = references.get(path)
    if (reference === undefined) return { kind: 'look', at: 'references' }
    const decision = planReference(seen, reference, { path, itemPath })
    if (decision) return decision
  }
  return planFound(seen)
}

/** What follows from one reference alone; undefined when it was found. */
function planReference(
  seen: Snapshot,
  reference: Resolution,
  { path, itemPath }: { readonly path: string; readonly itemPath: ItemPath },
): Decision | undefined {
  switch (reference.kind) {
    case 'found':
      return undefined
    case 'unknown':
      return failWith(seen, reference.error)
    case 'later':
      return later(reference.ms)
    case 'not-allowed':
    case 'no-vault':
      return planNoVault(seen, reference, { path, itemPath })
    case 'no-item': {
      const message = `Vault "${itemPath.vault}" has no active item "${itemPath.item}".`
      return planMissing(seen, path, message)
    }
  }
}

/**
 * What is not allowed and what does not exist read alike to those who never had it: else a
 * namespace could find out which vaults there are. Who may write a status may claim to have had it,
 * but not without the vault's id.
 */
function planNoVault(
  seen: Snapshot,
  reference: Extract<Resolution, { readonly kind: 'not-allowed' | 'no-vault' }>,
  { path, itemPath }: { readonly path: string; readonly itemPath: ItemPath },
): Decision {
  const vaultId = reference.kind === 'not-allowed' ? reference.vaultId : undefined
  const { items = [] } = seen.claim.status
  if (items.some((item) => item.path === path && item.vaultId === vaultId)) {
    const message = `The vault policy no longer allows vault "${itemPath.vault}" here.`
    return fail(seen, 'VaultNotAllowed', message)
  }
  const message = `Vault "${itemPath.vault}" does not exist or is not allowed here.`
  return fail(seen, 'VaultNotFound', message)
}

/** The items are known; now for the Secret. */
function planFound(seen: Snapshot): Decision {
  const { claim, secret, policy } = seen
  if (secret.kind === 'read') {
    return secret.secret ? planLive(seen, secret.secret) : planSecret(seen, undefined)
  }
  const { meta, verified } = secret
  if (meta === undefined) return planSecret(seen, undefined)
  const digest = meta.annotations[DIGEST]
  const comparable = digest !== undefined && keyIdOf(digest) === policy.digestKey.id
  // That we wrote it says nothing of whose it is: it may be another claim's.
  const known = verified && isMarkedFor(meta, claim, policy.digestKey)
  if (!known || !comparable || isElsewhere(seen, meta)) return { kind: 'look', at: 'secret' }
  return decide(seen, { meta, digest, ownership: 'ours' })
}

function planLive(seen: Snapshot, live: LiveSecret): Decision {
  const { claim, policy, deadOwners } = seen
  const ownership = ownershipOf(live, claim, policy.digestKey, deadOwners)
  if (ownership === 'foreign') {
    const message = `Secret ${live.name} exists and does not belong to this resource.`
    return fail(seen, 'NotOurSecret', message, { kind: 'recheck', afterMs: UNTOLD_RECHECK_MS })
  }
  if (isElsewhere(seen, live)) {
    if (seen.otherInstance === undefined) return { kind: 'look', at: 'instance' }
    if (seen.otherInstance === 'alive') return planElsewhere(seen, live)
  }
  if (live.deleting) return later(DELETING_RECHECK_MS)
  return decide(seen, presentOf(live, seen, ownership))
}

/**
 * Another installation serves the Secret. While it tells that all is well, two that tell would
 * contradict each other: the resource is left alone, too.
 */
function planElsewhere(seen: Snapshot, { name, annotations }: LiveSecret): Decision {
  const reason = 'OtherInstance'
  const outcome = { kind: 'recheck', afterMs: COMPETITOR_RECHECK_MS, reason } as const
  if (conditionOf(seen.claim.status, 'Ready')?.status === 'True') {
    return { kind: 'act', plan: { events: [], repair: false, outcome } }
  }
  const message = `Installation ${annotations[INSTANCE]} serves Secret ${name}.`
  return fail(seen, reason, message, outcome)
}

/** Whether the Secret names another installation of Keyferry. */
function isElsewhere({ policy }: Snapshot, { annotations }: SecretMeta): boolean {
  const instance = annotations[INSTANCE]
  return instance !== undefined && instance !== policy.instance
}

function decide(seen: Snapshot, present: Parameters<typeof planFrozen>[1]): Decision {
  return isFrozen(seen) ? planFrozen(seen, present) : planSecret(seen, present)
}

/** Whether an item's tag asks that its Secrets stay as they are. */
function isFrozen({ references }: Snapshot): boolean {
  const all = [...(references?.values() ?? [])]
  return all.some((one) => one.kind === 'found' && one.item.tags.includes(IGNORE_TAG))
}

/** The API server does not take the Secret that was planned; an admission policy may be the cause. */
export function planRefusal(seen: Snapshot, error: KeyferryError): Decision {
  const outcome = { kind: 'recheck', afterMs: UNTOLD_RECHECK_MS } as const
  return fail(seen, 'SecretInvalid', sentenceOf(error), outcome)
}

/** The API server failed or refused a request that it should take. */
export function planFailure(seen: Snapshot, error: KeyferryError): Decision {
  return failWith(seen, error)
}
