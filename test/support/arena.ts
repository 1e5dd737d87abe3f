/**
 * Where the trials of the crash matrix are played: operators one after the other, each of which
 * serves many namespaces. It finishes in some what its predecessor left, and is struck in others;
 * what it leaves there is finished by its successor.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { expect } from 'vitest'
import { installRights, logInAs } from './accounts.ts'
import { adminRest, type Cluster, clusterOf } from './cluster.ts'
import {
  CANARY,
  labelOf,
  type Order,
  type Outcome,
  READ,
  type Scene,
  setScene,
  VAULTS,
} from './crash.ts'
import { eventually, patience, pause } from './eventually.ts'
import { forEach } from './for-each.ts'
import { type Call, changes, type Fate, type KubeProxy, startKubeProxy } from './kube-proxy.ts'
import { leaksIn } from './leaks.ts'
import type { Mirror } from './mirror.ts'
import { type OperatorProcess, startOperator, TOKEN } from './operator.ts'
import { moveCachesOnce } from './restarts.ts'
import { type ScriptedConnect, startScriptedConnect } from './scripted-connect.ts'

/** Who works in an arena, and how it ends. */
export interface Crew {
  readonly signal: 'SIGKILL' | 'SIGTERM'
  /** Whether it holds a Lease. */
  readonly leases: boolean
  /** Processes; only one of several works. */
  readonly replicas: 1 | 2
  /** Namespaces for a process, but those where it has nothing left to do but to finish. */
  readonly size: number
  /**
   * Processes that work at the same time, each in namespaces of its own; default 1. A process takes
   * its time for what is not urgent, and where it waits another one works.
   */
  readonly lanes?: number
  /** Whether each trial has an installation of its own, which begins with its first process. */
  readonly isFresh?: true
}

/** See the head of this file. */
export interface Arena extends AsyncDisposable {
  play(order: Order): Promise<Outcome>
  /** Processes that were struck so far. */
  strikes(): number
}

interface Pending {
  readonly order: Order
  readonly outcome: PromiseWithResolvers<Outcome>
}

interface Played extends Pending {
  readonly scene: Scene
}

interface Worker {
  readonly name: string
  readonly process: OperatorProcess
  readonly proxy: KubeProxy
}

/** For which nothing must move before a state counts as the end. */
const STILL_MS = 3_000
const STILL_LOOK_MS = 100
const STILL_PATIENCE_MS = 240_000
const NUDGE_MS = 1_000
/** Scenes of an arena that are set at the same time: others work meanwhile. */
const SETTING = 6
const LEASE = 'keyferry'

/** The control plane of all arenas, and what is there. */
export interface World {
  readonly kubeconfig: string
  readonly mirror: Mirror
}

/** An arena for a crew on a control plane that no other operator works on. */
export async function openArena(world: World, crew: Crew): Promise<Arena> {
  if (crew.isFresh) return freshArenas(world, crew)
  const lanes = Array.from({ length: crew.lanes ?? 1 }, () => openOne(world, crew))
  return sideBySide(await Promise.all(lanes))
}

/** What is to be played goes where least is. */
function sideBySide(arenas: readonly Arena[]): Arena {
  const lanes = arenas.map((arena) => ({ arena, load: 0 }))
  return {
    async play(order) {
      const [lane] = lanes.toSorted((a, b) => a.load - b.load)
      if (!lane) throw new Error('no arena')
      lane.load += 1
      return lane.arena.play(order).finally(() => (lane.load -= 1))
    },
    strikes: () => arenas.reduce((sum, arena) => sum + arena.strikes(), 0),
    async [Symbol.asyncDispose]() {
      await Promise.all(arenas.map((arena) => arena[Symbol.asyncDispose]()))
    },
  }
}

/** A new arena for each trial, in whose own namespace it is played. */
function freshArenas(world: World, crew: Crew): Arena {
  const running = new Set<Promise<unknown>>()
  let strikes = 0
  return {
    async play(order) {
      while (running.size >= crew.size) await Promise.race(running)
      const trial = (async () => {
        await using arena = await openOne(world, { ...crew, size: 1 })
        const outcome = await arena.play(order)
        strikes += arena.strikes()
        return outcome
      })()
      const settled: Promise<unknown> = trial.catch(() => undefined)
      running.add(settled)
      return trial.finally(() => running.delete(settled))
    },
    strikes: () => strikes,
    async [Symbol.asyncDispose]() {
      await Promise.all(running)
    },
  }
}

async function openOne({ kubeconfig, mirror }: World, crew: Crew): Promise<Arena> {
  const rest = adminRest(kubeconfig)
  const namespace = `test-${randomBytes(4).toString('hex')}`
  const home = clusterOf(rest, namespace)
  await home.create('namespaces', { metadata: { name: namespace } })
  const namespaces = crew.isFresh ? [namespace] : undefined
  await installRights(home, { name: 'keyferry', namespaces })
  const login = await logInAs(home, 'keyferry', kubeconfig)
  const connect = await startScriptedConnect()
  const stage: Stage = {
    kubeconfig,
    mirror,
    login: login.kubeconfig,
    crew,
    home,
    connect,
    scenes: new Map(),
    over: [],
  }
  const pending: Pending[] = []
  const state = { strikes: 0 }
  let playing: Promise<void> | undefined
  async function playWhatIsAsked(): Promise<void> {
    // All that is asked for at the same time is played together.
    await pause(0)
    // More may be asked for while the processes of the last play end.
    while (pending.length > 0) await playAll(stage, pending, state)
    playing = undefined
  }
  return {
    play(order) {
      const outcome = Promise.withResolvers<Outcome>()
      pending.push({ order, outcome })
      playing ??= playWhatIsAsked()
      return outcome.promise
    },
    strikes: () => state.strikes,
    async [Symbol.asyncDispose]() {
      await playing
      await connect.close()
      await login[Symbol.asyncDispose]()
      await rest.close()
    },
  }
}

interface Stage extends World {
  readonly login: string
  readonly crew: Crew
  readonly home: Cluster
  readonly connect: ScriptedConnect
  /** By namespace. */
  readonly scenes: Map<string, Scene>
  /** Those that are over, and whose things are still there: in the way of a process to come only. */
  readonly over: Scene[]
}

/** Plays until nothing is pending any more, round by round: a round is the life of a process. */
async function playAll(
  stage: Stage,
  pending: Pending[],
  state: { strikes: number },
): Promise<void> {
  const { crew, scenes, over, home } = stage
  const workers = createWorkers(stage)
  let played: Played[] = []
  let nudges = 0
  const nudge = setInterval(() => {
    nudges += 1
    moveCachesOnce(home, nudges).catch(() => undefined)
  }, NUDGE_MS)
  try {
    while (pending.length + played.length > 0) {
      await Promise.all(over.splice(0).map((scene) => scene.leave()))
      // Those to come are prepared while nobody works.
      pending.sort((a, b) => a.order.rank - b.order.rank)
      const fresh = pending.splice(0, roomIn(crew, played.length))
      played.push(...(await setScenes(stage, fresh, workers.strike)))
      for (const { scene } of played) scenes.set(scene.namespace, scene)
      try {
        state.strikes += await playRound(stage, workers, played)
      } catch (error) {
        for (const one of played) one.outcome.reject(error)
        await workers.end()
      }
      played = await clear(stage, played)
    }
  } catch (error) {
    for (const { outcome } of [...pending.splice(0), ...played]) outcome.reject(error)
  } finally {
    clearInterval(nudge)
    await workers.end()
  }
}

/** Who is told to end interrupts everybody: then what was interrupted is finished first. */
function roomIn({ signal, size }: Crew, played: number): number {
  return signal === 'SIGTERM' && played > 0 ? 0 : size
}

async function setScenes(
  { crew, home, connect, mirror }: Stage,
  fresh: readonly Pending[],
  onStrike: () => void,
): Promise<Played[]> {
  const deps = {
    rest: home.rest,
    mirror,
    connect,
    labels: { arena: home.namespace },
    freezes: crew.signal === 'SIGKILL',
    onStrike,
    ...(crew.isFresh ? { namespace: home.namespace } : {}),
  }
  const played: Played[] = []
  await forEach(fresh, SETTING, async (one) => {
    try {
      played.push({ ...one, scene: await setScene(one.order, deps) })
    } catch (error) {
      one.outcome.reject(error)
    }
  })
  return played
}

/** From the start of a process to its end. @returns how many processes were struck */
async function playRound(
  { crew, connect }: Stage,
  workers: Workers,
  played: readonly Played[],
): Promise<number> {
  for (const { scene } of played) scene.begin()
  await workers.start()
  const failed = new Set<Played>()
  const fail = (one: Played) => (error: unknown) => {
    failed.add(one)
    one.outcome.reject(error)
  }
  await Promise.all(played.map((one) => one.scene.advance(workers.isOver).catch(fail(one))))
  const isCalm = (one: Played) => one.scene.isCalm() && !failed.has(one)
  await untilStill(played.filter(isCalm), workers.isOver)
  // What comes last may come when all seems to be done.
  const calm = played.filter(isCalm)
  await workers.relieve()
  if (crew.signal === 'SIGTERM') for (const { scene } of played) scene.interrupt()
  await workers.judge(leakable(connect))
  await Promise.all(
    calm.map(async ({ scene, outcome }) => {
      await scene.outcome().then(outcome.resolve, outcome.reject)
    }),
  )
  return calm.length < played.length ? 1 : 0
}

const leakable = ({ secrets }: ScriptedConnect) => [TOKEN, CANARY, ...secrets]

/** Waits until nothing has moved, and nobody has tried to move anything, for some seconds. */
async function untilStill(calm: readonly Played[], isEnded: () => boolean): Promise<void> {
  const isOver = patience(STILL_PATIENCE_MS)
  const look = () => calm.map(({ scene }) => scene.moves()).join()
  let before = look()
  for (let still = 0; calm.length > 0 && !isEnded(); still += STILL_LOOK_MS) {
    if (isOver()) throw new Error('something moves for ever')
    if (look() !== before) still = 0
    before = look()
    if (still >= STILL_MS) {
      // A debt that was closed untold is looked at once more.
      await Promise.all(calm.map(({ scene }) => scene.advance(isEnded)))
      if (look() === before) return
    }
    await pause(STILL_LOOK_MS)
  }
}

/** Takes what is done off the stage. @returns what is left */
async function clear({ scenes, over }: Stage, played: readonly Played[]): Promise<Played[]> {
  const states = await Promise.all(
    played.map(async (one) => {
      const settled = one.outcome.promise.then(
        () => true,
        () => true,
      )
      const isDone = await Promise.race([settled, pause(0).then(() => false)])
      if (!isDone) return [one]
      scenes.delete(one.scene.namespace)
      over.push(one.scene)
      return []
    }),
  )
  return states.flat()
}

/** In a namespace; what is not in any, an operator asks for and does without. */
const isDenied = ({ status, path: target }: Call) =>
  status === 403 && target.includes('/namespaces/')

/** A Lease; what the API server refused does not count. */
function givesBack({ path: target, body, status = 0 }: Call): boolean {
  const { spec } = (body ?? {}) as { spec?: { holderIdentity?: string } }
  return target.includes('/leases/') && spec?.holderIdentity === '' && status < 400
}

/** The processes of an arena. */
interface Workers {
  /** Starts as many as there are to be. */
  start(): Promise<void>
  /** The moment of a namespace has come. */
  strike(): void
  /** Whether the one that works has ended. */
  isOver(): boolean
  /** Ends the one that works, if it has not ended. */
  relieve(): Promise<void>
  /** Fails if those that ended did, or told, what they must not. */
  judge(secrets: Iterable<string>): Promise<void>
  end(): Promise<void>
}

function createWorkers(stage: Stage): Workers {
  const { crew, home } = stage
  const workers: Worker[] = []
  const ended: Worker[] = []
  /** Those of the round before. */
  const past: Worker[] = []
  const strays: string[] = []
  let leader: Worker | undefined
  let told: Worker | undefined
  let isOver = false
  let count = 0
  stage.connect.intercept = (request, response) => intercept(stage, request, response)
  const route = (call: Call) => routed(stage, call, strays)

  async function leading(): Promise<Worker> {
    return eventually('an operator works', async () => {
      if (!crew.leases) return workers[0]
      const holder = (await home.find('leases', LEASE))?.['spec'].holderIdentity ?? ''
      return workers.find(({ name }) => holder.startsWith(`${name}_`))
    })
  }

  /** Once: who is told again ends at once. */
  function tell(): void {
    if (leader && leader !== told) leader.process.signal(crew.signal)
    told = leader
  }

  return {
    async start() {
      while (workers.length < crew.replicas) {
        count += 1
        workers.push(await startWorker(stage, `worker-${count}`, route))
      }
      const now = await leading()
      leader = now
      isOver = false
      void now.process.exited.then(() => (isOver ||= leader === now))
    },
    strike() {
      if (crew.signal === 'SIGTERM') tell()
    },
    isOver: () => isOver,
    async relieve() {
      if (!leader) return
      const one = leader
      workers.splice(workers.indexOf(one), 1)
      ended.push(one)
      if (isOver && crew.signal === 'SIGKILL') {
        // One that lost its Lease while the machine stood still ends; its Deployment starts it again.
        expect(crew.leases, 'an operator ended that nobody had struck').toBe(true)
        return
      }
      tell()
      expect(await one.process.exited).toBe(crew.signal === 'SIGKILL' ? 'SIGKILL' : 0)
      if (crew.signal === 'SIGKILL') return
      const lease = await home.find('leases', LEASE)
      // On a machine that is too busy it is asked for, and the answer comes too late for a process that ends.
      const isFree = !lease?.['spec'].holderIdentity || one.proxy.calls.some(givesBack)
      expect(isFree, 'the Lease is given back').toBe(true)
    },
    async judge(secrets) {
      expect(strays).toEqual([])
      for (const { process, proxy } of ended) {
        expect(leaksIn({ log: await process.logs() }, secrets)).toEqual([])
        expect(proxy.calls.filter(isDenied).map(labelOf)).toEqual([])
      }
      // What was on its way when a process was killed may take a moment longer.
      await dismiss(past.splice(0))
      past.push(...ended.splice(0))
    },
    end: () => dismiss([...workers.splice(0), ...ended.splice(0), ...past.splice(0)]),
  }
}

async function dismiss(workers: readonly Worker[]): Promise<void> {
  for (const { process, proxy } of workers) {
    await process.stop()
    await proxy[Symbol.asyncDispose]()
    await rm(path.dirname(process.logFile), { recursive: true })
  }
}

async function startWorker(
  { kubeconfig, login, crew, home, connect }: Stage,
  name: string,
  route: (call: Call) => Fate | undefined,
): Promise<Worker> {
  const proxy = await startKubeProxy(kubeconfig)
  proxy.fate = route
  const process = await startOperator({
    kubeconfig: await proxy.kubeconfigFor(login),
    connect: connect.url,
    namespace: home.namespace,
    env: {
      // All namespaces: a bookmark is one for all, then.
      WATCH_NAMESPACE: crew.isFresh ? home.namespace : '*',
      ITEM_SELECTOR: `arena=${home.namespace}`,
      LABELS_NOT_COPIED: 'arena',
      CONCURRENCY: '128',
      LEADER_ELECTION: String(crew.leases),
      POD_NAME: name,
    },
  })
  return { name, process, proxy }
}

/** What befalls a request: what the scene of its namespace says. */
function routed({ scenes, home }: Stage, call: Call, strays: string[]): Fate | undefined {
  const [, namespace = ''] = /\/namespaces\/([^/]+)\//.exec(call.path) ?? []
  const scene = scenes.get(namespace)
  if (scene) return scene.fate(call)
  if (changes(call) && namespace !== home.namespace) strays.push(`${namespace} ${labelOf(call)}`)
  return undefined
}

/** Tells the scenes that a read is about. */
function intercept(
  { scenes }: Stage,
  { url = '' }: IncomingMessage,
  response: ServerResponse,
): boolean {
  const [, , , vault, , item, , file] = url.split('?')[0]?.split('/') ?? []
  const of = vault ? [...scenes.values()].filter((one) => one.hasVault(vault)) : scenes.values()
  const what = file ? `${READ}file` : item ? `${READ}item` : vault ? `${READ}items` : VAULTS
  const answers = [...of].map((scene) => scene.read(what, response))
  return answers.includes(true)
}
