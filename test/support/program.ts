import { type ChildProcess, spawn } from 'node:child_process'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { ended, type Ran, run, runToEnd } from './run.ts'

const ROOT = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))))
/** The program as it is released. */
export const PROGRAM: string = path.join(ROOT, 'dist', 'keyferry.mjs')

/** Builds the program as it is released: once for a run of tests, before any of them. */
export async function buildProgram(): Promise<void> {
  await run(process.execPath, ['.ci/build.mjs'], { cwd: ROOT })
}

/**
 * The environment of a person who has set nothing: no OP_ variable leaks into a test. Compiled
 * code is kept between the hundreds of starts of a run.
 */
export function plainEnv(more: Record<string, string> = {}): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('OP_'))
  const cache = path.join(os.tmpdir(), 'keyferry-compile-cache')
  return { NODE_COMPILE_CACHE: cache, ...Object.fromEntries(entries), ...more }
}

/** Runs `keyferry …` to its end. */
export async function keyferry(
  args: readonly string[],
  options: { env?: Record<string, string>; input?: string } = {},
): Promise<Ran> {
  const { env, ...rest } = options
  const all = [PROGRAM, ...args]
  return runToEnd(process.execPath, all, { env: plainEnv(env), ...rest })
}

/** A `keyferry connect` that serves, in a process of its own. */
export interface ServerProcess {
  readonly url: string
  readonly child: ChildProcess
  /** Everything it printed so far, on both streams. */
  output(): string
  /** Sends a signal and waits for the end. @returns the exit code */
  stop(signal?: NodeJS.Signals): Promise<number>
}

/**
 * Starts the server and waits until it says where it listens.
 * @param env KEYFERRY_SHELL is a shell command line that runs the program as "$0" "$@"
 */
export async function startProgram(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<ServerProcess> {
  const { KEYFERRY_SHELL: shell, ...rest } = env
  const all = [process.execPath, PROGRAM, 'connect', '--port', '0', ...args]
  const [command = '', ...words] = shell === undefined ? all : ['bash', '-c', shell, ...all]
  const child = spawn(command, words, { env: plainEnv(rest), stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const end = ended(child)
  const url = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString('utf8')
        const found = /listening on (https?:\/\/\S+)/.exec(output)?.[1]
        if (found) resolve(found)
      })
    }
    child.once('exit', () => reject(new Error(`the server ended early:\n${output}`)))
  })
  return {
    url,
    child,
    output: () => output,
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      return end
    },
  }
}
