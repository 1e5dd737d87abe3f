/** What a command tells, for people or for programs. */
import process from 'node:process'
import { Option } from 'commander'
import { asJson, painter, type Table, table } from '../tools/report/text.ts'

/** Options of a command that tells what came of it. */
export interface OutputFlags {
  readonly output: 'human' | 'json'
}

/** `--output` of such a command. */
export function outputOption(): Option {
  return new Option('-o, --output <format>', 'for people or for programs')
    .choices(['human', 'json'])
    .default('human')
}

/** Says something on standard error: standard output is for results. */
export function say(message: string): void {
  process.stderr.write(`keyferry: ${message}\n`)
}

/**
 * Prints what came of a command.
 *
 * @param value for programs
 * @param people what people get instead: a line, or a table
 */
export function tell({ output }: OutputFlags, value: unknown, people: string | Table): void {
  const text = () =>
    typeof people === 'string' ? `${people}\n` : table(people, painter(process.stdout))
  process.stdout.write(output === 'json' ? asJson(value) : text())
}
