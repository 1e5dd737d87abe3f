/**
 * What is to become of the claim's Secret: nothing, new labels and annotations around the same
 * content, or new content with the restart that it owes.
 */
import { formatItemPath } from '../../connect/item-path.ts'
import { KeyferryError } from '../../errors.ts'
import { ITEM_VERSION } from '../annotations.ts'
import { type AppliedItem, type Claim, conditionOf, openRefresh, versionsOf } from '../item.ts'
import type { EventReason } from '../reasons.ts'
import { type Content, type ItemContent, MAPPING_VERSION } from './content.ts'
import type { Debt } from './debt.ts'
import { contentDigest } from './digest.ts'
import { expiryOf } from './expiry.ts'
import { isMetadataInSync, metadataFor } from './metadata.ts'
import { debtAfter, openDebt } from './owed.ts'
import type { Ownership } from './ownership.ts'
import { render } from './render.ts'
import { type Applied, isApplied, type Verdict } from './status.ts'
import { conclude, fail, failWith, later, outageOf, UNTOLD_RECHECK_MS } from './trouble.ts'
import type {
  Decision,
  EventDraft,
  LiveSecret,
  Plan,
  SecretManifest,
  SecretMeta,
  SecretVersion,
  SecretWrite,
  Snapshot,
} from './types.ts'

/** Repairs within a minute after which a Secret counts as contested. */
const CONTESTED_REPAIRS = 3
const CONTESTED_RECHECK_MS = 60_000
/** Milliseconds after which an item is read again whose list shows another version. */
const LAGGING_RECHECK_MS = 30_000
/** Milliseconds after which it is looked whether a former Secret is still used. */
const LEFTOVER_RECHECK_MS = 60_000

/** A Secret that exists and is ours, or ours to take over. */
export interface Present {
  readonly meta: SecretMeta
  /** Digest of the content that is in it now. */
  readonly digest: string
  readonly ownership: Exclude<Ownership, 'foreign'>
  /** Set when it was read in this run. */
  readonly live?: LiveSecret
}

/** A Secret that was read in this run. */
export function presentOf(
  live: LiveSecret,
  { policy }: Snapshot,
  ownership: Present['ownership'],
): Present {
  return { meta: live, digest: contentDigest(policy.digestKey, live), ownership, live }
}

/** @param present undefined: as far as is known there is no Secret of that name */
export function planSecret(seen: Snapshot, present: Present | undefined): Decision {
  const { claim } = seen
  const current = currentContent(seen)
  if (current && present && present.digest === current.digest && hasType(claim, present)) {
    return planMetadata(seen, present, current)
  }
  const drifted = current !== undefined
  if (drifted && seen.recentRepairs >= CONTESTED_REPAIRS) return contested(seen)
  switch (seen.content.kind) {
    case 'unread':
      return { kind: 'look', at: 'content' }
    case 'later':
      return later(seen.content.ms)
    case 'failed':
      return drifted
        ? fail(seen, present ? 'SecretChanged' : 'SecretMissing', damage(claim, present))
        : failWith(seen, seen.content.error)
    case 'read':
      return planContent(seen, present, seen.content.items)
  }
}

function hasType({ type }: Claim, { live }: Present): boolean {
  return live === undefined || live.type === type
}

function contested(seen: Snapshot): Decision {
  const { secretName } = seen.claim.spec
  const message = `Secret ${secretName} was changed ${CONTESTED_REPAIRS} times within a minute.`
  const outcome = { kind: 'recheck', afterMs: CONTESTED_RECHECK_MS } as const
  return fail(seen, 'DriftContested', message, outcome)
}

function damage({ spec: { secretName } }: Claim, present: Present | undefined): string {
  const what = present ? 'was edited' : 'is gone'
  return `Secret ${secretName} ${what}, and Connect cannot be asked for its content.`
}

/**
 * What was applied last, if that is what the items, the resource and the rules of this program want
 * now: then only the Secret itself can differ.
 */
function currentContent(seen: Snapshot, mapping = mappingOf(seen)): Applied | undefined {
  const { claim } = seen
  const { secretName, digest, items, keys } = claim.status
  if (!isApplied(claim) || claim.status.mapping !== mapping) return undefined
  if (secretName !== claim.spec.secretName || !digest || !items || !keys) return undefined
  if (openRefresh(claim) !== undefined) return undefined
  const wanted = listedItems(seen)
  const same =
    wanted.length === items.length && wanted.every((one) => items.some((held) => isSame(held, one)))
  return same ? { secretName, digest, mapping, items, keys } : undefined
}

function isSame(a: AppliedItem, b: AppliedItem): boolean {
  return (
    a.path === b.path && a.vaultId === b.vaultId && a.itemId === b.itemId && a.version === b.version
  )
}

/** The claim's items as the lists have them. */
function listedItems({ references }: Snapshot): AppliedItem[] {
  return [...(references ?? [])].flatMap(([path, reference]) => {
    if (reference.kind !== 'found') return []
    const { vault, id, version } = reference.item
    return [{ path, vaultId: vault.id, itemId: id, version }]
  })
}

/** The rules by which content is made, as the status records them. */
function mappingOf(seen: Snapshot): string {
  return `${MAPPING_VERSION}${emptyValuesOf(seen) ? '+empty' : ''}`
}

function emptyValuesOf({ claim, policy }: Snapshot): boolean {
  const { emptyValues } = claim.spec
  return emptyValues === undefined ? policy.emptyValues : emptyValues === 'Include'
}

/** The content is right; labels, annotations and owners may not be. */
function planMetadata(seen: Snapshot, present: Present, applied: Applied): Decision {
  const { claim } = seen
  const ready = conditionOf(claim.status, 'Ready')
  const verdict = {
    kind: 'synced',
    reason: 'Synced',
    applied,
    message: (ready?.reason === 'Synced' && ready.message) || summaryOf(applied),
    trouble: outageOf(seen),
  } as const
  return planAround(seen, present, { verdict, version: versionOf(applied) })
}

/**
 * The Secret stays as it is by the wish of whoever tagged the item; its version may be newer than
 * its content. It is adopted, and written again when it is gone, but never compared.
 */
export function planFrozen(seen: Snapshot, present: Present): Decision {
  const { claim } = seen
  const { keys = [] } = claim.status
  const applied: Applied = {
    secretName: claim.spec.secretName,
    digest: present.digest,
    mapping: mappingOf(seen),
    items: listedItems(seen),
    keys: present.live ? [...present.live.data.keys()].toSorted() : keys,
  }
  const verdict = {
    kind: 'synced',
    reason: 'Frozen',
    applied,
    message: 'An item is tagged operator.1password.io:ignore-secret.',
    trouble: outageOf(seen),
  } as const
  const version = present.meta.annotations[ITEM_VERSION] ?? versionOf(applied)
  return planAround(seen, present, { verdict, version })
}

/** Metadata around content that stays. */
function planAround(
  seen: Snapshot,
  present: Present,
  given: {
    readonly verdict: Omit<
      Extract<Verdict, { kind: 'synced' }>,
      'secretResourceVersion' | 'restarting'
    >
    readonly version: string
  },
): Decision {
  const { claim, policy, deadOwners } = seen
  const { meta, live } = present
  const debt = openDebt(seen, present)
  const mark = { ...markOf(given.verdict.applied, debt), itemVersion: given.version }
  const wanted = metadataFor(claim, policy, mark, { meta, deadOwners })
  const inSync = isMetadataInSync(wanted, meta)
  // A write of metadata carries the data, so the data must have been read.
  if (!inSync && live === undefined) return { kind: 'look', at: 'secret' }
  const verdict: Verdict = {
    ...given.verdict,
    secretResourceVersion: meta.resourceVersion,
    restarting: debt !== undefined,
  }
  if (inSync || live === undefined) return finish(seen, conclude(seen, verdict))
  const { immutable, data, type } = live
  const manifest = { ...identityOf(claim), type, ...wanted, immutable, data }
  const plan = conclude(seen, verdict, writeOf(manifest, present))
  return finish(seen, { ...plan, events: takeOverEvents(claim, present) })
}

/** New content was read. */
function planContent(
  seen: Snapshot,
  present: Present | undefined,
  items: ReadonlyMap<string, ItemContent>,
): Decision {
  const { claim, policy } = seen
  if (hasStepBack(seen, items)) return failWith(seen, steppedBack())
  const content = render(claim, items, emptyValuesOf(seen))
  if ('reason' in content) return fail(seen, content.reason, content.message)
  const { data } = content
  const identity = identityOf(claim)
  const digest = contentDigest(policy.digestKey, { ...identity, data })
  // The digest covers the type: a new one would take an immutable Secret away as well.
  if (present?.live?.immutable && digest !== present.digest) {
    // One that is about to be taken over has no label of ours: no watch tells of its deletion.
    const outcome = { kind: 'recheck', afterMs: UNTOLD_RECHECK_MS } as const
    return fail(seen, 'SecretImmutable', `Secret ${identity.name} is immutable.`, outcome)
  }
  const applied = appliedBy(seen, items, { digest, keys: [...data.keys()].toSorted() })
  const asBefore = claim.status.mapping
  const ownDoing = asBefore !== mappingOf(seen) && currentContent(seen, asBefore) !== undefined
  const sameData =
    present?.live !== undefined &&
    !hasType(claim, present) &&
    contentDigest(policy.digestKey, { ...identity, data: present.live.data }) === digest
  const debt = debtAfter(seen, present, { digest, ownDoing, sameData })
  const wanted = metadataFor(claim, policy, markOf(applied, debt), {
    meta: present?.meta,
    deadOwners: seen.deadOwners,
  })
  const same = present?.digest === digest && isMetadataInSync(wanted, present.meta)
  const verdict: Verdict = {
    kind: 'synced',
    reason: 'Synced',
    applied,
    secretResourceVersion: same ? present.meta.resourceVersion : undefined,
    message: summaryOf(applied, content),
    restarting: debt !== undefined,
    trouble: undefined,
  }
  const immutable = present?.live?.immutable === true
  const manifest: SecretManifest = { ...identity, ...wanted, immutable, data }
  const plan = conclude(seen, verdict, same ? undefined : writeOf(manifest, present))
  return finish(seen, { ...plan, ...aftermath(seen, present, items, digest) })
}

/** What besides the writes follows from new content: Events, whether it is a repair, a recheck. */
function aftermath(
  seen: Snapshot,
  present: Present | undefined,
  items: ReadonlyMap<string, ItemContent>,
  digest: string,
): Pick<Plan, 'events' | 'repair' | 'outcome'> {
  const { claim } = seen
  const { secretName } = claim.spec
  const repair = digest === claim.status.digest && present?.digest !== digest
  const events = [...(present ? takeOverEvents(claim, present) : [])]
  if (present && !hasType(claim, present)) {
    events.push(normal('SecretTypeChanged', `Made Secret ${secretName} anew as ${claim.type}.`))
  } else if (repair && present) {
    events.push(normal('SecretRepaired', `Undid a change of Secret ${secretName}.`))
  } else if (repair) {
    events.push(normal('SecretRestored', `Wrote Secret ${secretName} again after its deletion.`))
  }
  const lagging = [...items].some(([path, { item }]) => listedVersion(seen, path) !== item.version)
  return {
    events,
    repair,
    outcome: lagging ? { kind: 'recheck', afterMs: LAGGING_RECHECK_MS } : { kind: 'settled' },
  }
}

function takeOverEvents({ spec }: Claim, { ownership }: Present): EventDraft[] {
  if (ownership === 'ours') return []
  return [normal('SecretTakenOver', `Took over Secret ${spec.secretName}.`)]
}

function normal(reason: EventReason, note: string): EventDraft {
  return { type: 'Normal', reason, action: 'Sync', note }
}

/** Adds what is done once the Secret is right: Secrets of former names go. */
function finish({ leftovers }: Snapshot, plan: Plan): Decision {
  if (leftovers.length === 0) return { kind: 'act', plan }
  const remove = leftovers.filter(({ inUse }) => !inUse).map(({ meta }) => versionOfSecret(meta))
  const waiting = remove.length < leftovers.length && plan.outcome.kind === 'settled'
  const outcome = waiting
    ? ({ kind: 'recheck', afterMs: LEFTOVER_RECHECK_MS } as const)
    : plan.outcome
  return { kind: 'act', plan: { ...plan, outcome, ...(remove.length > 0 ? { remove } : {}) } }
}

function versionOfSecret({ namespace, name, uid, resourceVersion }: SecretMeta): SecretVersion {
  return { namespace, name, uid, resourceVersion }
}

/**
 * Whether an answer is older than what is applied, from a replica of Connect that lags. A version
 * that the list shows too, has been confirmed there.
 */
function hasStepBack(seen: Snapshot, items: ReadonlyMap<string, ItemContent>): boolean {
  return [...items].some(([path, { item }]) => {
    const applied = seen.claim.status.items?.find(({ itemId }) => itemId === item.id)
    const back = applied !== undefined && item.version < applied.version
    return back && item.version !== listedVersion(seen, path)
  })
}

function listedVersion({ references }: Snapshot, path: string): number | undefined {
  const reference = references?.get(path)
  return reference?.kind === 'found' ? reference.item.version : undefined
}

function steppedBack(): KeyferryError {
  return new KeyferryError('CONNECT_BAD_ANSWER', {
    message: 'Connect gave an older version of the item than the one already applied',
    remedy: 'Nothing to do: the item is read again.',
    retry: 'soon',
  })
}

// ── Small parts ──────────────────────────────────────────────────────────────────────────────

function identityOf({ namespace, spec, type }: Claim) {
  return { namespace, name: spec.secretName, type }
}

function markOf({ items, digest, mapping }: Applied, debt: Debt | undefined) {
  const [item] = items
  return {
    itemPath: formatItemPath(item?.vaultId ?? '', item?.itemId ?? ''),
    itemVersion: String(item?.version ?? 0),
    digest,
    mapping,
    debt,
  }
}

function versionOf({ items }: Applied): string {
  return String(items[0]?.version ?? 0)
}

function appliedBy(
  seen: Snapshot,
  contents: ReadonlyMap<string, ItemContent>,
  made: Pick<Applied, 'digest' | 'keys'>,
): Applied {
  const items = [...contents].map(([path, { item }]) => {
    const expires = expiryOf(item)
    const { id: itemId, vault, version } = item
    return { path, vaultId: vault.id, itemId, version, ...(expires ? { expires } : {}) }
  })
  return { ...made, secretName: seen.claim.spec.secretName, mapping: mappingOf(seen), items }
}

function writeOf(manifest: SecretManifest, present: Present | undefined): SecretWrite {
  if (present === undefined) return { kind: 'create', manifest }
  const from = versionOfSecret(present.meta)
  const retyped = present.live !== undefined && present.live.type !== manifest.type
  return { kind: retyped ? 'recreate' : 'replace', manifest, from }
}

function summaryOf({ keys, items }: Applied, content?: Content): string {
  const count = keys.length === 1 ? '1 key' : `${keys.length} keys`
  const versions = versionsOf(items)
  const source = versions.length === 1 ? `item version ${versions[0]}` : `${versions.length} items`
  const parts = [`${count} from ${source}.`]
  if (content && content.skipped.length > 0) {
    parts.push(`Labels that give no legal key: ${quoted(content.skipped)}.`)
  }
  if (content && content.overruled.length > 0) {
    parts.push(`Labels whose key another one took: ${quoted(content.overruled)}.`)
  }
  return parts.join(' ')
}

function quoted(labels: readonly string[]): string {
  const shown = labels.slice(0, 20).map((label) => `"${label}"`)
  return labels.length > shown.length ? `${shown.join(', ')}, …` : shown.join(', ')
}
