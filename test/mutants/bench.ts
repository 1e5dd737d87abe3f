/**
 * Where mutants are tried: copies of the project in which one file at a time is changed, and the
 * tests that are to notice it are run.
 */
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { runToEnd } from '../support/run.ts'
import { type Killer, type Mutant, mutate } from './mutant.ts'

const ROOT = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))))
/** Large, or made by others; the tests find packages by a link. */
const LEFT_OUT = new Set(['node_modules', '.git', 'dist', 'coverage'])
/** Milliseconds after which a test that hangs counts as failed, and all of them. */
const TEST_MS = 30_000
const RUN_MS = 120_000
/** The same on a real cluster, where a test may wait for a Lease that never comes. */
const CLUSTER_TEST_MS = 60_000

/** What tests said. */
export interface Heard {
  /** Names of the tests that failed, with the first line of why. */
  readonly failed: readonly string[]
  readonly passed: readonly string[]
  /** Whether they had to be stopped. */
  readonly hung: boolean
  /** The end of what was printed, for runs in which no test says anything. */
  readonly output: string
}

/** A copy of the project. */
export interface Bench extends AsyncDisposable {
  readonly folder: string
  /** Changes a file, given relative to the project, while `work` lasts. */
  changed<T>(file: string, change: (source: string) => string, work: () => Promise<T>): Promise<T>
  /** Runs tests to the first that fails, or all of them. */
  run(project: string, options: readonly string[], toTheEnd?: 'all'): Promise<Heard>
  /** Whether the compiler takes the sources. */
  compiles(): Promise<boolean>
}

/** Makes a copy of the project. */
export async function openBench(): Promise<Bench> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-mutants-'))
  const filter = (from: string) => !LEFT_OUT.has(path.relative(ROOT, from))
  await cp(ROOT, folder, { recursive: true, filter })
  await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'))
  return {
    folder,
    async changed(file, change, work) {
      const place = path.join(folder, file)
      const before = await readFile(place, 'utf8')
      await writeFile(place, change(before))
      try {
        return await work()
      } finally {
        await writeFile(place, before)
      }
    },
    run: (project, options, toTheEnd) => runVitest(folder, project, options, toTheEnd),
    async compiles() {
      const tsc = path.join('node_modules', '.bin', 'tsc')
      const { code } = await runToEnd(tsc, ['-p', '.'], { cwd: folder, env: plain(process.env) })
      return code === 0
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

async function runVitest(
  folder: string,
  project: string,
  options: readonly string[],
  toTheEnd?: 'all',
): Promise<Heard> {
  const report = path.join(folder, 'report.json')
  await rm(report, { force: true })
  const onCluster = project !== 'unit' && project !== 'contract'
  const args = [
    'node_modules/vitest/vitest.mjs',
    ...options,
    '--run',
    '--project',
    project,
    '--reporter=json',
    `--outputFile=${report}`,
    `--testTimeout=${onCluster ? CLUSTER_TEST_MS : TEST_MS}`,
    '--maxWorkers=1',
    ...(toTheEnd ? [] : ['--bail=1']),
  ]
  const env = plain(process.env)
  const signal = AbortSignal.timeout(onCluster ? 2 * RUN_MS : RUN_MS)
  const ran = await runToEnd(process.execPath, args, { cwd: folder, env, signal }).catch(
    (error: unknown) => {
      if (signal.aborted) return undefined
      throw error
    },
  )
  const output = ran ? `${ran.out}${ran.err}`.trim().split('\n').slice(-20).join('\n') : ''
  return { ...(await readReport(report)), hung: ran === undefined, output }
}

/**
 * Of the run of vitest that this one is part of, nothing shall show in those that it starts; they
 * are usual runs, and chance is the same in each.
 */
function plain(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const own = /^(?:VITEST|VITE_|TEST$|NODE_OPTIONS$|KEYFERRY_)/
  const others = Object.entries(env).filter(([name]) => !own.test(name))
  return { ...Object.fromEntries(others), KEYFERRY_SEED: '1' }
}

interface Report {
  readonly testResults?: readonly {
    readonly assertionResults: readonly {
      readonly fullName: string
      readonly status: string
      readonly failureMessages?: readonly string[]
    }[]
  }[]
}

async function readReport(file: string): Promise<Pick<Heard, 'failed' | 'passed'>> {
  const text = await readFile(file, 'utf8').catch(() => '{}')
  const { testResults = [] } = JSON.parse(text) as Report
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults)
  return {
    failed: tests
      .filter(({ status }) => status === 'failed')
      .map(({ fullName, failureMessages: [why = ''] = [] }) => {
        return `${fullName}: ${why.split('\n', 1)[0]}`
      }),
    passed: tests.filter(({ status }) => status === 'passed').map(({ fullName }) => fullName),
  }
}

/** What became of a mutant. */
export interface Fate {
  readonly mutant: Mutant
  readonly isKilled: boolean
  /** The test that noticed it, or what was run in vain. */
  readonly by: string
  readonly seconds: number
}

/** Tries one mutant: its killers one after the other, until one of them notices it. */
export async function tryMutant(bench: Bench, mutant: Mutant): Promise<Fate> {
  const started = Date.now()
  const change = (source: string) => mutate(source, mutant)
  const by = await bench.changed(mutant.file, change, async () => {
    for (const killer of mutant.killers) {
      const { failed, passed, hung, output } = await bench.run(killer.project, optionsOf(killer))
      if (failed.length > 0) return failed[0]
      if (hung) return `${killer.file}: it never ended`
      // A mutant that no file can be loaded with proves nothing.
      if (passed.length === 0) throw new Error(`mutant ${mutant.id}: no test ran\n${output}`)
    }
    return undefined
  })
  const seconds = (Date.now() - started) / 1000
  const inVain = mutant.killers.map(({ file }) => file).join(', ')
  return { mutant, isKilled: by !== undefined, by: by ?? `in vain: ${inVain}`, seconds }
}

/** Options of vitest that run what killers of one project name. */
export function optionsOf(...killers: readonly Killer[]): string[] {
  const files = new Set(killers.map(({ file }) => file))
  const names = killers.flatMap(({ name }) => name ?? [])
  // One without a name runs all of its file.
  if (names.length < killers.length) return [...files]
  const pattern = names.map((name) => name.replaceAll(/[^\w ]/g, String.raw`\$&`)).join('|')
  return [...files, '-t', `(?:${pattern})`]
}

/** Does something with each of many things, on benches that are used one after the other. */
export async function onBenches<T, R>(
  things: readonly T[],
  count: number,
  work: (bench: Bench, thing: T) => Promise<R>,
): Promise<R[]> {
  const queue = things.entries()
  const results: R[] = []
  await Promise.all(
    Array.from({ length: Math.min(count, things.length) }, async () => {
      await using bench = await openBench()
      for (const [n, thing] of queue) results[n] = await work(bench, thing)
    }),
  )
  return results
}
