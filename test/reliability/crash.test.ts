/**
 * The crash matrix: every request by which the operator changes something, found from a run that
 * nothing disturbs, and every moment in its life at which the operator can die. Whoever comes next
 * leaves exactly what the undisturbed run left: the same data, the same owners, each workload
 * restarted as often, nothing owed, nothing of others touched; and then writes no more.
 *
 * A usual run takes a sample. KEYFERRY_CRASH=all takes every point; KEYFERRY_CRASH_SEED changes the
 * sample, KEYFERRY_CRASH_ONLY takes the trials whose name contains it, and KEYFERRY_CRASH_PARALLEL
 * says how many run at a time.
 */
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  contentsOf,
  type Outcome,
  perform,
  type Point,
  type Position,
  POSITIONS,
  pointsOf,
  type Scenario,
  type Strike,
} from '../support/crash.ts'
import { rounds, tell } from '../support/skip.ts'
import * as plots from './plots.ts'

const ALL = process.env['KEYFERRY_CRASH'] === 'all'
const ONLY = process.env['KEYFERRY_CRASH_ONLY']
const SEED = rounds('KEYFERRY_CRASH_SEED', 1)
const PARALLEL = rounds('KEYFERRY_CRASH_PARALLEL', 8)
const SIGTERMS = rounds('KEYFERRY_SIGTERM_ROUNDS', 4)
const PAIRS = rounds('KEYFERRY_CRASH_PAIRS', 4)
/** Trials of each test in a usual run. */
const SAMPLE = 3
/** Tries to hit a point that another run had: which writes are merged depends on the moment. */
const TRIES = 3
const TEST_MS = ALL || ONLY ? 3 * 3_600_000 : 330_000

type PlotName = keyof typeof plots & string

const PLOTS = plots as unknown as Readonly<Record<PlotName, Scenario>>

const running = new Set<Promise<unknown>>()

/** Runs one trial when fewer than PARALLEL are under way. */
async function inTurn<T>(trial: () => Promise<T>): Promise<T> {
  while (running.size >= PARALLEL) await Promise.race(running)
  const run = trial()
  const settled: Promise<unknown> = run.catch(() => undefined)
  running.add(settled)
  return run.finally(() => running.delete(settled))
}

const calms = new Map<string, Promise<Outcome>>()

/** The run of a plot that nothing disturbs. */
function undisturbed(plot: PlotName, env = {}): Promise<Outcome> {
  const key = `${plot} ${JSON.stringify(env)}`
  const known = calms.get(key) ?? inTurn(() => perform(PLOTS[plot], [], env))
  calms.set(key, known)
  return known
}

interface Trial {
  readonly plot: PlotName
  readonly strikes: readonly Strike[]
  readonly env?: Readonly<Record<string, string>>
}

function nameOf({ plot, strikes }: Trial): string {
  const parts = strikes.map(({ at, position, signal }) => {
    const where = 'label' in at ? `${at.label} #${at.nth}` : `read #${at.connectRead}`
    return `${signal} ${position} ${where}`
  })
  return [plot, ...parts].join(' | ')
}

/** A sample that is the same for the same seed, or all. */
function sample(trials: readonly Trial[], count = SAMPLE): readonly Trial[] {
  if (ONLY) return trials.filter((trial) => nameOf(trial).includes(ONLY))
  if (ALL) return trials
  const rank = (trial: Trial) =>
    createHash('sha256')
      .update(`${SEED} ${nameOf(trial)}`)
      .digest('hex')
  const ranked = trials.map((trial) => [rank(trial), trial] as const)
  return ranked
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, trial], n) => (n < count ? [trial] : []))
}

/** Performs a trial until its first strike has come, and compares it with the undisturbed run. */
async function judge(trial: Trial): Promise<number> {
  const { plot, strikes, env = {} } = trial
  const calm = await undisturbed(plot, env)
  let struck = 0
  for (let attempt = 1; attempt <= TRIES && struck === 0; attempt += 1) {
    const outcome = await inTurn(() =>
      perform(PLOTS[plot], strikes, env).catch((cause: unknown) => {
        throw new Error(`${nameOf(trial)}: ${cause instanceof Error ? cause.message : 'failed'}`, {
          cause,
        })
      }),
    )
    struck = outcome.struck
    expect({ trial: nameOf(trial), end: outcome.end }).toEqual({
      trial: nameOf(trial),
      end: calm.end,
    })
    expect(contentsOf(outcome)).toEqual(contentsOf(calm))
  }
  return struck
}

/** Judges all of them; what was never hit is told. */
async function judgeAll(trials: readonly Trial[]): Promise<void> {
  const hits = await Promise.allSettled(trials.map(judge))
  const failures = hits.flatMap((hit) => (hit.status === 'rejected' ? [hit.reason as Error] : []))
  const missed = trials.filter((_, n) => {
    const hit = hits[n]
    return hit?.status === 'fulfilled' && hit.value === 0
  })
  tell(`${trials.length} trials, ${failures.length} failed, ${missed.length} missed`)
  if (failures.length > 0)
    throw new AggregateError(failures, failures.map(({ message }) => message).join('\n\n'))
  expect(missed.map(nameOf)).toEqual([])
}

type Filter = (point: Point, position: Position) => boolean

/** Trials at the points of these plots that pass the filter. */
async function trialsAt(names: readonly PlotName[], passes: Filter): Promise<Trial[]> {
  const all = await Promise.all(
    names.map(async (plot) => {
      const points = pointsOf(await undisturbed(plot))
      return points.flatMap((at) =>
        POSITIONS.filter((position) => passes(at, position)).map((position) => ({
          plot,
          strikes: [{ at, position, signal: 'SIGKILL' as const }],
        })),
      )
    }),
  )
  return all.flat()
}

const isSecret = ({ label }: Point) => label.includes(' secrets/')
const isRestart = ({ label }: Point) =>
  /^PATCH (?:deployments|statefulsets|daemonsets)\//.test(label)
const isFirst = ({ nth }: Point) => nth === 1

describe.concurrent('an operator that dies', { timeout: TEST_MS }, () => {
  test('A1: at any read of an item, before anything is written', async () => {
    const names = ['firstStart', 'change', 'itemGone'] as const
    const trials = await Promise.all(
      names.map(async (plot) => {
        const { reads } = await undisturbed(plot)
        // Later ones are polls that find nothing.
        return Array.from({ length: Math.min(reads, 8) }, (_, n) =>
          POSITIONS.filter((position) => position !== 'committed').map((position) => ({
            plot,
            strikes: [{ at: { connectRead: n + 1 }, position, signal: 'SIGKILL' as const }],
          })),
        ).flat()
      }),
    )
    await judgeAll(sample(trials.flat()))
  })

  test('A2: when its write of a Secret is committed and the answer is lost', async () => {
    const names = ['firstStart', 'change', 'workloadAsks', 'deleted'] as const
    const passes: Filter = (at, position) => isSecret(at) && position === 'committed'
    await judgeAll(sample(await trialsAt(names, passes)))
  })

  test('A3: between its write of a Secret and the first restart', async () => {
    const passes: Filter = (at, position) =>
      (isSecret(at) && isFirst(at) && position === 'after') ||
      (isRestart(at) && position === 'before')
    await judgeAll(sample(await trialsAt(['change', 'several'], passes)))
  })

  test('A4: between two of several restarts', async () => {
    const passes: Filter = (at, position) => isRestart(at) && position !== 'before'
    await judgeAll(sample(await trialsAt(['change'], passes), SAMPLE + 2))
  })

  test('A5: after the restarts, before and while it tells of them and closes the debt', async () => {
    const passes: Filter = (at) => !isRestart(at) && !(isSecret(at) && isFirst(at))
    await judgeAll(sample(await trialsAt(['change', 'template', 'several'], passes)))
  })

  test('A6: while it takes over a Secret', async () => {
    await judgeAll(sample(await trialsAt(['takeOver', 'adoption'], () => true), SAMPLE + 2))
  })

  test('A7: between the deletion and the creation of a Secret whose type changes', async () => {
    await judgeAll(sample(await trialsAt(['typeChange'], () => true), SAMPLE + 1))
  })

  test('A8: and whose successor dies during the recovery', async () => {
    const names: PlotName[] = ['change', 'typeChange', 'takeOver', 'rename']
    const singles = await trialsAt(names, () => true)
    const pairs = singles.flatMap((first) =>
      singles
        .filter(({ plot }) => plot === first.plot)
        .map(({ plot, strikes }) => ({ plot, strikes: [...first.strikes, ...strikes] })),
    )
    await judgeAll(sample(pairs, PAIRS))
  })

  test('A9: no operator that is told to end leaves anything half done or keeps the Lease', async () => {
    const names: PlotName[] = [
      'firstStart',
      'change',
      'typeChange',
      'takeOver',
      'rename',
      'several',
    ]
    const env = { LEADER_ELECTION: 'true' }
    const points = (await trialsAt(names, () => true)).flatMap(({ plot, strikes }) =>
      strikes.map((strike) => ({
        plot,
        env,
        strikes: [{ ...strike, signal: 'SIGTERM' as const }],
      })),
    )
    const often = Array.from({ length: Math.ceil(SIGTERMS / points.length) }, () => points).flat()
    await judgeAll(ALL ? often : sample(points, SIGTERMS))
  })

  test('at any other of its writes', async () => {
    const names: PlotName[] = [
      'firstStart',
      'rename',
      'retain',
      'itemGone',
      'spoilt',
      'deleted',
      'workloadAsks',
      'workloadLeaves',
      'refused',
    ]
    await judgeAll(sample(await trialsAt(names, () => true), SAMPLE * 3))
  })
})
