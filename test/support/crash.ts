/**
 * One trial of the crash matrix: a plot in a namespace of its own, what the operator asks for there,
 * and the moment at which that is the last thing it did.
 *
 * A process works many namespaces, and each is to die at another moment of its own. So a namespace
 * whose moment has come is frozen: of what the process still wants to change there, nothing reaches
 * the API server any more. When every namespace has had its moment the process is killed, and in
 * each there is exactly what a process leaves that dies at that moment.
 */
import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { expect } from 'vitest'
import { collectionPath } from '../../src/kube/resource.ts'
import type { KubeRest } from '../../src/kube/rest.ts'
import { type Cluster, clusterOf, condition, type KubeObject, RESOURCES } from './cluster.ts'
import { contentsOf, endOf, isCommitted } from './ends.ts'
import { patience, pause, timeout } from './eventually.ts'
import { type Answer, type Call, changes, type Fate } from './kube-proxy.ts'
import { leaksIn, toldIn } from './leaks.ts'
import { asItIs, type Mirror } from './mirror.ts'
import { aWorkload, debtOf, usesAsEnv } from './restarts.ts'
import type { ScriptedConnect } from './scripted-connect.ts'
import type { ItemOptions } from './stage.ts'

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

/** Where a plot is played. */
export interface Site {
  readonly cluster: Cluster
  readonly connect: ScriptedConnect
  /** A vault that no other site has. */
  readonly vault: string
  readonly vaultName: string
  /** By which the operator knows what it serves. */
  readonly labels: Readonly<Record<string, string>>
  /** One more vault. */
  anotherVault(): { readonly id: string; readonly name: string }
  /** A resource for an item of the vault. */
  item(name: string, title: string, more?: ItemOptions): Promise<KubeObject>
}

/** A plot on a site of its own. */
export type Scenario = (site: Site) => Plot

/**
 * Where in the life of a request the operator is struck: before it is sent, when it is committed and
 * the answer is lost, after the answer. Of a read the second is in the middle of the answer.
 */
export type Position = 'before' | 'committed' | 'after'

/** All of them. */
export const POSITIONS: readonly Position[] = ['before', 'committed', 'after']

/** One request, named so that other runs have it too. */
export interface Point {
  readonly label: string
  /** Which of the requests with this label; the first is 1. */
  readonly nth: number
}

/** What is done to the operator, and when. */
export interface Strike {
  readonly at: Point
  readonly position: Position
}

/** What a run left behind. */
export interface Outcome {
  /** Requests of the operators since the plot began, by which something was to change. */
  readonly calls: readonly Call[]
  /** Reads that the operators asked of Connect since then, until the plot was done. */
  readonly reads: readonly string[]
  /** The state of the namespace, without what differs between any two runs. */
  readonly end: unknown
  /** The contents that its Secrets had. */
  readonly contents: unknown
  /** How many of the strikes came. */
  readonly struck: number
}

/** Begins every value: it must be nowhere but in Secrets. */
export const CANARY = 'canary-'
/** Name of what belongs to others. */
export const FOREIGN = 'foreign'
/** How the reads of Connect are labelled. */
export const READ = 'READ '
/** The only read that is not about one vault. */
export const VAULTS = `${READ}vaults`

/** What a frozen namespace says to every change. */
const REFUSED: Answer = { status: 503, body: { kind: 'Status', code: 503, message: 'frozen' } }
/** Milliseconds from a change to the look at what came of it, for all that change together. */
const LOOK_MS = 50
/** Milliseconds after which somebody looks anyway: whether the operator is there at all. */
const TICK_MS = 1_000
const PATIENCE_MS = 240_000
const END_MS = 60_000

/** A trial to be played. */
export interface Order {
  readonly scenario: Scenario
  readonly strikes: readonly Strike[]
  /** Uniform in [0, 1), for the time that a request takes; without it, no more than it needs. */
  readonly random?: () => number
  /** Whether an end is one that is waited for; without it, any. */
  readonly isEnd?: (end: unknown) => boolean
  /** The lower, the earlier it is played. */
  readonly rank: number
}

/** What a scene stands on. */
export interface SceneDeps {
  readonly rest: KubeRest
  readonly mirror: Mirror
  readonly connect: ScriptedConnect
  readonly labels: Readonly<Record<string, string>>
  /** Of the plot; a new one without. */
  readonly namespace?: string
  /** Whether a namespace is frozen when its moment has come. */
  readonly freezes: boolean
  /** Called when a moment has come. */
  readonly onStrike: () => void
}

/** See the head of this file. */
export interface Scene {
  readonly namespace: string
  /** Whether a vault is its own. */
  hasVault(id: string): boolean
  /** What befalls a request for this namespace. */
  fate(call: Call): Fate | undefined
  /** A read of Connect; true: it is never answered. */
  read(label: string, response: ServerResponse): boolean
  /** Before a process starts: the next strike waits for it. */
  begin(): void
  /** Resolves when the moment has come, when all is done, or when `isOver`. */
  advance(isOver: () => boolean): Promise<void>
  /** The process has ended: what was under way was interrupted. */
  interrupt(): void
  /** Whether all is done, and no strike has come since the last start. */
  isCalm(): boolean
  /** Changes that the operator asked for so far. */
  moves(): number
  /** Judges what holds whatever happened, and gives what is left. */
  outcome(): Promise<Outcome>
  /** Takes everything away. */
  leave(): Promise<void>
}

/** Sets a scene: a namespace with what belongs to others in it, and what the plot needs. */
export async function setScene(order: Order, deps: SceneDeps): Promise<Scene> {
  const site = await openSite(deps)
  const plot = order.scenario(site)
  const foreign = await bystanders(site.cluster)
  await plot.prepare()
  const stops = createStops(order, deps)
  const unlisten = deps.mirror.listen(site.cluster.namespace, stops.look)
  let phase: 'fresh' | 'playing' | 'calm' = plot.isPrepared ? 'fresh' : 'playing'
  let began = 0
  let done: readonly string[] | undefined
  const isDone = async () => {
    const isIt = await plot.isDone()
    if (isIt) done ??= [...stops.reads]
    return isIt
  }
  return {
    namespace: site.cluster.namespace,
    hasVault: site.vaults.has.bind(site.vaults),
    fate: stops.fate,
    read: (label, response) => phase !== 'fresh' && stops.read(label, response),
    begin() {
      if (phase === 'fresh') return
      phase = 'playing'
      stops.arm()
    },
    async advance(isOver) {
      const ends = () => stops.isStruck() || isOver()
      if (phase === 'fresh' && plot.isPrepared) {
        await stops.until('the plot is prepared', plot.isPrepared, ends)
        if (ends()) return
        began = stops.calls.length
        phase = 'playing'
        stops.arm()
        await plot.act?.()
      }
      await stops.until('the plot is done', isDone, ends)
      await stops.until('no restart is owed', () => isPaid(site.cluster), ends)
      const isEnd = async () => order.isEnd?.(await endOf(site.cluster)) ?? true
      // Who waits in vain is told so by the judge, who knows what is different.
      await stops.until('the end is as it should be', isEnd, ends, END_MS).catch(() => undefined)
      if (!ends()) phase = 'calm'
    },
    interrupt() {
      if (phase === 'playing') stops.interrupt()
    },
    isCalm: () => phase === 'calm' && !stops.isStruck(),
    moves: () => stops.calls.length,
    async outcome() {
      const { connect } = site
      // Not as watches tell, which may be late.
      const cluster = asItIs(clusterOf(deps.rest, site.cluster.namespace))
      expect(await foreignOf(cluster)).toEqual(foreign)
      expectLawful(stops.calls)
      expect(leaksIn(await toldIn(cluster), connect.secrets)).toEqual([])
      const calls = stops.calls.slice(began)
      const end = await endOf(cluster)
      const contents = contentsOf(calls)
      return { calls, reads: done ?? [], end, contents, struck: stops.struck() }
    },
    leave() {
      unlisten()
      return site.leave()
    },
  }
}

async function openSite({ rest, mirror, connect, labels, namespace: given }: SceneDeps) {
  const namespace = given ?? `test-${randomBytes(4).toString('hex')}`
  const cluster = mirror.clusterOf(namespace)
  if (!given) await cluster.create('namespaces', { metadata: { name: namespace } })
  const vaults = new Set<string>()
  const open = (name: string) => {
    const id = connect.vault(name)
    vaults.add(id)
    return { id, name }
  }
  const { id: vault, name: vaultName } = open(namespace)
  return {
    cluster,
    connect,
    vault,
    vaultName,
    vaults,
    labels,
    anotherVault: () => open(`${namespace}-${vaults.size}`),
    item(name: string, title: string, { spec, type, ...metadata }: ItemOptions = {}) {
      return cluster.create('items', {
        metadata: { name, ...metadata, labels: { ...labels, ...metadata.labels } },
        ...(type ? { type } : {}),
        spec: { itemPath: `vaults/${vaultName}/items/${title}`, ...spec },
      })
    },
    async leave() {
      for (const kind of [
        'items',
        'deployments',
        'statefulsets',
        'daemonsets',
        'secrets',
      ] as const) {
        const path = collectionPath(RESOURCES[kind], namespace)
        await rest.send({ method: 'DELETE', path }, timeout(20_000))
      }
      for (const id of vaults) connect.removeVault(id)
    },
  }
}

/** Milliseconds that a request takes longer at most, by chance. */
const JITTER_MS = 15

/** Requests of the operator, and the one at which it is struck. */
function createStops({ strikes, random }: Order, { freezes, onStrike }: SceneDeps) {
  const calls: Call[] = []
  const reads: string[] = []
  let struck = 0
  let strike: Strike | undefined
  let seen = 0
  let isStruck = false
  /** Requests of a process that was killed have no more effect. */
  let process = 0
  let changed = Promise.withResolvers<void>()
  const look = () => {
    changed.resolve()
    changed = Promise.withResolvers<void>()
  }
  const hit = () => {
    if (isStruck) return undefined
    isStruck = true
    struck += 1
    look()
    onStrike()
    return freezes ? REFUSED : undefined
  }
  const isHere = (label: string) => {
    if (isStruck || strike?.at.label !== label) return false
    seen += 1
    return seen === strike.at.nth
  }
  return {
    calls,
    reads,
    struck: () => struck,
    isStruck: () => isStruck,
    /** Something changed: who waits looks again. */
    look,
    arm() {
      process += 1
      strike = strikes[struck]
      seen = 0
      isStruck = false
    },
    interrupt: () => void hit(),
    fate(call: Call): Fate | undefined {
      if (!changes(call)) return undefined
      calls.push(call)
      const frozen = () => (isStruck && freezes) || asker !== process
      const asker = process
      if (frozen()) return { before: () => REFUSED }
      const before = async () => {
        if (random) await pause(random() * JITTER_MS)
        return frozen() ? REFUSED : undefined
      }
      switch (isHere(labelOf(call)) ? strike?.position : undefined) {
        case 'before':
          return { before: hit }
        case 'committed':
          return { before, committed: hit }
        case 'after':
          return { before, after: () => void hit() }
        case undefined:
          return { before }
      }
    },
    read(label: string, response: ServerResponse): boolean {
      reads.push(label)
      if (!isHere(label)) return false
      // The list of vaults is read for others, too, so they get it.
      const isShared = label === VAULTS || !freezes
      switch (strike?.position) {
        case 'before':
          hit()
          return !isShared
        case 'committed':
          if (isShared) hit()
          else cutInHalf(response, hit)
          return false
        default:
          response.on('finish', hit)
          return false
      }
    },
    /** Waits for a state that only the operator's requests bring about, but for garbage. */
    async until(
      what: string,
      holds: () => Promise<boolean>,
      ends: () => boolean,
      ms = PATIENCE_MS,
    ): Promise<void> {
      const isOver = patience(ms)
      let failure: unknown
      while (!ends()) {
        const next = changed.promise
        const isIt = await holds().catch((error: unknown) => {
          failure = error
          return false
        })
        if (isIt) return
        if (isOver()) throw new Error(`it never happened that ${what} (${String(failure)})`)
        await Promise.race([next, pause(TICK_MS)])
        await pause(LOOK_MS)
      }
    },
  }
}

/** Sends the first half of an answer; the rest never comes. */
function cutInHalf(response: ServerResponse, sent: () => unknown): void {
  response.end = ((body: string | Uint8Array) => {
    const bytes = Buffer.from(body as string)
    response.write(bytes.subarray(0, bytes.length / 2), () => sent())
    return response
  }) as ServerResponse['end']
}

/** `PUT secrets/db`; an Event by what it tells, because its name is a hash. */
export function labelOf({ method, path, body }: Call): string {
  const [, resource = '', ...rest] = /\/namespaces\/[^/]+\/([^/]+)(.*)$/.exec(path) ?? []
  const { metadata, reason, regarding } = (body ?? {}) as Partial<KubeObject>
  if (resource === 'events') return `POST events ${reason} ${regarding.kind}/${regarding.name}`
  return `${method} ${resource}${rest.join('') || `/${metadata?.name ?? ''}`}`
}

/** What somebody else has in the namespace, and what uses it. */
async function bystanders(cluster: Cluster): Promise<unknown> {
  await cluster.create('secrets', { metadata: { name: FOREIGN }, stringData: { a: 'theirs' } })
  const spec = { replicas: 0 }
  await cluster.create('deployments', aWorkload(FOREIGN, usesAsEnv(FOREIGN), { spec }))
  return foreignOf(cluster)
}

async function foreignOf(cluster: Cluster): Promise<unknown> {
  const [secret, workload] = [
    await cluster.get('secrets', FOREIGN),
    await cluster.get('deployments', FOREIGN),
  ]
  return [secret.metadata.resourceVersion, workload.metadata.generation]
}

/** Whether no restart is owed, and no status says that one is. */
async function isPaid(cluster: Cluster): Promise<boolean> {
  const secrets = await cluster.list('secrets')
  if (secrets.some((secret) => debtOf(secret) !== undefined)) return false
  const items = await cluster.list('items')
  return items.every((item) => condition(item, 'Restarting')?.status !== 'True')
}

/** What holds for every request of an operator, whatever happened. */
function expectLawful(calls: readonly Call[]): void {
  // Who asks for its name learns from the refusal that it is there.
  const others = new RegExp(`(?:secrets|deployments)/${FOREIGN}$`)
  const touched = calls.filter((call) => isCommitted(call) && others.test(labelOf(call)))
  expect(touched.map(labelOf)).toEqual([])
  const told = calls.filter(({ path }) => !path.includes('/secrets'))
  expect(told.filter(({ body }) => JSON.stringify(body).includes(CANARY)).map(labelOf)).toEqual([])
  const restarts = restartsOf(calls)
  expect(restarts.filter((one, n) => restarts.indexOf(one) !== n)).toEqual([])
}

/** Restarts that took effect, as workload, Secret and digest. */
function restartsOf(calls: readonly Call[]): string[] {
  return calls.flatMap((call) => {
    const template = (call.body as Partial<KubeObject> | undefined)?.['spec']?.template
    if (call.method !== 'PATCH' || !template || !isCommitted(call)) return []
    const digests = Object.entries(template.metadata?.annotations ?? {})
    return digests.map(([name, digest]) => `${labelOf(call)} ${name} ${String(digest)}`)
  })
}
