import { Readable } from 'node:stream'
import { type Command, CommanderError } from 'commander'
import { exitCodeOf, type Io, throwing } from '../../src/cli/usage.ts'
import type { Ran } from './run.ts'

/** What a command finds around it. */
export interface CommandOptions {
  readonly input?: string
  readonly isTTY?: boolean
  readonly env?: Readonly<Record<string, string>>
}

/** Runs a command of the program in this process, with streams of its own. */
export async function runCommand(
  make: (io: Io) => Command,
  args: readonly string[],
  { input = '', isTTY = false, env = {} }: CommandOptions = {},
): Promise<Ran> {
  let [out, err] = ['', '']
  const io: Io = {
    env,
    stdin: Readable.from([input]),
    stdout: {
      isTTY,
      hasColors: () => false,
      write: (text: unknown) => Boolean((out += String(text))),
    },
    stderr: { write: (text: unknown) => Boolean((err += String(text))) },
  }
  const command = throwing(make(io)).configureOutput({
    writeOut: (text) => (out += text),
    writeErr: (text) => (err += text),
  })
  try {
    await command.parseAsync(args, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return { code: exitCodeOf(error), out, err }
  }
  return { code: Number(io.exitCode ?? 0), out, err }
}
