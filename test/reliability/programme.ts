/**
 * The whole reliability programme: every test that tries to make Keyferry break a promise, with all
 * its seeds and trials, and the page of docs/ that tells what came of it.
 *
 *   npm run test:reliability                    everything; writes docs/reliability.md
 *   npm run test:reliability -- connect         parts, by their names; the page tells of them anew
 *   KEYFERRY_SEED=7 npm run test:reliability    with another seed of chance than 1
 *
 * `npm test -- reliability` runs what each change is judged by: every point of the crash
 * matrix once, and nothing that takes minutes.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import {
  type PartResults,
  RELIABILITY_PAGE,
  RELIABILITY_RESULTS,
  reliabilityPage,
  type ResultRow,
  type Results,
} from '../../.ci/reliability-docs.ts'
import { SEED, type Tally } from '../support/gates.ts'

/** What is run, in the order of its cost. Names of files as vitest matches them. */
const PARTS: Readonly<Record<string, readonly string[]>> = {
  simulation: ['--project', 'unit', 'test/unit/simulation'],
  mapping: ['--project', 'unit', 'property', 'race'],
  store: ['--project', 'contract', 'crash', 'power-loss', 'tamper', 'linearizable'],
  api: ['--project', 'contract', 'auth', 'schemathesis'],
  bugs: ['--project', 'reliability', 'mutants', 'incumbent'],
  crashes: ['--project', 'reliability-crashes', 'crash.test'],
  takeover: ['--project', 'reliability', 'leadership', 'pause', 'shards', 'views'],
  connect: ['--project', 'reliability', 'connect-'],
  kubernetes: ['--project', 'reliability', 'api-', 'model', 'time-travel', 'unobserved'],
  input: ['--project', 'reliability', 'attacks', 'bad-resources'],
  histories: ['--project', 'reliability', 'sequences', 'soak'],
}

interface PartRun {
  readonly name: string
  readonly isPassed: boolean
  readonly results: PartResults
}

async function run(name: string): Promise<PartRun> {
  console.log(`\n${name}, seed ${SEED}`)
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-programme-'))
  const gates = path.join(folder, 'gates.jsonl')
  const started = Date.now()
  const code = await new Promise<number>((resolve) => {
    const env = {
      ...process.env,
      KEYFERRY_PROGRAMME: 'full',
      KEYFERRY_SEED: String(SEED),
      KEYFERRY_GATES: gates,
    }
    const child = spawn('vitest', ['run', ...(PARTS[name] ?? [])], { stdio: 'inherit', env })
    child.on('error', () => resolve(1))
    child.on('close', (status) => resolve(status ?? 1))
  })
  const lines = (await readFile(gates, 'utf8').catch(() => '')).split('\n').filter(Boolean)
  await rm(folder, { recursive: true })
  const results: PartResults = {
    date: new Date().toISOString().slice(0, 10),
    seed: SEED,
    machine: `${os.availableParallelism()} processors, Node ${process.versions.node}`,
    seconds: Math.round((Date.now() - started) / 1000),
    rows: rowsOf(lines.map((line) => JSON.parse(line) as Tally)),
  }
  return { name, isPassed: code === 0, results }
}

/** Lines of one kind are one row: tests of a gate say the same where they try the same. */
function rowsOf(tallies: readonly Tally[]): ResultRow[] {
  const rows = new Map<string, ResultRow>()
  for (const { gate, what, trials, violations } of tallies) {
    const key = `${gate} ${what}`
    const row = rows.get(key) ?? { gate, what, trials: 0, violations: 0 }
    rows.set(key, {
      ...row,
      trials: row.trials + trials,
      violations: row.violations + violations,
    })
  }
  return [...rows.values()].toSorted((a, b) => a.gate - b.gate || (a.what < b.what ? -1 : 1))
}

function wantedParts(): string[] {
  const named = process.argv.slice(2)
  const unknown = named.filter((name) => !(name in PARTS))
  if (unknown.length === 0) return named.length > 0 ? named : Object.keys(PARTS)
  console.error(`No part is called ${unknown.join(', ')}. Parts: ${Object.keys(PARTS).join(', ')}`)
  process.exit(2)
}

/** A part that failed leaves what its last good run told. */
async function writePage(runs: readonly PartRun[]): Promise<void> {
  const before = await readFile(RELIABILITY_RESULTS, 'utf8').catch(() => '{}')
  const good = runs.filter(({ isPassed }) => isPassed)
  const all: Results = {
    ...(JSON.parse(before) as Results),
    ...Object.fromEntries(good.map(({ name, results }) => [name, results])),
  }
  const kept = Object.fromEntries(Object.keys(PARTS).flatMap((n) => (all[n] ? [[n, all[n]]] : [])))
  await writeFile(RELIABILITY_RESULTS, `${JSON.stringify(kept, undefined, 2)}\n`)
  await writeFile(RELIABILITY_PAGE, reliabilityPage(kept))
  console.log(`${RELIABILITY_PAGE} tells of the parts that passed`)
}

/** Every test of this folder is in a part, and in one only. */
async function assertWhole(): Promise<void> {
  const filters = Object.values(PARTS).flatMap(([, project, ...names]) =>
    project?.startsWith('reliability') ? names : [],
  )
  for (const file of await readdir(import.meta.dirname)) {
    if (!file.endsWith('.test.ts')) continue
    const count = filters.filter((name) => `/${file}`.includes(name)).length
    if (count !== 1) throw new Error(`${file} is in ${count} parts of the programme`)
  }
}

await assertWhole()
const runs: PartRun[] = []
for (const name of wantedParts()) {
  runs.push(await run(name))
  await writePage(runs)
}
for (const { name, isPassed, results } of runs) {
  console.log(`\n${isPassed ? 'ok    ' : 'FAILED'} ${name} ${results.seconds} s`)
  for (const { gate, what, trials, violations } of results.rows) {
    console.log(
      `${String(gate).padStart(2)}  ${String(trials).padStart(8)}  ${violations}  ${what}`,
    )
  }
}
process.exitCode = runs.every(({ isPassed }) => isPassed) ? 0 : 1
