/**
 * What a run of an operator left behind: the state of a namespace without what differs between any
 * two runs, the contents that its Secrets had meanwhile, and where two runs differ.
 */
import type { Cluster, KubeObject } from './cluster.ts'
import { type Call, changes } from './kube-proxy.ts'
import { digestOf, MOVER, restartedFor } from './restarts.ts'
import { END_KINDS, knowledgeOf } from './whole-end.ts'

/** Whether a request took effect. */
export const isCommitted = ({ status = 0 }: Call) => status >= 200 && status < 300

/** The contents that each Secret was given, in order, each once in a row. */
export function contentsOf(calls: readonly Call[]): Record<string, string[]> {
  const contents: Record<string, string[]> = {}
  for (const call of calls) {
    const { data, metadata, type } = (call.body ?? {}) as Partial<KubeObject>
    const writes = call.path.includes('/secrets') && changes(call) && isCommitted(call)
    if (!writes || data === undefined || metadata?.name.endsWith('-digest-key')) continue
    const list = (contents[metadata?.name ?? ''] ??= [])
    const content = JSON.stringify([type, data])
    if (list.at(-1) !== content) list.push(content)
  }
  return contents
}

/** Where two ends differ, a line each. */
export function differences(one: unknown, other: unknown, at = ''): string[] {
  const [a, b] = [one, other].map((value) => (value ?? {}) as Record<string, unknown>)
  if (typeof one !== 'object' || typeof other !== 'object' || !a || !b) {
    return one === other
      ? []
      : [`${at}: ${JSON.stringify(one)}, undisturbed ${JSON.stringify(other)}`]
  }
  const members = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...members].flatMap((name) => differences(a[name], b[name], `${at}.${name}`))
}

/** The state of a namespace, without what differs between any two runs. */
export async function endOf(cluster: Cluster): Promise<unknown> {
  const [items = [], secrets = [], ...workloads] = await Promise.all(
    END_KINDS.map((kind) => cluster.list(kind)),
  )
  const uids = new Set([items, ...workloads].flat().map(({ metadata }) => metadata.uid))
  return {
    items: items.map((item) => itemEnd(item, secrets)),
    secrets: secrets.map((secret) => secretEnd(secret, uids)),
    workloads: workloads
      .flat()
      .filter(({ metadata }) => metadata.name !== MOVER)
      .map((workload) => workloadEnd(workload, secrets.map(digestOf))),
  }
}

function itemEnd(item: KubeObject, secrets: readonly KubeObject[]): unknown {
  const { metadata, status = {} } = item
  const conditions = (status.conditions ?? []) as Record<'type' | 'status' | 'reason', string>[]
  return {
    name: metadata.name,
    finalizers: metadata.finalizers,
    caughtUp: status.observedGeneration === metadata.generation,
    conditions: conditions.map(({ type, status, reason }) => `${type} ${status} ${reason}`),
    keys: status.keys,
    secretName: status.secretName,
    ...knowledgeOf(item, secrets),
  }
}

/** Values that differ between any two runs. */
const VARIES = /^keyferry\.dev\/(?:digest|owner|instance|restart)$|\/item-path$/

function secretEnd({ metadata, type, data, immutable }: KubeObject, uids: Set<string>): unknown {
  const { name, labels, annotations = {}, ownerReferences = [], finalizers } = metadata
  return {
    name,
    labels,
    finalizers,
    type,
    immutable,
    data: name.endsWith('-digest-key') ? Object.keys(data) : data,
    annotations: Object.fromEntries(
      Object.entries(annotations).map(([key, value]) => [key, VARIES.test(key) ? 'any' : value]),
    ),
    owners: ownerReferences.map((owner) => `${owner.kind}/${owner.name} ${uids.has(owner.uid)}`),
  }
}

function workloadEnd(workload: KubeObject, digests: readonly string[]): unknown {
  const { kind, metadata } = workload
  return {
    name: `${kind}/${metadata.name}`,
    generation: metadata.generation,
    finalizers: metadata.finalizers,
    restartedFor: restartedFor(workload).map((digest) => digests.includes(digest)),
  }
}
