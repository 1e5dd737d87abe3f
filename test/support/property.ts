/**
 * Properties: what holds for whatever input. One that fails prints its seed and its smallest
 * counterexample; `KEYFERRY_SEED=<seed> npm run test:unit -- FILE -t NAME` tries the same again.
 */
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { isFull, SEED, type Tally, tally } from './gates.ts'

const RUNS = 1_000
/** How many times as often the whole programme tries. */
const FULL = 5
/** Milliseconds for which a run may take, with load on the machine. */
const RUN_MS = 30

/** How often to try something, and from which seed. */
export function runs(usual = RUNS): { readonly numRuns: number; readonly seed: number } {
  return { numRuns: usual * (isFull ? FULL : 1), seed: SEED }
}

/** A test that a property holds. @param usual runs, where a thousand would take long */
export function property<T extends unknown[]>(
  name: string,
  holds: fc.IProperty<T> | fc.IAsyncProperty<T>,
  usual?: number,
): void {
  check(name, holds, { ...runs(usual), gate: 10, what: 'runs of properties' })
}

/** Orders of a race that are tried. */
const ORDERS = isFull ? 2_000 : 200

/** A test that a property holds in whatever order the parts of a race come: `fc.scheduler()`. */
export function race<T extends unknown[]>(name: string, holds: fc.IAsyncProperty<T>): void {
  check(name, holds, { numRuns: ORDERS, seed: SEED, gate: 11, what: 'orders of races' })
}

interface Check extends Pick<Tally, 'gate' | 'what'> {
  readonly numRuns: number
  readonly seed: number
}

function check<T extends unknown[]>(
  name: string,
  holds: fc.IProperty<T> | fc.IAsyncProperty<T>,
  { numRuns, seed, gate, what }: Check,
): void {
  // oxlint-disable-next-line vitest/valid-title -- the title is the caller's literal
  test(name, { timeout: 5_000 + numRuns * RUN_MS }, async () => {
    const details = await fc.check(holds, { numRuns, seed })
    const { failed } = details
    await tally({ gate, what, trials: details.numRuns, violations: failed ? 1 : 0, seed })
    const cause = details.errorInstance
    if (failed) throw new Error(fc.defaultReportMessage(details), { cause })
    expect(details.numRuns).toBe(numRuns)
  })
}
