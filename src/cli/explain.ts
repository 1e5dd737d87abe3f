import process from 'node:process'
import { Command } from 'commander'
import { KeyferryError } from '../errors.ts'
import { parseKey } from '../kube/resource.ts'
import { explain } from '../tools/explain/explain.ts'
import { explanationText } from '../tools/explain/print.ts'
import { asJson, painter } from '../tools/report/text.ts'
import { outputOption } from './output.ts'
import { step } from './progress.ts'
import { addWorldFlags, lookAtNamespace, type WorldFlags } from './tool-world.ts'
import { type Io, usage } from './usage.ts'

const EXAMPLES = `
Without a Connect server everything is told but what the operator would do next. No value is shown.
As a plugin of kubectl: link the program as kubectl-keyferry into a folder of PATH.

Examples:
  $ keyferry explain shop/database
  $ OP_CONNECT_TOKEN=… kubectl keyferry explain --connect http://localhost:8080 shop/database`

/** `keyferry explain` */
export function explainCommand(io: Io = process): Command {
  const command = new Command('explain')
    .argument('<namespace/name>', 'a resource, or the Secret that annotated workloads ask for')
    .addOption(outputOption())
  return addWorldFlags(command)
    .addHelpText('after', EXAMPLES)
    .action(async (text: string, flags: WorldFlags) => {
      const key = parseKey(text.includes('/') ? text : `${flags.namespace ?? 'default'}/${text}`)
      if (key.namespace === '' || key.name === '')
        await usage(io, () => Promise.reject(unclear(text)))
      await using found = await step('looking', () => lookAtNamespace(io, key.namespace, flags))
      const { autoRestart, restartDelayMs: delayMs } = found.settings
      const policy = { autoRestart, delayMs }
      const { asksConnect } = found
      const explanation = await step('explaining', () =>
        explain(found.world, key, { policy, asksConnect }),
      )
      if (explanation === undefined) throw nobody(text)
      io.stdout.write(
        flags['output'] === 'json'
          ? asJson(explanation)
          : explanationText(explanation, painter(io.stdout)),
      )
    })
}

function unclear(text: string): KeyferryError {
  return new KeyferryError('INPUT_INVALID', {
    message: `"${text}" names no resource`,
    remedy: 'Write namespace/name.',
    retry: 'on-change',
  })
}

function nobody(text: string): KeyferryError {
  return new KeyferryError('INPUT_INVALID', {
    message: `no resource and no workload asks for ${text}`,
    remedy: 'See kubectl get onepassworditems --all-namespaces.',
    retry: 'on-change',
  })
}
