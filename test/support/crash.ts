/**
 * Kills an operator at one exact request, lets the next one finish the work, and compares what is
 * left behind with a run that nothing disturbed.
 */
import { expect, inject } from 'vitest'
import type { Kind, KubeObject } from './cluster.ts'
import { eventually, pause } from './eventually.ts'
import { type Call, changes, type Fate, type KubeProxy, startKubeProxy } from './kube-proxy.ts'
import type { OperatorProcess } from './operator.ts'
import {
  aWorkload,
  debtOf,
  digestOf,
  MOVER,
  moveCachesOnce,
  restartedFor,
  usesAsEnv,
} from './restarts.ts'
import { setStage, type Stage } from './stage.ts'

/** Something that happens to a cluster and that a crash may interrupt. */
export interface Plot {
  /** What is there before the operator starts. */
  prepare(): Promise<unknown>
  /** Whether the operator has dealt with that; without it the plot begins with its first start. */
  readonly isPrepared?: () => Promise<boolean>
  /** What happens then. */
  readonly act?: () => unknown
  /** Whether the operator has dealt with that. */
  isDone(): Promise<boolean>
}

/** A plot on a stage of its own. */
export type Scenario = (stage: Stage) => Plot

/** Where in the life of a request the operator is struck. */
export type Position = 'before' | 'committed' | 'after'

/** Before it is sent, committed with the answer lost, after the answer. */
export const POSITIONS: readonly Position[] = ['before', 'committed', 'after']

/** One request that changes something, named so that other runs have it too. */
export interface Point {
  readonly label: string
  /** Which of the requests with this label; the first is 1. */
  readonly nth: number
}

/** What is done to the operator, and when. */
export interface Strike {
  readonly at: Point | { readonly connectRead: number }
  readonly position: Position
  readonly signal: 'SIGKILL' | 'SIGTERM'
}

/** What a run left behind. */
export interface Outcome {
  /** Requests of the operators since the plot began. */
  readonly calls: readonly Call[]
  /** Reads that the operators asked of Connect since then. */
  readonly reads: number
  /** The state of the cluster, without what differs between any two runs. */
  readonly end: unknown
  /** How many of the strikes came. */
  readonly struck: number
}

/** Begins every value: it must be nowhere but in Secrets. */
export const CANARY = 'canary-'
const FOREIGN = 'foreign'
const STILL_MS = 3_000

/** Runs a plot; each strike hits the operator that the one before left behind. */
export async function perform(
  scenario: Scenario,
  strikes: readonly Strike[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  await using stage = await setStage()
  await using proxy = await startKubeProxy(inject('kubeconfig'))
  const kubeconfig = await proxy.kubeconfigFor(inject('kubeconfig'))
  const ended = new Set<OperatorProcess>()
  const start = async () => {
    const one = await stage.operator({ KUBECONFIG: kubeconfig, ...env })
    void one.exited.then(() => ended.add(one))
    return one
  }
  const plot = scenario(stage)
  const foreign = await bystanders(stage)
  await plot.prepare()
  const gate = Promise.withResolvers<void>()
  // Until then the operator has its caches, but no key to work with.
  if (!plot.isPrepared) proxy.fate = (call) => holdKey(call, gate.promise)
  let operator = await start()
  /** One that lost its Lease while the machine stood still ends; its Deployment starts it again. */
  const revive = async () => {
    if (!ended.has(operator)) return
    expect(env['LEADER_ELECTION'], 'an operator ended that nobody had struck').toBe('true')
    operator = await start()
  }
  const { isPrepared } = plot
  if (isPrepared) {
    await eventually('the plot is prepared', async () => {
      await revive()
      return isPrepared()
    })
  }
  const began = proxy.calls.length
  stage.connect.requests.length = 0
  const struck: Strike[] = []
  const act = async () => {
    gate.resolve()
    await plot.act?.()
  }
  for (const strike of strikes) {
    const hit = arm({ stage, proxy, operator: () => operator }, strike)
    if (strike === strikes[0]) await act()
    const calm = untilCalm(plot, { stage, proxy, revive, isOver: hit.isStruck })
    calm.catch(() => undefined)
    await Promise.race([hit.came, calm])
    disarm({ stage, proxy })
    if (!hit.isStruck()) break
    struck.push(strike)
    expect(await operator.exited).toBe(strike.signal === 'SIGTERM' ? 0 : 'SIGKILL')
    operator = await start()
  }
  if (strikes.length === 0) {
    disarm({ stage, proxy })
    await act()
  }
  await untilCalm(plot, { stage, proxy, revive, isOver: () => false })
  const calls = proxy.calls.slice(began)
  expect(await foreignOf(stage)).toEqual(foreign)
  expectLawful(stage, proxy.calls)
  expect(await operator.logs()).not.toContain(CANARY)
  return {
    calls,
    reads: stage.connect.requests.length,
    end: await endOf(stage),
    struck: struck.length,
  }
}

interface Calm extends Pick<Struck, 'stage' | 'proxy'> {
  /** Starts the operator again if it has ended by itself. */
  readonly revive: () => Promise<void>
  /** Ends the waiting early. */
  readonly isOver: () => boolean
}

/** Waits until the plot is done, no restart is owed, and nothing moves any more. */
async function untilCalm(plot: Plot, calm: Calm): Promise<void> {
  await eventually('the plot is done', async () => {
    if (calm.isOver()) return true
    await calm.revive()
    return plot.isDone()
  })
  // A debt that was closed untold is looked at once more.
  do {
    await untilPaid(calm)
    await untilStill(calm)
  } while (!calm.isOver() && (await owing(calm)) > 0)
}

interface Struck {
  readonly stage: Stage
  readonly proxy: KubeProxy
  /** The one that runs now. */
  readonly operator: () => OperatorProcess
}

function arm({ stage, proxy, operator }: Struck, { at, position, signal }: Strike) {
  const came = Promise.withResolvers<'struck'>()
  let struck = false
  const strike = () => {
    struck = true
    operator().signal(signal)
    came.resolve('struck')
  }
  // A process that is told to end still gets its answers.
  const lose = () => {
    strike()
    return signal === 'SIGKILL' ? ('drop' as const) : undefined
  }
  let seen = 0
  if ('connectRead' in at) {
    proxy.fate = undefined
    stage.connect.intercept = (_request, response) => {
      seen += 1
      if (struck || seen !== at.connectRead) return false
      if (position === 'after') response.on('finish', strike)
      else strike()
      return position !== 'after' && signal === 'SIGKILL'
    }
  } else {
    proxy.fate = (call): Fate | undefined => {
      if (struck || !changes(call) || labelOf(call) !== at.label) return undefined
      seen += 1
      if (seen !== at.nth) return undefined
      if (position === 'after') return { after: strike }
      return { [position]: lose }
    }
  }
  return { came: came.promise, isStruck: () => struck }
}

function disarm({ stage, proxy }: Pick<Struck, 'stage' | 'proxy'>): void {
  proxy.fate = undefined
  stage.connect.intercept = undefined
}

const holdKey = ({ path }: Call, gate: Promise<void>): Fate | undefined =>
  path.endsWith('-digest-key') ? { before: () => gate.then(() => undefined) } : undefined

/** `PUT secrets/db`; an Event by what it tells, because its name is a hash. */
export function labelOf({ method, path, body }: Call): string {
  const [, resource = '', ...rest] = /\/namespaces\/[^/]+\/([^/]+)(.*)$/.exec(path) ?? []
  const { metadata, reason, regarding } = (body ?? {}) as Partial<KubeObject>
  if (resource === 'events') return `POST events ${reason} ${regarding.kind}/${regarding.name}`
  return `${method} ${resource}${rest.join('') || `/${metadata?.name ?? ''}`}`
}

/** The requests of a run that change something, each by its name. */
export function pointsOf({ calls }: Outcome): Point[] {
  const counts = new Map<string, number>()
  return calls.filter(changes).map((call) => {
    const label = labelOf(call)
    const nth = (counts.get(label) ?? 0) + 1
    counts.set(label, nth)
    return { label, nth }
  })
}

/** What an operator may never touch: a Secret of others, and a workload that opted in and uses it. */
async function bystanders(stage: Stage): Promise<unknown> {
  const { cluster } = stage
  await cluster.create('secrets', { metadata: { name: FOREIGN }, stringData: { a: 'theirs' } })
  const spec = { replicas: 0 }
  await cluster.create('deployments', aWorkload(FOREIGN, usesAsEnv(FOREIGN), { spec }))
  return foreignOf(stage)
}

async function foreignOf({ cluster }: Stage): Promise<unknown> {
  const [secret, workload] = [
    await cluster.get('secrets', FOREIGN),
    await cluster.get('deployments', FOREIGN),
  ]
  return [secret.metadata.resourceVersion, workload.metadata.generation]
}

const PAY_MS = 240_000
const NUDGE_MS = 1_000

async function owing({ stage: { cluster } }: Calm): Promise<number> {
  return (await cluster.list('secrets')).filter((one) => debtOf(one)).length
}

/** Waits until no restart is owed any more, in a namespace whose caches of workloads move on. */
async function untilPaid(calm: Calm): Promise<void> {
  for (let ms = 0; ms < PAY_MS; ms += NUDGE_MS) {
    if (calm.isOver()) return
    await calm.revive()
    if ((await owing(calm)) === 0) return
    await moveCachesOnce(calm.stage.cluster, ms)
    await pause(NUDGE_MS)
  }
  throw new Error('a restart is owed for ever')
}

const KINDS = ['items', 'secrets', 'deployments', 'statefulsets', 'daemonsets'] as const

/** Waits until nothing has moved, and nobody has tried to move anything, for some seconds. */
async function untilStill({ stage: { cluster }, proxy, isOver }: Calm): Promise<void> {
  const look = async () => {
    const all = await Promise.all(['items', 'secrets'].map((kind) => cluster.list(kind as Kind)))
    const versions = all.flat().map(({ metadata }) => metadata.resourceVersion)
    return [...versions, proxy.calls.filter(changes).length].join()
  }
  await eventually('nothing moves any more', async () => {
    const before = await look()
    await pause(STILL_MS)
    return isOver() || (await look()) === before
  })
}

/** What holds for every request of an operator, whatever happened. */
function expectLawful({ cluster }: Stage, calls: readonly Call[]): void {
  const writes = calls.filter((call) => call.method !== 'GET')
  const own = `/namespaces/${cluster.namespace}/`
  expect(writes.filter(({ path }) => !path.includes(own)).map(labelOf)).toEqual([])
  // Who asks for its name learns from the refusal that it is there.
  const others = new RegExp(`(?:secrets|deployments)/${FOREIGN}$`)
  const touched = writes.filter((call) => isCommitted(call) && others.test(labelOf(call)))
  expect(touched.map(labelOf)).toEqual([])
  const told = writes.filter(({ path }) => !path.includes('/secrets'))
  expect(told.filter(({ body }) => JSON.stringify(body).includes(CANARY)).map(labelOf)).toEqual([])
  const restarts = restartsOf(calls)
  expect(restarts.filter((one, n) => restarts.indexOf(one) !== n)).toEqual([])
}

const isCommitted = ({ status = 0 }: Call) => status >= 200 && status < 300

/** Restarts that took effect, as workload and digests. */
function restartsOf(calls: readonly Call[]): string[] {
  return calls.flatMap((call) => {
    const template = (call.body as Partial<KubeObject> | undefined)?.['spec']?.template
    const restarts = call.method === 'PATCH' && template && isCommitted(call)
    return restarts ? [`${labelOf(call)} ${JSON.stringify(template)}`] : []
  })
}

/** The contents that each Secret was given, in order, each once in a row. */
export function contentsOf({ calls }: Outcome): Record<string, string[]> {
  const contents: Record<string, string[]> = {}
  for (const call of calls) {
    const { data, metadata, type } = (call.body ?? {}) as Partial<KubeObject>
    const writes = call.path.includes('/secrets') && changes(call) && isCommitted(call)
    if (!writes || data === undefined || metadata?.name.endsWith('-digest-key')) continue
    const list = (contents[metadata?.name ?? ''] ??= [])
    const content = JSON.stringify([type, data])
    if (list.at(-1) !== content) list.push(content)
  }
  return contents
}

/** Where two ends differ, a line each. */
export function differences(one: unknown, other: unknown, at = ''): string[] {
  const [a, b] = [one, other].map((value) => (value ?? {}) as Record<string, unknown>)
  if (typeof one !== 'object' || typeof other !== 'object' || !a || !b) {
    return one === other
      ? []
      : [`${at}: ${JSON.stringify(one)}, undisturbed ${JSON.stringify(other)}`]
  }
  const members = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...members].flatMap((name) => differences(a[name], b[name], `${at}.${name}`))
}

async function endOf({ cluster }: Stage): Promise<unknown> {
  const [items = [], secrets = [], ...workloads] = await Promise.all(
    KINDS.map((kind) => cluster.list(kind)),
  )
  const uids = new Set([items, ...workloads].flat().map(({ metadata }) => metadata.uid))
  const bySecret = new Map(secrets.map((secret) => [secret.metadata.name, secret]))
  return {
    items: items.map((item) => itemEnd(item, bySecret)),
    secrets: secrets.map((secret) => secretEnd(secret, uids)),
    workloads: workloads
      .flat()
      .filter(({ metadata }) => metadata.name !== MOVER)
      .map((workload) => workloadEnd(workload, secrets.map(digestOf))),
  }
}

function itemEnd({ metadata, status = {} }: KubeObject, secrets: Map<string, KubeObject>): unknown {
  const secret = secrets.get(status.secretName)
  const conditions = (status.conditions ?? []) as Record<'type' | 'status' | 'reason', string>[]
  return {
    name: metadata.name,
    finalizers: metadata.finalizers,
    caughtUp: status.observedGeneration === metadata.generation,
    conditions: conditions.map(({ type, status, reason }) => `${type} ${status} ${reason}`),
    keys: status.keys,
    secretName: status.secretName,
    knowsVersion: status.secretResourceVersion === secret?.metadata.resourceVersion,
    knowsDigest: status.digest === (secret && digestOf(secret)),
  }
}

/** Values that differ between any two runs. */
const VARIES = /^keyferry\.dev\/(?:digest|owner|instance|restart)$|\/item-path$/

function secretEnd({ metadata, type, data, immutable }: KubeObject, uids: Set<string>): unknown {
  const { name, labels, annotations = {}, ownerReferences = [], finalizers } = metadata
  return {
    name,
    labels,
    finalizers,
    type,
    immutable,
    data: name.endsWith('-digest-key') ? Object.keys(data) : data,
    annotations: Object.fromEntries(
      Object.entries(annotations).map(([key, value]) => [key, VARIES.test(key) ? 'any' : value]),
    ),
    owners: ownerReferences.map((owner) => `${owner.kind}/${owner.name} ${uids.has(owner.uid)}`),
  }
}

function workloadEnd(workload: KubeObject, digests: readonly string[]): unknown {
  const { kind, metadata } = workload
  return {
    name: `${kind}/${metadata.name}`,
    generation: metadata.generation,
    finalizers: metadata.finalizers,
    restartedFor: restartedFor(workload).map((digest) => digests.includes(digest)),
  }
}
