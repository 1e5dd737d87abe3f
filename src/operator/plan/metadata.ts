/**
 * Labels and annotations of a Secret: ours by name, everybody else's as they are.
 */
import {
  APPLIED,
  AUTO_RESTART,
  DIGEST,
  INSTANCE,
  isNotCopied,
  ITEM_PATH,
  ITEM_VERSION,
  MANAGED,
  OWNER,
  RESTART,
} from '../annotations.ts'
import type { Claim } from '../item.ts'
import { type Debt, formatDebt } from './debt.ts'
import { ownerMark } from './digest.ts'
import { ownerName, ownerReferencesFor } from './ownership.ts'
import type { Policy, SecretManifest, SecretMeta } from './types.ts'

type Texts = Readonly<Record<string, string>>
type Metadata = Pick<SecretManifest, 'labels' | 'annotations' | 'ownerReferences' | 'finalizers'>

/** What the metadata says of the content. */
export interface ContentMark {
  /** `vaults/<id>/items/<id>` */
  readonly itemPath: string
  readonly itemVersion: number
  readonly digest: string
  readonly debt: Debt | undefined
}

/** Names that we put on a Secret at a resource's wish, and take off when the wish is gone. */
interface Applied {
  readonly labels: readonly string[]
}

/** The metadata that the Secret is to have. `present`: as it is now, if it exists. */
export function metadataFor(
  claim: Claim,
  policy: Policy,
  mark: ContentMark,
  present: { readonly meta: SecretMeta | undefined; readonly deadOwners: ReadonlySet<string> },
): Metadata {
  const { meta, deadOwners } = present
  const before = parseApplied(meta?.annotations[APPLIED])
  const copied = copiedLabels(claim, policy)
  const labels = { ...without(meta?.labels, before.labels), ...copied, [MANAGED]: 'true' }
  const annotations = {
    ...without(meta?.annotations, [AUTO_RESTART, RESTART]),
    ...annotationsFor(claim, policy, mark, copied),
  }
  return {
    labels,
    annotations,
    ownerReferences: ownerReferencesFor(claim, meta?.ownerReferences ?? [], deadOwners),
    finalizers: meta?.finalizers ?? [],
  }
}

/** Whether a Secret's metadata already is what {@link metadataFor} wants. */
export function isMetadataInSync(wanted: Metadata, meta: SecretMeta): boolean {
  return (
    sameTexts(wanted.labels, meta.labels) &&
    sameTexts(wanted.annotations, meta.annotations) &&
    wanted.ownerReferences.length === meta.ownerReferences.length &&
    wanted.ownerReferences.every(({ uid, name }) =>
      meta.ownerReferences.some((present) => present.uid === uid && present.name === name),
    )
  )
}

function annotationsFor(claim: Claim, policy: Policy, mark: ContentMark, copied: Texts): Texts {
  const { digestKey, instance } = policy
  const autoRestart = claim.annotations[AUTO_RESTART]
  const { namespace, spec } = claim
  return {
    [ITEM_PATH]: mark.itemPath,
    [ITEM_VERSION]: String(mark.itemVersion),
    ...(autoRestart === undefined ? {} : { [AUTO_RESTART]: autoRestart }),
    [DIGEST]: mark.digest,
    [OWNER]: ownerMark(digestKey, namespace, spec.secretName, ownerName(claim)),
    [APPLIED]: JSON.stringify({ labels: Object.keys(copied).toSorted() } satisfies Applied),
    [INSTANCE]: instance,
    ...(mark.debt ? { [RESTART]: formatDebt(mark.debt) } : {}),
  }
}

function copiedLabels(claim: Claim, { labelsNotCopied }: Policy): Texts {
  return Object.fromEntries(
    Object.entries(claim.labels).filter(([name]) => !isNotCopied(name, labelsNotCopied)),
  )
}

/** Tolerates whatever somebody wrote there: then nothing counts as ours. */
function parseApplied(text: string | undefined): Applied {
  try {
    const { labels } = JSON.parse(text ?? '{}') as { labels?: unknown }
    return {
      labels: Array.isArray(labels) ? labels.filter((name) => typeof name === 'string') : [],
    }
  } catch {
    return { labels: [] }
  }
}

function without(texts: Texts | undefined, names: readonly string[]): Texts {
  return Object.fromEntries(Object.entries(texts ?? {}).filter(([name]) => !names.includes(name)))
}

function sameTexts(a: Texts, b: Texts): boolean {
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name])
}
