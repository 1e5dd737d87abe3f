/**
 * Where claims come from: custom resources, and workloads annotated with an item and the name of a
 * Secret.
 */
import { keyOf, parseKey } from '../../kube/resource.ts'
import type { Selector } from '../../kube/selector.ts'
import { APPLIED, DIGEST, ITEM_PATH, ITEM_VERSION, OWNER } from '../annotations.ts'
import { type Claim, type ItemStatus, ownerReference } from '../item.ts'
import { ownerName } from '../plan/ownership.ts'
import type { SecretMeta } from '../plan/types.ts'
import { type Workload, WORKLOAD_RESOURCES } from '../plan/workload.ts'
import { askersOf, BY_SECRET, type Views } from './views.ts'

/** Claims by key. */
export interface ClaimSource {
  get(key: string): Claim | undefined
  /** Name of another claim to the same Secret that comes first. */
  rivalOf(claim: Claim, meta: SecretMeta | undefined): string | undefined
}

/** Claims of custom resources, by `namespace/name`. */
export function resourceClaims(views: Views): ClaimSource {
  return {
    get: (key) => views.claims.get(parseKey(key)),
    rivalOf(claim, meta) {
      const { namespace, spec } = claim
      const all = views.claims.find(BY_SECRET, `${namespace}/${spec.secretName}`)
      if (all.length < 2) return undefined
      const [first] = all.filter(({ deleting }) => !deleting).toSorted(byPrecedence(meta))
      return first && first.uid !== claim.uid ? first.name : undefined
    },
  }
}

/** The one that the Secret names as owner, else the oldest, else the first by name. */
function byPrecedence(meta: SecretMeta | undefined) {
  // A retained Secret has no reference to its owner, but our annotation.
  const [marked] = (meta?.annotations[OWNER] ?? '').split(' ')
  const isOwner = (claim: Claim) =>
    meta?.ownerReferences.some(({ uid }) => uid === claim.uid) || ownerName(claim) === marked
  const rank = (claim: Claim) => (isOwner(claim) ? 0 : 1)
  return (a: Claim, b: Claim) =>
    rank(a) - rank(b) ||
    Date.parse(a.createdAt) - Date.parse(b.createdAt) ||
    (a.name < b.name ? -1 : 1)
}

/** Claims of annotated workloads, by `namespace/name` of the Secret. */
export interface WorkloadClaims extends ClaimSource {
  /** What a run found out: workloads have no status of ours to keep it in. */
  remember(claim: Claim, status: ItemStatus): Claim
  /** Workloads that ask for another item under the same name, and therefore get nothing. */
  losersOf(key: string): readonly Workload[]
}

/** @param selector which workloads this installation serves */
export function workloadClaims(views: Views, selector: Selector): WorkloadClaims {
  const remembered = new Map<string, ItemStatus>()

  function askers(key: string): { winners: Workload[]; losers: Workload[]; held: boolean } {
    const present = askersOf(views, key)
    const living = present.filter(({ deleting }) => !deleting)
    const all = living
      .filter(({ labels }) => selector(labels))
      .toSorted(
        (a, b) =>
          Date.parse(a.createdAt) - Date.parse(b.createdAt) ||
          (keyOf(a) + a.kind < keyOf(b) + b.kind ? -1 : 1),
      )
    const itemPath = all[0]?.asks?.itemPath
    return {
      winners: all.filter(({ asks }) => asks?.itemPath === itemPath),
      losers: all.filter(({ asks }) => asks?.itemPath !== itemPath),
      held: all.length < present.length,
    }
  }

  return {
    get(key) {
      // A resource of that Secret name wins over workloads.
      if (views.claims.find(BY_SECRET, key).length > 0) return undefined
      const { winners, held } = askers(key)
      const secret = views.secrets.get(parseKey(key))
      const status = remembered.get(key) ?? recordedStatus(secret, winners[0]?.asks?.itemPath)
      if (winners.length > 0) return claimOf(key, winners, status)
      remembered.delete(key)
      // What workloads ask for that are not ours to serve is not ours to delete. Of one that is being
      // deleted, the garbage collector decides: its Secret may be orphaned on purpose.
      return secret && !held ? { ...claimOf(key, [], status), deleting: true } : undefined
    },
    rivalOf: () => undefined,
    remember(claim, status) {
      remembered.set(keyOf(claim), status)
      return { ...claim, status }
    },
    losersOf: (key) => askers(key).losers,
  }
}

function claimOf(key: string, workloads: readonly Workload[], status: ItemStatus): Claim {
  const { namespace, name } = parseKey(key)
  return {
    origin: 'workloads',
    namespace,
    name,
    uid: '',
    resourceVersion: '',
    generation: 0,
    createdAt: workloads[0]?.createdAt ?? '',
    deleting: false,
    finalizers: [],
    labels: {},
    annotations: {},
    type: 'Opaque',
    spec: {
      itemPath: workloads[0]?.asks?.itemPath ?? '',
      secretName: name,
      data: {},
      secretLabels: {},
      secretAnnotations: {},
      requiredKeys: [],
      emptyValues: undefined,
      onItemMissing: 'Keep',
      deletionPolicy: 'Delete',
      existingSecret: 'Refuse',
    },
    status,
    owners: workloads.map((one) => ownerReference(WORKLOAD_RESOURCES[one.kind], one)),
  }
}

/** What the Secret itself tells of the last run. */
function recordedStatus(secret: SecretMeta | undefined, itemPath = ''): ItemStatus {
  const nothing: ItemStatus = { observedGeneration: -1, conditions: [] }
  if (secret === undefined) return nothing
  const { [DIGEST]: digest, [ITEM_PATH]: path = '', [ITEM_VERSION]: version } = secret.annotations
  const [, vaultId, , itemId] = path.split('/')
  const mapping = mappingIn(secret.annotations[APPLIED])
  if (!digest || !vaultId || !itemId || !mapping) return nothing
  return {
    ...nothing,
    observedGeneration: 0,
    appliedGeneration: 0,
    secretName: secret.name,
    digest,
    mapping,
    items: [{ path: itemPath, vaultId, itemId, version: Number(version) }],
    keys: [],
  }
}

function mappingIn(applied: string | undefined): string | undefined {
  try {
    const { mapping } = JSON.parse(applied ?? '{}') as { mapping?: unknown }
    return typeof mapping === 'string' ? mapping : undefined
  } catch {
    return undefined
  }
}
