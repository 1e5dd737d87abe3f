/**
 * The API server of the simulation answers like the real one: random histories of requests are sent
 * to both, those that name the version of another moment or the uid of another object among them,
 * and after each request status, reason and the object as it is then are compared. Workloads are
 * left out: their controllers change them at moments of their own.
 *
 * KEYFERRY_SEED=<seed> and KEYFERRY_ONLY=<number of the history> run one again.
 */
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { isKeyferryError } from '../../src/errors.ts'
import type { KubeRequest, KubeRest } from '../../src/kube/rest.ts'
import { statusError } from '../../src/kube/status.ts'
import { createApiServer, type StoredObject } from '../simulation/api-server.ts'
import { createRandom, type Random } from '../simulation/random.ts'
import { adminRest, clusterOf } from '../support/cluster.ts'
import { isFull, SEED, tally } from '../support/gates.ts'

const HISTORIES = isFull ? 1_000 : 60
const ONLY = process.env['KEYFERRY_ONLY']
const REQUESTS = 12
/** Histories that run at the same time. */
const PARALLEL = 12
const NEVER = new AbortController().signal

type Kind = 'secrets' | 'onepassworditems' | 'leases'
const ROOTS: Readonly<Record<Kind, string>> = {
  secrets: '/api/v1',
  onepassworditems: '/apis/onepassword.com/v1',
  leases: '/apis/coordination.k8s.io/v1',
}
const API_VERSIONS: Readonly<Record<Kind, object>> = {
  secrets: { apiVersion: 'v1', kind: 'Secret' },
  onepassworditems: { apiVersion: 'onepassword.com/v1', kind: 'OnePasswordItem' },
  leases: { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' },
}
const BASIC_AUTH = 'kubernetes.io/basic-auth'
const FINALIZER = 'onepassword.com/finalizer.secret'

/** Which state a request says that it is about. */
type Named = 'present' | 'former' | 'none' | 'other uid'

/** A request that both servers can be sent: versions and uids are those of each. */
interface Step {
  readonly verb: 'create' | 'replace' | 'merge' | 'status' | 'strip' | 'delete'
  readonly kind: Kind
  readonly name: string
  readonly named: Named
  readonly content: Readonly<Record<string, unknown>>
}

/** One of the two servers. */
interface Side {
  readonly namespace: string
  send(request: KubeRequest): Promise<unknown>
  /** Metadata of each object in all the states that it was seen in. */
  readonly seen: Map<string, { uid: string; resourceVersion: string }[]>
}

const text = (value: string) => Buffer.from(value).toString('base64')

function aStep(random: Random): Step {
  const kind = random.pick<Kind>(['secrets', 'secrets', 'onepassworditems', 'leases'])
  const verbs: Record<Kind, readonly Step['verb'][]> = {
    secrets: ['create', 'replace', 'replace', 'merge', 'delete'],
    onepassworditems: ['create', 'replace', 'status', 'status', 'strip', 'delete'],
    leases: ['create', 'replace', 'replace', 'delete'],
  }
  return {
    kind,
    verb: random.pick(verbs[kind]),
    name: random.pick(['one', 'two']),
    named: random.pick<Named>(['present', 'present', 'present', 'former', 'none', 'other uid']),
    content: CONTENT[kind](random),
  }
}

const CONTENT: Readonly<Record<Kind, (random: Random) => Readonly<Record<string, unknown>>>> = {
  secrets: (random) => ({
    type: random.chance(0.7) ? 'Opaque' : BASIC_AUTH,
    ...(random.chance(0.1) ? { immutable: true } : {}),
    data: { [random.pick(['username', 'a'])]: text(String(random.between(1, 2))) },
    labels: random.chance(0.5) ? { managed: random.pick(['true', 'false']) } : {},
  }),
  onepassworditems: (random) => ({
    spec: { itemPath: `vaults/v/items/${random.between(1, 2)}` },
    finalizers: random.chance(0.3) ? [FINALIZER] : [],
    labels: random.chance(0.3) ? { app: 'a' } : {},
    status: { observedGeneration: random.between(0, 1), conditions: [] },
  }),
  leases: (random) => ({ spec: { holderIdentity: random.pick(['a', 'b']) } }),
}

function requestFor(side: Side, step: Step): KubeRequest {
  const { kind, name, verb, content } = step
  const { labels, finalizers, status, ...rest } = content
  const collection = `${ROOTS[kind]}/namespaces/${side.namespace}/${kind}`
  const path = `${collection}/${name}`
  const state = stateOf(side, step)
  const metadata = { namespace: side.namespace, name, labels, finalizers }
  const whole = { ...API_VERSIONS[kind], ...rest, metadata: { ...metadata, ...state } }
  const query = { fieldManager: 'keyferry' }
  switch (verb) {
    case 'create':
      return { method: 'POST', path: collection, query, body: { ...whole, metadata } }
    case 'replace':
      return { method: 'PUT', path, query, body: whole }
    case 'merge':
      return { method: 'PATCH', patch: 'merge', path, query, body: { ...rest, metadata: state } }
    case 'status': {
      const body = { ...API_VERSIONS[kind], metadata: { name, ...state }, status }
      const forced = { ...query, force: true }
      return { method: 'PATCH', patch: 'apply', path: `${path}/status`, query: forced, body }
    }
    case 'strip': {
      const member = '/metadata/finalizers/0'
      const version = state.resourceVersion ?? '1'
      const body = [
        { op: 'test', path: member, value: FINALIZER },
        { op: 'remove', path: member },
        { op: 'replace', path: '/metadata/resourceVersion', value: version },
      ]
      return { method: 'PATCH', patch: 'json', path, query, body }
    }
    case 'delete':
      return { method: 'DELETE', path, body: { preconditions: state } }
  }
}

function stateOf({ seen }: Side, { kind, name, named }: Step) {
  const states = seen.get(`${kind}/${name}`) ?? []
  const present = states.at(-1)
  const former = states.at(-2) ?? present
  switch (named) {
    case 'present':
      return { ...present }
    case 'former':
      return { ...former }
    case 'none':
      return {}
    case 'other uid':
      return { ...present, uid: '00000000-0000-0000-0000-000000000000' }
  }
}

/** What came of a request, and the object afterwards, without what differs between two servers. */
async function perform(side: Side, step: Step): Promise<unknown> {
  const { kind, name } = step
  const key = `${kind}/${name}`
  const answer = await attempt(side, requestFor(side, step))
  const path = `${ROOTS[kind]}/namespaces/${side.namespace}/${kind}/${name}`
  const found = await attempt(side, { method: 'GET', path })
  const states = side.seen.get(key) ?? []
  side.seen.set(key, states)
  if (found.object === undefined) return { answer: answer.told, object: 'none' }
  const { metadata, type, immutable, data, spec, status } = found.object
  const { uid, resourceVersion } = metadata
  const last = states.at(-1)
  const moved = last?.resourceVersion !== resourceVersion
  const isSame = last?.uid === uid
  if (moved) states.push({ uid, resourceVersion })
  return {
    answer: answer.told,
    // A resource that is replaced by its like may get a new version for its managedFields alone.
    moved: step.verb === 'replace' && kind === 'onepassworditems' ? undefined : moved,
    isSame,
    labels: metadata.labels ?? {},
    finalizers: metadata.finalizers ?? [],
    // Leases have none.
    generation: kind === 'onepassworditems' ? metadata.generation : undefined,
    isDeleting: metadata.deletionTimestamp !== undefined,
    content: { type, immutable, data, spec, status },
  }
}

async function attempt(side: Side, request: KubeRequest) {
  try {
    return { told: 'done', object: (await side.send(request)) as StoredObject }
  } catch (error) {
    if (!isKeyferryError(error, 'KUBE_STATUS')) throw error
    return { told: `${error.status} ${error.reason}`, object: undefined }
  }
}

function theModel(namespace: string): Side {
  const server = createApiServer({ now: () => 0, documents: new Map() })
  return {
    namespace,
    seen: new Map(),
    async send(request) {
      const { status, body } = server.handle(request, 'user')
      if (status < 400) return body
      throw statusError('', status, JSON.stringify(body))
    },
  }
}

const rest: KubeRest = adminRest(inject('kubeconfig'))
const namespaces = Array.from({ length: PARALLEL }, (_, n) => `model-${SEED.toString(36)}-${n}`)

beforeAll(async () => {
  for (const name of namespaces) {
    await clusterOf(rest, name).create('namespaces', { metadata: { name } })
  }
})

afterAll(async () => {
  for (const name of namespaces) await clusterOf(rest, name).delete('namespaces', name)
  await rest.close()
})

/** JSON with the members of objects in the order of their names. */
function textOf(value: unknown): string {
  return JSON.stringify(value, (_name, one: unknown) => {
    if (typeof one !== 'object' || one === null || Array.isArray(one)) return one
    return Object.fromEntries(Object.entries(one).toSorted(([a], [b]) => (a < b ? -1 : 1)))
  })
}

/** @returns where the two differ first; undefined if nowhere */
async function compare(history: number, namespace: string): Promise<string | undefined> {
  const random = createRandom(SEED + history)
  const real: Side = { namespace, seen: new Map(), send: (request) => rest.send(request, NEVER) }
  const model = theModel(namespace)
  try {
    for (let n = 0; n < REQUESTS; n += 1) {
      const step = aStep(random)
      const [told, expected] = [await perform(model, step), await perform(real, step)]
      const [one, other] = [textOf(told), textOf(expected)]
      if (one !== other) {
        const command = `KEYFERRY_SEED=${SEED} KEYFERRY_ONLY=${history}`
        return `${command}: request ${n}, ${JSON.stringify(step)}:\n model ${one}\n real  ${other}`
      }
    }
    return undefined
  } finally {
    await clean(namespace)
  }
}

async function clean(namespace: string): Promise<void> {
  const cluster = clusterOf(rest, namespace)
  for (const kind of ['items', 'secrets', 'leases'] as const) {
    for (const { metadata } of await cluster.list(kind)) {
      if (metadata.finalizers?.length) {
        await cluster.patch(kind, metadata.name, { metadata: { finalizers: null } })
      }
      if (await cluster.find(kind, metadata.name)) await cluster.delete(kind, metadata.name)
    }
  }
}

test('the API server of the simulation answers like the real one', async () => {
  const all = Array.from({ length: HISTORIES }, (_, n) => n)
  const left = ONLY === undefined ? all : [Number(ONLY)]
  const wanted = left.length
  const differences: string[] = []
  await Promise.all(
    namespaces.map(async (namespace) => {
      for (let history = left.shift(); history !== undefined; history = left.shift()) {
        const difference = await compare(history, namespace)
        if (difference !== undefined) differences.push(difference)
      }
    }),
  )
  await tally({
    gate: 0,
    what: 'histories of requests to model and real API server',
    trials: wanted,
    violations: differences.length,
    seed: SEED,
  })
  expect(differences.slice(0, 3)).toEqual([])
})
