/**
 * Many plots at once, each in a namespace of its own and with a vault of its own, all served by one
 * operator on a control plane of its own: so hundreds of plans cost little more than one.
 */
import { randomBytes } from 'node:crypto'
import { collectionPath } from '../../src/kube/resource.ts'
import type { KubeRest } from '../../src/kube/rest.ts'
import { isNotFound } from '../../src/kube/status.ts'
import { adminRest, applyCrd, clusterOf, type KubeObject, RESOURCES } from './cluster.ts'
import { type ControlPlane, startControlPlane } from './control-plane/start.ts'
import { CANARY, type Plot, type Scenario, type Site } from './crash.ts'
import { differences, isCommitted } from './ends.ts'
import { patience, pause, timeout } from './eventually.ts'
import { forEach } from './for-each.ts'
import { type Call, changes, type KubeProxy, startKubeProxy } from './kube-proxy.ts'
import { readingFrom } from './mirror.ts'
import type { OperatorProcess } from './operator.ts'
import { aWorkload, debtOf, usesAsEnv } from './restarts.ts'
import { setStage, type Stage } from './stage.ts'
import { END_KINDS, type Objects, wholeEndOf } from './whole-end.ts'

/** A plot in its namespace. */
export interface Berth {
  /** What is tried there. */
  readonly name: string
  readonly namespace: string
  readonly plot: Plot
  readonly stage: Site
  /** Name of its vault. */
  readonly vault: string
}

/** See the head of this file. */
export interface Fleet extends AsyncDisposable {
  readonly plane: ControlPlane
  readonly proxy: KubeProxy
  readonly stage: Stage
  /** Makes a namespace for each plot; what it prepares is left to the caller. */
  moor(plots: readonly (readonly [name: string, scenario: Scenario])[]): Promise<Berth[]>
  /** Starts an operator that serves these. */
  serve(berths: readonly Berth[], env?: Readonly<Record<string, string>>): Promise<OperatorProcess>
  /** Tells the operators to end; gives those that did not, or had before. */
  dismiss(): Promise<string[]>
  /**
   * Waits until it holds for all of them, or for so long.
   *
   * @returns those for which it never did
   */
  until(
    berths: readonly Berth[],
    holds: (berth: Berth) => Promise<boolean>,
    ms?: number,
  ): Promise<Berth[]>
  /** Waits until no restart is owed, and nothing has moved or tried to for some seconds. */
  untilCalm(): Promise<void>
  /** Waits until nobody has changed anything, or tried what it had not tried, for some seconds. */
  untilStill(): Promise<void>
  /** What is there, without what differs between any two runs. */
  endOf(berth: Berth): unknown
  /** What is there that may not be: values where none may show, and what is left of others'. */
  faultsOf(berth: Berth): string[]
}

type Seen = ReadonlyMap<string, Objects & { readonly events: readonly KubeObject[] }>

const KINDS = [...END_KINDS, 'events'] as const
const LOOK_MS = 400
const PATIENCE_MS = 150_000
/** Looks in a row that show the same once nothing moves any more. */
const STILL_LOOKS = 4
const STILL_MS = 1_000
const WIDTH = 12
const FOREIGN = 'foreign'
const NOTHING = {
  items: [],
  secrets: [],
  deployments: [],
  statefulsets: [],
  daemonsets: [],
  events: [],
}

/** Starts a control plane without controllers, and a proxy in front of it. */
export async function startFleet(): Promise<Fleet> {
  const plane = await startControlPlane({ controllers: false })
  await applyCrd(plane.kubeconfig)
  const rest = adminRest(plane.kubeconfig)
  const stage = await setStage(plane.kubeconfig)
  const proxy = await startKubeProxy(plane.kubeconfig)
  const kubeconfig = await proxy.kubeconfigFor(plane.kubeconfig)
  const operators: OperatorProcess[] = []
  let seen: Seen = new Map()
  let version = ''
  const objectsOf = (namespace: string) => seen.get(namespace) ?? NOTHING
  const look = async () => {
    const before = version
    ;[seen, version] = await lookAll(rest)
    return before
  }
  const fleet: Fleet = {
    plane,
    proxy,
    stage,
    async moor(plots) {
      const berths: Berth[] = []
      await forEach(plots, WIDTH, async ([name, scenario]) => {
        berths.push(await moorOne({ rest, stage, objectsOf }, name, scenario))
      })
      return berths.toSorted((a, b) => (a.name < b.name ? -1 : 1))
    },
    async serve(berths, env = {}) {
      const operator = await stage.operator({
        KUBECONFIG: kubeconfig,
        WATCH_NAMESPACE: berths.map(({ namespace }) => namespace).join(','),
        ...env,
      })
      operators.push(operator)
      return operator
    },
    async dismiss() {
      const ends = await Promise.all(operators.splice(0).map((operator) => operator.stop()))
      return ends.flatMap((end) => (end === 0 ? [] : [`an operator ended with ${end}`]))
    },
    async until(berths, holds, ms = PATIENCE_MS) {
      const isOver = patience(ms)
      let left = [...berths]
      for (;;) {
        await look().catch(() => undefined)
        const held = await Promise.all(left.map((one) => holds(one).catch(() => false)))
        left = left.filter((_, n) => !held[n])
        if (left.length === 0 || isOver()) return left
        await pause(LOOK_MS)
      }
    },
    async untilCalm() {
      const isOver = patience(PATIENCE_MS)
      let before = ''
      for (let still = 0; still < STILL_LOOKS && !isOver(); await pause(STILL_MS)) {
        const passed = await look()
        const all = [...seen.values()]
        const owing = all.flatMap(({ secrets }) => secrets).filter((one) => debtOf(one)).length
        const now = `${stateOf(all)} ${proxy.calls.filter(changes).length}`
        const moved = now !== before
        before = now
        still = moved || owing > 0 ? 0 : still + 1
        // In a quiet namespace the API server would say so once a minute.
        if (!moved && owing > 0) proxy.bookmark(passed, isOfWorkloads)
      }
    },
    async untilStill() {
      const isOver = patience(PATIENCE_MS)
      let before = -1
      for (let still = 0; still < STILL_LOOKS && !isOver(); await pause(STILL_MS)) {
        await look()
        const now = movesIn(proxy.calls)
        still = now === before ? still + 1 : 0
        before = now
      }
    },
    endOf: ({ namespace, vault }) => wholeEndOf(objectsOf(namespace), vault),
    faultsOf: ({ namespace }) => faultsIn(objectsOf(namespace)),
    async [Symbol.asyncDispose]() {
      await stage.close()
      await proxy[Symbol.asyncDispose]()
      await rest.close()
      await plane.stop()
    },
  }
  return fleet
}

/** Changes that took effect, and different ones that did not: what is refused may come for ever. */
function movesIn(calls: readonly Call[]): number {
  const tried = calls.filter(changes)
  const refused = tried.filter((call) => !isCommitted(call))
  const different = new Set(refused.map(({ method, path }) => `${method} ${path}`))
  return tried.length - refused.length + different.size
}

const isOfWorkloads = ({ path }: Call) => path.startsWith('/apis/apps/')

const stateOf = (all: readonly Objects[]) =>
  all
    .flatMap((one) => END_KINDS.flatMap((kind) => one[kind]))
    .map(({ metadata }) => metadata.resourceVersion)
    .join()

/** Everything in the cluster, by namespace, and the version of the list of Deployments. */
async function lookAll(rest: KubeRest): Promise<[Seen, string]> {
  const seen = new Map<string, Record<(typeof KINDS)[number], KubeObject[]>>()
  const lists = await Promise.all(
    KINDS.map((kind) =>
      rest
        .send({ method: 'GET', path: collectionPath(RESOURCES[kind]) }, timeout(20_000))
        .catch((error: unknown) => {
          // Resources whose definition was taken away.
          if (isNotFound(error)) return { items: [] }
          throw error
        }),
    ),
  )
  for (const [n, kind] of KINDS.entries()) {
    for (const object of (lists[n] as { items: KubeObject[] }).items) {
      const { namespace } = object.metadata
      const objects = seen.get(namespace) ?? {
        items: [],
        secrets: [],
        deployments: [],
        statefulsets: [],
        daemonsets: [],
        events: [],
      }
      seen.set(namespace, objects)
      objects[kind].push(object)
    }
  }
  const { metadata } = lists[KINDS.indexOf('deployments')] as {
    metadata: { resourceVersion: string }
  }
  return [seen, metadata.resourceVersion]
}

interface Harbour {
  readonly rest: KubeRest
  readonly stage: Stage
  readonly objectsOf: (namespace: string) => Objects
}

async function moorOne(
  { rest, stage, objectsOf }: Harbour,
  name: string,
  scenario: Scenario,
): Promise<Berth> {
  const namespace = `berth-${randomBytes(4).toString('hex')}`
  const live = clusterOf(rest, namespace)
  await live.create('namespaces', { metadata: { name: namespace } })
  // What an operator may never touch: a Secret of others, and a workload that opted in and uses it.
  await live.create('secrets', { metadata: { name: FOREIGN }, stringData: { a: 'theirs' } })
  const spec = { replicas: 0 }
  await live.create('deployments', aWorkload(FOREIGN, usesAsEnv(FOREIGN), { spec }))
  const vault = `V${namespace}`
  // Hundreds of plots ask whether they are done: what was seen last says so.
  const cluster = readingFrom(live, (kind) => objectsOf(namespace)[kind as keyof Objects] ?? [])
  const { connect } = stage
  const own: Site = {
    cluster,
    connect,
    vault: connect.vault(vault),
    vaultName: vault,
    labels: {},
    anotherVault() {
      const other = `${vault}-2`
      return { id: connect.vault(other), name: other }
    },
    item: (item, title, { spec, type, ...metadata } = {}) =>
      cluster.create('items', {
        metadata: { name: item, ...metadata },
        ...(type ? { type } : {}),
        spec: { itemPath: `vaults/${vault}/items/${title}`, ...spec },
      }),
  }
  return { name, namespace, plot: scenario(own), stage: own, vault }
}

function faultsIn({
  events,
  items,
  secrets,
  deployments,
  ...rest
}: Objects & { events: readonly KubeObject[] }) {
  const told = JSON.stringify([events, items.map(({ status }) => status), deployments, rest])
  const theirs = secrets.find(({ metadata }) => metadata.name === FOREIGN)
  const workload = deployments.find(({ metadata }) => metadata.name === FOREIGN)
  return [
    ...(told.includes(CANARY) ? ['a value shows'] : []),
    ...(theirs?.metadata.managedFields?.length === 1 ? [] : ['a Secret of others was touched']),
    ...(workload?.metadata.generation === 1 ? [] : ['a workload of others was touched']),
  ]
}

/**
 * What differs from the end of the undisturbed run of the same plot, and what else is wrong.
 *
 * @param tolerates differences that count for nothing
 */
export function judge(fleet: Fleet, berth: Berth, calm: unknown, tolerates?: RegExp): string[] {
  const ends = differences(fleet.endOf(berth), calm).filter((one) => !tolerates?.test(one))
  return [...ends, ...fleet.faultsOf(berth)].map((one) => `${berth.name}: ${one}`)
}
