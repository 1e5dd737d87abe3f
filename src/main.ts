import { Command } from 'commander'
import packageJson from '../package.json' with { type: 'json' }
import { isKeyferryError } from './errors.ts'

/** A command of the program; its code is loaded only where it runs. */
interface Entry {
  readonly name: string
  readonly description: string
  readonly load: () => Promise<Command>
}

const ENTRIES: readonly Entry[] = [
  {
    name: 'operator',
    description: 'run the operator: sync items to Secrets and restart workloads',
    load: async () => (await import('./cli/operator.ts')).operatorCommand(),
  },
  {
    name: 'connect',
    description: 'serve the Connect API from an encrypted store, and look after that store',
    load: async () => (await import('./cli/connect.ts')).connectCommand(process.env),
  },
  {
    name: 'crd',
    description: 'apply the CustomResourceDefinition of OnePasswordItem',
    load: async () => (await import('./cli/crd.ts')).crdCommand(),
  },
]

/** Exit codes: 0 done, 1 failed, 2 wrong usage (commander's own). */
async function programFor(wanted: string | undefined): Promise<Command> {
  const program = new Command('keyferry')
    .description(packageJson.description)
    .version(packageJson.version)
  const asked = wanted === 'help' ? process.argv[3] : wanted
  for (const { name, description, load } of ENTRIES) {
    const command = name === asked ? await load() : new Command(name)
    program.addCommand(command.description(description))
  }
  return program
}

try {
  const program = await programFor(process.argv[2])
  await program.parseAsync()
} catch (error) {
  if (!isKeyferryError(error)) throw error
  // At once: sockets that are kept open would hold the process for as long as half a minute.
  process.stderr.write(`keyferry: ${error.message}\n  ${error.remedy}\n`, () => process.exit(1))
}
