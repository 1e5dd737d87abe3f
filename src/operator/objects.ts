/**
 * From objects of the API server to what the operator keeps of them.
 */
import { SecretValue } from '../connect/secret-value.ts'
import { pooled } from './pool.ts'
import type { Resource, Tracked } from '../kube/resource.ts'
import { APPLIED, AUTO_RESTART, INSTANCE } from './annotations.ts'
import type { OwnerReference, Texts } from './item.ts'
import type { LiveSecret, SecretMeta } from './plan/types.ts'

/** Secrets in the API. */
export const SECRETS: Resource = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret' }
/** Namespaces in the API. */
export const NAMESPACES: Resource = {
  group: '',
  version: 'v1',
  plural: 'namespaces',
  kind: 'Namespace',
}

/** A namespace, as far as restarts go. */
export interface NamespaceView extends Tracked {
  /** Text of its auto-restart annotation. */
  readonly autoRestart: string | undefined
}

const NONE: Texts = {}
const NOTHING: readonly string[] = []

interface RawMetadata {
  readonly namespace?: string
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  readonly deletionTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly ownerReferences?: readonly OwnerReference[]
  readonly finalizers?: readonly string[]
}

/** A Secret or its PartialObjectMetadata, without content. */
export function parseSecretMeta(raw: unknown): SecretMeta {
  const { metadata } = raw as { metadata: RawMetadata }
  const { annotations = NONE, ownerReferences = [] } = metadata
  return {
    namespace: pooled(metadata.namespace ?? ''),
    name: metadata.name,
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
    labels: metadata.labels ?? NONE,
    annotations: {
      ...annotations,
      // Nearly every Secret has the same.
      ...(INSTANCE in annotations && { [INSTANCE]: pooled(annotations[INSTANCE]) }),
      ...(APPLIED in annotations && { [APPLIED]: pooled(annotations[APPLIED]) }),
    },
    ownerReferences: ownerReferences.map((owner) => ({
      ...owner,
      apiVersion: pooled(owner.apiVersion),
      kind: pooled(owner.kind),
    })),
    finalizers: metadata.finalizers ?? NOTHING,
    deleting: metadata.deletionTimestamp !== undefined,
  }
}

/** A whole Secret. */
export function parseLiveSecret(raw: unknown): LiveSecret {
  const { type, immutable, data } = raw as {
    type?: string
    immutable?: boolean
    data?: Readonly<Record<string, string>>
  }
  const values = Object.entries(data ?? {}).map(
    ([key, value]) => [key, SecretValue.fromBytes(Buffer.from(value, 'base64'))] as const,
  )
  return {
    ...parseSecretMeta(raw),
    type: type ?? 'Opaque',
    immutable: immutable === true,
    data: new Map(values),
  }
}

/** A Namespace or its PartialObjectMetadata. */
export function parseNamespace(raw: unknown): NamespaceView {
  const { metadata } = raw as { metadata: RawMetadata }
  const { name, uid, resourceVersion, annotations } = metadata
  return {
    namespace: '',
    name,
    uid,
    resourceVersion,
    autoRestart: annotations?.[AUTO_RESTART] || undefined,
  }
}
