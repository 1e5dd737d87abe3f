/**
 * What people and other programs do to a cluster and to a vault while the operator works: each
 * operation is possible at any moment, and does nothing where it makes no sense.
 */
import type { KubeRequest } from '../../src/kube/rest.ts'
import type { ApiServer, StoredObject } from './api-server.ts'
import { CANARY, type SimulatedConnect, type SimulatedItem, VAULT } from './connect.ts'
import type { Random } from './random.ts'

/** Namespace in which everything happens. */
export const NAMESPACE = 'team'
/** Name under which people and other programs act. */
export const USER = 'user'

const ITEMS = `/apis/onepassword.com/v1/namespaces/${NAMESPACE}/onepassworditems`
const SECRETS = `/api/v1/namespaces/${NAMESPACE}/secrets`
const PLURALS = { Deployment: 'deployments', StatefulSet: 'statefulsets' } as const
type WorkloadKind = keyof typeof PLURALS
const workloadsPath = (kind: WorkloadKind) =>
  `/apis/apps/v1/namespaces/${NAMESPACE}/${PLURALS[kind]}`

const TITLES = ['db', 'api', 'web'] as const
const RESOURCES = ['one', 'two', 'three'] as const
/** Names that Secrets are given; resources may want the same. */
const SECRET_NAMES = ['one', 'two', 'shared'] as const
const BASIC_AUTH = 'kubernetes.io/basic-auth'
const AUTO_RESTART = 'operator.1password.io/auto-restart'

/** What operations are done to. */
export interface Ground {
  readonly random: Random
  readonly server: Pick<ApiServer, 'handle' | 'all' | 'version'>
  readonly connect: Pick<SimulatedConnect, 'items' | 'add' | 'edit' | 'touch' | 'rename' | 'remove'>
}

/** One thing that is done. @returns what, for a trace; undefined when it made no sense */
export type Operation = (world: Ground) => string | undefined

function send({ server }: Ground, request: KubeRequest): number {
  return server.handle(request, USER).status
}

function pickObject({ server, random }: Ground, kind: string): StoredObject | undefined {
  const all = [...server.all(kind).values()].filter(
    ({ metadata }) => metadata.namespace === NAMESPACE,
  )
  return all.length === 0 ? undefined : random.pick(all)
}

function pickItem({ connect, random }: Ground): SimulatedItem | undefined {
  const all = [...connect.items.values()]
  return all.length === 0 ? undefined : random.pick(all)
}

/** A wish, as a resource has it. */
function aSpec({ random, connect }: Ground): Record<string, unknown> {
  const title = random.pick(TITLES)
  const byId = [...connect.items.values()].find((item) => item.title === title)
  const name = byId && random.chance(0.2) ? byId.id : title
  return {
    itemPath: `vaults/${random.chance(0.2) ? VAULT.id : VAULT.title}/items/${name}`,
    ...(random.chance(0.3) ? { secretName: random.pick(SECRET_NAMES) } : {}),
    // By its title, so that both mean the same item also after it was renamed.
    ...(name === title && random.chance(0.2)
      ? { data: { URL: `db://{{ op://${VAULT.title}/${title}/password | urlencode }}` } }
      : {}),
    ...(random.chance(0.15) ? { requiredKeys: [random.chance(0.5) ? 'username' : 'absent'] } : {}),
    ...(random.chance(0.2) ? { onItemMissing: 'Delete' } : {}),
    ...(random.chance(0.2) ? { deletionPolicy: 'Retain' } : {}),
  }
}

function optIn({ random }: Ground): Record<string, string> {
  return random.chance(0.3) ? { [AUTO_RESTART]: random.pick(['true', 'false']) } : {}
}

function createResource(world: Ground): string | undefined {
  const { random } = world
  const name = random.pick(RESOURCES)
  const body = {
    metadata: {
      name,
      annotations: optIn(world),
      labels: random.chance(0.3) ? { app: name } : {},
    },
    ...(random.chance(0.2) ? { type: BASIC_AUTH } : {}),
    spec: aSpec(world),
  }
  const status = send(world, { method: 'POST', path: ITEMS, body })
  return status === 201 ? `creates resource ${name} ${JSON.stringify(body)}` : undefined
}

function editResource(world: Ground): string | undefined {
  const item = pickObject(world, 'onepassworditems')
  if (item === undefined) return undefined
  const { name } = item.metadata
  const { type: _type, ...rest } = item
  const body = {
    ...rest,
    ...(world.random.chance(0.25) ? { type: BASIC_AUTH } : {}),
    metadata: {
      ...item.metadata,
      ...(world.random.chance(0.3) ? { annotations: optIn(world) } : {}),
    },
    spec: world.random.chance(0.7) ? aSpec(world) : item['spec'],
  }
  send(world, { method: 'PUT', path: `${ITEMS}/${name}`, body })
  return `edits resource ${name} ${JSON.stringify({ type: body.type, spec: body.spec })}`
}

function deleteResource(world: Ground): string | undefined {
  const item = pickObject(world, 'onepassworditems')
  if (item === undefined) return undefined
  send(world, { method: 'DELETE', path: `${ITEMS}/${item.metadata.name}` })
  return `deletes resource ${item.metadata.name}`
}

function editItem(world: Ground): string | undefined {
  const item = pickItem(world)
  if (item === undefined) return undefined
  world.connect.edit(item.id)
  return `gives item ${item.title} content ${item.content + 1}`
}

function touchItem(world: Ground): string | undefined {
  const item = pickItem(world)
  if (item === undefined) return undefined
  world.connect.touch(item.id)
  return `tags item ${item.title}`
}

function renameItem(world: Ground): string | undefined {
  const item = pickItem(world)
  const free = TITLES.filter((title) =>
    [...world.connect.items.values()].every((one) => one.title !== title),
  )
  const [title] = free
  if (item === undefined || title === undefined) return undefined
  world.connect.rename(item.id, title)
  return `renames item ${item.title} to ${title}`
}

function removeItem(world: Ground): string | undefined {
  const item = pickItem(world)
  if (item === undefined) return undefined
  world.connect.remove(item.id)
  return `removes item ${item.title}`
}

function addItem(world: Ground): string | undefined {
  const taken = new Set([...world.connect.items.values()].map(({ title }) => title))
  const title = TITLES.find((one) => !taken.has(one))
  if (title === undefined) return undefined
  world.connect.add(title)
  return `adds item ${title}`
}

function createWorkload(world: Ground): string | undefined {
  const { random } = world
  const kind: WorkloadKind = random.chance(0.8) ? 'Deployment' : 'StatefulSet'
  const name = random.pick(['web', 'worker', 'cron'])
  const envFrom = SECRET_NAMES.filter(() => random.chance(0.5)).map((secret) => ({
    secretRef: { name: secret },
  }))
  const body = {
    metadata: { name, annotations: optIn(world) },
    spec: { template: { metadata: {}, spec: { containers: [{ name: 'app', envFrom }] } } },
  }
  const status = send(world, { method: 'POST', path: workloadsPath(kind), body })
  return status === 201 ? `creates ${kind} ${name} ${JSON.stringify(envFrom)}` : undefined
}

function editWorkload(world: Ground): string | undefined {
  const workload = pickObject(world, 'deployments')
  if (workload === undefined) return undefined
  const { name } = workload.metadata
  const body = { metadata: { labels: { edited: `${world.server.version}` } } }
  const path = `${workloadsPath('Deployment')}/${name}`
  send(world, { method: 'PATCH', patch: 'merge', path, body })
  return `labels Deployment ${name}`
}

function deleteWorkload(world: Ground): string | undefined {
  const workload = pickObject(world, 'deployments')
  if (workload === undefined) return undefined
  const path = `${workloadsPath('Deployment')}/${workload.metadata.name}`
  send(world, { method: 'DELETE', path })
  return `deletes Deployment ${workload.metadata.name}`
}

function spoilSecret(world: Ground): string | undefined {
  const secret = pickObject(world, 'secrets')
  if (secret === undefined) return undefined
  const { name } = secret.metadata
  const bytes = Buffer.from(`${CANARY}spoilt ${world.server.version}`).toString('base64')
  const body = { data: { [world.random.pick(['password', 'extra'])]: bytes } }
  send(world, { method: 'PATCH', patch: 'merge', path: `${SECRETS}/${name}`, body })
  return `spoils Secret ${name}`
}

function deleteSecret(world: Ground): string | undefined {
  const secret = pickObject(world, 'secrets')
  if (secret === undefined) return undefined
  send(world, { method: 'DELETE', path: `${SECRETS}/${secret.metadata.name}` })
  return `deletes Secret ${secret.metadata.name}`
}

/** Somebody else's Secret: it may never change. */
function createForeignSecret(world: Ground): string | undefined {
  const name = world.random.pick(SECRET_NAMES)
  const body = {
    metadata: { name },
    data: { theirs: Buffer.from(`${CANARY}theirs`).toString('base64') },
  }
  const status = send(world, { method: 'POST', path: SECRETS, body })
  return status === 201 ? `creates a Secret ${name} of somebody else` : undefined
}

/** Takes the marks off by which Secrets are watched. */
function unmarkSecret(world: Ground): string | undefined {
  const secret = pickObject(world, 'secrets')
  if (secret?.metadata.labels === undefined) return undefined
  const body = { metadata: { labels: { 'keyferry.dev/managed': null } } }
  const path = `${SECRETS}/${secret.metadata.name}`
  send(world, { method: 'PATCH', patch: 'merge', path, body })
  return `takes the label off Secret ${secret.metadata.name}`
}

const WEIGHTS: readonly (readonly [number, Operation])[] = [
  [6, editItem],
  [2, touchItem],
  [1, renameItem],
  [2, removeItem],
  [3, addItem],
  [4, createResource],
  [4, editResource],
  [2, deleteResource],
  [4, createWorkload],
  [1, editWorkload],
  [1, deleteWorkload],
  [2, spoilSecret],
  [2, deleteSecret],
  [1, unmarkSecret],
  [1, createForeignSecret],
]
const OPERATIONS = WEIGHTS.flatMap(([weight, operation]) =>
  Array.from({ length: weight }, () => operation),
)

/** Does one thing that makes sense now. */
export function operate(world: Ground): string {
  for (;;) {
    const done = world.random.pick(OPERATIONS)(world)
    if (done !== undefined) return done
  }
}

/** What is there before the operator starts. */
export function furnish(world: Ground): string[] {
  const namespace = {
    metadata: {
      name: NAMESPACE,
      annotations: world.random.chance(0.6) ? { [AUTO_RESTART]: 'true' } : {},
    },
  }
  send(world, { method: 'POST', path: '/api/v1/namespaces', body: namespace })
  return furnishNamespace(world)
}

/** As {@link furnish}, but for the namespace, which is there already. */
export function furnishNamespace(world: Ground): string[] {
  const first = [addItem, addItem, createResource, createResource, createWorkload, createWorkload]
  return first.flatMap((operation) => operation(world) ?? [])
}
