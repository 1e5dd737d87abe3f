/**
 * The Kubernetes API server in memory, as far as the operator and its users deal with it: versions
 * and preconditions, generations, finalizers, the checks of Secrets, and the garbage collector. That
 * it answers like the real one is tested against the real one, request by request.
 * Source: Kubernetes API concepts; `test/reliability/model.test.ts`.
 */
import { isDeepStrictEqual } from 'node:util'
import type { KubeRequest } from '../../src/kube/rest.ts'
import { BEGINNING } from './scheduler.ts'

/** Metadata of a stored object. */
export interface Metadata {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  readonly creationTimestamp: string
  readonly generation?: number
  readonly deletionTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly finalizers?: readonly string[]
  readonly ownerReferences?: readonly { readonly uid: string; readonly name: string }[]
}

/** A stored object. They are never changed, only replaced. */
export interface StoredObject {
  readonly metadata: Metadata
  // oxlint-disable-next-line typescript/no-explicit-any -- objects of whatever kind
  readonly [member: string]: any
}

/** Something that was stored: one of both is undefined when the object came or went. */
export interface Change {
  /** Plural. */
  readonly kind: string
  readonly version: number
  readonly before: StoredObject | undefined
  readonly after: StoredObject | undefined
  /** Who did it. */
  readonly by: string
}

/** An answer. */
export interface Reply {
  readonly status: number
  readonly body: unknown
}

/** See the head of this file. */
export interface ApiServer {
  /** Answers a request at once. */
  handle(request: KubeRequest, by: string): Reply
  /** Everything that was stored, in order. */
  readonly log: readonly Change[]
  /** Objects of a kind, by `namespace/name`. */
  all(kind: string): ReadonlyMap<string, StoredObject>
  get(kind: string, namespace: string, name: string): StoredObject | undefined
  /** Version of the newest change. */
  readonly version: number
  /** Told of each change as it is stored. */
  readonly onChange: Set<(change: Change) => void>
  /** Deletes what only dead owners keep, once. */
  collectGarbage(): void
}

/** Options of an API server in memory. */
export interface ApiServerOptions {
  /** Virtual milliseconds. */
  readonly now: () => number
  /** Documents that are served by path, such as the schema of the custom resource. */
  readonly documents: ReadonlyMap<string, unknown>
}

const KINDS = new Set([
  'secrets',
  'onepassworditems',
  'deployments',
  'statefulsets',
  'daemonsets',
  'namespaces',
  'leases',
  'events',
])
/** Kinds whose objects count their generations. */
const COUNTED = new Set(['onepassworditems', 'deployments', 'statefulsets', 'daemonsets'])
/** Kinds that may be changed without naming a version. */
const UNCONDITIONAL = new Set([
  'secrets',
  'deployments',
  'statefulsets',
  'daemonsets',
  'namespaces',
])

/** Keys without which the API server takes no Secret of a type. */
const REQUIRED: Readonly<Record<string, (data: Readonly<Record<string, string>>) => boolean>> = {
  'kubernetes.io/basic-auth': (data) => 'username' in data || 'password' in data,
  'kubernetes.io/tls': (data) => 'tls.crt' in data && 'tls.key' in data,
  'kubernetes.io/ssh-auth': (data) => 'ssh-privatekey' in data,
}

interface Target {
  readonly kind: string
  readonly namespace: string
  /** Empty: the collection. */
  readonly name: string
  readonly isStatus: boolean
}

class Refusal extends Error {
  readonly status: number
  readonly reason: string

  constructor(status: number, reason: string, message: string) {
    super(message)
    this.status = status
    this.reason = reason
  }
}

/** An empty API server. */
export function createApiServer({ now, documents }: ApiServerOptions): ApiServer {
  const objects = new Map([...KINDS].map((kind) => [kind, new Map<string, StoredObject>()]))
  const log: Change[] = []
  const onChange = new Set<(change: Change) => void>()
  let version = 1
  let uids = 0

  const of = (kind: string) => objects.get(kind) as Map<string, StoredObject>
  const date = () => new Date(Math.floor((BEGINNING + now()) / 1000) * 1000).toISOString()
  const timestamp = () => date().replace('.000Z', 'Z')

  function store(
    kind: string,
    before: StoredObject | undefined,
    after: StoredObject | undefined,
    by: string,
  ): StoredObject | undefined {
    version += 1
    const resourceVersion = `${version}`
    const { namespace, name } = ((after ?? before) as StoredObject).metadata
    const kept = after && { ...after, metadata: { ...after.metadata, resourceVersion } }
    const key = `${namespace}/${name}`
    if (kept) of(kind).set(key, kept)
    else of(kind).delete(key)
    const change: Change = { kind, version, before, after: kept, by }
    log.push(change)
    for (const listener of onChange) listener(change)
    return kept
  }

  function found({ kind, namespace, name }: Target): StoredObject {
    const object = of(kind).get(`${namespace}/${name}`)
    if (object) return object
    throw new Refusal(404, 'NotFound', `${kind} "${name}" not found`)
  }

  function create({ kind, namespace }: Target, request: KubeRequest, by: string): Reply {
    const { metadata, ...rest } = request.body as StoredObject & {
      readonly metadata: Metadata & { readonly generateName?: string }
    }
    const { generateName, ...given } = metadata
    const name = given.name ?? `${generateName}${version}`
    if (kind === 'secrets') checkSecret(rest)
    if (of(kind).has(`${namespace}/${name}`)) {
      throw new Refusal(409, 'AlreadyExists', `${kind} "${name}" already exists`)
    }
    const fresh = {
      ...defaulted(kind, rest),
      metadata: {
        ...withoutEmpty(given),
        namespace,
        name,
        uid: `uid-${(uids += 1)}`,
        creationTimestamp: timestamp(),
        ...(COUNTED.has(kind) ? { generation: 1 } : {}),
      },
    } as StoredObject
    if (request.query?.['dryRun'] === 'All') return { status: 201, body: fresh }
    return { status: 201, body: store(kind, undefined, fresh, by) }
  }

  function checkVersion(kind: string, stored: StoredObject, metadata: Partial<Metadata>): void {
    const { uid, resourceVersion } = metadata
    const other =
      (uid !== undefined && uid !== stored.metadata.uid) ||
      (resourceVersion !== undefined && resourceVersion !== stored.metadata.resourceVersion)
    if (other) throw new Refusal(409, 'Conflict', `${kind}: the object has been modified`)
  }

  /** Stores what a change made of an object, if it made any difference. */
  function keep(
    { kind }: Target,
    before: StoredObject,
    after: StoredObject,
    by: string,
  ): StoredObject | undefined {
    if (kind === 'secrets') {
      checkSecret(after)
      if (after['type'] !== before['type']) throw invalid('type: field is immutable')
      const touched = !isDeepStrictEqual(after['data'] ?? {}, before['data'] ?? {})
      if (before['immutable'] && (touched || !after['immutable'])) {
        throw invalid('data: field is immutable when `immutable` is set')
      }
    }
    const moved = COUNTED.has(kind) && !isDeepStrictEqual(wishOf(before), wishOf(after))
    const { generation = 1 } = before.metadata
    const next = moved
      ? { ...after, metadata: { ...after.metadata, generation: generation + 1 } }
      : after
    const { deletionTimestamp, finalizers = [] } = next.metadata
    if (deletionTimestamp !== undefined && finalizers.length === 0) {
      store(kind, before, undefined, by)
      return next
    }
    return isDeepStrictEqual(next, before) ? before : store(kind, before, next, by)
  }

  function replace(target: Target, request: KubeRequest, by: string): Reply {
    const { metadata, ...rest } = request.body as StoredObject
    const { kind, namespace, name } = target
    const isNew = !of(kind).has(`${namespace}/${name}`)
    // Leases alone are made by a PUT, if it names no state of them.
    if (isNew && kind === 'leases') {
      const { uid, resourceVersion } = metadata
      if (uid === undefined && resourceVersion === undefined) return create(target, request, by)
      throw new Refusal(409, 'Conflict', `${kind}: the object is not there`)
    }
    const before = found(target)
    if (metadata.resourceVersion === undefined && !UNCONDITIONAL.has(target.kind)) {
      throw invalid('metadata.resourceVersion: must be specified for an update')
    }
    checkVersion(target.kind, before, metadata)
    const { labels, annotations, finalizers, ownerReferences } = metadata
    const { status } = before
    const after = {
      ...defaulted(target.kind, rest),
      ...(target.kind !== 'onepassworditems' || status === undefined ? {} : { status }),
      metadata: {
        ...fixed(before.metadata),
        ...withoutEmpty({ labels, annotations, finalizers, ownerReferences }),
      },
    } as StoredObject
    return { status: 200, body: keep(target, before, after, by) }
  }

  function patch(target: Target, request: KubeRequest, by: string): Reply {
    const before = found(target)
    if (request.patch === 'apply') {
      const { metadata, status } = request.body as StoredObject
      // Its uid is not looked at, but the version alone says which object is meant.
      checkVersion(target.kind, before, { resourceVersion: metadata.resourceVersion })
      return { status: 200, body: keep(target, before, { ...before, status }, by) }
    }
    const after =
      request.patch === 'json'
        ? patchByOperations(before, request.body as readonly Operation[])
        : (merge(before, request.body) as StoredObject)
    const { uid, resourceVersion } = after.metadata
    checkVersion(target.kind, before, { resourceVersion })
    if (uid !== before.metadata.uid) throw invalid('metadata.uid: field is immutable')
    const metadata = {
      ...fixed(before.metadata),
      ...withoutEmpty(pickChangeable(after.metadata)),
    } as Metadata
    return { status: 200, body: keep(target, before, { ...after, metadata }, by) }
  }

  function remove(target: Target, request: KubeRequest, by: string): Reply {
    const before = found(target)
    const { preconditions = {} } = (request.body ?? {}) as { preconditions?: Partial<Metadata> }
    checkVersion(target.kind, before, preconditions)
    const { finalizers = [], deletionTimestamp } = before.metadata
    if (finalizers.length === 0) {
      store(target.kind, before, undefined, by)
    } else if (deletionTimestamp === undefined) {
      const metadata = { ...before.metadata, deletionTimestamp: timestamp() }
      const { generation } = metadata
      const counted = generation === undefined ? {} : { generation: generation + 1 }
      store(target.kind, before, { ...before, metadata: { ...metadata, ...counted } }, by)
    }
    return { status: 200, body: before }
  }

  function answer(request: KubeRequest, by: string): Reply {
    const { method, path, query = {} } = request
    const document = documents.get(path)
    if (document !== undefined) return { status: 200, body: document }
    const target = targetOf(path)
    if (target === undefined) throw new Refusal(404, 'NotFound', 'no such resource')
    switch (method) {
      case 'GET':
        if (target.name !== '') return { status: 200, body: found(target) }
        return { status: 200, body: list(target, query['labelSelector']) }
      case 'POST':
        return create(target, request, by)
      case 'PUT':
        return replace(target, request, by)
      case 'PATCH':
        return patch(target, request, by)
      case 'DELETE':
        return remove(target, request, by)
    }
  }

  function list({ kind, namespace }: Target, selector: unknown): unknown {
    const items = [...of(kind).values()].filter((one) => isSelected(one, namespace, selector))
    return { metadata: { resourceVersion: `${version}` }, items }
  }

  function isDead({ uid }: { readonly uid: string }): boolean {
    return [...objects.values()].every((all) =>
      [...all.values()].every(({ metadata }) => metadata.uid !== uid),
    )
  }

  return {
    handle(request, by) {
      try {
        return answer(request, by)
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        const { status, reason, message } = error
        return { status, body: { kind: 'Status', code: status, reason, message } }
      }
    },
    log,
    all: of,
    get: (kind, namespace, name) => of(kind).get(`${namespace}/${name}`),
    get version() {
      return version
    },
    onChange,
    collectGarbage() {
      for (const secret of of('secrets').values()) {
        const { ownerReferences: owners = [] } = secret.metadata
        const living = owners.filter((owner) => !isDead(owner))
        if (living.length === owners.length) continue
        if (living.length === 0) store('secrets', secret, undefined, 'garbage collector')
        else {
          const metadata = { ...secret.metadata, ownerReferences: living }
          store('secrets', secret, { ...secret, metadata }, 'garbage collector')
        }
      }
    },
  }
}

/** Whether an object belongs to a namespace (empty: to any) and to a selector of the form `a=b`. */
export function isSelected(
  { metadata }: StoredObject,
  namespace: string,
  selector: unknown,
): boolean {
  if (namespace !== '' && metadata.namespace !== namespace) return false
  if (typeof selector !== 'string' || selector === '') return true
  const [label = '', value] = selector.split('=')
  return metadata.labels?.[label] === value
}

/** What a path names. */
export function targetOf(path: string): Target | undefined {
  const parts = path.split('/').slice(1)
  const below = parts.slice(parts[0] === 'api' ? 2 : 3).map(decodeURIComponent)
  const [first = '', second = '', third = '', fourth = '', fifth = ''] = below
  const isScoped = first === 'namespaces' && third !== ''
  const target = isScoped
    ? { kind: third, namespace: second, name: fourth, isStatus: fifth === 'status' }
    : { kind: first, namespace: '', name: second, isStatus: false }
  return KINDS.has(target.kind) ? target : undefined
}

function invalid(message: string): Refusal {
  return new Refusal(422, 'Invalid', message)
}

function checkSecret(secret: Readonly<Record<string, unknown>>): void {
  const { type = 'Opaque', data = {} } = secret as {
    type?: string
    data?: Readonly<Record<string, string>>
  }
  if (REQUIRED[type]?.(data) === false) throw invalid(`data: required for type ${type}`)
}

function defaulted(kind: string, rest: Readonly<Record<string, unknown>>): object {
  if (kind === 'secrets') return { type: 'Opaque', ...rest }
  if (kind !== 'onepassworditems') return rest
  return { ...rest, status: { observedGeneration: -1, conditions: [] } }
}

/** Members of metadata that no request changes. */
function fixed(metadata: Metadata): Partial<Metadata> {
  const { labels: _l, annotations: _a, finalizers: _f, ownerReferences: _o, ...rest } = metadata
  return rest
}

function pickChangeable({ labels, annotations, finalizers, ownerReferences }: Metadata) {
  return { labels, annotations, finalizers, ownerReferences }
}

/** The API server does not store what is empty. */
function withoutEmpty(metadata: object): Partial<Metadata> {
  const kept = Object.entries(metadata).filter(([, value]) => {
    if (value === undefined) return false
    return typeof value !== 'object' || Object.keys(value as object).length > 0
  })
  return Object.fromEntries(kept)
}

/** What a generation counts the changes of. */
function wishOf({ metadata: _m, status: _s, ...rest }: StoredObject): unknown {
  return rest
}

/** Source: RFC 7386. */
function merge(target: unknown, by: unknown): unknown {
  if (typeof by !== 'object' || by === null || Array.isArray(by)) return by
  const base = typeof target === 'object' && target !== null && !Array.isArray(target) ? target : {}
  const result: Record<string, unknown> = { ...base }
  for (const [name, value] of Object.entries(by)) {
    if (value === null) delete result[name]
    else result[name] = merge(result[name], value)
  }
  return result
}

interface Operation {
  readonly op: 'test' | 'remove' | 'replace'
  readonly path: string
  readonly value?: unknown
}

/** The operations that are in use: on members of objects and elements of lists. Source: RFC 6902. */
function patchByOperations(before: StoredObject, operations: readonly Operation[]): StoredObject {
  const result = structuredClone(before) as Record<string, unknown>
  for (const { op, path, value } of operations) {
    const names = path.split('/').slice(1)
    const last = names.pop() as string
    // oxlint-disable-next-line typescript/no-explicit-any -- whatever is at that path
    const at = names.reduce<any>((held, name) => held?.[name], result)
    if (at?.[last] === undefined) throw invalid(`the path ${path} does not exist`)
    if (op === 'test' && !isDeepStrictEqual(at[last], value)) throw invalid('testing value failed')
    if (op === 'replace') at[last] = value
    if (op === 'remove' && Array.isArray(at)) at.splice(Number(last), 1)
    else if (op === 'remove') delete at[last]
  }
  return result as StoredObject
}
