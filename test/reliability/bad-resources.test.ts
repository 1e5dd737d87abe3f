/**
 * Resources that are bad in every way that the CRD knows, each put right again: the resource and its
 * Secret return to exactly the state they were in, and their neighbours notice nothing.
 *
 * Every property and constraint of the CRD is kept and broken; then come resources that keep the
 * schema and make no sense. To repeat a run:
 * `KEYFERRY_SEED=… npm test -- reliability test/reliability/bad-resources.test.ts`
 */
import * as fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { isKeyferryError } from '../../src/errors.ts'
import { objectPath } from '../../src/kube/resource.ts'
import { isConflict } from '../../src/kube/status.ts'
import { REASONS } from '../../src/operator/reasons.ts'
import { constraintsOf, type Probe, probesOf, type RawSchema } from '../builders/constraints.ts'
import type { Schema } from '../builders/resource.ts'
import { senseless } from '../builders/senseless.ts'
import {
  type Cluster,
  condition,
  isReady,
  type KubeObject,
  readCrd,
  RESOURCES,
} from '../support/cluster.ts'
import { eventually, timeout } from '../support/eventually.ts'
import { isFull, SEED, tally } from '../support/gates.ts'
import { moveCaches } from '../support/restarts.ts'
import { tell } from '../support/skip.ts'
import { setStage, type Stage } from '../support/stage.ts'

/** Resources besides those that the constraints ask for. */
const SENSELESS = isFull ? 1_700 : 40
/** Namespaces, each with a resource that is bad again and again, and one that never is. */
const LANES = 8
const SPEC = { itemPath: 'vaults/Production/items/good' }
const UNIT = { timeout: 600_000 }

let stage: Stage
let root: RawSchema
let probes: readonly Probe[]

beforeAll(async () => {
  root = (await readCrd())['spec'].versions[0].schema.openAPIV3Schema as RawSchema
  probes = [...constraintProbes().filter(isWanted), ...ruleProbes()]
  stage = await setStage()
  const fields = [{ label: 'password', value: 'right' }]
  stage.connect.add(stage.vault, { title: 'good', fields })
  return stage.close
})

/** Of these the API server has its own rules, the same for every kind. */
const OF_ALL_KINDS = /^(apiVersion|kind|metadata) /

function constraintProbes(): Probe[] {
  const goods = { '': { spec: SPEC }, spec: SPEC }
  const all = probesOf(root, { path: '', place: (value) => value, goods })
  return all.map((probe) =>
    OF_ALL_KINDS.test(probe.covers) && probe.way === 'kept' ? { ...probe, way: 'either' } : probe,
  )
}

/** Of odd values that the schema says nothing about, each change is judged by some of each property. */
function isWanted({ way, covers }: Probe, n: number, all: readonly Probe[]): boolean {
  if (isFull || way !== 'either' || (n + SEED) % 4 === 0) return true
  return all.findIndex((one) => one.covers === covers) === n
}

/** Values for the rules of the CRD, by what is in them. */
const RULES: Readonly<Record<string, { readonly kept: object[]; readonly broken: object[] }>> = {
  'has(self.spec.itemPath) || has(self.spec.data)': {
    kept: [{ spec: SPEC }, { spec: { data: { a: 'b' } } }, { spec: { ...SPEC, data: { a: 'b' } } }],
    broken: [{}, { spec: {} }, { spec: { secretName: 'x' } }, { spec: { requiredKeys: ['a'] } }],
  },
}

function ruleProbes(): Probe[] {
  const rules = constraintsOf(root).filter((name) => name.includes(' rule '))
  return rules.flatMap((covers) => {
    const values = Object.entries(RULES).find(([part]) => covers.includes(part))?.[1]
    return (['kept', 'broken'] as const).flatMap((way) =>
      (values?.[way] ?? []).map((body) => ({
        covers,
        way,
        what: `a rule ${way} by ${JSON.stringify(body)}`,
        body,
      })),
    )
  })
}

/** What nothing can break, or keep: that a property is there, and what stands for one that is not. */
const ONE_WAY = /property$| default$| x-kubernetes-list-map-keys$/

test('every property and every constraint of the CRD is tried, kept and broken', async () => {
  const constraints = constraintsOf(root)
  const missed = constraints.flatMap((name) => {
    const ways = new Set(probes.filter(({ covers }) => covers === name).map(({ way }) => way))
    if (ways.size === 0) return [name]
    const wanted = (['kept', 'broken'] as const).filter((way) => !ways.has(way))
    const both = ONE_WAY.test(name) || (OF_ALL_KINDS.test(name) && ways.has('either'))
    return both ? [] : wanted.map((way) => `${name}, ${way}`)
  })
  expect(missed).toEqual([])
  const what = 'properties and constraints of the CRD, kept and broken'
  await tally({ gate: 8, what, trials: constraints.length, violations: 0 })
})

test('a bad resource that is put right is exactly as it was before', UNIT, async () => {
  const clusters = await Promise.all(Array.from({ length: LANES }, () => stage.another()))
  const scope = clusters.map(({ namespace }) => namespace).join()
  const operator = await stage.operator({ WATCH_NAMESPACE: scope })
  const lanes = await Promise.all(clusters.map(startLane))
  const wishes = wishesOf(SEED)
  const queue = wishes.values()
  const counts = { taken: 0, refused: 0 }
  await Promise.all(
    lanes.map(async (lane) => {
      for (const wish of queue) counts[(await goThrough(lane, wish)) ? 'taken' : 'refused'] += 1
    }),
  )
  await Promise.all(lanes.map(expectAsBefore))
  tell(`${wishes.length} bad resources: ${counts.taken} taken, ${counts.refused} refused`)
  expect(MISJUDGED).toEqual([])
  expect(counts.taken + counts.refused).toBe(wishes.length)
  expect(await operator.logs()).not.toContain('ended unexpectedly')
  process.kill(operator.pid, 0)
  const what = 'bad resources, each put right'
  await tally({ gate: 8, what, trials: wishes.length, violations: 0, seed: SEED })
})

/** All of them, in an order that the seed tells. */
function wishesOf(seed: number): readonly Probe[] {
  const { type, spec } = root.properties ?? {}
  const schema = { type: 'object', properties: { type, spec } } as unknown as Schema
  const bodies = fc.sample(senseless(SPEC.itemPath, schema), { numRuns: SENSELESS, seed })
  const odd = bodies.map(
    (body): Probe => ({ covers: '', way: 'either', what: JSON.stringify(body), body }),
  )
  const all = [...probes, ...odd]
  const order = fc.shuffledSubarray(all, { minLength: all.length })
  return fc.sample(order, { numRuns: 1, seed })[0] ?? []
}

/** A namespace with a resource that becomes bad and is put right, and with its neighbour. */
interface Lane {
  readonly cluster: Cluster
  /** How all is while the resource is good. */
  readonly good: State
  readonly neighbour: unknown
}

const NAME = 'now-and-then-bad'

async function startLane(cluster: Cluster): Promise<Lane> {
  for (const name of [NAME, 'neighbour']) {
    await cluster.create('items', { metadata: { name }, spec: SPEC })
    await cluster.until('items', name, isReady)
  }
  return { cluster, good: await stateOf(cluster), neighbour: await neighbourIn(cluster) }
}

/** Also the debts of restarts are closed, which nobody owes; the neighbour noticed nothing. */
async function expectAsBefore({ cluster, good, neighbour }: Lane): Promise<void> {
  const mover = await moveCaches(cluster)
  let state = ''
  await eventually(
    'all is as before the first of them',
    async () => (state = (await stateOf(cluster)).whole) === good.whole,
    async () => `${state}\ninstead of\n${good.whole}`,
  )
  await mover.stop()
  expect(await neighbourIn(cluster)).toEqual(neighbour)
}

/** Nothing of it may change, not even a version. */
function neighbourIn(cluster: Cluster): Promise<KubeObject[]> {
  return Promise.all([cluster.get('items', 'neighbour'), cluster.get('secrets', 'neighbour')])
}

/** What the API server took although the CRD forbids it, or refused although it does not. */
const MISJUDGED: string[] = []

/** The resource becomes bad and is put right. @returns whether the API server took it */
async function goThrough({ cluster, good }: Lane, wish: Probe): Promise<boolean> {
  const { what, way, body } = wish
  const brief = what.slice(0, 500)
  const refusal = await tryOut(cluster, wish)
  if (way === 'kept' && refusal !== undefined) MISJUDGED.push(`${brief}: ${refusal}`)
  if (way === 'broken' && refusal === undefined) MISJUDGED.push(`${brief}: it was taken`)
  if (refusal === undefined) {
    // Nobody looks at a status that somebody wrote. Of every other resource nobody need have seen
    // that it was bad.
    if (isObject(body) && 'status' in body) await putStatus(cluster, withoutOthers)
    else if (what.length % 2 === 0) await cluster.until('items', NAME, isTold)
    await putRight(cluster)
    await cluster.until('items', NAME, isReady)
  }
  let state = ''
  await eventually(
    `all is as it was before ${brief} (KEYFERRY_SEED=${SEED})`,
    async () => (state = (await stateOf(cluster)).atOnce) === good.atOnce,
    async () => `${state}\ninstead of\n${good.atOnce}`,
  )
  return refusal === undefined
}

/** Whether a resource was told how it is, by a reason that exists. */
function isTold(item: KubeObject): boolean {
  const { reason = '', status, observedGeneration } = condition(item, 'Ready') ?? {}
  const isOfNow = observedGeneration === item.metadata.generation
  return reason in REASONS && isOfNow && status !== 'Unknown'
}

/** Makes the resource bad. @returns the API server's refusal */
async function tryOut(cluster: Cluster, { body }: Probe): Promise<string | undefined> {
  try {
    if (!isObject(body)) await change(cluster, '', () => body)
    else if ('status' in body) await putStatus(cluster, () => body['status'])
    else await put(cluster, body)
    return undefined
  } catch (error) {
    const refusals = [400, 413, 422]
    if (isKeyferryError(error, 'KUBE_STATUS') && refusals.includes(error.status ?? 0)) {
      return error.message
    }
    throw error
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Sends until no other writer was faster. */
async function change(
  cluster: Cluster,
  subresource: string,
  changed: (before: KubeObject) => unknown,
): Promise<void> {
  const { namespace, rest } = cluster
  const path = `${objectPath(RESOURCES.items, { namespace, name: NAME })}${subresource}`
  for (;;) {
    const body = changed(await cluster.get('items', NAME))
    try {
      await rest.send({ method: 'PUT', path, body }, timeout(20_000))
      return
    } catch (error) {
      if (!isConflict(error)) throw error
    }
  }
}

/** Replaces all that its author wrote; metadata gets what `members` has of it. */
function put(cluster: Cluster, members: Record<string, unknown>): Promise<void> {
  const { metadata: given = {} } = members
  return change(cluster, '', ({ apiVersion, kind, metadata }) => {
    const { name, namespace, resourceVersion } = metadata
    const own = { name, namespace, resourceVersion }
    return {
      apiVersion,
      kind,
      ...members,
      metadata: isObject(given) ? { ...own, ...given } : given,
    }
  })
}

function putStatus(
  cluster: Cluster,
  changed: (before: Record<string, unknown>) => unknown,
): Promise<void> {
  return change(cluster, '/status', (item) => ({ ...item, status: changed(item['status']) }))
}

let refreshes = 0

/** The good resource again, which is looked at anew, whoever wrote its status. */
function putRight(cluster: Cluster): Promise<void> {
  refreshes += 1
  const annotations = { 'keyferry.dev/refresh': `${refreshes}` }
  return put(cluster, { spec: SPEC, metadata: { annotations } })
}

/** Conditions that Keyferry writes; others stay where somebody put them. */
const OWN_CONDITIONS = new Set(['Ready', 'Reconciling', 'Stalled', 'Stale', 'Restarting'])

interface Told {
  readonly type: string
  readonly lastTransitionTime?: string
  readonly observedGeneration?: number
}

/**
 * A status that can be written to again: without the conditions of others, of which there may be so
 * many that one more does not fit, and without lists for dates, with which nothing can be applied.
 */
function withoutOthers(status: Record<string, unknown>): unknown {
  const isList = (name: string, value: unknown) =>
    /Time$|^expires$/.test(name) && Array.isArray(value) ? undefined : value
  const whole = JSON.parse(JSON.stringify(status, isList)) as { readonly conditions?: Told[] }
  const { conditions = [] } = whole
  return { ...whole, conditions: conditions.filter(({ type }) => OWN_CONDITIONS.has(type)) }
}

/** The resource and all Secrets of its namespace, without times, versions and generations. */
interface State {
  readonly whole: string
  /** Without the debt of restarts, which closes some seconds after content changed. */
  readonly atOnce: string
}

async function stateOf(cluster: Cluster): Promise<State> {
  const [{ type, spec, status, metadata }, secrets] = await Promise.all([
    cluster.get('items', NAME),
    cluster.list('secrets'),
  ])
  const { generation = 0, labels, finalizers } = metadata
  const { secretResourceVersion: _v, lastSyncTime: _t, refresh: _r, ...rest } = status
  const conditions = (status.conditions as Told[])
    .filter((one) => OWN_CONDITIONS.has(one.type))
    .map(({ lastTransitionTime: _time, observedGeneration, ...one }) => ({
      ...one,
      isOfNow: observedGeneration === generation,
    }))
  const told = {
    ...rest,
    observedGeneration: status.observedGeneration - generation,
    appliedGeneration: status.appliedGeneration - generation,
    conditions: undefined,
  }
  const members = Object.entries(told).toSorted(([a], [b]) => (a < b ? -1 : 1))
  const resource = { type, spec, labels, finalizers, members }
  const contents = secrets.map(contentOf)
  const calm = conditions.filter((one) => one.type !== 'Restarting')
  const atOnce = JSON.stringify([resource, calm, contents], (name, value: unknown) =>
    name === 'keyferry.dev/restart' ? undefined : value,
  )
  return { whole: JSON.stringify([resource, conditions, contents]), atOnce }
}

function contentOf({ metadata, type, data, immutable }: KubeObject): unknown {
  const { name, labels, annotations, ownerReferences, finalizers } = metadata
  return { name, labels, annotations, ownerReferences, finalizers, type, data, immutable }
}
