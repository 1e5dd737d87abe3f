/**
 * What is to become of the claim's Secret: nothing, new labels and annotations around the same
 * content, or new content with the restart that it owes.
 */
import { formatItemPath } from '../../connect/item-path.ts'
import { KeyferryError } from '../../errors.ts'
import { DIGEST, RESTART } from '../annotations.ts'
import { type Claim, conditionOf } from '../item.ts'
import {
  type Content,
  contentOfItem,
  fits,
  type ItemContent,
  MAPPING_VERSION,
  MAX_SECRET_BYTES,
} from './content.ts'
import { type Debt, parseDebt, timestamp } from './debt.ts'
import { contentDigest, keyIdOf } from './digest.ts'
import { isMetadataInSync, metadataFor } from './metadata.ts'
import type { Ownership } from './ownership.ts'
import { type Applied, isApplied, type Verdict } from './status.ts'
import { conclude, fail, failWith, later, outageOf } from './trouble.ts'
import type {
  Decision,
  EventDraft,
  LiveSecret,
  Plan,
  Policy,
  SecretManifest,
  SecretMeta,
  SecretWrite,
  Snapshot,
} from './types.ts'

/** Repairs within a minute after which a Secret counts as contested. */
const CONTESTED_REPAIRS = 3
const CONTESTED_RECHECK_MS = 60_000
/** Milliseconds after which an item is read again whose list shows another version. */
const LAGGING_RECHECK_MS = 30_000

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
  const current = isCurrent(seen)
  if (current && present && present.digest === current.digest)
    return planMetadata(seen, present, current)
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
      return planContent(seen, present, seen.content.content)
  }
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
 * What was applied last, if that is what the item, the resource and the rules of this program want
 * now: then only the Secret itself can differ.
 */
function isCurrent({ claim, reference, policy }: Snapshot): Applied | undefined {
  const { secretName, digest, mapping, items, keys } = claim.status
  if (!isApplied(claim) || reference?.kind !== 'found') return undefined
  if (!secretName || !digest || !items || !keys || mapping !== mappingOf(policy)) return undefined
  const [applied] = items
  const { item } = reference
  const same =
    applied?.path === claim.spec.itemPath &&
    applied.vaultId === item.vault.id &&
    applied.itemId === item.id &&
    applied.version === item.version
  return same ? { secretName, digest, mapping, items, keys } : undefined
}

/** The rules by which content is made, as the status records them. */
function mappingOf({ emptyValues }: Policy): string {
  return `${MAPPING_VERSION}${emptyValues ? '+empty' : ''}`
}

/** The content is right; labels, annotations and owners may not be. */
function planMetadata(seen: Snapshot, present: Present, applied: Applied): Decision {
  const { claim, policy, deadOwners } = seen
  const { meta, live } = present
  const debt = parseDebt(meta.annotations[RESTART])
  const wanted = metadataFor(claim, policy, markOf(applied, debt), { meta, deadOwners })
  const inSync = isMetadataInSync(wanted, meta)
  // A write of metadata carries the data, so the data must have been read.
  if (!inSync && live === undefined) return { kind: 'look', at: 'secret' }
  const ready = conditionOf(claim.status, 'Ready')
  const verdict: Verdict = {
    kind: 'synced',
    applied,
    secretResourceVersion: meta.resourceVersion,
    message: (ready?.reason === 'Synced' && ready.message) || summaryOf(applied),
    restarting: debt !== undefined,
    trouble: outageOf(seen),
  }
  if (inSync || live === undefined) return { kind: 'act', plan: conclude(seen, verdict) }
  const { immutable, data } = live
  const manifest = { ...identityOf(claim), ...wanted, immutable, data }
  return { kind: 'act', plan: conclude(seen, verdict, writeOf(manifest, present)) }
}

/** New content was read. */
function planContent(seen: Snapshot, present: Present | undefined, read: ItemContent): Decision {
  const { claim, policy } = seen
  if (isStepBack(seen, read)) return failWith(seen, steppedBack())
  const content = contentOfItem(read, policy.emptyValues)
  if (!fits(content)) return fail(seen, 'TooLarge', sizes(content))
  if (content.data.size === 0) {
    return fail(seen, 'NoKeys', `Item version ${read.item.version} gives no key.`)
  }
  const { data } = content
  const identity = identityOf(claim)
  const digest = contentDigest(policy.digestKey, { ...identity, data })
  if (present?.live?.immutable && digest !== present.digest) {
    return fail(seen, 'SecretImmutable', `Secret ${identity.name} is immutable.`)
  }
  const applied = appliedBy(claim, policy, read, { digest, keys: [...data.keys()].toSorted() })
  const debt = debtAfter(seen, present, digest)
  const wanted = metadataFor(claim, policy, markOf(applied, debt), {
    meta: present?.meta,
    deadOwners: seen.deadOwners,
  })
  const same = present?.digest === digest && isMetadataInSync(wanted, present.meta)
  const verdict: Verdict = {
    kind: 'synced',
    applied,
    secretResourceVersion: same ? present.meta.resourceVersion : undefined,
    message: summaryOf(applied, content),
    restarting: debt !== undefined,
    trouble: undefined,
  }
  const immutable = present?.live?.immutable === true
  const manifest: SecretManifest = { ...identity, ...wanted, immutable, data }
  const plan = conclude(seen, verdict, same ? undefined : writeOf(manifest, present))
  return { kind: 'act', plan: { ...plan, ...aftermath(seen, present, read, digest) } }
}

/** What besides the writes follows from new content: Events, whether it is a repair, a recheck. */
function aftermath(
  { claim, reference }: Snapshot,
  present: Present | undefined,
  { item }: ItemContent,
  digest: string,
): Pick<Plan, 'events' | 'repair' | 'outcome'> {
  const repair = digest === claim.status.digest && present?.digest !== digest
  const events: EventDraft[] = []
  const tell = (reason: string, note: string) =>
    events.push({ type: 'Normal', reason, action: 'Sync', note })
  const { secretName } = claim.spec
  if (present?.ownership === 'incumbents')
    tell('SecretTakenOver', `Took over Secret ${secretName}.`)
  else if (repair && present) tell('SecretRepaired', `Undid a change of Secret ${secretName}.`)
  else if (repair) tell('SecretRestored', `Wrote Secret ${secretName} again after its deletion.`)
  const lagging = reference?.kind === 'found' && reference.item.version !== item.version
  return {
    events,
    repair,
    outcome: lagging ? { kind: 'recheck', afterMs: LAGGING_RECHECK_MS } : { kind: 'settled' },
  }
}

/**
 * Whether the answer is older than what is applied, from a replica of Connect that lags. A version
 * that the list shows too, has been confirmed there.
 */
function isStepBack({ claim, reference }: Snapshot, { item }: ItemContent): boolean {
  const applied = claim.status.items?.find(({ itemId }) => itemId === item.id)
  const listed = reference?.kind === 'found' ? reference.item.version : undefined
  return applied !== undefined && item.version < applied.version && item.version !== listed
}

function steppedBack(): KeyferryError {
  return new KeyferryError('CONNECT_BAD_ANSWER', {
    message: 'Connect gave an older version of the item than the one already applied',
    remedy: 'Nothing to do: the item is read again.',
    retry: 'soon',
  })
}

/**
 * The restart that is owed once the content with `digest` is written. None for a first creation,
 * for content that was written before, and for a change that is our own doing.
 */
function debtAfter(seen: Snapshot, present: Present | undefined, digest: string): Debt | undefined {
  const { now } = seen
  const open = openDebt(seen, present)
  if (isChanged(seen, present, digest) && !isOwnDoing(seen)) {
    return { digest, since: timestamp(now), gaveUp: [] }
  }
  return open && { ...open, digest }
}

/** The debt on the Secret, or the one that a deleted Secret took with it. */
function openDebt({ claim, now }: Snapshot, present: Present | undefined): Debt | undefined {
  if (present) return parseDebt(present.meta.annotations[RESTART])
  const { digest } = claim.status
  const owed = conditionOf(claim.status, 'Restarting')?.status === 'True'
  return owed && digest ? { digest, since: timestamp(now), gaveUp: [] } : undefined
}

/**
 * Whether pods may run with other content than that with `digest`: other than what the Secret's
 * annotation says was written last, or the status, or (at take-over) what the Secret holds.
 */
function isChanged(seen: Snapshot, present: Present | undefined, digest: string): boolean {
  const { claim, policy } = seen
  const ofThisKey = (one: string | undefined) => keyIdOf(one) === policy.digestKey.id
  const marked = [present?.meta.annotations[DIGEST], claim.status.digest].find(ofThisKey)
  if (marked !== undefined) return marked !== digest
  // Nothing comparable is recorded: the Secret itself tells, and where it is gone too, a status
  // that speaks of some content makes it likely enough that pods run with it.
  return present ? present.digest !== digest : claim.status.digest !== undefined
}

/** Whether only rules and settings of this program have changed since the last write. */
function isOwnDoing(seen: Snapshot): boolean {
  const { claim, policy, reference } = seen
  const { mapping } = claim.status
  if (mapping === undefined || mapping === mappingOf(policy)) return false
  const asBefore = { ...claim, status: { ...claim.status, mapping: mappingOf(policy) } }
  return reference !== undefined && isCurrent({ ...seen, claim: asBefore }) !== undefined
}

// ── Small parts ──────────────────────────────────────────────────────────────────────────────

function identityOf({ namespace, spec, type }: Claim) {
  return { namespace, name: spec.secretName, type }
}

function markOf({ items, digest }: Applied, debt: Debt | undefined) {
  const [item] = items
  return {
    itemPath: formatItemPath(item?.vaultId ?? '', item?.itemId ?? ''),
    itemVersion: item?.version ?? 0,
    digest,
    debt,
  }
}

function appliedBy(
  { spec }: Claim,
  policy: Policy,
  { item }: ItemContent,
  made: Pick<Applied, 'digest' | 'keys'>,
): Applied {
  const { id, version, vault } = item
  const applied = { path: spec.itemPath, vaultId: vault.id, itemId: id, version }
  return { ...made, secretName: spec.secretName, mapping: mappingOf(policy), items: [applied] }
}

function writeOf(manifest: SecretManifest, present: Present | undefined): SecretWrite {
  if (present === undefined) return { kind: 'create', manifest }
  const { uid, resourceVersion } = present.meta
  return { kind: 'replace', manifest, uid, resourceVersion }
}

function summaryOf({ keys, items }: Applied, content?: Content): string {
  const count = keys.length === 1 ? '1 key' : `${keys.length} keys`
  const parts = [`${count} from item version ${items[0]?.version ?? 0}.`]
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

function sizes({ sizes: byKey }: Content): string {
  const largest = [...byKey].toSorted(([, a], [, b]) => b - a).slice(0, 10)
  const list = largest.map(([key, bytes]) => `${key} ${bytes}`).join(', ')
  return `The values have more than ${MAX_SECRET_BYTES} bytes; the largest: ${list}.`
}
