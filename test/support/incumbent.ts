/**
 * 1Password's own operator, as tests meet it: the objects that it leaves behind, member by member
 * and manager by manager as they were captured from version 1.12.0, its resource definition, and,
 * where `KEYFERRY_INCUMBENT` gives the path of its binary, the operator itself.
 */
import { mkdtemp } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { request as fetchPage } from 'undici'
import { collectionPath, objectPath } from '../../src/kube/resource.ts'
import { type Cluster, type Kind, type KubeObject, RESOURCES } from './cluster.ts'
import { eventually, timeout } from './eventually.ts'
import { type Daemon, freePort, startDaemon, untilReady } from './processes.ts'

/** Its finalizer, on resources and on Deployments with an annotation of its prefix. */
export const FINALIZER = 'onepassword.com/finalizer.secret'
const PREFIX = 'operator.1password.io'
export const ITEM_PATH = `${PREFIX}/item-path`
export const ITEM_VERSION = `${PREFIX}/item-version`
export const ITEM_NAME = `${PREFIX}/item-name`

/** Its field manager: the file name of its binary, with and without a status subresource. */
const AS_INCUMBENT = { fieldManager: 'manager' }

/** What its Secret of a resource or Deployment may look like. */
export interface Left {
  readonly name: string
  /** `vaults/<id>/items/<id>` */
  readonly itemPath: string
  readonly version?: string
  readonly data: Readonly<Record<string, string | Uint8Array>>
  /** Labels of the resource; it copies all of them. */
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly type?: string
  /** Versions before 1.4.0 wrote none, and later ones never add it. Default: the resource. */
  readonly owner?: KubeObject | false
}

interface Sent {
  readonly metadata: { readonly name: string; readonly [member: string]: unknown }
  readonly [member: string]: unknown
}

/** Writes in its name: a POST, or a PUT of the whole or of the status. */
export async function asIncumbent(
  { rest, namespace }: Cluster,
  kind: Kind,
  object: Sent,
  write: 'create' | 'update' | 'update status',
): Promise<KubeObject> {
  const { group, version, kind: name } = RESOURCES[kind]
  const body = { apiVersion: group ? `${group}/${version}` : version, kind: name, ...object }
  const at = objectPath(RESOURCES[kind], { namespace, name: object.metadata.name })
  const target =
    write === 'create'
      ? ({ method: 'POST', path: collectionPath(RESOURCES[kind], namespace) } as const)
      : ({ method: 'PUT', path: write === 'update' ? at : `${at}/status` } as const)
  const request = { ...target, query: AS_INCUMBENT, body }
  return (await rest.send(request, timeout(20_000))) as KubeObject
}

/** Puts its finalizer on an object, as it does: by a PUT of the whole. */
export async function addFinalizer(
  cluster: Cluster,
  kind: Kind,
  name: string,
): Promise<KubeObject> {
  // Until nobody else wrote between its read and its write.
  return eventually('its finalizer is on the object', async () => {
    const object = await cluster.get(kind, name)
    const finalizers = [...(object.metadata.finalizers ?? []), FINALIZER]
    const metadata = { ...object.metadata, finalizers }
    return asIncumbent(cluster, kind, { ...object, metadata }, 'update')
  })
}

/** Its Secret. */
export function leaveSecret(cluster: Cluster, left: Left): Promise<KubeObject> {
  const { name, itemPath, version = '1', data, labels, annotations, type, owner } = left
  const owners = owner
    ? [
        {
          apiVersion: owner['apiVersion'] as string,
          kind: owner['kind'] as string,
          name: owner.metadata.name,
          uid: owner.metadata.uid,
        },
      ]
    : undefined
  const secret = {
    metadata: {
      name,
      ...(labels ? { labels } : {}),
      annotations: { ...annotations, [ITEM_PATH]: itemPath, [ITEM_VERSION]: version },
      ...(owners ? { ownerReferences: owners } : {}),
    },
    type: type ?? 'Opaque',
    data: Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
    ),
  }
  return asIncumbent(cluster, 'secrets', secret, 'create')
}

/** A resource that it has synced, with its Secret: finalizer, status, managers and all. */
export async function leaveItem(
  cluster: Cluster,
  left: Left & { readonly asked?: string },
): Promise<{ readonly item: KubeObject; readonly secret: KubeObject }> {
  const { name, itemPath, asked = itemPath, labels, type, owner } = left
  await cluster.create('items', {
    metadata: { name, ...(labels ? { labels } : {}) },
    ...(type ? { type } : {}),
    spec: { itemPath: asked },
  })
  const item = await addFinalizer(cluster, 'items', name)
  const secret = await leaveSecret(cluster, { ...left, owner: owner ?? item })
  const ready = { type: 'Ready', status: 'True', lastTransitionTime: '2026-01-02T03:04:05Z' }
  const status = { conditions: [ready] }
  const told = await asIncumbent(cluster, 'items', { ...item, status }, 'update status')
  return { item: told, secret }
}

/** Its resource definition, as far as the API goes: one member in the spec, one in the status. */
export const INCUMBENT_CRD = {
  metadata: { name: 'onepassworditems.onepassword.com' },
  spec: {
    group: 'onepassword.com',
    names: {
      kind: 'OnePasswordItem',
      listKind: 'OnePasswordItemList',
      plural: 'onepassworditems',
      singular: 'onepassworditem',
    },
    scope: 'Namespaced',
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              type: { type: 'string' },
              spec: { type: 'object', properties: { itemPath: { type: 'string' } } },
              status: {
                type: 'object',
                required: ['conditions'],
                properties: {
                  conditions: {
                    type: 'array',
                    items: {
                      type: 'object',
                      required: ['type', 'status'],
                      properties: {
                        type: { type: 'string' },
                        status: { type: 'string' },
                        message: { type: 'string' },
                        lastTransitionTime: { type: 'string', format: 'date-time' },
                      },
                    },
                  },
                },
              },
            },
          },
        },
      },
    ],
  },
}

/** Path of its binary, whose file name should be `manager`; undefined: tests with it are skipped. */
export const INCUMBENT = process.env['KEYFERRY_INCUMBENT']

/** It reads its own namespace from this file and from nowhere else. */
const IN_POD = `mount -t tmpfs none /run &&
mkdir -p /run/secrets/kubernetes.io/serviceaccount &&
printf %s "$POD_NAMESPACE" > /run/secrets/kubernetes.io/serviceaccount/namespace &&
exec "$0" "$@"`

/** Starts the operator itself, in a mount namespace of its own, and waits until it is ready. */
export async function startIncumbent(options: {
  readonly kubeconfig: string
  readonly connect: string
  readonly token?: string
  readonly namespace: string
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}): Promise<Daemon & AsyncDisposable> {
  const { kubeconfig, connect, token = 'test-token', namespace, args = [], env } = options
  if (INCUMBENT === undefined) throw new Error('KEYFERRY_INCUMBENT is not set')
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-incumbent-'))
  const probe = await freePort()
  const flags = ['--metrics-bind-address=0', `--health-probe-bind-address=127.0.0.1:${probe}`]
  const daemon = startDaemon(
    'unshare',
    ['--mount', '--map-root-user', 'sh', '-c', IN_POD, INCUMBENT, ...flags, ...args],
    {
      logFile: path.join(folder, 'incumbent.log'),
      env: {
        PATH: process.env['PATH'],
        KUBECONFIG: kubeconfig,
        OP_CONNECT_HOST: connect,
        OP_CONNECT_TOKEN: token,
        WATCH_NAMESPACE: namespace,
        POD_NAMESPACE: namespace,
        POLLING_INTERVAL: '1',
        MANAGE_CONNECT: 'false',
        ...env,
      },
    },
  )
  await untilReady(daemon, 'the incumbent', async () => {
    const { statusCode, body } = await fetchPage(`http://127.0.0.1:${probe}/readyz`)
    await body.dump()
    return statusCode === 200 || undefined
  })
  return { ...daemon, [Symbol.asyncDispose]: async () => void (await daemon.stop()) }
}
