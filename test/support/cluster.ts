/**
 * A namespace of its own on the shared control plane, with everything a test of the operator wants
 * to do there.
 */
import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { systemClock } from '../../src/kube/clock.ts'
import { loadAccess } from '../../src/kube/config.ts'
import { collectionPath, objectPath, type Resource } from '../../src/kube/resource.ts'
import { createRest, type KubeRest } from '../../src/kube/rest.ts'
import { isNotFound } from '../../src/kube/status.ts'
import { eventually, timeout } from './eventually.ts'

const core = (plural: string, kind: string): Resource => ({
  group: '',
  version: 'v1',
  plural,
  kind,
})
const apps = (plural: string, kind: string): Resource => ({
  group: 'apps',
  version: 'v1',
  plural,
  kind,
})

const rbac = (plural: string, kind: string): Resource => ({
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  plural,
  kind,
})
const admission = (plural: string, kind: string): Resource => ({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  plural,
  kind,
})

/** Resources that tests use. */
export const RESOURCES = {
  items: {
    group: 'onepassword.com',
    version: 'v1',
    plural: 'onepassworditems',
    kind: 'OnePasswordItem',
  },
  secrets: core('secrets', 'Secret'),
  configmaps: core('configmaps', 'ConfigMap'),
  namespaces: core('namespaces', 'Namespace'),
  events: { group: 'events.k8s.io', version: 'v1', plural: 'events', kind: 'Event' },
  pods: core('pods', 'Pod'),
  nodes: core('nodes', 'Node'),
  persistentvolumes: core('persistentvolumes', 'PersistentVolume'),
  leases: { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', kind: 'Lease' },
  deployments: apps('deployments', 'Deployment'),
  statefulsets: apps('statefulsets', 'StatefulSet'),
  daemonsets: apps('daemonsets', 'DaemonSet'),
  replicasets: apps('replicasets', 'ReplicaSet'),
  jobs: { group: 'batch', version: 'v1', plural: 'jobs', kind: 'Job' },
  cronjobs: { group: 'batch', version: 'v1', plural: 'cronjobs', kind: 'CronJob' },
  /** Of Argo Rollouts; see `argo.ts`. */
  rollouts: { group: 'argoproj.io', version: 'v1alpha1', plural: 'rollouts', kind: 'Rollout' },
  serviceaccounts: core('serviceaccounts', 'ServiceAccount'),
  roles: rbac('roles', 'Role'),
  rolebindings: rbac('rolebindings', 'RoleBinding'),
  clusterroles: rbac('clusterroles', 'ClusterRole'),
  clusterrolebindings: rbac('clusterrolebindings', 'ClusterRoleBinding'),
  webhooks: admission('validatingwebhookconfigurations', 'ValidatingWebhookConfiguration'),
  mutatingwebhooks: admission('mutatingwebhookconfigurations', 'MutatingWebhookConfiguration'),
  policies: admission('validatingadmissionpolicies', 'ValidatingAdmissionPolicy'),
  policybindings: admission(
    'validatingadmissionpolicybindings',
    'ValidatingAdmissionPolicyBinding',
  ),
  crds: {
    group: 'apiextensions.k8s.io',
    version: 'v1',
    plural: 'customresourcedefinitions',
    kind: 'CustomResourceDefinition',
  },
} as const satisfies Record<string, Resource>

/** A kind of {@link RESOURCES}. */
export type Kind = keyof typeof RESOURCES

/** An object as the API server gives it. */
export interface KubeObject {
  metadata: {
    name: string
    namespace: string
    uid: string
    resourceVersion: string
    generation?: number
    labels?: Record<string, string>
    annotations?: Record<string, string>
    ownerReferences?: { uid: string; name: string; kind: string; apiVersion: string }[]
    finalizers?: string[]
    deletionTimestamp?: string
    creationTimestamp: string
    managedFields?: unknown[]
  }
  // oxlint-disable-next-line typescript/no-explicit-any
  [member: string]: any
}

/** REST with the administrator's rights. */
export function adminRest(kubeconfig: string): KubeRest {
  return createRest({
    access: loadAccess(kubeconfig),
    clock: systemClock,
    userAgent: 'keyferry-tests',
  })
}

/** The CRD as it stands in the repository. */
export async function readCrd(): Promise<KubeObject> {
  return parse(await readFile('crds/onepassword.com_onepassworditems.yaml', 'utf8')) as KubeObject
}

/** Applies a CRD, by default that of the repository, and waits until it is served. */
export async function applyCrd(kubeconfig: string, crd?: object): Promise<void> {
  const rest = adminRest(kubeconfig)
  const cluster = clusterOf(rest, '')
  await cluster.apply('crds', crd ?? (await readCrd()))
  await eventually('the CRD is served', async () => {
    const path = collectionPath(RESOURCES.items)
    return (await rest.send({ method: 'GET', path }, timeout(5_000))) !== undefined
  })
  await rest.close()
}

/** Operations in one namespace. */
export interface Cluster {
  readonly namespace: string
  readonly rest: KubeRest
  get(kind: Kind, name: string): Promise<KubeObject>
  find(kind: Kind, name: string): Promise<KubeObject | undefined>
  list(kind: Kind): Promise<KubeObject[]>
  create(kind: Kind, object: unknown): Promise<KubeObject>
  apply(kind: Kind, object: unknown): Promise<KubeObject>
  /** Merge patch. */
  patch(kind: Kind, name: string, body: unknown): Promise<KubeObject>
  replace(kind: Kind, object: KubeObject): Promise<KubeObject>
  delete(kind: Kind, name: string): Promise<void>
  /** Waits until the object is there and `holds`. */
  until(kind: Kind, name: string, holds: (object: KubeObject) => boolean): Promise<KubeObject>
  untilGone(kind: Kind, name: string): Promise<void>
}

/** Operations by `rest` in `namespace`; the empty one for cluster-scoped kinds. */
export function clusterOf(rest: KubeRest, namespace: string): Cluster {
  const signal = () => timeout(20_000)
  const at = (kind: Kind, name: string) =>
    objectPath(RESOURCES[kind], { namespace: isClusterScoped(kind) ? '' : namespace, name })
  const all = (kind: Kind) =>
    collectionPath(RESOURCES[kind], isClusterScoped(kind) ? undefined : namespace)
  const send = async (request: Parameters<KubeRest['send']>[0]) =>
    (await rest.send(request, signal())) as KubeObject
  const cluster: Cluster = {
    namespace,
    rest,
    get: (kind, name) => send({ method: 'GET', path: at(kind, name) }),
    find: (kind, name) =>
      cluster.get(kind, name).catch((error: unknown) => {
        if (isNotFound(error)) return undefined
        throw error
      }),
    list: async (kind) => (await send({ method: 'GET', path: all(kind) }))['items'] as KubeObject[],
    create: (kind, object) => send({ method: 'POST', path: all(kind), body: typed(kind, object) }),
    apply: (kind, object) => {
      const body = typed(kind, object)
      const { name } = body.metadata
      const query = { fieldManager: 'tests', force: true }
      return send({ method: 'PATCH', patch: 'apply', path: at(kind, name), query, body })
    },
    patch: (kind, name, body) =>
      send({ method: 'PATCH', patch: 'merge', path: at(kind, name), body }),
    replace: (kind, object) =>
      send({ method: 'PUT', path: at(kind, object.metadata.name), body: typed(kind, object) }),
    delete: async (kind, name) => void (await send({ method: 'DELETE', path: at(kind, name) })),
    until: (kind, name, holds) =>
      eventually(
        `${kind}/${name} is as expected`,
        async () => {
          const object = await cluster.find(kind, name)
          return object && holds(object) ? object : undefined
        },
        async () => JSON.stringify(redact(await cluster.find(kind, name)), undefined, 1),
      ),
    untilGone: (kind, name) =>
      eventually(`${kind}/${name} is gone`, async () =>
        (await cluster.find(kind, name)) ? undefined : true,
      ).then(() => undefined),
  }
  return cluster
}

const CLUSTER_SCOPED: ReadonlySet<Kind> = new Set([
  'namespaces',
  'nodes',
  'persistentvolumes',
  'crds',
  'clusterroles',
  'clusterrolebindings',
  'webhooks',
  'mutatingwebhooks',
  'policies',
  'policybindings',
])

function isClusterScoped(kind: Kind): boolean {
  return CLUSTER_SCOPED.has(kind)
}

function typed(kind: Kind, object: unknown): KubeObject {
  const { group, version, kind: name } = RESOURCES[kind]
  return {
    apiVersion: group ? `${group}/${version}` : version,
    kind: name,
    ...(object as KubeObject),
  }
}

function redact(object: KubeObject | undefined): unknown {
  if (object === undefined) return 'absent'
  const { managedFields: _, ...metadata } = object.metadata
  return { ...object, metadata, ...(object['data'] ? { data: Object.keys(object['data']) } : {}) }
}

/** Text of one key of a Secret. */
export function valueOf(secret: KubeObject, key: string): string | undefined {
  const text = (secret['data'] as Record<string, string> | undefined)?.[key]
  return text === undefined ? undefined : Buffer.from(text, 'base64').toString()
}

/** The condition of that type. */
export function condition(object: KubeObject, type: string) {
  const all = (object['status']?.conditions ?? []) as {
    type: string
    status: string
    reason: string
    message: string
    observedGeneration: number
  }[]
  return all.find((one) => one.type === type)
}

/** Whether Ready is True for the present generation. */
export function isReady(object: KubeObject): boolean {
  const ready = condition(object, 'Ready')
  return ready?.status === 'True' && ready.observedGeneration === object.metadata.generation
}

/** Whether Ready has that reason for the present generation. */
export function hasReason(reason: string): (object: KubeObject) => boolean {
  return (object) => {
    const ready = condition(object, 'Ready')
    return ready?.reason === reason && ready.observedGeneration === object.metadata.generation
  }
}

/** The texts of a Secret, by key. */
export function textsOf(secret: KubeObject): Record<string, string> {
  const data = (secret['data'] ?? {}) as Record<string, string>
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
  )
}
