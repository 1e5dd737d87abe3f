/**
 * The custom resource as the operator reads it. Source of the shape:
 * `crds/onepassword.com_onepassworditems.yaml`; the API server has checked it, so that parsing
 * here reduces (to what decisions need) rather than validates.
 */
import { pooled } from './pool.ts'
import { apiVersionOf, type Resource } from '../kube/resource.ts'
import { isOwnName, REFRESH } from './annotations.ts'

/** The custom resource in the API. */
export const ONE_PASSWORD_ITEM = {
  group: 'onepassword.com',
  version: 'v1',
  plural: 'onepassworditems',
  kind: 'OnePasswordItem',
} as const satisfies Resource

/** Texts by name. */
export type Texts = Readonly<Record<string, string>>

/** `spec`, with its defaults. */
export interface ItemSpec {
  /** Empty: no item of which all fields become keys. */
  readonly itemPath: string
  /** Name of the Secret; default: the resource's own. */
  readonly secretName: string
  /** Keys of one's own: literals, references, texts with references in them. */
  readonly data: Texts
  readonly secretLabels: Texts
  readonly secretAnnotations: Texts
  readonly requiredKeys: readonly string[]
  /** Undefined: the operator's own setting decides. */
  readonly emptyValues: 'Skip' | 'Include' | undefined
  readonly onItemMissing: 'Keep' | 'Delete'
  readonly deletionPolicy: 'Delete' | 'Retain'
  readonly existingSecret: 'Refuse' | 'Adopt'
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
  /** As the resource names it: `spec.itemPath`, or `op://<vault>/<item>` of a reference. */
  readonly path: string
  readonly vaultId: string
  readonly itemId: string
  readonly version: number
  /** When the item says that it expires. RFC 3339. */
  readonly expires?: string
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
  /** Value of the refresh annotation that was acted on last. */
  readonly refresh?: string
}

/** Source: `meta/v1 OwnerReference`. */
export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
  readonly blockOwnerDeletion?: boolean
}

/** Who asks for a Secret: a custom resource, or the workloads annotated with one item and name. */
export interface Claim {
  readonly origin: 'resource' | 'workloads'
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  readonly generation: number
  readonly createdAt: string
  readonly deleting: boolean
  readonly finalizers: readonly string[]
  readonly labels: Texts
  /** Only those whose meaning is ours or the incumbent's. */
  readonly annotations: Texts
  /** Type of the Secret; `Opaque` unless told. */
  readonly type: string
  readonly spec: ItemSpec
  readonly status: ItemStatus
  /** Who is to own the Secret, so that it goes with them. */
  readonly owners: readonly OwnerReference[]
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
    readonly labels?: Texts
    readonly annotations?: Texts
  }
  readonly type?: string
  readonly spec?: RawSpec
  readonly status?: Partial<ItemStatus>
}

interface RawSpec {
  readonly itemPath?: string
  readonly secretName?: string
  readonly data?: Texts
  readonly secretMetadata?: { readonly labels?: Texts; readonly annotations?: Texts }
  readonly requiredKeys?: readonly string[]
  readonly emptyValues?: ItemSpec['emptyValues']
  readonly onItemMissing?: ItemSpec['onItemMissing']
  readonly deletionPolicy?: ItemSpec['deletionPolicy']
  readonly existingSecret?: ItemSpec['existingSecret']
}

const EMPTY_STATUS: ItemStatus = { observedGeneration: -1, conditions: [] }
const NONE: Texts = {}
const NOTHING: readonly string[] = []

/** Reduces an object of the API server. */
export function parseClaim(raw: unknown): Claim {
  const { metadata, type, spec, status } = raw as RawItem
  const { name, uid, resourceVersion, generation } = metadata
  const parsed = parseSpec(spec ?? {}, name)
  return {
    origin: 'resource',
    namespace: pooled(metadata.namespace),
    name,
    uid,
    resourceVersion,
    generation: generation ?? 0,
    createdAt: metadata.creationTimestamp ?? '',
    deleting: metadata.deletionTimestamp !== undefined,
    finalizers: metadata.finalizers ?? NOTHING,
    labels: metadata.labels ?? NONE,
    annotations: ownTexts(metadata.annotations),
    type: type || 'Opaque',
    spec: parsed,
    status: { ...EMPTY_STATUS, ...poolStatus(status, parsed) },
    owners: [ownerReference(ONE_PASSWORD_ITEM, { name, uid })],
  }
}

function ownTexts(annotations: Texts = NONE): Texts {
  const own = Object.entries(annotations).filter(([key]) => isOwnName(key))
  return own.length === 0 ? NONE : Object.fromEntries(own)
}

/** What thousands of statuses repeat, and what each repeats of its spec, takes its memory once. */
function poolStatus(status: Partial<ItemStatus> = {}, { itemPath }: ItemSpec): Partial<ItemStatus> {
  const { conditions = [], items } = status
  return {
    ...status,
    conditions: conditions.map(({ reason, message, ...condition }) => ({
      ...condition,
      ...(reason === undefined ? {} : { reason: pooled(reason) }),
      ...(message === undefined ? {} : { message: pooled(message) }),
    })),
    ...(items && {
      items: items.map((item) => ({
        ...item,
        path: item.path === itemPath ? itemPath : item.path,
        vaultId: pooled(item.vaultId),
      })),
    }),
  }
}

function parseSpec(spec: RawSpec, name: string): ItemSpec {
  return {
    itemPath: spec.itemPath ?? '',
    secretName: spec.secretName || name,
    data: spec.data ?? NONE,
    secretLabels: spec.secretMetadata?.labels ?? NONE,
    secretAnnotations: spec.secretMetadata?.annotations ?? NONE,
    requiredKeys: spec.requiredKeys ?? NOTHING,
    emptyValues: spec.emptyValues,
    onItemMissing: spec.onItemMissing ?? 'Keep',
    deletionPolicy: spec.deletionPolicy ?? 'Delete',
    existingSecret: spec.existingSecret ?? 'Refuse',
  }
}

/** A plain owner reference: the garbage collector deletes with the owner, and nothing else follows. */
export function ownerReference(
  resource: Resource,
  { name, uid }: { readonly name: string; readonly uid: string },
): OwnerReference {
  return { apiVersion: pooled(apiVersionOf(resource)), kind: resource.kind, name, uid }
}

/** The refresh that is asked for and was not answered yet; taking a request back asks for nothing. */
export function openRefresh({ annotations, status }: Claim): string | undefined {
  const wish = annotations[REFRESH]
  return wish && wish !== status.refresh ? wish : undefined
}

/** The same for each path that means the item. */
export const idOf = ({ vaultId, itemId }: AppliedItem): string => `${vaultId}/${itemId}`

/** Versions of items, one for each, by whatever paths the resource names it. */
export function versionsOf(items: readonly AppliedItem[] = []): number[] {
  return [...new Map(items.map((item) => [idOf(item), item.version])).values()]
}

/** The condition of that type, if there is one. */
export function conditionOf(status: ItemStatus, type: string): Condition | undefined {
  return status.conditions.find((condition) => condition.type === type)
}
