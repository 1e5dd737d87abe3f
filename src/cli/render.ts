import process from 'node:process'
import { Command, CommanderError } from 'commander'
import { listOf, manifestOf, manifestText, renderOverlay } from '../tools/render/render.ts'
import { asJson } from '../tools/report/text.ts'
import { outputOption } from './output.ts'
import { step } from './progress.ts'
import { addWorldFlags, lookWith, type WorldFlags } from './tool-world.ts'
import type { Io } from './usage.ts'

const EXAMPLES = `
Values are masked. The output is a Secret that kubectl applies, without the operator's marks.

Exit codes: 0 rendered, 1 a resource gives no Secret, 2 wrong usage.

Examples:
  $ OP_CONNECT_TOKEN=… keyferry render --connect http://localhost:8080 database.yaml
  $ keyferry render --connect http://localhost:8080 --reveal --yes database.yaml | kubectl apply -f -`

/** `keyferry render` */
export function renderCommand(io: Io = process): Command {
  const command = new Command('render')
    .argument('<file>', 'a file with resources, or - for standard input')
    .option('--reveal', 'show the values; on a terminal, or with --yes')
    .option('--yes', 'reveal although the output goes elsewhere than to a terminal')
    .addOption(outputOption())
  return addWorldFlags(command, 'offline')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string, flags: WorldFlags) => {
      const reveal = flags['reveal'] === true
      if (reveal && flags['yes'] !== true && !io.stdout.isTTY) {
        const message = 'values are revealed on a terminal, or with --yes'
        io.stderr.write(`keyferry: ${message}\n`)
        throw new CommanderError(2, 'keyferry.usage', message)
      }
      await using found = await step('looking', () => lookWith(io, [file], flags, 'offline'))
      const { manifests, refused } = await step('rendering', () =>
        renderOverlay(found.world, found.over),
      )
      const documents = manifests.map((one) => manifestOf(one, reveal))
      io.stdout.write(
        flags['output'] === 'json' ? asJson(listOf(documents)) : manifestText(documents),
      )
      for (const { resource, message } of refused) {
        io.stderr.write(`keyferry: ${resource} gives no Secret: ${message}\n`)
      }
      io.exitCode = refused.length > 0 ? 1 : 0
    })
}
