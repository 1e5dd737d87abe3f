/**
 * What tests of views run in fleets: which plots, and the way from their first object to their end.
 */
import { expect } from 'vitest'
import { isReady, type KubeObject, textsOf } from '../support/cluster.ts'
import { CANARY, labelOf, type Scenario } from '../support/crash.ts'
import type { Berth, Fleet } from '../support/fleet.ts'
import { forEach } from '../support/for-each.ts'
import { type Call, changes, type Fate } from '../support/kube-proxy.ts'
import { aWorkload, digestOf, OPTED_IN, restartedFor, usesAsEnv } from '../support/restarts.ts'
import * as plots from './plots.ts'
import { several } from './plots-of-workloads.ts'

const WIDTH = 12

const addItem = ({ connect, vault }: Berth['stage'], title: string) =>
  connect.add(vault, { title, fields: [{ label: 'password', value: `${CANARY}${title}` }] })

async function holds({ cluster }: Berth['stage'], title: string): Promise<KubeObject | undefined> {
  const [item, secret] = [await cluster.get('items', 'db'), await cluster.get('secrets', 'db')]
  const owned = secret.metadata.ownerReferences?.some(({ uid }) => uid === item.metadata.uid)
  const right = owned && textsOf(secret)['password'] === `${CANARY}${title}` && isReady(item)
  return right ? secret : undefined
}

/** A resource is deleted, and one of the same name asks for another item. */
const successor: Scenario = (stage) => ({
  async prepare() {
    addItem(stage, 'first')
    addItem(stage, 'second')
    await stage.item('db', 'first', { annotations: OPTED_IN })
  },
  isPrepared: async () => (await holds(stage, 'first')) !== undefined,
  async act() {
    await stage.cluster.delete('items', 'db')
    await stage.item('db', 'second', { annotations: OPTED_IN })
  },
  isDone: async () => (await holds(stage, 'second')) !== undefined,
})

/** A resource asks for another item than before, and a workload uses its Secret. */
const repointed: Scenario = (stage) => ({
  ...successor(stage),
  async prepare() {
    const user = aWorkload('web', usesAsEnv('db'), { spec: { replicas: 0 } })
    await stage.cluster.create('deployments', user)
    await successor(stage).prepare()
  },
  act: () =>
    stage.cluster.patch('items', 'db', {
      spec: { itemPath: `vaults/${stage.vaultName}/items/second` },
    }),
  async isDone() {
    const secret = await holds(stage, 'second')
    const web = await stage.cluster.get('deployments', 'web')
    return secret !== undefined && restartedFor(web).includes(digestOf(secret))
  },
})

const { firstStart, change, template, typeChange, takeOver, adoption, rename } = plots
const { retain, itemGone, spoilt, deleted, workloadAsks, workloadLeaves, refused } = plots

/** By name. */
export const PLOTS: Readonly<Record<string, Scenario>> = {
  firstStart,
  change,
  several,
  template,
  typeChange,
  takeOver,
  adoption,
  rename,
  retain,
  itemGone,
  spoilt,
  deleted,
  workloadAsks,
  workloadLeaves,
  refused,
  successor,
  repointed,
}

/** Those that an operator must not see being prepared: what they make is by others. */
const BEFORE = new Set(['takeOver'])

/** The plot of a berth, whose name begins with it. */
export const plotOf = ({ name }: Berth) => name.split(' ')[0] ?? ''

/**
 * Prepares the plots of these berths in the sight of an operator.
 *
 * @param then done for each as soon as it is prepared
 * @returns those that never were
 */
export async function prepare(
  fleet: Fleet,
  berths: readonly Berth[],
  then?: (berth: Berth) => Promise<void>,
): Promise<Berth[]> {
  const early = berths.filter((berth) => BEFORE.has(plotOf(berth)))
  await forEach(early, WIDTH, ({ plot }) => plot.prepare())
  await fleet.serve(berths)
  const late = berths.filter((berth) => !early.includes(berth))
  await forEach(late, WIDTH, ({ plot }) => plot.prepare())
  return fleet.until(berths, async (berth) => {
    if ((await berth.plot.isPrepared?.()) === false) return false
    await then?.(berth)
    return true
  })
}

/** Lets happen what the plots are about; gives those that did not come to their end. */
export async function act(
  fleet: Fleet,
  berths: readonly Berth[],
  onDone?: () => void,
): Promise<Berth[]> {
  await forEach(berths, WIDTH, async ({ plot }) => plot.act?.())
  const late = await fleet.until(berths, ({ plot }) => plot.isDone())
  onDone?.()
  await fleet.untilCalm()
  return late
}

/** What a watch told, named so that other runs have it too. */
export interface Notice {
  /** Plural of its kind. */
  readonly resource: string
  readonly name: string
  /** Which notice of this object; the first is 1. */
  readonly nth: number
}

/** A line of a watch as an event of an object. */
export interface Told {
  readonly type: string
  readonly name: string
  /** Whether a streaming list is complete with it. */
  readonly completes: boolean
}

/** @returns undefined for a line that is no event */
export function toldBy(line: string): Told {
  const { type, object } = JSON.parse(line) as {
    type: string
    object: { metadata?: KubeObject['metadata'] }
  }
  const { name = '', annotations } = object.metadata ?? {}
  return { type, name, completes: annotations?.['k8s.io/initial-events-end'] === 'true' }
}

/** Namespace and resource of a request: `onepassworditems/status` is one of its own. */
export function placeOf({ path }: Pick<Call, 'path'>): {
  readonly namespace: string
  readonly resource: string
} {
  const parts = /\/namespaces\/([^/]+)(?:\/([^/]+))?(?:\/[^/]+)?(\/[^/]+)?$/.exec(path) ?? []
  const [, namespace = '', resource = 'namespaces', sub = ''] = parts
  return { namespace, resource: `${resource}${sub}` }
}

/** Requests that name a whole collection, in one stream or by their first page, by path. */
export function listsOf(calls: readonly Call[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { path, query } of calls) {
    const lists = query.get('sendInitialEvents') === 'true' || query.get('limit') === '500'
    if (lists && !query.get('continue')) counts[path] = (counts[path] ?? 0) + 1
  }
  return counts
}

/** KEYFERRY_PLANS: only plans whose names contain it are tried. */
export const ONLY = process.env['KEYFERRY_PLANS'] ?? ''

/** `deployments/web #2`. */
export const noticeText = ({ resource, name, nth }: Notice) => `${resource}/${name} #${nth}`

/** What an undisturbed run shows of a plot. */
export interface Calm {
  /** What its watches told, and the writes that destroy or overwrite something, as text. */
  readonly steps: readonly (Notice | string)[]
  /** Those before the plot was done: what comes later waits for a debt to be closed. */
  readonly before: readonly (Notice | string)[]
  /** What it left behind. */
  readonly end: unknown
}

/** Runs each plot once; gives what it shows, by plot. */
export async function undisturbed(fleet: Fleet): Promise<ReadonlyMap<string, Calm>> {
  const berths = await fleet.moor(Object.entries(PLOTS))
  const heard = new Map<string, (Notice | string)[]>(berths.map(({ namespace }) => [namespace, []]))
  fleet.proxy.fate = (call) => {
    const steps = heard.get(placeOf(call).namespace)
    if (steps === undefined) return undefined
    if (call.isWatch) return { line: listener(call, (notice) => steps.push(notice)) }
    return overwrites(call) ? { after: () => steps.push(labelOf(call)) } : undefined
  }
  const late = await prepare(fleet, berths)
  let untilDone = new Map<string, number>()
  const stuck = await act(fleet, berths, () => {
    untilDone = new Map([...heard].map(([namespace, { length }]) => [namespace, length]))
  })
  expect([...late, ...stuck].map(({ name }) => name)).toEqual([])
  await fleet.dismiss()
  return new Map(
    berths.map((berth) => {
      const steps = heard.get(berth.namespace) ?? []
      const before = steps.slice(0, untilDone.get(berth.namespace))
      return [berth.name, { steps, before, end: fleet.endOf(berth) }]
    }),
  )
}

/** Whether it takes something away from a Secret or a workload, or writes over it. */
function overwrites(call: Call): boolean {
  const { resource } = placeOf(call)
  const concerns = resource !== 'events' && resource !== 'onepassworditems/status'
  return changes(call) && call.method !== 'POST' && concerns
}

/** Passes every line on, and tells of those that are notices of something new. */
export function listener(call: Call, tell: (notice: Notice) => void): NonNullable<Fate['line']> {
  const counts = new Map<string, number>()
  let complete = call.query.get('sendInitialEvents') !== 'true'
  return (line) => {
    const { name, type, completes } = toldBy(line)
    const isNotice = complete && type !== 'BOOKMARK' && type !== 'ERROR' && name !== 'foreign'
    complete ||= completes
    if (!isNotice) return line
    const nth = (counts.get(name) ?? 0) + 1
    counts.set(name, nth)
    tell({ resource: placeOf(call).resource, name, nth })
    return line
  }
}
