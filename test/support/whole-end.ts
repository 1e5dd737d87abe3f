/**
 * All that a run left behind in a namespace (`ends.ts` picks what counts for a crash), without what differs between any two runs: ids, times,
 * versions, keyed digests. Two ends of one plot are equal, member by member.
 */
import { type Kind, type KubeObject } from './cluster.ts'
import { digestOf } from './restarts.ts'

/** Kinds that count for an end. */
export const END_KINDS = [
  'items',
  'secrets',
  'deployments',
  'statefulsets',
  'daemonsets',
] as const satisfies readonly Kind[]

/** The objects of a namespace, by kind. */
export type Objects = Readonly<Record<(typeof END_KINDS)[number], readonly KubeObject[]>>

/** Members whose values differ between any two runs; whose messages name such values. */
const VARIES = new Set([
  'uid',
  'creationTimestamp',
  'resourceVersion',
  'managedFields',
  'namespace',
  'lastTransitionTime',
  'lastSyncTime',
  'secretResourceVersion',
  'digest',
  'vaultId',
  'itemId',
  'message',
  'keyferry.dev/digest',
  'keyferry.dev/owner',
  'keyferry.dev/instance',
  'operator.1password.io/item-path',
])
/** Names a Secret that a workload was restarted for. */
const RESTARTED = 'keyferry.dev/secret-'

/** @param vault name of the namespace's own vault */
export function wholeEndOf(objects: Objects, vault: string): unknown {
  const { items, secrets, deployments, statefulsets, daemonsets } = objects
  const owners = [items, deployments, statefulsets, daemonsets].flat()
  const alive = new Set(owners.map(({ metadata }) => metadata.uid))
  const digests = new Set(secrets.map(digestOf))
  const plain = (object: unknown): unknown => {
    const text = JSON.stringify(object, (key, value: unknown) => {
      if (key === 'ownerReferences') return ownersIn(value as Owner[])
      if (key.startsWith(RESTARTED)) return digests.has(String(value)) ? 'present' : 'former'
      return VARIES.has(key) ? undefined : value
    })
    return JSON.parse(text.replaceAll(vault, 'Production'))
  }
  /** The garbage collector takes off who is gone where somebody is left. */
  const ownersIn = (all: readonly Owner[]) => {
    const left = all.filter(({ uid }) => alive.has(uid))
    return (left.length > 0 ? left : all).map(({ kind, name, uid }) => {
      return `${kind}/${name} ${alive.has(uid)}`
    })
  }
  const byName = (list: readonly KubeObject[]) =>
    Object.fromEntries(list.map((one) => [one.metadata.name, plain(one)]))
  return {
    items: Object.fromEntries(
      items.map((item) => [
        item.metadata.name,
        { ...(plain(item) as object), ...knowledgeOf(item, secrets) },
      ]),
    ),
    secrets: byName(secrets),
    workloads: [deployments, statefulsets, daemonsets].map(byName),
  }
}

interface Owner {
  readonly kind: string
  readonly name: string
  readonly uid: string
}

/** Whether a status speaks of the Secret as it is. */
export function knowledgeOf({ status }: KubeObject, secrets: readonly KubeObject[]) {
  const secret = secrets.find(({ metadata }) => metadata.name === status?.secretName)
  return {
    knowsVersion: status?.secretResourceVersion === secret?.metadata.resourceVersion,
    knowsDigest: status?.digest === (secret && digestOf(secret)),
  }
}
