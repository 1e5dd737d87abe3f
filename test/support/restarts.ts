/**
 * What tests of restarts look at: the digest and the debt on a Secret, and what a workload was
 * restarted for.
 */
import { inject } from 'vitest'
import { type AuditRecord, readAudit } from './audit.ts'
import { type Cluster, isReady, type Kind, type KubeObject, valueOf } from './cluster.ts'
import type { ItemOptions, Stage } from './stage.ts'

/** The annotation that asks for restarts. */
export const AUTO_RESTART = 'operator.1password.io/auto-restart'
/** Annotations of a workload or resource that wants restarts. */
export const OPTED_IN = { [AUTO_RESTART]: 'true' }

/** Digest of a Secret's content. */
export const digestOf = ({ metadata }: KubeObject) =>
  metadata.annotations?.['keyferry.dev/digest'] ?? ''

/** The debt on a Secret, as text. */
export const debtOf = ({ metadata }: KubeObject) => metadata.annotations?.['keyferry.dev/restart']

/** Digests that a workload was restarted for: on its template, on a Rollout itself. */
export function restartedFor(workload: KubeObject): string[] {
  const { kind, spec, metadata } = workload
  const annotations: Record<string, string> =
    (kind === 'Rollout' ? metadata.annotations : spec.template.metadata?.annotations) ?? {}
  return Object.entries(annotations).flatMap(([name, digest]) =>
    name.startsWith('keyferry.dev/secret-') ? [digest] : [],
  )
}

/** A synced Secret of that name with the value `one`; gives the id of its item. */
export async function synced(stage: Stage, name: string, more: ItemOptions = {}): Promise<string> {
  const { cluster, connect, vault } = stage
  const id = connect.add(vault, { title: name, fields: [{ label: 'password', value: 'one' }] })
  await stage.item(name, name, more)
  await cluster.until('items', name, isReady)
  return id
}

/** Waits until the Secret has this value. */
export function untilValue(cluster: Cluster, name: string, value: string): Promise<KubeObject> {
  return cluster.until('secrets', name, (secret) => valueOf(secret, 'password') === value)
}

/** Waits until the workload was restarted for the content that the Secret has. */
export function untilRestarted(
  cluster: Cluster,
  [kind, name]: readonly [Kind, string],
  secret: KubeObject,
): Promise<KubeObject> {
  return cluster.until(kind, name, (workload) => restartedFor(workload).includes(digestOf(secret)))
}

/** Waits until no restart is owed for the Secret any more; see {@link moveCaches}. */
export function untilClosed(cluster: Cluster, name: string): Promise<KubeObject> {
  return cluster.until('secrets', name, (secret) => debtOf(secret) === undefined)
}

/** A pod template. */
export function aTemplate(name: string, pod: Record<string, unknown> = {}) {
  const labels = { app: name }
  return {
    metadata: { labels },
    spec: { containers: [{ name: 'app', image: 'example.invalid/app' }], ...pod },
  }
}

/** A workload of any kind. */
export function aWorkload(
  name: string,
  pod: Record<string, unknown>,
  more: { readonly annotations?: object; readonly spec?: object; readonly metadata?: object } = {},
) {
  return {
    metadata: { name, annotations: more.annotations ?? OPTED_IN, ...more.metadata },
    spec: {
      selector: { matchLabels: { app: name } },
      template: aTemplate(name, pod),
      ...more.spec,
    },
  }
}

/** A pod that has a Secret as its environment. */
export const usesAsEnv = (secret: string) => ({
  containers: [
    { name: 'app', image: 'example.invalid/app', envFrom: [{ secretRef: { name: secret } }] },
  ],
})

/** Deployments without pods that use a Secret and want restarts. */
export async function idleDeployments(
  cluster: Cluster,
  names: readonly string[],
  secret: string,
): Promise<void> {
  for (const name of names) {
    const spec = { replicas: 0 }
    await cluster.create('deployments', aWorkload(name, usesAsEnv(secret), { spec }))
  }
}

/** Patches of Deployments that operators made in the namespace, as the API server saw them. */
export async function workloadPatches({ namespace }: Cluster): Promise<AuditRecord[]> {
  const all = await readAudit(inject('auditLog'), namespace)
  return all.filter((record) => {
    const ours = record.userAgent.startsWith('keyferry/')
    return ours && record.resource === 'deployments' && record.verb === 'patch'
  })
}

const MOVE_MS = 500

/** A workload that is moved, and that nobody asked Keyferry for. */
export const MOVER = 'mover'

/** Moves a workload of each of these kinds, which makes the caches of the kind move on. */
export async function moveCachesOnce(
  cluster: Cluster,
  move: number,
  kinds: readonly Kind[] = ['deployments', 'statefulsets', 'daemonsets'],
): Promise<void> {
  for (const kind of kinds) {
    const spec = {
      ...(kind === 'daemonsets' ? {} : { replicas: 0 }),
      ...(kind === 'statefulsets' ? { serviceName: 'none' } : {}),
    }
    const annotations = { moves: String(move) }
    await cluster.apply(kind, aWorkload(MOVER, {}, { annotations, spec }))
  }
}

/**
 * Makes the caches of all kinds of workloads move on: a debt is closed once they have passed its
 * write, and in a quiet namespace only a bookmark, once a minute, says so.
 */
export async function moveCaches(
  cluster: Cluster,
  kinds?: readonly Kind[],
): Promise<{ readonly stop: () => Promise<void> }> {
  let moves = 0
  await moveCachesOnce(cluster, moves, kinds)
  let moving: Promise<unknown> = Promise.resolve()
  const timer = setInterval(() => {
    moves += 1
    moving = moveCachesOnce(cluster, moves, kinds).catch(() => undefined)
  }, MOVE_MS)
  return {
    async stop() {
      clearInterval(timer)
      await moving
    },
  }
}
