/**
 * The custom resource as the operator reads it. Source of the shape:
 * `crds/onepassword.com_onepassworditems.yaml`; the API server has checked it, so that parsing
 * here reduces (to what decisions need) rather than validates.
 */
import type { Resource } from '../kube/resource.ts'
import { isOwnName } from './annotations.ts'

/** The custom resource in the API. */
export const ONE_PASSWORD_ITEM = {
  group: 'onepassword.com',
  version: 'v1',
  plural: 'onepassworditems',
  kind: 'OnePasswordItem',
} as const satisfies Resource

/** `spec`, with the members that this version acts on; the names of others that are set. */
export interface ItemSpec {
  readonly itemPath: string
  /** Name of the Secret; default: the resource's own. */
  readonly secretName: string
  /** Names of members that are set and not acted on. */
  readonly unsupported: readonly string[]
}

/** One condition. Source: `meta/v1 Condition`, reason optional as the incumbent's CRD has it. */
export interface Condition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason?: string
  readonly message?: string
  readonly observedGeneration?: number
  readonly lastTransitionTime: string
}

/** An item whose content is in the Secret. */
export interface AppliedItem {
  /** As the resource names it. */
  readonly path: string
  readonly vaultId: string
  readonly itemId: string
  readonly version: number
}

/** `status`. A hint of what was done before, never an authority. */
export interface ItemStatus {
  readonly observedGeneration: number
  readonly conditions: readonly Condition[]
  readonly secretName?: string
  /** The Secret as last written or verified. */
  readonly secretResourceVersion?: string
  /** `<key id>.<HMAC>` of the content last written or verified. */
  readonly digest?: string
  /** Rules by which the content was made: mapping version and settings that change it. */
  readonly mapping?: string
  /** Generation whose content is in the Secret. */
  readonly appliedGeneration?: number
  readonly items?: readonly AppliedItem[]
  readonly keys?: readonly string[]
  /** When the content last changed. RFC 3339. */
  readonly lastSyncTime?: string
}

/** Who asks for a Secret: one custom resource, reduced. */
export interface Claim {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  readonly generation: number
  readonly createdAt: string
  readonly deleting: boolean
  readonly finalizers: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  /** Only those whose meaning is ours or the incumbent's. */
  readonly annotations: Readonly<Record<string, string>>
  /** Type of the Secret; `Opaque` unless told. */
  readonly type: string
  readonly spec: ItemSpec
  readonly status: ItemStatus
}

interface RawItem {
  readonly metadata: {
    readonly namespace: string
    readonly name: string
    readonly uid: string
    readonly resourceVersion: string
    readonly generation?: number
    readonly creationTimestamp?: string
    readonly deletionTimestamp?: string
    readonly finalizers?: readonly string[]
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly type?: string
  readonly spec?: Readonly<Record<string, unknown>>
  readonly status?: Partial<ItemStatus>
}

const EMPTY_STATUS: ItemStatus = { observedGeneration: -1, conditions: [] }

/** Members of `spec` that this version acts on. */
const SUPPORTED = new Set(['itemPath'])

/** Reduces an object of the API server. */
export function parseClaim(raw: unknown): Claim {
  const { metadata, type, spec = {}, status } = raw as RawItem
  const { namespace, name, uid, resourceVersion, generation, annotations } = metadata
  return {
    namespace,
    name,
    uid,
    resourceVersion,
    generation: generation ?? 0,
    createdAt: metadata.creationTimestamp ?? '',
    deleting: metadata.deletionTimestamp !== undefined,
    finalizers: metadata.finalizers ?? [],
    labels: metadata.labels ?? {},
    annotations: Object.fromEntries(
      Object.entries(annotations ?? {}).filter(([key]) => isOwnName(key)),
    ),
    type: type || 'Opaque',
    spec: {
      itemPath: textOf(spec['itemPath']),
      secretName: textOf(spec['secretName']) || name,
      unsupported: Object.keys(spec).filter((member) => !SUPPORTED.has(member)),
    },
    status: { ...EMPTY_STATUS, ...status },
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** The condition of that type, if there is one. */
export function conditionOf(status: ItemStatus, type: string): Condition | undefined {
  return status.conditions.find((condition) => condition.type === type)
}
