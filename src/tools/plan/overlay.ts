/**
 * The world as it will be once manifests are applied: resources and workloads go over those that
 * are there, as kubectl's merge of three sides does, and Secrets are there that no one has made yet.
 */
import { isDeepStrictEqual } from 'node:util'
import { apiVersionOf, keyOf, objectPath, type ObjectKey } from '../../kube/resource.ts'
import type { KubeRest } from '../../kube/rest.ts'
import { isNotFound } from '../../kube/status.ts'
import { type Claim, ONE_PASSWORD_ITEM, parseClaim } from '../../operator/item.ts'
import { SECRETS } from '../../operator/objects.ts'
import { timestamp } from '../../operator/plan/debt.ts'
import {
  parseWorkload,
  type Workload,
  WORKLOAD_RESOURCES,
  type WorkloadKind,
} from '../../operator/plan/workload.ts'
import { isObject } from '../manifest/parse.ts'
import type { World } from './world.ts'

/** An object of a manifest. */
export type Applied = Readonly<Record<string, unknown>>

/** What came of manifests. */
export interface Overlay {
  readonly claims: readonly Claim[]
  readonly workloads: readonly Workload[]
}

/** A version newer than any that an API server gives. */
const NEWEST = '9'.repeat(30)
const NEVER = new AbortController().signal

/** Objects of a kind among those of manifests; where none is named, they are in `namespace`. */
export function ofKind(
  objects: readonly Applied[],
  resource: { readonly group: string; readonly version: string; readonly kind: string },
): readonly Applied[] {
  const apiVersion = apiVersionOf({ ...resource, plural: '' })
  return objects.filter((one) => one['kind'] === resource.kind && one['apiVersion'] === apiVersion)
}

/** Puts manifests over the views of a world. */
export async function overlay(
  world: World,
  objects: readonly Applied[],
  namespace: string,
): Promise<Overlay> {
  const now = timestamp(world.rest.serverTime())
  const claims: Claim[] = []
  for (const object of ofKind(objects, ONE_PASSWORD_ITEM)) {
    const key = keyIn(object, namespace)
    const live = await readItem(world.rest, key)
    const claim = parseClaim(mergedItem(object, live, { ...key, now }))
    world.views.claims.observe(claim)
    claims.push(claim)
  }
  const workloads: Workload[] = []
  for (const kind of Object.keys(WORKLOAD_RESOURCES) as WorkloadKind[]) {
    const store = world.views.workloads[kind]
    for (const object of ofKind(objects, WORKLOAD_RESOURCES[kind])) {
      const key = keyIn(object, namespace)
      const before = store.get(key)
      const metadata = metadataOf(object, {
        ...key,
        now,
        uid: before?.uid,
        createdAt: before?.createdAt,
      })
      const after = parseWorkload(kind, { ...object, metadata })
      const workload = {
        ...after,
        restartedFor: { ...before?.restartedFor, ...after.restartedFor },
      }
      store.observe(workload)
      workloads.push(workload)
    }
  }
  return { claims, workloads }
}

/** Namespace and name of an object. */
export function keyIn({ metadata }: Applied, namespace: string): ObjectKey {
  const named = (metadata ?? {}) as { readonly name?: string; readonly namespace?: string }
  return { namespace: named.namespace || namespace, name: named.name ?? '' }
}

interface Raw {
  readonly type?: string
  readonly spec?: unknown
  readonly status?: unknown
  readonly metadata: {
    readonly uid: string
    readonly generation: number
    readonly creationTimestamp: string
    readonly finalizers?: readonly string[]
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
    readonly managedFields?: readonly {
      readonly operation: string
      readonly fieldsV1?: {
        readonly 'f:metadata'?: Readonly<Record<'f:labels' | 'f:annotations', object | undefined>>
      }
    }[]
  }
}

async function readItem(rest: KubeRest, key: ObjectKey): Promise<Raw | undefined> {
  try {
    const path = objectPath(ONE_PASSWORD_ITEM, key)
    return (await rest.send({ method: 'GET', path }, NEVER)) as Raw
  } catch (error) {
    if (isNotFound(error)) return undefined
    throw error
  }
}

function mergedItem(
  object: Applied,
  live: Raw | undefined,
  at: ObjectKey & { readonly now: string },
): unknown {
  const before = live?.metadata
  const metadata = metadataOf(object, {
    ...at,
    uid: before?.uid,
    createdAt: before?.creationTimestamp,
  })
  if (live === undefined || before === undefined) {
    return { ...object, metadata: { ...metadata, generation: 1 }, status: undefined }
  }
  const same = isDeepStrictEqual([live.spec, live.type], [object['spec'], object['type']])
  const last = lastApplied(before)
  return {
    ...object,
    status: live.status,
    metadata: {
      ...metadata,
      generation: before.generation + (same ? 0 : 1),
      finalizers: before.finalizers,
      labels: { ...without(before.labels, last.labels), ...metadata.labels },
      annotations: { ...without(before.annotations, last.annotations), ...metadata.annotations },
    },
  }
}

interface Named {
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

function metadataOf(
  object: Applied,
  at: ObjectKey & {
    readonly now: string
    readonly uid: string | undefined
    readonly createdAt: string | undefined
  },
) {
  const named = (object['metadata'] ?? {}) as Named
  return {
    ...named,
    namespace: at.namespace,
    name: at.name,
    uid: at.uid ?? `planned ${String(object['kind'])} ${keyOf(at)}`,
    creationTimestamp: at.createdAt ?? at.now,
    resourceVersion: NEWEST,
  }
}

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'

/** What was applied before, by either kind of apply: of that what a manifest no longer has goes. */
function lastApplied({ annotations, managedFields = [] }: Raw['metadata']): Named {
  const applied = managedFields.filter(({ operation }) => operation === 'Apply')
  const ofServer = (member: 'f:labels' | 'f:annotations') =>
    applied.flatMap(({ fieldsV1 }) => Object.keys(fieldsV1?.['f:metadata']?.[member] ?? {}))
  const named = (fields: readonly string[]) =>
    Object.fromEntries(fields.map((field) => [field.slice('f:'.length), '']))
  const ofClient = clientApplied(annotations)
  return {
    labels: { ...ofClient.labels, ...named(ofServer('f:labels')) },
    annotations: { ...ofClient.annotations, ...named(ofServer('f:annotations')) },
  }
}

function clientApplied(annotations: Named['annotations']): Named {
  try {
    const { metadata } = JSON.parse(annotations?.[LAST_APPLIED] ?? '{}') as { metadata?: Named }
    return metadata ?? {}
  } catch {
    return {}
  }
}

function without(texts: Named['labels'], gone: Named['labels']): Named['labels'] {
  const names = Object.entries(texts ?? {}).filter(([name]) => !Object.hasOwn(gone ?? {}, name))
  return Object.fromEntries(names)
}

/** Reads that also see the Secrets of manifests, where the cluster has none of their name. */
export function withSecrets(
  rest: KubeRest,
  objects: readonly Applied[],
  namespace: string,
): KubeRest {
  const planned = new Map<string, unknown>()
  for (const object of ofKind(objects, SECRETS)) {
    const key = keyIn(object, namespace)
    if (key.name !== '') planned.set(objectPath(SECRETS, key), secretOf(object, key))
  }
  return {
    ...rest,
    async send(request, signal) {
      try {
        return await rest.send(request, signal)
      } catch (error) {
        const secret = request.method === 'GET' ? planned.get(request.path) : undefined
        if (secret === undefined || !isNotFound(error)) throw error
        return secret
      }
    },
  }
}

function secretOf(object: Applied, key: ObjectKey): unknown {
  const { stringData, data } = object
  const texts = Object.entries(isObject(stringData) ? stringData : {})
  const encoded = texts.map(([name, text]) => [name, Buffer.from(String(text)).toString('base64')])
  const metadata = { ...(object['metadata'] as object), ...key }
  const identity = { uid: `planned Secret ${keyOf(key)}`, resourceVersion: '0' }
  return {
    ...object,
    metadata: { ...metadata, ...identity },
    data: { ...(isObject(data) ? data : {}), ...Object.fromEntries(encoded) },
  }
}
