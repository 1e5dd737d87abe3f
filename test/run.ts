/**
 * Runs the test suites named on the command line, or all, and tells how each went and how long it
 * took. A suite that cannot run here fails, unless KEYFERRY_SKIP names it: then it counts as
 * skipped. So do those of the image and the node, which start daemons as root, where the machine
 * cannot run containers, and that of the browser where there is none, if nobody asked for them by
 * name. What fails while the machine stands still is run again.
 *
 *   npm test                    all suites
 *   npm run test:cluster        one
 *   npm test -- unit -t 'keys'  what follows the names goes to vitest
 */
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, appendFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { whyNoBrowser, whyNoImage, whyNoNode } from './support/machine.ts'
import { isSkipped } from './support/skip.ts'
import { watchStalls } from './support/stalls.ts'

/** Suites in the order of their cost. */
const SUITES: Readonly<Record<string, readonly string[]>> = {
  unit: ['--coverage'],
  contract: [],
  cluster: [],
  reliability: [],
  browser: [],
  chart: [],
  image: [],
  node: [],
}
/** Why a suite cannot run on this machine. */
const OBSTACLES: Readonly<Record<string, () => Promise<string | undefined>>> = {
  browser: whyNoBrowser,
  image: whyNoImage,
  node: whyNoNode,
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

interface Wanted {
  readonly names: readonly string[]
  /** Whether somebody asked for these, and not for all. */
  readonly areNamed: boolean
  /** For vitest. */
  readonly rest: readonly string[]
}

function split(argv: readonly string[]): Wanted {
  const first = argv.findIndex((word) => !(word in SUITES))
  const names = first === -1 ? [...argv] : argv.slice(0, first)
  return {
    names: names.length > 0 ? names : Object.keys(SUITES),
    areNamed: names.length > 0,
    rest: first === -1 ? [] : argv.slice(first),
  }
}

/** How often what failed is run again, each time only because the machine stood still meanwhile. */
const RERUNS = 5
/** Seconds of standing still that tests do not all bear. */
const UNBEARABLE_SECONDS = 5

async function runSuite(suite: string, isNamed: boolean, rest: readonly string[]): Promise<Result> {
  const nothing = { suite, passed: 0, failed: 0, skipped: 0, seconds: 0, failures: [] }
  if (isSkipped(suite)) return { ...nothing, skipped: 1 }
  const obstacle = isNamed ? undefined : await OBSTACLES[suite]?.()
  if (obstacle !== undefined) {
    console.log(`SKIPPED the tests of the ${suite}, which cannot run here: ${obstacle}`)
    return { ...nothing, skipped: 1 }
  }
  const started = Date.now()
  const stood = stalls.seconds()
  const coverage = rest.length === 0 ? (SUITES[suite] ?? []) : []
  let run = await runVitest(suite, [...coverage, ...rest])
  for (let n = 0; run.code !== 0 && run.stood > UNBEARABLE_SECONDS && n < RERUNS; n += 1) {
    console.log(`the machine stood still for ${run.stood.toFixed(0)} s: what failed is run again`)
    // Coverage is that of a whole run.
    const which = coverage.length > 0 ? coverage : [...rest, ...onlyFailed(run.outcomes)]
    run = merged(run, await runVitest(suite, which))
  }
  const outcomes = [...run.outcomes.values()]
  const count = (status: string) => outcomes.filter((one) => one.status === status).length
  return {
    suite,
    passed: count('passed'),
    // A run that failed without a failed test (a set-up, a coverage threshold) is a failure too.
    failed: Math.max(run.code === 0 ? 0 : 1, count('failed')),
    skipped: count('pending') + count('skipped') + count('todo'),
    seconds: (Date.now() - started) / 1000 - (stalls.seconds() - stood),
    failures: outcomes.filter(({ status }) => status === 'failed').map(lineOf),
  }
}

/** What became of a test, or of a file that could not be run. */
interface Outcome {
  /** Relative to the project. */
  readonly file: string
  /** Undefined for a file. */
  readonly test: string | undefined
  readonly status: string
  readonly message: string
}

interface Run {
  readonly code: number
  readonly outcomes: ReadonlyMap<string, Outcome>
  /** Seconds that the machine stood still meanwhile. */
  readonly stood: number
}

async function runVitest(suite: string, options: readonly string[]): Promise<Run> {
  const before = stalls.seconds()
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-report-'))
  const report = path.join(folder, 'report.json')
  const projects = ['--project', suite, '--project', `${suite}-*`]
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const code = await vitest(['run', ...projects, ...reporters, ...options])
  const outcomes = await outcomesOf(report)
  await rm(folder, { recursive: true, force: true })
  return { code, outcomes, stood: stalls.seconds() - before }
}

function vitest(args: readonly string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn('vitest', args, { stdio: 'inherit' })
    child.on('error', () => resolve(1))
    child.on('close', (code) => resolve(code ?? 1))
  })
}

/** Options of vitest for the tests that failed alone; none, which means all, if no test did. */
function onlyFailed(outcomes: Run['outcomes']): string[] {
  const failed = [...outcomes.values()].filter(({ status }) => status === 'failed')
  const files = [...new Set(failed.map(({ file }) => file))]
  const names = failed.flatMap(({ test }) =>
    test === undefined ? [] : [test.replaceAll(/[^\w ]/g, String.raw`\$&`)],
  )
  // A file that could not be run is run whole.
  const pattern = names.length === failed.length && names.length > 0
  return [...files, ...(pattern ? ['-t', `^(?:${names.join('|')})$`] : [])]
}

/** The outcomes of a run after those of the one before; tests that it left out stay as they were. */
function merged(before: Run, after: Run): Run {
  const again = [...after.outcomes].filter(([, { status }]) => /^(?:passed|failed)$/.test(status))
  const files = new Set(again.map(([, { file }]) => file))
  const rest = [...before.outcomes].filter(
    ([, { file, test }]) => test !== undefined || !files.has(file),
  )
  return { ...after, outcomes: new Map([...rest, ...again]) }
}

/** The parts of vitest's report that count here. */
interface Report {
  readonly testResults?: readonly {
    readonly name: string
    readonly status: string
    readonly message?: string
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[]
      readonly title: string
      readonly status: string
      readonly failureMessages?: readonly string[]
    }[]
  }[]
}

async function outcomesOf(report: string): Promise<Map<string, Outcome>> {
  const text = await readFile(report, 'utf8').catch(() => '{}')
  const { testResults = [] } = JSON.parse(text) as Report
  const outcomes = testResults.flatMap(({ name, status, message = '', assertionResults }) => {
    const file = path.relative(process.cwd(), name)
    const tests: Outcome[] = assertionResults.map((one) => ({
      file,
      // As `-t` matches it.
      test: [...one.ancestorTitles, one.title].filter(Boolean).join(' > '),
      status: one.status,
      message: one.failureMessages?.[0] ?? '',
    }))
    const blamed = tests.some((one) => one.status === 'failed')
    return status === 'failed' && !blamed
      ? [...tests, { file, test: undefined, status, message }]
      : tests
  })
  const seen = new Map<string, number>()
  return new Map(
    outcomes.map((one) => {
      const name = `${one.file} ${one.test}`
      const nth = (seen.get(name) ?? 0) + 1
      seen.set(name, nth)
      // Tests of one file may share a name.
      return [`${name} ${nth}`, one]
    }),
  )
}

const lineOf = ({ file, test = 'the file', message }: Outcome) =>
  `${file}: ${test}: ${message.split('\n')[0]}`

const stalls = watchStalls()
const { names, areNamed, rest } = split(process.argv.slice(2))
const results: Result[] = []
for (const name of names) results.push(await runSuite(name, areNamed, rest))
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
