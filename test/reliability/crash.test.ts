/**
 * The crash matrix: every request by which the operator changes something, found from a run that
 * nothing disturbs, and every moment in its life at which the operator can die. Whoever comes next
 * leaves exactly what the undisturbed run left: the same data, the same owners, each workload
 * restarted as often, nothing owed, nothing of others touched; and then writes no more.
 *
 * A usual run takes a sample. KEYFERRY_CRASH=all takes every point; KEYFERRY_CRASH_SEED changes the
 * sample, KEYFERRY_CRASH_ONLY takes the trials whose name contains it, and KEYFERRY_CRASH_PARALLEL
 * says how many run at a time. KEYFERRY_CRASH_PAIRS and KEYFERRY_SIGTERM_ROUNDS are the samples of
 * A8 and A9, which no run takes whole.
 */
import { describe, expect, test } from 'vitest'
import type { Point } from '../support/crash.ts'
import { rounds } from '../support/skip.ts'
import {
  ALL,
  type Filter,
  judge,
  sample,
  TEST_MS,
  trialsAt,
  trialsAtReads,
} from '../support/trials.ts'
import * as plots from './plots.ts'

const PAIRS = rounds('KEYFERRY_CRASH_PAIRS', ALL ? 300 : 3)
const SIGTERMS = rounds('KEYFERRY_SIGTERM_ROUNDS', ALL ? 200 : 4)
/** Trials of each other test in a usual run. */
const SAMPLE = 3

const CLEAN = { failures: [], missed: [] }

const isSecret = ({ label }: Point) => label.includes(' secrets/')
const isRestart = ({ label }: Point) =>
  /^PATCH (?:deployments|statefulsets|daemonsets)\//.test(label)
const isContent = (point: Point) => isSecret(point) && point.nth === 1
const any: Filter = () => true

/**
 * That a type changes and nothing else owes no restart. Who finds the Secret deleted cannot know
 * what was in it: in the seconds round a change one rollout too many is allowed, one too few never.
 */
const ONE_TOO_MANY = /^\.workloads\.\d+\.(?:generation: 2, undisturbed 1$|restartedFor\.0: true)/

const { firstStart, change, several, template, typeChange, takeOver, adoption, rename } = plots
const { retain, itemGone, spoilt, deleted, workloadAsks, workloadLeaves, refused } = plots

describe.concurrent('an operator that dies', { timeout: TEST_MS }, () => {
  test('A1: at any read of an item, before anything is written', async () => {
    const trials = await trialsAtReads({ firstStart, change, itemGone })
    expect(await judge(sample(trials, SAMPLE))).toEqual(CLEAN)
  })

  test('A2: when its write of a Secret is committed and the answer is lost', async () => {
    const passes: Filter = (at, position) => isSecret(at) && position === 'committed'
    const trials = await trialsAt({ firstStart, change, workloadAsks, deleted }, passes)
    expect(await judge(sample(trials, SAMPLE))).toEqual(CLEAN)
  })

  test('A3: between its write of a Secret and the first restart', async () => {
    const passes: Filter = (at, position) =>
      (isContent(at) && position === 'after') || (isRestart(at) && position === 'before')
    const trials = await trialsAt({ change, several }, passes)
    expect(await judge(sample(trials, SAMPLE))).toEqual(CLEAN)
  })

  test('A4: between two of several restarts', async () => {
    const passes: Filter = (at, position) => isRestart(at) && position !== 'before'
    const trials = await trialsAt({ change }, passes)
    expect(await judge(sample(trials, SAMPLE))).toEqual(CLEAN)
  })

  test('A5: after the restarts, while it tells of them and closes the debt', async () => {
    const passes: Filter = (at) => !isRestart(at) && !isContent(at)
    const trials = await trialsAt({ change, template, several }, passes)
    expect(await judge(sample(trials, SAMPLE))).toEqual(CLEAN)
  })

  test('A6: while it takes over a Secret', async () => {
    const trials = await trialsAt({ takeOver, adoption }, any)
    expect(await judge(sample(trials, SAMPLE))).toEqual(CLEAN)
  })

  test('A7: between the deletion and the creation of a Secret whose type changes', async () => {
    const trials = await trialsAt({ typeChange }, any)
    const tolerant = trials.map((trial) => ({ ...trial, tolerates: ONE_TOO_MANY }))
    expect(await judge(sample(tolerant, SAMPLE))).toEqual(CLEAN)
  })

  test('A8: and whose successor dies during the recovery', async () => {
    const singles = await trialsAt({ change, typeChange, takeOver, rename }, any)
    const pairs = singles.flatMap((first) =>
      singles
        .filter(({ plot }) => plot === first.plot)
        .map(({ strikes }) => ({
          ...first,
          ...(first.plot === 'typeChange' ? { tolerates: ONE_TOO_MANY } : {}),
          strikes: [...first.strikes, ...strikes],
        })),
    )
    expect(await judge(sample(pairs, PAIRS, true))).toEqual(CLEAN)
  })

  test('A9: because it is told to leaves nothing half done and gives the Lease back', async () => {
    const env = { LEADER_ELECTION: 'true' }
    const kills = await trialsAt({ firstStart, change, typeChange, takeOver, rename }, any)
    const trials = kills.map((trial) => ({
      ...trial,
      env,
      strikes: trial.strikes.map((strike) => ({ ...strike, signal: 'SIGTERM' as const })),
    }))
    expect(await judge(sample(trials, SIGTERMS, true))).toEqual(CLEAN)
  })

  test('at any other of its writes', async () => {
    const others = { firstStart, rename, retain, itemGone, spoilt, deleted }
    const trials = await trialsAt({ ...others, workloadAsks, workloadLeaves, refused }, any)
    expect(await judge(sample(trials, 2 * SAMPLE))).toEqual(CLEAN)
  })
})
