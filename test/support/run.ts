import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process'
import { text } from 'node:stream/consumers'

/** What a program that has ended printed. */
export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs a program to its end, whatever its exit code. */
export async function runToEnd(
  command: string,
  args: readonly string[],
  options: SpawnOptions & { input?: string } = {},
): Promise<Ran> {
  const { input, ...rest } = options
  const child = spawn(command, args, { ...rest, stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.on('error', () => undefined)
  child.stdin.end(input ?? '')
  const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), ended(child)])
  return { code, out, err }
}

/** Runs a program that must succeed. */
export async function run(
  command: string,
  args: readonly string[],
  options: SpawnOptions & { input?: string } = {},
): Promise<string> {
  const { code, out, err } = await runToEnd(command, args, options)
  if (code === 0) return out
  const tail = (err || out).trim().split('\n').slice(-15).join('\n')
  throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${tail}`)
}

/** The exit code; 128 for a signal. */
export function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve(code ?? 128))
  })
}
