/**
 * The steps of .ci/run, each with its time and budget. A step that takes longer than its budget
 * fails: tests that nobody waits for are tests that nobody runs.
 */
import { execFile as execFileWithCallback, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { whyNoNode } from '../test/support/machine.ts'
import { watchStalls } from '../test/support/stalls.ts'

const execFile = promisify(execFileWithCallback)

/** Minutes that each part may take, cold, on two cores at the pace of `UNHURRIED_SECONDS`. */
const BUDGETS = {
  builds: 24,
  'lint and unit': 3,
  cluster: 6,
  contract: 5,
  reliability: 6,
  browser: 3,
  'chart, image, node': 9,
  bench: 4,
} as const
type Part = keyof typeof BUDGETS

/**
 * Seconds that two processors take for the work of `measurePace` on the machine that the budgets
 * were set on. Where it takes longer, the budgets are longer by as much: they are to find tests
 * that grew slow, not machines that are.
 */
const UNHURRIED_SECONDS = 2.3
const STARTS = 24

const PART_OF_SUITE: Readonly<Record<string, Part>> = {
  unit: 'lint and unit',
  cluster: 'cluster',
  contract: 'contract',
  reliability: 'reliability',
  browser: 'browser',
  chart: 'chart, image, node',
  image: 'chart, image, node',
  node: 'chart, image, node',
}

interface SuiteResult {
  readonly suite: string
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly seconds: number
  readonly failures: readonly string[]
}

const seconds: Record<Part, number> = {
  builds: 0,
  'lint and unit': 0,
  cluster: 0,
  contract: 0,
  reliability: 0,
  browser: 0,
  'chart, image, node': 0,
  bench: 0,
}
let passed = 0
let failed = 0
let skipped = 0
const failures: string[] = []
/** How many times as long as on the budgets' machine work takes here, at its slowest so far. */
let pace = 1

function execute(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: 'inherit', env: { ...process.env, ...env } })
    child.on('error', () => resolve(1))
    child.on('close', (code) => resolve(code ?? 1))
  })
}

const stalls = watchStalls()
/** Seconds, in which the time does not count that the machine stood still. */
const now = () => Date.now() / 1000 - stalls.seconds()

/** Runs one command as one check. */
async function check(part: Part, title: string, command: readonly string[]): Promise<void> {
  const started = now()
  const [name = '', ...args] = command
  const code = await execute(name, args)
  seconds[part] += now() - started
  console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${title}`)
  if (code === 0) passed += 1
  else {
    failed += 1
    failures.push(title)
  }
}

/** Does what the tests do most, starts of the program, two at a time, and takes the time. */
async function measurePace(): Promise<void> {
  const started = now()
  const half = async () => {
    for (let n = 0; n < STARTS / 2; n += 1) {
      await execFile(process.execPath, ['dist/keyferry.mjs', 'operator', '--help'])
    }
  }
  await Promise.all([half(), half()])
  pace = Math.max(pace, (now() - started) / UNHURRIED_SECONDS)
}

/** Runs README's test command and counts its tests. */
async function test(): Promise<void> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-ci-'))
  const report = path.join(folder, 'suites.jsonl')
  const code = await execute('npm', ['test'], { KEYFERRY_REPORT: report })
  const lines = (await readFile(report, 'utf8').catch(() => '')).split('\n').filter(Boolean)
  await rm(folder, { recursive: true, force: true })
  for (const line of lines) {
    const result = JSON.parse(line) as SuiteResult
    passed += result.passed
    failed += result.failed
    skipped += result.skipped
    failures.push(...result.failures)
    const part = PART_OF_SUITE[result.suite]
    if (part) seconds[part] += result.seconds
  }
  if (code !== 0 && failed === 0) {
    failed += 1
    failures.push('npm test')
  }
}

function table(): void {
  console.log(`\nthe machine stood still for ${stalls.seconds().toFixed(0)} s, which do not count`)
  console.log(`this machine takes ${pace.toFixed(1)} times as long as the one of the budgets`)
  console.log('part               minutes  budget')
  for (const [part, unhurried] of Object.entries(BUDGETS) as [Part, number][]) {
    const minutes = seconds[part] / 60
    const limit = unhurried * pace
    const over = minutes > limit
    if (over) {
      failed += 1
      failures.push(`${part}: over its budget`)
    }
    console.log(
      `${part.padEnd(18)} ${minutes.toFixed(1).padStart(7)} ${limit.toFixed(1).padStart(7)}${over ? '  OVER' : ''}`,
    )
  }
  const total = Object.values(seconds).reduce((sum, one) => sum + one, 0) / 60
  console.log(`${'all'.padEnd(18)} ${total.toFixed(1).padStart(7)}`)
}

// What the bootstrap did before this started: Node and dependencies.
const began = Number(process.env['KEYFERRY_STARTED'] ?? Date.now() / 1000)
seconds.builds += Date.now() / 1000 - began
await check('builds', 'the control plane is built', ['node', 'test/support/control-plane/build.ts'])
if ((await whyNoNode()) === undefined) {
  await check('builds', 'a node is built', ['node', 'test/support/control-plane/build.ts', 'node'])
}
await check('builds', 'the program is bundled', ['node', '.ci/build.mjs'])
await measurePace()
await test()
await measurePace()
await check('bench', 'speed, as ratios', ['node', 'test/bench/bench.ts', 'gate'])
await check('lint and unit', 'lint and layer rules', ['oxlint', '--type-aware', '--deny-warnings'])
await check('lint and unit', 'types', ['tsc', '-p', '.'])
await check('lint and unit', 'types of the status page', ['tsc', '-p', 'src/status/page'])
await check('lint and unit', 'format', ['biome', 'format', '.'])
await check('lint and unit', 'dead code', ['knip'])
table()
for (const line of failures) console.log(`FAILED ${line}`)
if (skipped > 0) console.log(`${skipped} skipped`)
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
