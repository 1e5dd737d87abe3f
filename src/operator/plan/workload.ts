/**
 * A workload as far as restarts go: which Secrets reach its pods, what it opted in to, and for
 * which content it was restarted last.
 */
import { createHash } from 'node:crypto'
import type { Resource, Tracked } from '../../kube/resource.ts'
import { AUTO_RESTART, INCUMBENT_FINALIZER, ITEM_NAME, ITEM_PATH } from '../annotations.ts'
import type { OwnerReference, Texts } from '../item.ts'
import { secretNameOf } from './names.ts'

const apps = (plural: string, kind: string): Resource => ({
  group: 'apps',
  version: 'v1',
  plural,
  kind,
})

/** The kinds of workloads that are restarted, by kind. */
export const WORKLOAD_RESOURCES = {
  Deployment: apps('deployments', 'Deployment'),
  StatefulSet: apps('statefulsets', 'StatefulSet'),
  DaemonSet: apps('daemonsets', 'DaemonSet'),
  /** Of Argo Rollouts, where that is installed. */
  Rollout: { group: 'argoproj.io', version: 'v1alpha1', plural: 'rollouts', kind: 'Rollout' },
} as const satisfies Record<string, Resource>

/** A kind of {@link WORKLOAD_RESOURCES}. */
export type WorkloadKind = keyof typeof WORKLOAD_RESOURCES

/** Whether an owner is a workload of a kind that can ask for Secrets by annotation. */
export function isWorkloadReference({ apiVersion, kind }: OwnerReference): boolean {
  return apiVersion === 'apps/v1' && ['Deployment', 'StatefulSet', 'DaemonSet'].includes(kind)
}

/** See the head of this file. */
export interface Workload extends Tracked {
  readonly kind: WorkloadKind
  readonly createdAt: string
  readonly deleting: boolean
  readonly labels: Texts
  /** The Secret that it asks for by annotation, and the item that is to be in it. */
  readonly asks: { readonly secretName: string; readonly itemPath: string } | undefined
  /** Position of the incumbent's finalizer; -1 without. */
  readonly finalizerAt: number
  /** Text of its own auto-restart annotation. */
  readonly autoRestart: string | undefined
  /** Whether a controller keeps its template: a patch of ours would be put back. */
  readonly controlled: boolean
  /** Names of Secrets whose content its pods hold. */
  readonly uses: readonly string[]
  /** Names of Secrets that kubelets read at each pull: used, but never a cause to restart. */
  readonly pulls: readonly string[]
  /** Digests it was restarted for, by name of the annotation: on its template; on a Rollout itself. */
  readonly restartedFor: Texts
  /** What is left to the user after a patch of the template; undefined when nothing is. */
  readonly held: 'paused' | 'OnDelete' | 'partition' | undefined
}

/** Annotation of a template by whose change it restarts, but for the hash of the Secret's name. */
export const TEMPLATE_PREFIX = 'keyferry.dev/secret-'

/**
 * The template annotation that carries the digest of a Secret. A hash of the name, because a name
 * of 253 characters is no legal annotation name.
 */
export function templateAnnotation(secretName: string): string {
  const hash = createHash('sha256').update(secretName).digest('hex').slice(0, 10)
  return `${TEMPLATE_PREFIX}${hash}`
}

interface RawWorkload {
  readonly metadata: {
    readonly namespace: string
    readonly name: string
    readonly uid: string
    readonly resourceVersion: string
    readonly creationTimestamp?: string
    readonly deletionTimestamp?: string
    readonly labels?: Texts
    readonly annotations?: Texts
    readonly finalizers?: readonly string[]
    readonly ownerReferences?: readonly { readonly controller?: boolean }[]
  }
  readonly spec?: {
    readonly paused?: boolean
    readonly updateStrategy?: {
      readonly type?: string
      readonly rollingUpdate?: { readonly partition?: number }
    }
    readonly template?: RawTemplate
  }
}

interface RawTemplate {
  readonly metadata?: { readonly annotations?: Texts }
  readonly spec?: RawPodSpec
}

interface RawPodSpec {
  readonly containers?: readonly RawContainer[]
  readonly initContainers?: readonly RawContainer[]
  readonly volumes?: readonly Readonly<Record<string, RawVolumeSource | undefined>>[]
  readonly imagePullSecrets?: readonly { readonly name?: string }[]
}

interface RawContainer {
  readonly env?: readonly {
    readonly valueFrom?: { readonly secretKeyRef?: { readonly name?: string } }
  }[]
  readonly envFrom?: readonly { readonly secretRef?: { readonly name?: string } }[]
}

interface RawVolumeSource {
  readonly secretName?: string
  readonly secretRef?: { readonly name?: string }
  readonly nodePublishSecretRef?: { readonly name?: string }
  readonly sources?: readonly { readonly secret?: { readonly name?: string } }[]
}

/** Reduces an object of the API server. */
export function parseWorkload(kind: WorkloadKind, raw: unknown): Workload {
  const { metadata, spec } = raw as RawWorkload
  const { annotations = {} } = metadata
  const template = spec?.template
  const templateAnnotations = template?.metadata?.annotations ?? {}
  const named = secretNameOf(annotations[ITEM_NAME] || templateAnnotations[ITEM_NAME] || '')
  const itemPath = annotations[ITEM_PATH] || templateAnnotations[ITEM_PATH]
  return {
    kind,
    namespace: metadata.namespace,
    name: metadata.name,
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
    createdAt: metadata.creationTimestamp ?? '',
    deleting: metadata.deletionTimestamp !== undefined,
    labels: metadata.labels ?? {},
    // Argo's controller would take a finalizer or an owner of its own amiss: Rollouts only restart.
    asks: kind !== 'Rollout' && named && itemPath ? { secretName: named, itemPath } : undefined,
    finalizerAt: (metadata.finalizers ?? []).indexOf(INCUMBENT_FINALIZER),
    autoRestart: annotations[AUTO_RESTART] || undefined,
    controlled: (metadata.ownerReferences ?? []).some(({ controller }) => controller === true),
    uses: names([named, ...secretsOfPod(template?.spec ?? {})]),
    pulls: names((template?.spec?.imagePullSecrets ?? []).map(({ name }) => name)),
    restartedFor: Object.fromEntries(
      Object.entries(kind === 'Rollout' ? annotations : templateAnnotations).filter(([name]) =>
        name.startsWith(TEMPLATE_PREFIX),
      ),
    ),
    held: heldBy(spec),
  }
}

/** Every way in which a pod can hold the content of a Secret. Source: `core/v1 PodSpec`. */
function* secretsOfPod(pod: RawPodSpec): Generator<string | undefined> {
  for (const container of [...(pod.containers ?? []), ...(pod.initContainers ?? [])]) {
    for (const { valueFrom } of container.env ?? []) yield valueFrom?.secretKeyRef?.name
    for (const { secretRef } of container.envFrom ?? []) yield secretRef?.name
  }
  for (const volume of pod.volumes ?? []) {
    // One member names the volume, the other is its source: secret, projected, csi, azureFile and
    // the old drivers, which all name their Secret in one of these ways.
    for (const source of Object.values(volume)) {
      if (typeof source !== 'object') continue
      yield source.secretName
      yield source.secretRef?.name
      yield source.nodePublishSecretRef?.name
      for (const { secret } of source.sources ?? []) yield secret?.name
    }
  }
}

function names(found: Iterable<string | undefined>): string[] {
  const distinct = new Set<string>()
  for (const name of found) if (name) distinct.add(name)
  return [...distinct]
}

function heldBy(spec: RawWorkload['spec']): Workload['held'] {
  if (spec?.paused === true) return 'paused'
  if (spec?.updateStrategy?.type === 'OnDelete') return 'OnDelete'
  return (spec?.updateStrategy?.rollingUpdate?.partition ?? 0) > 0 ? 'partition' : undefined
}
