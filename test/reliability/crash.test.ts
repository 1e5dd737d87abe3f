/**
 * The crash matrix: every request by which the operator changes something or reads from Connect,
 * found from runs that nothing disturbs, and every moment in its life at which the operator can die.
 * Whoever comes next leaves exactly what the undisturbed run left: the same data, the same owners,
 * each workload restarted as often, nothing owed, nothing of others touched; and then writes no more.
 *
 * The requests are in `points.golden.txt`; KEYFERRY_CRASH_POINTS=write writes it anew. A usual run takes
 * each of them once, the whole programme (KEYFERRY_PROGRAMME=full) each of their moments several times.
 * From KEYFERRY_SEED come the moment that a usual run takes, the order of the trials, and with it who
 * shares a process with whom, the milliseconds that each request is held up, and the pairs.
 * KEYFERRY_CRASH_ONLY takes the trials whose name contains it.
 */
import process from 'node:process'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { applyCrd } from '../support/cluster.ts'
import { type ControlPlane, startControlPlane } from '../support/control-plane/start.ts'
import { type Scenario, VAULTS } from '../support/crash.ts'
import { isFull, SEED, tally } from '../support/gates.ts'
import { tell } from '../support/skip.ts'
import {
  type Chances,
  isRead,
  momentsOf,
  ONLY,
  openTheatre,
  pairsOf,
  type PlotPoint,
  type Points,
  pointsOf,
  readPoints,
  shuffled,
  type Theatre,
  type Trial,
  trialsAt,
  type Verdict,
  writePoints,
} from '../support/trials.ts'
import * as plotsOfSecrets from './plots.ts'
import * as plotsOfWorkloads from './plots-of-workloads.ts'

const PLOTS: Readonly<Record<string, Scenario>> = { ...plotsOfSecrets, ...plotsOfWorkloads }
const WRITES = process.env['KEYFERRY_CRASH_POINTS'] === 'write'
/** Runs of each plot whose common points are written down. */
const RUNS = 3
const POINTS: Points = WRITES ? new Map() : await readPoints()

/** Trials in the whole programme at least, which the number of seeds follows from. */
const WANTED = { kills: 1_500, pairs: 300, leases: 60, told: 200 }
/** Of each change. */
const USUAL = { pairs: 6, leases: 4, told: 8 }
const { pairs: PAIRS, leases: LEASES, told: TOLD } = isFull ? WANTED : USUAL
/** Milliseconds for which a test may run. */
const TEST_MS = isFull ? 3_600_000 : 900_000

/**
 * That a type changes and nothing else owes no restart. Who finds the Secret deleted cannot know
 * what was in it: in the seconds round a change one rollout too many is allowed, one too few never.
 */
const ONE_TOO_MANY = /^\.workloads\.\d+\.(?:generation: 2, undisturbed 1$|restartedFor\.0: true)/

/**
 * How many of several Secrets share a rollout depends on how soon after each other they are written:
 * never more than one rollout for each.
 */
const SHARED = /^\.workloads\.\d+\.generation: [234], undisturbed [234]$/

const first = new Set(['firstStart'])
const crewOf = ({ plot }: { readonly plot: string }) => (first.has(plot) ? 'first' : 'one')

const isSecret = ({ at }: PlotPoint) => at.label.includes(' secrets/')
const isRestart = ({ at }: PlotPoint) =>
  /^PATCH (?:deployments|statefulsets|daemonsets)\//.test(at.label)
const isContent = (moment: PlotPoint) => isSecret(moment) && moment.at.nth === 1
const foreignPlots = ['takeOver', 'adoption', 'typeChange']
const isRestarting = ({ plot }: PlotPoint) =>
  POINTS.get(plot)?.some((at) => isRestart({ plot, at, position: 'before' }))

/** Each moment is of the first part that it fits. */
const PARTS: readonly (readonly [string, (moment: PlotPoint) => boolean | undefined])[] = [
  [
    'A6, A7: while it takes a Secret over or makes it anew',
    ({ plot }) => foreignPlots.includes(plot),
  ],
  [
    'A2, A3: round its write of a Secret, before the first restart',
    (moment) => (isContent(moment) && moment.position !== 'before') || isFirstRestart(moment),
  ],
  ['A4, A5: between restarts and after them, until the debt is closed', isRestarting],
  ['at any other of its writes', () => true],
]

function isFirstRestart({ plot, at, position }: PlotPoint): boolean {
  const restarts = POINTS.get(plot)?.filter((one) => isRestart({ plot, at: one, position }))
  return position === 'before' && restarts?.[0]?.label === at.label
}

const moments = momentsOf(POINTS)
const writes = moments.filter(({ at }) => !isRead(at))
const reads = moments.filter(({ at }) => isRead(at))
/** Those that this run takes: all, or one of each point. */
const taken = (all: readonly PlotPoint[]) => (isFull || ONLY ? all : oneOfEach(all))
const besides = reads.length + PAIRS + LEASES
const count = isFull ? Math.max(2, Math.ceil((WANTED.kills - besides) / writes.length)) : 1
const SEEDS = Array.from({ length: count }, (_, n) => SEED + n)

const partOf = (moment: PlotPoint) => PARTS.findIndex(([, fits]) => fits(moment))

/** Every moment, once for each seed. */
const trialsOf = (all: readonly PlotPoint[]): Trial[] =>
  SEEDS.flatMap((seed) => all.flatMap((one) => trialsAt([one], { crew: crewOf(one), seed })))

/** Some, of as many plots as there are, and others for those whose moment never comes. */
function drawn(
  trials: readonly Trial[],
  enough: number,
  many = enough,
): readonly [readonly Trial[], Partial<Chances>] {
  if (ONLY) return [trials, {}]
  const counts = new Map<string, number>()
  const ranked = shuffled(trials, SEED).map((trial) => {
    const rank = (counts.get(trial.plot) ?? 0) + 1
    counts.set(trial.plot, rank)
    return { trial, rank }
  })
  const all = ranked.toSorted((a, b) => a.rank - b.rank).map(({ trial }) => trial)
  return [all.slice(0, many), { spares: all.slice(many, 3 * many), enough }]
}

let plane: ControlPlane
let theatre: Theatre

beforeAll(async () => {
  tell(`KEYFERRY_SEED=${SEED}`)
  // Controllers change what the operator changes; they also cost as much as it does.
  const apiserverArgs = ['--audit-log-path=']
  plane = await startControlPlane({ controllers: isFull, apiserverArgs, roomy: true })
  await applyCrd(plane.kubeconfig)
  theatre = await openTheatre(plane.kubeconfig, {
    plots: PLOTS,
    first,
    tolerated: { typeChange: ONE_TOO_MANY, several: SHARED },
  })
})

afterAll(async () => {
  tell(`${await theatre.strikes()} processes were struck`)
  await theatre[Symbol.asyncDispose]()
  await plane.stop()
})

/** Every trial had its moment, and none broke a promise. */
async function expectKept(gate: number, what: string, { trials, failures, missed }: Verdict) {
  await tally({ gate, what, trials, violations: failures.length, seed: SEED })
  tell(`${what}: ${trials} trials, ${failures.length} failed, ${missed.length} missed`)
  expect({ failures, missed }).toEqual({ failures: [], missed: [] })
}

const SIGKILLS = 'points at which a write may die, SIGKILL'

describe.skipIf(WRITES).concurrent('an operator with a Lease', { timeout: TEST_MS }, () => {
  test('A9: that is told to end leaves nothing half done and gives the Lease back', async () => {
    const all = writes.filter((one) => !first.has(one.plot))
    const trials = drawn(trialsAt(all, { crew: 'told' }), TOLD)
    await expectKept(
      1,
      'namespaces in whose midst it is told to end, SIGTERM',
      await theatre.judge(...trials),
    )
  })

  test('dies, and its standby takes the Lease', async () => {
    const all = writes.filter((one) => !first.has(one.plot))
    const trials = drawn(trialsAt(all, { crew: 'pair' }), LEASES)
    await expectKept(1, `${SIGKILLS}, of two replicas with a Lease`, await theatre.judge(...trials))
  })
})

describe.skipIf(WRITES).concurrent('an operator that dies', { timeout: TEST_MS }, () => {
  test('A1: at any read from Connect', async () => {
    const trials = taken(reads).flatMap((one) => trialsAt([one], { crew: crewOf(one) }))
    await expectKept(2, 'reads from Connect, SIGKILL', await theatre.judge(trials))
  })

  test('A8: and whose successor dies during the recovery', async () => {
    const all = pairsOf(POINTS, 'twice', SEED).filter((one) => !first.has(one.plot))
    // What the first leaves to the second is not the same each time.
    const trials = drawn(all, PAIRS, Math.ceil(1.3 * PAIRS))
    await expectKept(3, 'pairs of crashes', await theatre.judge(...trials))
  })

  test.each(PARTS.map(([name], n) => [name, n] as const))('%s', async (name, n) => {
    const trials = trialsOf(taken(writes).filter((one) => partOf(one) === n))
    await expectKept(1, `${SIGKILLS}, ${name}`, await theatre.judge(trials))
  })
})

/** One moment of each point: the next point of a plot has the next one. */
function oneOfEach(all: readonly PlotPoint[]): PlotPoint[] {
  const plots = Map.groupBy(all, ({ plot }) => plot)
  return [...plots.values()].flatMap((ofPlot) => {
    const points = [...Map.groupBy(ofPlot, ({ at }) => `${at.label} ${at.nth}`).values()]
    return points.flatMap((own, n) => own.slice((SEED + n) % own.length).slice(0, 1))
  })
}

/** Comes right after the status by which the plot counts as prepared, or before; `absent` has it. */
const LATE = new Set(['appears: POST events ItemNotFound OnePasswordItem/db'])

describe('the points of the matrix', { timeout: TEST_MS }, () => {
  test.skipIf(!WRITES)('are written down', async () => {
    const runs: Record<string, Awaited<ReturnType<Theatre['again']>>[]> = {}
    for (let n = 0; n < RUNS; n += 1) {
      const names = Object.keys(PLOTS)
      const outcomes = await Promise.all(names.map((name) => theatre.again(name)))
      names.forEach((name, at) => (runs[name] ??= []).push(...outcomes.slice(at, at + 1)))
    }
    await writePoints(runs)
    expect(new Set((await readPoints()).keys())).toEqual(new Set(Object.keys(PLOTS)))
  })

  test.skipIf(WRITES)('are all that undisturbed runs have', async () => {
    const fresh = Object.keys(PLOTS).map(async (plot) => {
      const known = new Set(POINTS.get(plot)?.map(({ label }) => label))
      const found = pointsOf(await theatre.undisturbed(plot)).map(({ label }) => label)
      // A poll that comes in between is a matter of the moment.
      const asked = found.filter((label) => label !== VAULTS && !LATE.has(`${plot}: ${label}`))
      return asked.filter((label) => !known.has(label)).map((label) => `${plot}: ${label}`)
    })
    expect((await Promise.all(fresh)).flat()).toEqual([])
  })
})
