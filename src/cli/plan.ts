import process from 'node:process'
import { Command } from 'commander'
import { planOverlay } from '../tools/plan/plan.ts'
import { planText, verdictOf } from '../tools/plan/print.ts'
import { asJson, painter } from '../tools/report/text.ts'
import { outputOption } from './output.ts'
import { step } from './progress.ts'
import { addWorldFlags, lookWith, type WorldFlags } from './tool-world.ts'
import type { Io } from './usage.ts'

const EXAMPLES = `
Without a kubeconfig the plan is for a cluster in which nothing is yet. No value is ever shown.

Exit codes: 0 nothing would change, 3 something would, 1 something is refused or cannot be asked, 2 wrong usage.

Examples:
  $ OP_CONNECT_TOKEN=… keyferry plan --connect http://localhost:8080 deploy/
  $ kubectl kustomize overlays/production | keyferry plan --kubeconfig ~/.kube/config --output json -`

const EXIT_CODES = { same: 0, changes: 3, refused: 1 } as const

/** `keyferry plan` */
export function planCommand(io: Io = process): Command {
  const command = new Command('plan')
    .argument('<path...>', 'files, folders, or - for standard input')
    .addOption(outputOption())
  return addWorldFlags(command)
    .addHelpText('after', EXAMPLES)
    .action(async (paths: string[], flags: WorldFlags) => {
      await using found = await step('looking', () => lookWith(io, paths, flags))
      const { world, over, settings } = found
      const { autoRestart, restartDelayMs: delayMs } = settings
      const planned = await step('planning', (report) =>
        planOverlay(world, over, { autoRestart, delayMs }, report),
      )
      const verdict = verdictOf(planned)
      const whole = { verdict, secrets: planned }
      io.stdout.write(
        flags['output'] === 'json'
          ? asJson(whole)
          : planText(planned, {
              hasKey: world.hasKey || !found.hasCluster,
              paint: painter(io.stdout),
            }),
      )
      io.exitCode = EXIT_CODES[verdict]
    })
}
