/**
 * Trials of the crash matrix: which there are, which of them a run takes, and how they are judged.
 *
 * Which there are is written down (`points.golden.txt`), so that a run with fewer of them fails.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { type Arena, type Crew, openArena } from './arena.ts'
import { chance, draw } from './chance.ts'
import { adminRest } from './cluster.ts'
import {
  type Outcome,
  type Point,
  POSITIONS,
  READ,
  type Scenario,
  type Strike,
  labelOf,
  VAULTS,
} from './crash.ts'
import { differences } from './ends.ts'
import { SEED } from './gates.ts'
import { openMirror } from './mirror.ts'

/** What the names of the trials contain that are wanted; undefined: a run takes what it takes. */
export const ONLY = process.env['KEYFERRY_CRASH_ONLY']
/** Tries to hit a point that another run had: which writes are merged depends on the moment. */
const TRIES = 3

/** Who may work in an arena. */
export const CREWS = {
  /** One operator, which dies. */
  one: { signal: 'SIGKILL', leases: false, replicas: 1, size: 128, lanes: 5 },
  /** One operator, which dies, and its successor, which dies, too. */
  twice: { signal: 'SIGKILL', leases: false, replicas: 1, size: 100, lanes: 2 },
  /** A leader, which dies, and one that waits for its Lease. */
  pair: { signal: 'SIGKILL', leases: true, replicas: 2, size: 20 },
  /** One operator, which is told to end. */
  told: { signal: 'SIGTERM', leases: true, replicas: 1, size: 16, lanes: 2 },
  /** The first operator of an installation, which dies. */
  first: { signal: 'SIGKILL', leases: false, replicas: 1, size: 4, isFresh: true },
} as const satisfies Record<string, Crew>

type CrewName = keyof typeof CREWS

/** A plot with the strikes that hit its operators. */
export interface Trial {
  /** Name of the plot. */
  readonly plot: string
  readonly crew: CrewName
  readonly strikes: readonly Strike[]
  readonly seed: number
}

/** Plots by their names, and what may differ from the undisturbed run. */
export interface Play {
  readonly plots: Readonly<Record<string, Scenario>>
  /** Plots that begin with an installation. */
  readonly first: ReadonlySet<string>
  /** Differences that are allowed in a plot, as {@link differences} names them. */
  readonly tolerated: Readonly<Record<string, RegExp>>
}

/** Name of a trial, which KEYFERRY_CRASH_ONLY takes. */
export function nameOf({ plot, crew, strikes }: Trial): string {
  const parts = strikes.map(({ at, position }) => `${position} ${at.label} #${at.nth}`)
  return [plot, CREWS[crew].signal, ...parts, ...(crew === 'pair' ? ['of two'] : [])].join(' | ')
}

/** Whether a read. */
export const isRead = ({ label }: Point) => label.startsWith(READ)

/** In an order that the seed gives. */
export function shuffled(trials: readonly Trial[], seed: number): Trial[] {
  return draw(trials, trials.length, { seed, nameOf })
}

/** How trials went. */
export interface Verdict {
  /** How many had their moment. */
  readonly trials: number
  /** Names of those that broke a promise, and how. */
  readonly failures: readonly string[]
  /** Names of those whose moment never came, if too many. */
  readonly missed: readonly string[]
}

/** What takes the place of trials whose moment never comes. */
export interface Chances {
  readonly spares: readonly Trial[]
  /** How many must have their moment. */
  readonly enough: number
}

/** See the head of this file. */
export interface Theatre extends AsyncDisposable {
  /** The run of a plot that nothing disturbs, once. */
  undisturbed(plot: string): Promise<Outcome>
  /** One more. */
  again(plot: string): Promise<Outcome>
  /** Plays trials and compares each with the undisturbed run of its plot. */
  judge(trials: readonly Trial[], chances?: Partial<Chances>): Promise<Verdict>
  /** Processes that were struck so far. */
  strikes(): Promise<number>
}

/** @param kubeconfig of a control plane that no other operator works on */
export async function openTheatre(kubeconfig: string, play: Play): Promise<Theatre> {
  const rest = adminRest(kubeconfig)
  const mirror = await openMirror(rest)
  const arenas = new Map<CrewName, Promise<Arena>>()
  const calms = new Map<string, Promise<Outcome>>()
  const arenaOf = (name: CrewName) => {
    const arena = arenas.get(name) ?? openArena({ kubeconfig, mirror }, CREWS[name])
    arenas.set(name, arena)
    return arena
  }
  const scenarioOf = (plot: string) => {
    const scenario = play.plots[plot]
    if (!scenario) throw new Error(`no plot ${plot}`)
    return scenario
  }
  async function again(plot: string): Promise<Outcome> {
    const arena = await arenaOf(play.first.has(plot) ? 'first' : 'one')
    return arena.play({ scenario: scenarioOf(plot), strikes: [], rank: 0 })
  }
  /** Ends of the undisturbed runs that are over. */
  const known = new Map<string, unknown>()
  async function once(plot: string): Promise<Outcome> {
    const outcome = await again(plot)
    known.set(plot, outcome.end)
    return outcome
  }
  function undisturbed(plot: string): Promise<Outcome> {
    const calm = calms.get(plot) ?? once(plot)
    calms.set(plot, calm)
    return calm
  }
  const broken = (plot: string, end: unknown, calm: unknown) =>
    differences(end, calm).filter((one) => !play.tolerated[plot]?.test(one))
  /** Performs a trial until its moment has come, for each strike. */
  async function perform(trial: Trial, tries: number): Promise<'missed' | 'hit'> {
    const { plot, strikes, seed } = trial
    const isEnd = (end: unknown) =>
      !known.has(plot) || broken(plot, end, known.get(plot)).length === 0
    for (let attempt = 1; attempt <= tries; attempt += 1) {
      const random = chance(`${seed} ${attempt} ${nameOf(trial)}`)
      // What needs several processes begins early.
      const rank = attempt > 1 || strikes.length > 1 ? random() : 1 + seed + random()
      const arena = await arenaOf(trial.crew)
      const [calm, outcome] = await Promise.all([
        undisturbed(plot),
        arena.play({ scenario: scenarioOf(plot), strikes, random, rank, isEnd }),
      ])
      const ends = broken(plot, outcome.end, calm.end)
      const contents = differences(outcome.contents, calm.contents)
      if (ends.length + contents.length > 0) throw new Error([...ends, ...contents].join('; '))
      if (outcome.struck >= strikes.length) return 'hit'
    }
    return 'missed'
  }
  /** How a trial went, or what it was that failed and how to do it again. */
  async function endOf(trial: Trial, tries: number): Promise<string> {
    try {
      return await perform(trial, tries)
    } catch (error) {
      return replay(trial, error)
    }
  }
  return {
    undisturbed,
    again,
    async judge(all, { spares = [], enough = all.length } = {}) {
      const trials = ONLY ? all.filter((one) => nameOf(one).includes(ONLY)) : all
      const left = ONLY ? [] : [...spares]
      const wanted = Math.min(enough, trials.length)
      const failures: string[] = []
      const missed: string[] = []
      const played: Trial[] = []
      const play = async (trial: Trial) => {
        // Another one is as good where there are spares.
        const end = await endOf(trial, spares.length > 0 ? 1 : TRIES)
        if (end === 'missed') missed.push(nameOf(trial))
        else played.push(trial)
        if (!['missed', 'hit'].includes(end)) failures.push(end)
      }
      await Promise.all(trials.map(play))
      while (played.length < wanted && left.length > 0) {
        await Promise.all(left.splice(0, 2 * (wanted - played.length)).map(play))
      }
      return { trials: played.length, failures, missed: played.length < wanted ? missed : [] }
    },
    async strikes() {
      const opened = await Promise.all(arenas.values())
      return opened.reduce((sum, arena) => sum + arena.strikes(), 0)
    },
    async [Symbol.asyncDispose]() {
      for (const arena of arenas.values()) await (await arena)[Symbol.asyncDispose]()
      await mirror[Symbol.asyncDispose]()
      await rest.close()
    },
  }
}

/** What failed, and the command that does it again; who shares the process is chance. */
function replay(trial: Trial, error: unknown): string {
  const name = nameOf(trial)
  const text = error instanceof Error ? error.message : String(error)
  const again = `KEYFERRY_SEED=${trial.seed} KEYFERRY_CRASH_ONLY='${name}' npm test -- reliability crash.test`
  return `${name}: ${text}\n  again: ${again}`
}

/** Trials at these points. */
export function trialsAt(
  points: readonly PlotPoint[],
  { crew, seed = SEED }: { readonly crew: CrewName; readonly seed?: number },
): Trial[] {
  return points.map(({ plot, at, position }) => ({ plot, crew, seed, strikes: [{ at, position }] }))
}

/** A point of a plot, and a moment in the life of the request. */
export interface PlotPoint extends Strike {
  readonly plot: string
}

/** All points of the plots, in the order in which the undisturbed run comes to them. */
export function momentsOf(points: Points): PlotPoint[] {
  return [...points].flatMap(([plot, ats]) =>
    ats.flatMap((at) => positionsOf(at).map((position) => ({ plot, at, position }))),
  )
}

/** The list of vaults is not cut: others read it at the same time. */
const positionsOf = ({ label }: Point) =>
  POSITIONS.filter((position) => label !== VAULTS || position !== 'committed')

/**
 * Trials in which the successor dies, too, at something that was left to do: all of them for plots
 * of a process each.
 */
export function pairsOf(points: Points, crew: CrewName, seed: number): Trial[] {
  return [...points].flatMap(([plot, all]) => {
    const ats = all.filter((at) => !isRead(at))
    return ats.flatMap((first, i) =>
      POSITIONS.flatMap((position) => {
        const left = ats.slice(position === 'before' ? i : i + 1)
        return left.flatMap(({ label }, j) => {
          // The successor counts anew.
          const nth = left.slice(0, j + 1).filter((one) => one.label === label).length
          const strikes = [
            { at: first, position },
            { at: { label, nth }, position: POSITIONS[(i + j) % POSITIONS.length] ?? 'before' },
          ]
          return [{ plot, crew, seed, strikes }]
        })
      }),
    )
  })
}

/** By plot. */
export type Points = ReadonlyMap<string, readonly Point[]>

const FILE = 'test/reliability/points.golden.txt'

/** The points that are written down. */
export async function readPoints(): Promise<Points> {
  const points = new Map<string, Point[]>()
  for (const line of (await readFile(FILE, 'utf8')).split('\n')) {
    const [, plot, label, nth] = /^(\w+): (.+) #(\d+)$/.exec(line) ?? []
    if (!plot || !label) continue
    points.set(plot, [...(points.get(plot) ?? []), { label, nth: Number(nth) }])
  }
  return points
}

/** Writes down the points that all of several undisturbed runs of each plot had. */
export async function writePoints(
  runs: Readonly<Record<string, readonly Outcome[]>>,
): Promise<void> {
  const lines = Object.entries(runs).flatMap(([plot, outcomes]) => {
    const [first = [], ...others] = outcomes.map((one) => pointsOf(one).map(lineOf))
    const common = first.filter((line) => others.every((other) => other.includes(line)))
    return common.map((line) => `${plot}: ${line}`)
  })
  await writeFile(FILE, `${lines.join('\n')}\n`)
}

const lineOf = ({ label, nth }: Point) => `${label} #${nth}`

/** Looks at the list of vaults that are points; later ones are polls that find nothing. */
const MAX_LOOKS = 2

/** The requests of a run that change something and those that read, each by its name. */
export function pointsOf({ calls, reads }: Outcome): Point[] {
  const counts = new Map<string, number>()
  const all = [...reads, ...calls.map(labelOf)].map((label) => {
    const nth = (counts.get(label) ?? 0) + 1
    counts.set(label, nth)
    return { label, nth }
  })
  return all.filter(({ label, nth }) => label !== VAULTS || nth <= MAX_LOOKS)
}
