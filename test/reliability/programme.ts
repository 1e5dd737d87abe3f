/**
 * The whole reliability programme: every test that tries to make Keyferry break a promise, with all
 * its seeds and trials, and the page of docs/ that tells what came of it.
 *
 *   npm run test:reliability                    everything; writes docs/reliability.md
 *   npm run test:reliability -- --usual         with what each change is judged by; the page says so
 *   npm run test:reliability -- faults          parts, by their names; the page stays as it is
 *   KEYFERRY_SEED=7 npm run test:reliability    with another seed of chance than 1
 *
 * `npm test -- reliability` runs what each change is judged by: samples, and nothing that takes minutes.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import {
  RELIABILITY_PAGE,
  reliabilityPage,
  type Results,
  type ResultRow,
} from '../../.ci/reliability-docs.ts'
import { SEED, type Tally } from '../support/gates.ts'

/** What is run, in the order of its cost. Names of files as vitest matches them. */
const PARTS: Readonly<Record<string, readonly string[]>> = {
  simulation: ['--project', 'unit', 'test/unit/simulation'],
  mapping: ['--project', 'unit', 'property', 'race'],
  store: ['--project', 'contract', 'crash', 'power-loss', 'tamper', 'linearizable'],
  api: ['--project', 'contract', 'auth', 'schemathesis'],
  faults: ['--project', 'reliability'],
}

interface PartResult {
  readonly name: string
  readonly code: number
  readonly seconds: number
}

async function run(name: string, gates: string): Promise<PartResult> {
  console.log(`\n${name}, seed ${SEED}`)
  const started = Date.now()
  const code = await new Promise<number>((resolve) => {
    const env = {
      ...process.env,
      KEYFERRY_PROGRAMME: isUsual ? 'usual' : 'full',
      KEYFERRY_SEED: String(SEED),
      KEYFERRY_GATES: gates,
    }
    const child = spawn('vitest', ['run', ...(PARTS[name] ?? [])], { stdio: 'inherit', env })
    child.on('error', () => resolve(1))
    child.on('close', (status) => resolve(status ?? 1))
  })
  return { name, code, seconds: Math.round((Date.now() - started) / 1000) }
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
  return [...rows.values()].toSorted((a, b) => a.gate - b.gate)
}

function wantedParts(): string[] {
  const named = process.argv.slice(2).filter((word) => word !== '--usual')
  const unknown = named.filter((name) => !(name in PARTS))
  if (unknown.length === 0) return named.length > 0 ? named : Object.keys(PARTS)
  console.error(`No part is called ${unknown.join(', ')}. Parts: ${Object.keys(PARTS).join(', ')}`)
  process.exit(2)
}

const isUsual = process.argv.includes('--usual')
const wanted = wantedParts()
const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-programme-'))
const gates = path.join(folder, 'gates.jsonl')
const parts: PartResult[] = []
for (const name of wanted) parts.push(await run(name, gates))
const lines = (await readFile(gates, 'utf8').catch(() => '')).split('\n').filter(Boolean)
await rm(folder, { recursive: true })
const rows = rowsOf(lines.map((line) => JSON.parse(line) as Tally))
console.log()
for (const { gate, what, trials, violations } of rows) {
  console.log(`${String(gate).padStart(2)}  ${String(trials).padStart(8)}  ${violations}  ${what}`)
}
for (const { name, code, seconds } of parts) {
  console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${name} ${seconds} s`)
}
const isWhole = parts.length === Object.keys(PARTS).length
const failed = parts.filter(({ code }) => code !== 0)
if (isWhole && failed.length === 0) {
  const results: Results = {
    tier: isUsual ? 'usual' : 'full',
    date: new Date().toISOString().slice(0, 10),
    seed: SEED,
    machine: `${os.availableParallelism()} processors, Node ${process.versions.node}`,
    seconds: Object.fromEntries(parts.map(({ name, seconds }) => [name, seconds])),
    rows,
  }
  await writeFile(RELIABILITY_PAGE, reliabilityPage(results))
  console.log(`${RELIABILITY_PAGE} tells of this run`)
}
process.exitCode = failed.length > 0 ? 1 : 0
