/**
 * Properties: what holds for whatever input. One that fails prints its seed and its smallest
 * counterexample.
 */
import * as fc from 'fast-check'
import { test } from 'vitest'

const RUNS = 1_000
/** Milliseconds for which a run may take, with load on the machine. */
const RUN_MS = 30

/** Parameters of a property: `KEYFERRY_PROPERTY_RUNS` raises the number of its runs. */
export function runs(atLeast = RUNS): { readonly numRuns: number } {
  const wished = Number(process.env['KEYFERRY_PROPERTY_RUNS'] ?? 0)
  return { numRuns: Math.max(atLeast, Number.isNaN(wished) ? 0 : wished) }
}

/** A test that a property holds. */
export function property<T extends unknown[]>(
  name: string,
  holds: fc.IProperty<T> | fc.IAsyncProperty<T>,
  atLeast?: number,
): void {
  const options = runs(atLeast)
  // oxlint-disable-next-line vitest/valid-title -- the title is the caller's literal
  test(name, { timeout: 5_000 + options.numRuns * RUN_MS }, () => fc.assert(holds, options))
}
