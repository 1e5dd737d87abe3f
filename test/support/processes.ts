/**
 * Child processes for tests and the demo: started, waited for, and gone when their owner is.
 */
import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { readFile, access, constants } from 'node:fs/promises'
import { createServer } from 'node:net'
import path from 'node:path'
import { patience } from './eventually.ts'

/** Runs a command to its end and gives its standard output; throws with the end of what it said. */
export function run(
  command: string,
  args: readonly string[],
  options: SpawnOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
    let out = ''
    let all = ''
    child.stdout?.on('data', (chunk: Buffer) => {
      out += chunk.toString()
      all += chunk.toString()
    })
    child.stderr?.on('data', (chunk: Buffer) => (all += chunk.toString()))
    child.on('error', (error) => reject(new Error(`cannot start ${command}: ${error.message}`)))
    child.on('close', (code) => {
      if (code === 0) return resolve(out)
      const tail = all.trim().split('\n').slice(-20).join('\n')
      reject(new Error(`${command} ${args.join(' ')} ended with ${code}:\n${tail}`))
    })
  })
}

/** Full path of a command; undefined when PATH has none. */
export async function which(command: string): Promise<string | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(path.delimiter)) {
    const file = path.join(folder, command)
    if (
      await access(file, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return file
  }
  return undefined
}

/** A process that runs until it is stopped. */
export interface Daemon {
  readonly pid: number
  readonly logFile: string
  /** Resolves with the exit code, or the signal that ended it. */
  readonly exited: Promise<number | string>
  signal(name: NodeJS.Signals): void
  /** Ends it: politely, then after `graceMs` by force. */
  stop(graceMs?: number): Promise<number | string>
}

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})
// How vitest ends a worker whose test hangs; without a listener there is no `exit`.
process.once('SIGTERM', () => process.exit(143))

/** Starts a process whose output goes to `logFile`. */
export function startDaemon(
  command: string,
  args: readonly string[],
  options: { readonly logFile: string; readonly env?: NodeJS.ProcessEnv; readonly cwd?: string },
): Daemon {
  const { logFile, env = process.env, cwd } = options
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
    ...(cwd ? { cwd } : {}),
  })
  running.add(child)
  const log = createWriteStream(logFile, { flags: 'a' })
  child.stdout.pipe(log, { end: false })
  child.stderr.pipe(log, { end: false })
  const exited = new Promise<number | string>((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('close', (code, signal) => {
      running.delete(child)
      log.end()
      resolve(code ?? signal ?? 'gone')
    })
  })
  return {
    pid: child.pid ?? -1,
    logFile,
    exited,
    signal: (name) => void child.kill(name),
    async stop(graceMs = 10_000) {
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
      const end = await exited
      clearTimeout(timer)
      return end
    },
  }
}

/** Waits until `probe` gives a value; fails early with the end of the log when the daemon ends. */
export async function untilReady<T>(
  daemon: Daemon,
  what: string,
  probe: () => Promise<T | undefined>,
  timeoutMs = 120_000,
): Promise<T> {
  const isOver = patience(timeoutMs)
  let ended: number | string | undefined
  void daemon.exited.then((end) => (ended = end))
  for (;;) {
    const value = await probe().catch(() => undefined)
    if (value !== undefined) return value
    if (ended !== undefined || isOver()) {
      const tail = (await readFile(daemon.logFile, 'utf8')).trim().split('\n').slice(-15).join('\n')
      throw new Error(
        `${what} ${ended === undefined ? 'did not become ready' : `ended (${ended})`}:\n${tail}`,
      )
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Ports below those that Linux gives to outgoing connections (`ip_local_port_range`). */
const LOWEST_PORT = 10_000
/** Processes that run at the same time have a block of ports each. */
const BLOCKS = 220
const BLOCK = 100
let drawn = 0

/**
 * A TCP port of the loopback interface that nobody listens on. The system is not asked for one: it
 * may give it to somebody else before the process that it is for has started.
 */
export async function freePort(): Promise<number> {
  const first = LOWEST_PORT + (process.pid % BLOCKS) * BLOCK
  for (;;) {
    const port = first + (drawn++ % BLOCK)
    if (await isFree(port)) return port
  }
}

function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
