/**
 * A namespace of a real API server and a vault of a scripted Connect server as the simulation knows
 * its own: so its random operations happen to them, and its judge judges every version that the API
 * server ever stored, with the same rules.
 */
import { isKeyferryError } from '../../src/errors.ts'
import { objectPath } from '../../src/kube/resource.ts'
import type { KubeRequest } from '../../src/kube/rest.ts'
import { type Change, type StoredObject, targetOf } from '../simulation/api-server.ts'
import { type SimulatedItem, VAULT, valueOf } from '../simulation/connect.ts'
import { createJudge, type Judge } from '../simulation/judge.ts'
import { type Ground, NAMESPACE, USER } from '../simulation/operations.ts'
import { BEGINNING } from '../simulation/scheduler.ts'
import { type Cluster, type Kind, type KubeObject, RESOURCES } from '../support/cluster.ts'
import { timeout } from '../support/eventually.ts'
import type { Sighting } from '../support/observer.ts'
import { aTemplate } from '../support/restarts.ts'
import type { ScriptedConnect } from '../support/scripted-connect.ts'

/** Who changed what, as far as it is known. */
export interface Authors {
  /** By the version that the change made. */
  readonly ofVersions: Map<number, string>
  /** By the uid of what was deleted. */
  readonly ofDeletions: Map<string, string>
}

/** See the head of this file. */
export interface Mirror {
  readonly ground: Omit<Ground, 'random'>
  readonly judge: Judge
  readonly vault: string
  readonly authors: Authors
  /** Takes what the observer saw of the namespace. */
  take(sighting: Sighting): void
  /** Sends what operations asked for since the last time; says what came of it where it failed. */
  send(): Promise<string[]>
  /** Judges what was stored until so many milliseconds ago, in the order of its versions. */
  judgeUntil(msAgo: number): void
  /** What is not as it should be by now, in words. */
  unsettled(): string[]
  /** Deletes what only dead owners keep, as the garbage collector does. */
  collectGarbage(): Promise<void>
}

/** Kinds that a mirror shows. */
export const MIRRORED = [
  'items',
  'secrets',
  'deployments',
  'statefulsets',
] as const satisfies readonly Kind[]

const COLLECTOR = 'garbage collector'
/** How soon before a change a workload may come that need not restart for it: clocks have seconds. */
const AROUND_MS = 1_000
const VERSION = 'operator.1password.io/item-version'
const WORKLOADS = ['deployments', 'statefulsets'] as const

const kindOf = (plural: string) =>
  Object.entries(RESOURCES).find(([, one]) => one.plural === plural)?.[0] as Kind
const pluralOf = (kind: Kind) => RESOURCES[kind].plural

type Store = Map<string, Map<string, StoredObject>>

const newStore = (): Store => new Map(MIRRORED.map((kind) => [pluralOf(kind), new Map()]))

/** Objects of a kind in the order of their names, whoever came first. */
function allOf(store: Store, kind: string): Map<string, StoredObject> {
  return new Map([...(store.get(kind) ?? [])].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/**
 * @param annotations of the namespace, which is there already
 * @param unknown whose the changes are that nobody is known to have made; without it there must be none
 */
export function createMirror(
  cluster: Cluster,
  connect: ScriptedConnect,
  annotations: Readonly<Record<string, string>>,
  unknown?: string,
): Mirror {
  const namespace = {
    metadata: { namespace: '', name: NAMESPACE, annotations },
  } as unknown as StoredObject
  const vault = mirrorVault(connect, `V${cluster.namespace}`)
  const live = newStore()
  const outbox: KubeRequest[] = []
  const authors: Authors = { ofVersions: new Map(), ofDeletions: new Map() }
  let version = 1
  const ground = {
    connect: vault.connect,
    server: {
      get version() {
        return version
      },
      all: (kind: string) => allOf(live, kind),
      /** Answers at once as the API server will: nobody else makes what users make. */
      handle(request: KubeRequest) {
        const { kind = '', name = '' } = targetOf(request.path) ?? {}
        if (request.method === 'POST') {
          const object = request.body as KubeObject
          const key = `${NAMESPACE}/${object.metadata.name}`
          if (live.get(kind)?.has(key)) return { status: 409, body: {} }
          live.get(kind)?.set(key, placed(object))
        } else if (request.method === 'DELETE') live.get(kind)?.delete(`${NAMESPACE}/${name}`)
        version += 1
        outbox.push(request)
        return { status: request.method === 'POST' ? 201 : 200, body: {} }
      },
    },
  }
  const court = holdCourt(namespace, vault, { authors, unknown })
  return {
    ground,
    judge: court.judge,
    vault: vault.id,
    authors,
    take(sighting) {
      const { kind, object, isGone } = sighting
      const key = `${NAMESPACE}/${object.metadata.name}`
      const objects = live.get(pluralOf(kind))
      if (isGone) objects?.delete(key)
      else objects?.set(key, placed(object))
      court.take(sighting)
    },
    async send() {
      const failed: string[] = []
      for (const request of outbox.splice(0)) {
        const failure = await sendOne(cluster, translated(request, vault), authors)
        if (failure !== undefined) failed.push(failure)
      }
      return failed
    },
    judgeUntil: court.judgeUntil,
    unsettled: court.unsettled,
    collectGarbage: () => collectGarbage(cluster, live, authors),
  }
}

/** An object as the simulation has it. */
function placed({ metadata, ...rest }: KubeObject): StoredObject {
  const { managedFields: _m, ...kept } = metadata
  return { ...rest, metadata: { ...kept, namespace: NAMESPACE } }
}

type MirroredVault = ReturnType<typeof mirrorVault>

/** A vault of its own, whose items have the values that the judge knows. */
function mirrorVault(connect: ScriptedConnect, name: string) {
  const id = connect.vault(name)
  const items = new Map<string, SimulatedItem>()
  /** Versions that have a content, by `<item id> <content>`. */
  const versions = new Map<string, string[]>()
  let addedAt = Number.NEGATIVE_INFINITY
  const fieldsOf = (item: string, content: number) =>
    ['username', 'password'].map((label) => ({ label, value: valueOf(label, item, content) }))
  const note = (item: SimulatedItem) => {
    items.set(item.id, item)
    const key = `${item.id} ${item.content}`
    versions.set(key, [...(versions.get(key) ?? []), `${item.id}@${item.version}`])
    return item
  }
  const change = (item: string, by: (item: SimulatedItem) => Partial<SimulatedItem>) => {
    const before = items.get(item) as SimulatedItem
    const after = { ...before, ...by(before), version: before.version + 1 }
    const { title, tags, content } = note(after)
    connect.edit(item, { title, tags, fields: fieldsOf(item, content) })
  }
  return {
    id,
    name,
    connect: {
      items,
      served: {
        has: (content: string) =>
          versions.get(content)?.some((one) => connect.served.has(one)) === true,
      },
      get addedAt() {
        return addedAt
      },
      add(title: string) {
        addedAt = Date.now() - BEGINNING
        const item = connect.add(id, { title, fields: [] })
        connect.edit(item, { fields: fieldsOf(item, 1) })
        return note({ id: item, title, version: 2, content: 1, tags: [] })
      },
      edit: (item: string) => change(item, ({ content }) => ({ content: content + 1 })),
      touch: (item: string) => change(item, ({ version }) => ({ tags: [`t${version}`] })),
      rename: (item: string, title: string) => change(item, () => ({ title })),
      remove(item: string) {
        items.delete(item)
        connect.remove(item)
      },
    },
  }
}

/** The judge, and what it has been told so far. */
function holdCourt(
  namespace: StoredObject,
  { connect }: MirroredVault,
  { authors, unknown }: { readonly authors: Authors; readonly unknown: string | undefined },
) {
  const known = newStore()
  const onChange = new Set<(change: Change) => void>()
  const pending: Sighting[] = []
  let now: number | undefined
  let last = 0
  const get = (kind: string, _in: string, name: string) =>
    kind === 'namespaces' ? namespace : known.get(kind)?.get(`${NAMESPACE}/${name}`)
  const evidence = {
    server: { onChange, all: (kind: string) => allOf(known, kind), get },
    scheduler: { now: () => (now ?? Date.now()) - BEGINNING },
    connect,
  }
  const judge = createJudge(evidence, false, AROUND_MS)
  function tell({ kind, object, isGone, version, at }: Sighting): void {
    const plural = pluralOf(kind)
    const objects = known.get(plural) as Map<string, StoredObject>
    const key = `${NAMESPACE}/${object.metadata.name}`
    const before = objects.get(key)
    const after = isGone ? undefined : placed(object)
    if (after) objects.set(key, after)
    else objects.delete(key)
    const author = isGone
      ? authors.ofDeletions.get(object.metadata.uid)
      : authors.ofVersions.get(version)
    const by = author ?? unknown
    const text = `${plural} ${object.metadata.name} (${version})`
    if (by === undefined) judge.violations.push(`${text} was changed by nobody knows whom`)
    if (version < last) judge.violations.push(`${text} was seen too late to be judged`)
    last = version
    now = at
    for (const listener of onChange) {
      listener({ kind: plural, version, before, after, by: by ?? USER })
    }
    now = undefined
  }
  return {
    judge,
    take: (sighting: Sighting) => void pending.push(sighting),
    judgeUntil(msAgo: number) {
      const horizon = Date.now() - msAgo
      pending.sort((a, b) => a.version - b.version)
      while (pending[0] && pending[0].at <= horizon) tell(pending.shift() as Sighting)
    },
    unsettled: () =>
      pending.length > 0
        ? ['something was stored just now']
        : [...judge.unsettled(), ...outdated(evidence), ...leftOver(evidence)],
  }
}

interface Known {
  readonly server: {
    readonly all: (kind: string) => ReadonlyMap<string, StoredObject>
    readonly get: (kind: string, namespace: string, name: string) => StoredObject | undefined
  }
  readonly connect: { readonly items: ReadonlyMap<string, SimulatedItem> }
}

const secretNameOf = ({ metadata, spec }: StoredObject): string => spec.secretName ?? metadata.name

const isReady = ({ status }: StoredObject): boolean =>
  status.conditions.some(
    ({ type, status: is }: Record<string, string>) => type === 'Ready' && is === 'True',
  )

/** Ready resources that tell of a former version of their item, or whose Secret does. */
function outdated({ server, connect }: Known): string[] {
  return [...server.all('onepassworditems').values()].filter(isReady).flatMap((item) => {
    const { itemPath } = item['spec'] as { itemPath: string }
    const refs = item['status'].items as { path: string; itemId: string; version: number }[]
    const version = (id: string) => connect.items.get(id)?.version
    const old = refs.filter((ref) => ref.version !== version(ref.itemId))
    const secret = server.get('secrets', NAMESPACE, secretNameOf(item))
    const main = refs.find(({ path }) => path === itemPath)
    const told = secret?.metadata.annotations?.[VERSION]
    const { name } = item.metadata
    return [
      ...old.map((ref) => `resource ${name} tells of version ${ref.version} of ${ref.path}`),
      ...(told === String(main?.version) ? [] : [`Secret of ${name} tells of version ${told}`]),
    ]
  })
}

/** Secrets that only dead owners keep, and those of former names that nobody uses. */
function leftOver({ server }: Known): string[] {
  const items = [...server.all('onepassworditems').values()]
  const workloads = WORKLOADS.flatMap((kind) => [...server.all(kind).values()])
  return [...server.all('secrets').values()].flatMap(({ metadata }) => {
    const owners = metadata.ownerReferences ?? []
    const alive = items.filter((item) => owners.some(({ uid }) => uid === item.metadata.uid))
    const others = workloads.some(({ metadata: { uid } }) =>
      owners.some((owner) => owner.uid === uid),
    )
    if (owners.length > 0 && alive.length === 0 && !others) return [`${metadata.name} is garbage`]
    const [only, ...rest] = alive
    if (only === undefined || rest.length > 0 || others) return []
    const isUsed = workloads.some(({ spec }) => JSON.stringify(spec).includes(`"${metadata.name}"`))
    const isFormer = isReady(only) && secretNameOf(only) !== metadata.name && !isUsed
    return isFormer ? [`${metadata.name} is left of a former name of ${only.metadata.name}`] : []
  })
}

/** A request that the API server understands, for the namespace and the vault that are meant. */
function translated({ body, path, ...rest }: KubeRequest, { id, name }: MirroredVault) {
  const text = JSON.stringify(body ?? {})
    .replaceAll(VAULT.id, id)
    .replaceAll(`vaults/${VAULT.title}/`, `vaults/${name}/`)
    .replaceAll(`op://${VAULT.title}/`, `op://${name}/`)
  const target = targetOf(path)
  return {
    method: rest.method,
    kind: kindOf(target?.kind ?? ''),
    name: target?.name ?? '',
    body: JSON.parse(text) as KubeObject,
  }
}

type Order = ReturnType<typeof translated>

/** What the simulation leaves out of a workload. */
function dressed(kind: Kind, body: KubeObject): KubeObject {
  if (kind !== 'deployments' && kind !== 'statefulsets') return body
  const { name } = body.metadata
  const [{ envFrom }] = body['spec'].template.spec.containers as [{ envFrom: unknown }]
  const containers = [{ name: 'app', image: 'example.invalid/app', envFrom }]
  const spec = {
    replicas: 0,
    selector: { matchLabels: { app: name } },
    template: aTemplate(name, { containers }),
    ...(kind === 'statefulsets' ? { serviceName: 'none' } : {}),
  }
  return { ...body, spec }
}

/** @returns why it came to nothing: what it was about had changed or gone meanwhile */
async function sendOne(
  cluster: Cluster,
  order: Order,
  authors: Authors,
): Promise<string | undefined> {
  const { method, kind, name, body } = order
  const note = ({ metadata }: KubeObject, before?: KubeObject) => {
    const { resourceVersion } = metadata
    // What changes nothing leaves the version as it was, which is somebody else's.
    if (resourceVersion === before?.metadata.resourceVersion) return
    authors.ofVersions.set(Number(resourceVersion), USER)
  }
  try {
    if (method === 'POST') note(await cluster.create(kind, dressed(kind, body)))
    else if (method === 'DELETE') {
      const { metadata } = await cluster.get(kind, name)
      await deleteOne(cluster, { kind, metadata }, USER, authors)
    } else {
      const before = await cluster.get(kind, name)
      const after =
        method === 'PATCH'
          ? await cluster.patch(kind, name, body)
          : await cluster.replace(kind, edited(before, body))
      note(after, before)
    }
    return undefined
  } catch (error) {
    if (isKeyferryError(error, 'KUBE_STATUS')) {
      // Its status was written meanwhile.
      if (error.status === 409 && method === 'PUT') return sendOne(cluster, order, authors)
      return `${method} ${kind}/${name}: ${error.status}`
    }
    throw error
  }
}

function edited(before: KubeObject, { spec, type, metadata }: KubeObject): KubeObject {
  const { annotations } = metadata
  const { type: _t, ...rest } = before
  return {
    ...rest,
    ...(type === undefined ? {} : { type }),
    spec,
    metadata: { ...before.metadata, ...(annotations === undefined ? {} : { annotations }) },
  }
}

/** Notes who did it only if it was they who did it. */
async function deleteOne(
  cluster: Cluster,
  { kind, metadata }: { readonly kind: Kind; readonly metadata: KubeObject['metadata'] },
  by: string,
  authors: Authors,
): Promise<void> {
  const { namespace, name, uid } = metadata
  const path = objectPath(RESOURCES[kind], { namespace, name })
  const body = { preconditions: { uid } }
  await cluster.rest.send({ method: 'DELETE', path, body }, timeout(20_000))
  authors.ofDeletions.set(uid, by)
}

type Owner = NonNullable<KubeObject['metadata']['ownerReferences']>[number]

async function collectGarbage(cluster: Cluster, live: Store, authors: Authors): Promise<void> {
  const uids = new Set([...live.values()].flatMap((all) => [...all.values()].map(uidOf)))
  const isDead = async (owner: Owner) => {
    if (uids.has(owner.uid)) return false
    const kind = MIRRORED.find((one) => RESOURCES[one].kind === owner.kind)
    const found = kind && (await cluster.find(kind, owner.name))
    return found?.metadata.uid !== owner.uid
  }
  for (const { metadata } of live.get('secrets')?.values() ?? []) {
    const { name, resourceVersion } = metadata
    const owners = (metadata.ownerReferences ?? []) as Owner[]
    const dead = await Promise.all(owners.map(isDead))
    if (!dead.includes(true)) continue
    const living = owners.filter((_, n) => !dead[n])
    try {
      if (living.length === 0) {
        const object = { kind: 'secrets', metadata: metadata as KubeObject['metadata'] } as const
        const namespace = cluster.namespace
        const own = { ...object, metadata: { ...object.metadata, namespace } }
        await deleteOne(cluster, own, COLLECTOR, authors)
      } else {
        const change = { metadata: { resourceVersion, ownerReferences: living } }
        const after = await cluster.patch('secrets', name, change)
        authors.ofVersions.set(Number(after.metadata.resourceVersion), COLLECTOR)
      }
    } catch (error) {
      // It has changed or gone meanwhile, and is looked at again.
      if (!isKeyferryError(error, 'KUBE_STATUS')) throw error
    }
  }
}

const uidOf = ({ metadata }: StoredObject) => metadata.uid
