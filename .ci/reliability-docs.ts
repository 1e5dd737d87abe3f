/**
 * docs/reliability.md: the promises, and what the last run of the whole programme tried to break
 * them. `npm run test:reliability` writes it.
 */

import { PROMISES } from '../test/mutants/mutant.ts'

/** Where the programme tells what it found. */
export const RELIABILITY_PAGE = 'docs/reliability.md'
/** Where it keeps what it counted. */
export const RELIABILITY_RESULTS = 'docs/reliability.json'

/** Trials of one kind, and how many of them broke a promise. */
export interface ResultRow {
  /** A key of {@link GATES}. */
  readonly gate: number
  readonly what: string
  readonly trials: number
  readonly violations: number
}

/** The last good run of a part of the programme. */
export interface PartResults {
  /** Day: `2026-01-31`. */
  readonly date: string
  readonly seed: number
  readonly machine: string
  /** How long it took. */
  readonly seconds: number
  readonly rows: readonly ResultRow[]
}

/** Of each part that ever passed. */
export type Results = Readonly<Record<string, PartResults>>

/** What a group of tests is about, and where it is. */
const GATES: Readonly<Record<number, readonly [string, string]>> = {
  0: ['Simulation', 'test/simulation'],
  1: ['Crash at every write', 'test/reliability/crash.test.ts'],
  2: ['Crash at every read of an item', 'test/reliability/crash.test.ts'],
  3: ['Crash during the recovery', 'test/reliability/crash.test.ts'],
  4: ['An API server that is in the past', 'test/reliability'],
  5: ['News that never come', 'test/reliability'],
  6: ['Faults of the API server', 'test/reliability'],
  7: ['Faults of Connect', 'test/reliability'],
  8: ['Bad resources', 'test/reliability'],
  9: ['Histories with a fault in each', 'test/reliability/sequences.test.ts'],
  10: ['Mapping', 'test/unit/operator/plan'],
  11: ['Races inside the process', 'test/unit'],
  12: ['The Connect server’s API under generated input', 'test/contract/schemathesis.test.ts'],
  13: ['Rights of tokens', 'test/contract/auth.test.ts'],
  14: ['The store: kills and lost power', 'test/contract/crash.test.ts'],
  15: ['The store: changed bytes', 'test/contract/tamper.test.ts'],
  16: ['The store: many writers', 'test/contract/linearizable.test.ts'],
  17: ['Secrecy', 'test/support/leaks.ts'],
  18: ['Rights and tenants', 'test/reliability'],
  19: ['Planted bugs, and the former operator', 'test/mutants'],
  20: ['A long load', 'test/reliability/soak.test.ts'],
}

const number = (value: number) => value.toLocaleString('en-US')

/** The page about the last runs. */
export function reliabilityPage(results: Results): string {
  const parts = Object.entries(results)
  const rows = parts
    .flatMap(([, part]) => part.rows)
    .toSorted((a, b) => a.gate - b.gate)
    .map(({ gate, what, trials, violations }) => {
      const [title, where] = GATES[gate] ?? [`gate ${gate}`, 'test']
      return `| ${title} | ${what} | ${number(trials)} | ${violations} | \`${where}\` |`
    })
  const minutes = (seconds: number) => (seconds / 60).toFixed(1)
  const sum = parts.reduce((all, [, { seconds }]) => all + seconds, 0)
  return [
    '# Reliability',
    '',
    'What Keyferry promises whatever fails, and how that is tried. Tests name the promises by these letters.',
    '',
    '| | promise |',
    '| --- | --- |',
    ...Object.entries(PROMISES).map(([id, text]) => `| ${id} | ${text} |`),
    '',
    '## The last runs',
    '',
    'Of each part of `npm run test:reliability` the last run that passed. What is not listed has not passed as a whole yet.',
    '',
    '| part | minutes | seed | day | machine |',
    '| --- | --- | --- | --- | --- |',
    ...parts.map(
      ([name, { seconds, seed, date, machine }]) =>
        `| ${name} | ${minutes(seconds)} | ${seed} | ${date} | ${machine} |`,
    ),
    `| all | ${minutes(sum)} | | | |`,
    '',
    '| | tried | times | promises broken | tests |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
    ...EXPLANATION,
  ].join('\n')
}

const EXPLANATION = [
  '## How it is tried',
  '',
  '**On real servers.** The operator that is shipped runs as a process of its own against a real kube-apiserver, controllers included. What fails lies outside of it: a proxy holds, drops, cuts and answers requests; a Connect server lies on demand; processes are killed and frozen. The product has no switch for tests. What an operator does is found from a run that nothing disturbs, and then every request by which it changes something is struck before it is sent, committed with its answer lost, and after its answer.',
  '',
  '**In a simulation.** The same code (watches, queues, poll, plan, writes, Lease) runs in virtual time, on an API server and a Connect server in memory, with one process or two. A seed decides what people do, what fails and what comes first: kills at writes, processes that stand still, lost answers, watches that lag, die or go silent, outages. Every version of every object is judged as it is stored, and in the end everything must match and be still. That the API server in memory answers like the real one is tested by sending random histories of requests to both.',
  '',
  '**By what is compared.** The judges are: every stored version of every object, the end state beside that of an undisturbed run, the number of writes, the audit log of the API server, and a search for planted values in everything that was told. A look at logs alone comes last.',
  '',
  '**With bugs on purpose.** Bugs are planted in Keyferry’s own code, each with the tests that must notice it, and others are drawn by chance. 1Password’s own operator, where its binary is given (`KEYFERRY_INCUMBENT`), goes through the same judges, which report its known defects.',
  '',
  '## Again',
  '',
  '- `npm run simulate -- --replay <seed>` tells everything that happens in one history; `npm run simulate -- --histories 100000` runs many.',
  '- A test that fails prints its seed and the command that runs the same again; `KEYFERRY_SEED=<seed>` gives any test the same chance.',
  '- `npm test -- reliability` is what each change is judged by: every point of the crash matrix once, and every kind of fault but those that take minutes; `npm run test:reliability` is everything, and writes this page; `npm run test:reliability -- connect` is one part of it.',
  '',
]
