/**
 * Runs the test suites named on the command line, or all, and tells how each went and how long it
 * took. A suite that cannot run here fails, unless KEYFERRY_SKIP names it: then it counts as
 * skipped.
 *
 *   npm test                    all suites
 *   npm run test:cluster        one
 *   npm test -- unit -t 'keys'  what follows the names goes to vitest
 */
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, appendFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'

/** Suites in the order of their cost. */
const SUITES: Readonly<Record<string, readonly string[]>> = {
  unit: ['--coverage'],
  contract: [],
  cluster: [],
  reliability: [],
  chart: [],
}

interface Result {
  readonly suite: string
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly seconds: number
  /** A line for each test that failed: its file and name, and the first line of its message. */
  readonly failures: readonly string[]
}

function split(argv: readonly string[]): { names: string[]; rest: string[] } {
  const first = argv.findIndex((word) => !(word in SUITES))
  const names = first === -1 ? [...argv] : argv.slice(0, first)
  return {
    names: names.length > 0 ? names : Object.keys(SUITES),
    rest: first === -1 ? [] : argv.slice(first),
  }
}

async function runSuite(suite: string, rest: readonly string[]): Promise<Result> {
  const started = Date.now()
  if ((process.env['KEYFERRY_SKIP'] ?? '').split(',').includes(suite)) {
    return { suite, passed: 0, failed: 0, skipped: 1, seconds: 0, failures: [] }
  }
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-report-'))
  const report = path.join(folder, 'report.json')
  const args = [
    'run',
    '--project',
    suite,
    '--project',
    `${suite}-*`,
    '--reporter=default',
    '--reporter=json',
  ]
  const coverage = rest.length === 0 ? (SUITES[suite] ?? []) : []
  const code = await vitest([...args, `--outputFile.json=${report}`, ...coverage, ...rest])
  const outcome = await outcomeOf(report)
  await rm(folder, { recursive: true, force: true })
  // A run that failed without a failed test (a set-up, a coverage threshold) is a failure too.
  const failed = code === 0 ? outcome.failed : Math.max(1, outcome.failed)
  return { suite, ...outcome, failed, seconds: (Date.now() - started) / 1000 }
}

function vitest(args: readonly string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn('vitest', args, { stdio: 'inherit' })
    child.on('error', () => resolve(1))
    child.on('close', (code) => resolve(code ?? 1))
  })
}

/** The parts of vitest's report that count here. */
interface Report {
  readonly numPassedTests?: number
  readonly numFailedTests?: number
  readonly numPendingTests?: number
  readonly numTodoTests?: number
  readonly testResults?: readonly {
    readonly name: string
    readonly message?: string
    readonly assertionResults: readonly {
      readonly fullName: string
      readonly status: string
      readonly failureMessages?: readonly string[]
    }[]
  }[]
}

async function outcomeOf(report: string): Promise<Omit<Result, 'suite' | 'seconds'>> {
  const text = await readFile(report, 'utf8').catch(() => '{}')
  const {
    numPassedTests = 0,
    numFailedTests = 0,
    numPendingTests = 0,
    numTodoTests = 0,
    testResults = [],
  } = JSON.parse(text) as Report
  const failures = testResults.flatMap(({ name, message = '', assertionResults }) => {
    const file = path.relative(process.cwd(), name)
    const tests = assertionResults.filter(({ status }) => status === 'failed')
    const lines = tests.map((one) => `${one.fullName}: ${firstLine(one.failureMessages?.[0])}`)
    // A file that could not even be loaded has no tests.
    if (lines.length === 0 && message !== '') lines.push(firstLine(message))
    return lines.map((line) => `${file}: ${line}`)
  })
  return {
    passed: numPassedTests,
    failed: numFailedTests,
    skipped: numPendingTests + numTodoTests,
    failures,
  }
}

const firstLine = (text = '') => text.split('\n')[0] ?? ''

const { names, rest } = split(process.argv.slice(2))
const results: Result[] = []
for (const name of names) results.push(await runSuite(name, rest))
console.log()
for (const { failures } of results) for (const line of failures) console.log(`FAILED ${line}`)
for (const { suite, passed, failed, skipped, seconds } of results) {
  const counts = `${passed} passed, ${failed} failed, ${skipped} skipped`
  console.log(`${suite.padEnd(10)} ${counts.padEnd(40)} ${seconds.toFixed(0).padStart(5)} s`)
}
// For .ci/run, which adds these to its table.
const reportFile = process.env['KEYFERRY_REPORT']
if (reportFile) {
  await appendFile(reportFile, results.map((result) => `${JSON.stringify(result)}\n`).join(''))
}
process.exitCode = results.some(({ failed }) => failed > 0) ? 1 : 0
