/**
 * Trials of the crash matrix: which there are, which of them a run takes, and how one is judged.
 */
import { createHash } from 'node:crypto'
import {
  contentsOf,
  differences,
  type Outcome,
  perform,
  type Point,
  type Position,
  POSITIONS,
  pointsOf,
  type Scenario,
  type Strike,
} from './crash.ts'
import { rounds, tell } from './skip.ts'

/** Whether every trial is taken. */
export const ALL = process.env['KEYFERRY_CRASH'] === 'all'
const ONLY = process.env['KEYFERRY_CRASH_ONLY']
const SEED = rounds('KEYFERRY_CRASH_SEED', 1)
const PARALLEL = rounds('KEYFERRY_CRASH_PARALLEL', 8)
/** Tries to hit a point that another run had: which writes are merged depends on the moment. */
const TRIES = 3
/** Milliseconds for which a test of the matrix may run. */
export const TEST_MS = ALL || ONLY ? 3 * 3_600_000 : 900_000

const running = new Set<Promise<unknown>>()

/** Runs one trial when fewer than PARALLEL are under way. */
async function inTurn<T>(trial: () => Promise<T>): Promise<T> {
  while (running.size >= PARALLEL) await Promise.race(running)
  const run = trial()
  const settled: Promise<unknown> = run.catch(() => undefined)
  running.add(settled)
  return run.finally(() => running.delete(settled))
}

const calms = new Map<Scenario, Map<string, Promise<Outcome>>>()

/** The run of a plot that nothing disturbs, once for each environment. */
export function undisturbed(scenario: Scenario, env = {}): Promise<Outcome> {
  const known = calms.get(scenario) ?? new Map<string, Promise<Outcome>>()
  calms.set(scenario, known)
  const key = JSON.stringify(env)
  const calm = known.get(key) ?? inTurn(() => perform(scenario, [], env))
  known.set(key, calm)
  return calm
}

/** A plot with the strikes that hit its operators. */
export interface Trial {
  /** Name of the plot. */
  readonly plot: string
  readonly scenario: Scenario
  readonly strikes: readonly Strike[]
  readonly env?: Readonly<Record<string, string>>
  /** Differences from the undisturbed run that are allowed, as {@link differences} names them. */
  readonly tolerates?: RegExp
}

function nameOf({ plot, strikes }: Trial): string {
  const parts = strikes.map(({ at, position, signal }) => {
    const where = 'label' in at ? `${at.label} #${at.nth}` : `read #${at.connectRead}`
    return `${signal} ${position} ${where}`
  })
  return [plot, ...parts].join(' | ')
}

/** Trials to perform, and others in reserve for those whose moment does not come. */
export interface Sample {
  readonly trials: readonly Trial[]
  readonly spares: readonly Trial[]
}

/** A sample that is the same for the same seed; all, where all are wanted. @param always a sample */
export function sample(trials: readonly Trial[], count: number, always = false): Sample {
  if (ONLY) return { trials: trials.filter((trial) => nameOf(trial).includes(ONLY)), spares: [] }
  if (ALL && !always) return { trials, spares: [] }
  const rank = (trial: Trial) =>
    createHash('sha256')
      .update(`${SEED} ${nameOf(trial)}`)
      .digest('hex')
  const ranked = trials.map((trial) => [rank(trial), trial] as const)
  const inOrder = ranked.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, trial]) => trial)
  return { trials: inOrder.slice(0, count), spares: inOrder.slice(count) }
}

/** How trials went, by their names. */
export interface Verdict {
  readonly failures: readonly string[]
  /** Those whose moment never came, nor that of any spare. */
  readonly missed: readonly string[]
}

/**
 * Performs the trials and compares each with the undisturbed run of its plot. A busy machine may
 * merge writes that the undisturbed run made one by one: then a spare takes the trial's place.
 */
export async function judge({ trials, spares }: Sample): Promise<Verdict> {
  const left = [...spares]
  const ends = await Promise.all(
    trials.map(async (trial) => {
      for (let next: Trial | undefined = trial; next !== undefined; next = left.shift()) {
        const end = await judgeOne(next).catch((error: unknown) => textOf(error))
        if (end === undefined) return []
        if (end !== 'missed') return [{ end, name: nameOf(next) }]
      }
      return [{ end: 'missed', name: nameOf(trial) }]
    }),
  )
  const missed = ends.flat().filter(({ end }) => end === 'missed')
  const failures = ends.flat().filter(({ end }) => end !== 'missed')
  tell(`${trials.length} trials, ${failures.length} failed, ${missed.length} missed`)
  return {
    failures: failures.map(({ name, end }) => `${name}: ${end}`),
    missed: missed.map(({ name }) => name),
  }
}

const textOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

/** Performs a trial until its first strike has come. */
async function judgeOne({
  scenario,
  strikes,
  env,
  tolerates,
}: Trial): Promise<'missed' | undefined> {
  const calm = await undisturbed(scenario, env)
  for (let attempt = 1; attempt <= TRIES; attempt += 1) {
    const outcome = await inTurn(() => perform(scenario, strikes, env))
    const ends = differences(outcome.end, calm.end).filter((one) => !tolerates?.test(one))
    const contents = differences(contentsOf(outcome), contentsOf(calm))
    if (ends.length + contents.length > 0) throw new Error([...ends, ...contents].join('; '))
    if (outcome.struck > 0) return undefined
  }
  return 'missed'
}

/** Whether a trial is wanted. */
export type Filter = (point: Point, position: Position) => boolean

/** Trials at the points of these plots that pass the filter: one SIGKILL each. */
export async function trialsAt(
  plots: Readonly<Record<string, Scenario>>,
  passes: Filter,
): Promise<Trial[]> {
  const all = Object.entries(plots).map(async ([plot, scenario]) => {
    const points = pointsOf(await undisturbed(scenario))
    return points.flatMap((at) =>
      POSITIONS.filter((position) => passes(at, position)).map((position) => ({
        plot,
        scenario,
        strikes: [{ at, position, signal: 'SIGKILL' as const }],
      })),
    )
  })
  return (await Promise.all(all)).flat()
}

/** Reads of Connect at which an operator is struck; later ones are polls that find nothing. */
const MAX_READS = 8

/** Trials at the reads of these plots. */
export async function trialsAtReads(plots: Readonly<Record<string, Scenario>>): Promise<Trial[]> {
  const all = Object.entries(plots).map(async ([plot, scenario]) => {
    const { reads } = await undisturbed(scenario)
    const nths = Array.from({ length: Math.min(reads, MAX_READS) }, (_, n) => n + 1)
    return nths.flatMap((connectRead) =>
      (['before', 'after'] as const).map((position) => ({
        plot,
        scenario,
        strikes: [{ at: { connectRead }, position, signal: 'SIGKILL' as const }],
      })),
    )
  })
  return (await Promise.all(all)).flat()
}
