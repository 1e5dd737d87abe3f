import process from 'node:process'
import { Argument, Command, type Option } from 'commander'
import {
  type CompletedCommand,
  completionScript,
  type Described,
  type Shell,
  SHELLS,
} from '../tools/completion/completion.ts'
import type { Io } from './usage.ts'

const EXAMPLES = `
Examples:
  $ source <(keyferry completion bash)
  $ source <(keyferry completion zsh)
  $ keyferry completion fish | source`

/**
 * `keyferry completion`
 *
 * @param whole the program with all its commands
 */
export function completionCommand(whole: () => Promise<Command>, io: Io = process): Command {
  return new Command('completion')
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .addHelpText('after', EXAMPLES)
    .action(async (shell: Shell) => {
      io.stdout.write(completionScript(shell, [...commandsIn(await whole(), [])]))
    })
}

function* commandsIn(command: Command, path: readonly string[]): Generator<CompletedCommand> {
  yield {
    path,
    commands: command.commands.map((sub) => ({ word: sub.name(), help: sub.description() })),
    options: command.options.flatMap(wordsOf),
  }
  for (const sub of command.commands) yield* commandsIn(sub, [...path, sub.name()])
}

function wordsOf({ long, short, description, argChoices }: Option): Described[] {
  const words = [long, short].filter((word) => word !== undefined && word !== null)
  return words.map((word) => ({ word, help: description, choices: argChoices }))
}
