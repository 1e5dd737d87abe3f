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
import type { Claim, Texts } from '../item.ts'
import { type Debt, formatDebt } from './debt.ts'
import { ownerMark } from './digest.ts'
import { ownerName, ownerReferencesFor } from './ownership.ts'
import type { Policy, SecretManifest, SecretMeta } from './types.ts'

type Metadata = Pick<SecretManifest, 'labels' | 'annotations' | 'ownerReferences' | 'finalizers'>

/** What the metadata says of the content. */
export interface ContentMark {
  /** `vaults/<id>/items/<id>` */
  readonly itemPath: string
  readonly itemVersion: string
  readonly digest: string
  readonly mapping: string
  readonly debt: Debt | undefined
}

/** Names that we put on a Secret at a resource's wish, and take off when the wish is gone. */
interface Applied {
  /** Rules by which the content was made; read for Secrets whose owner has no status. */
  readonly mapping: string
  readonly labels: readonly string[]
  readonly annotations: readonly string[]
}

/** The metadata that the Secret is to have. `present`: as it is now, if it exists. */
export function metadataFor(
  claim: Claim,
  policy: Policy,
  mark: ContentMark,
  present: { readonly meta: SecretMeta | undefined; readonly deadOwners: ReadonlySet<string> },
): Metadata {
  const { meta, deadOwners } = present
  const before = appliedBefore(claim, meta)
  const { secretLabels, secretAnnotations } = claim.spec
  const wished = { ...copiedLabels(claim, policy), ...secretLabels }
  const applied: Applied = {
    mapping: mark.mapping,
    labels: Object.keys(wished).toSorted(),
    annotations: Object.keys(secretAnnotations).toSorted(),
  }
  const labels = { ...without(meta?.labels, before.labels), ...wished, [MANAGED]: 'true' }
  const annotations = {
    ...without(meta?.annotations, [AUTO_RESTART, RESTART, ...before.annotations]),
    ...secretAnnotations,
    ...annotationsFor(claim, policy, mark, applied),
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

function annotationsFor(claim: Claim, policy: Policy, mark: ContentMark, applied: Applied): Texts {
  const { digestKey, instance } = policy
  const autoRestart = claim.annotations[AUTO_RESTART]
  const { namespace, spec } = claim
  return {
    [ITEM_PATH]: mark.itemPath,
    [ITEM_VERSION]: mark.itemVersion,
    ...(autoRestart === undefined ? {} : { [AUTO_RESTART]: autoRestart }),
    [DIGEST]: mark.digest,
    [OWNER]: ownerMark(digestKey, namespace, spec.secretName, ownerName(claim)),
    [APPLIED]: JSON.stringify(applied),
    [INSTANCE]: instance,
    ...(mark.debt ? { [RESTART]: formatDebt(mark.debt) } : {}),
  }
}

function copiedLabels(claim: Claim, { labelsNotCopied }: Policy): Texts {
  return Object.fromEntries(
    Object.entries(claim.labels).filter(([name]) => !isNotCopied(name, labelsNotCopied)),
  )
}

/**
 * What was put on the Secret before us. The incumbent copies all labels of the resource and notes
 * nothing: those that both have are its work, among them some by which other tools prune.
 */
function appliedBefore({ labels }: Claim, meta: SecretMeta | undefined): Omit<Applied, 'mapping'> {
  const noted = meta?.annotations[APPLIED]
  if (meta === undefined || noted !== undefined || !(ITEM_VERSION in meta.annotations)) {
    return parseApplied(noted)
  }
  const copied = Object.keys(labels).filter((name) => meta.labels[name] === labels[name])
  return { labels: copied, annotations: [] }
}

/** Tolerates whatever somebody wrote there: then nothing counts as ours. */
function parseApplied(text: string | undefined): Omit<Applied, 'mapping'> {
  const names = (value: unknown) =>
    Array.isArray(value) ? value.filter((name) => typeof name === 'string') : []
  try {
    const { labels, annotations } = JSON.parse(text ?? '{}') as Record<string, unknown>
    return { labels: names(labels), annotations: names(annotations) }
  } catch {
    return { labels: [], annotations: [] }
  }
}

function without(texts: Texts | undefined, names: readonly string[]): Texts {
  return Object.fromEntries(Object.entries(texts ?? {}).filter(([name]) => !names.includes(name)))
}

function sameTexts(a: Texts, b: Texts): boolean {
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name])
}
