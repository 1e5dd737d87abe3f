/**
 * What the reliability programme counts: each test that is part of a gate says how much it tried.
 * The programme's table is made of these lines, so nobody writes a figure by hand.
 */
import { appendFile } from 'node:fs/promises'
import process from 'node:process'

/** What one test tried, and what came of it. */
export interface Tally {
  /** Number of the gate. */
  readonly gate: number
  /** What was tried, as the table says it: `crash points, SIGKILL`. */
  readonly what: string
  /** How many. */
  readonly trials: number
  /** How many of them broke a promise: 0, or the test fails. */
  readonly violations: number
  /** What another run needs to try the same; undefined where chance has no part. */
  readonly seed?: number
}

/** Adds a line to the file KEYFERRY_GATES; nothing without it. */
export async function tally(line: Tally): Promise<void> {
  const file = process.env['KEYFERRY_GATES']
  if (file) await appendFile(file, `${JSON.stringify(line)}\n`)
}

/**
 * Whether the whole programme runs (KEYFERRY_PROGRAMME=full), instead of what each change is judged
 * by: every point once, and nothing that takes minutes.
 */
export const isFull = process.env['KEYFERRY_PROGRAMME'] === 'full'

/**
 * The seed of this run, below 2³¹: KEYFERRY_SEED, or the same each time, so that a change is judged by
 * what it changes and not by chance.
 */
export const SEED = Number(process.env['KEYFERRY_SEED'] ?? 1)

/** Seeds of what the whole programme tries several times. */
export const SEEDS = isFull ? [SEED, SEED + 1, SEED + 2] : [SEED]
