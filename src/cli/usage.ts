import { type Command, CommanderError } from 'commander'
import { isKeyferryError, KeyferryError } from '../errors.ts'

/** What a command reads, writes and ends with: the process, or what a test puts in its place. */
export interface Io {
  readonly stdin: NodeJS.ReadableStream
  readonly stdout: Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'hasColors'>
  readonly stderr: Pick<NodeJS.WriteStream, 'write'>
  readonly env: Readonly<NodeJS.ProcessEnv>
  exitCode?: number | string | null | undefined
}

/** Exit code of wrong usage: unknown flags, paths that cannot be read. */
const WRONG_USAGE = 2

/**
 * Runs what only reads the command line's own input: a failure is wrong usage.
 *
 * @throws CommanderError, already told on standard error
 */
export async function usage<T>(io: Io, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (cause) {
    const error = isKeyferryError(cause) ? cause : unreadable(cause)
    io.stderr.write(`keyferry: ${error.message}\n  ${error.remedy}\n`)
    throw new CommanderError(WRONG_USAGE, 'keyferry.usage', error.message)
  }
}

function unreadable(cause: unknown): KeyferryError {
  const { code, path } = cause as { readonly code?: string; readonly path?: string }
  if (code === undefined) throw cause
  return new KeyferryError('INPUT_INVALID', {
    message: `${path ?? 'the input'} cannot be read (${code})`,
    remedy: 'Name a file that is there and readable.',
    retry: 'on-change',
    cause,
  })
}

/** Lets a command and those below it throw instead of ending the process. */
export function throwing(command: Command): Command {
  command.exitOverride()
  for (const sub of command.commands) throwing(sub)
  return command
}

/** The exit code for what commander or a command has thrown; help is no failure. */
export function exitCodeOf({ exitCode, code }: CommanderError): number {
  const isUsage = code.startsWith('commander.') && code !== 'commander.help' && exitCode !== 0
  return isUsage ? WRONG_USAGE : exitCode
}
