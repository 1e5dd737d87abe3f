/**
 * From objects of the API server to what the operator keeps of them.
 */
import { SecretValue } from '../connect/secret-value.ts'
import type { Resource, Tracked } from '../kube/resource.ts'
import { AUTO_RESTART } from './annotations.ts'
import type { OwnerReference } from './item.ts'
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
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
    labels: metadata.labels ?? {},
    annotations: metadata.annotations ?? {},
    ownerReferences: metadata.ownerReferences ?? [],
    finalizers: metadata.finalizers ?? [],
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
