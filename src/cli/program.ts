/**
 * The commands of the program. The code of each is loaded only where it runs.
 */
import { Command } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import { throwing } from './usage.ts'

interface Entry {
  readonly name: string
  readonly description: string
  readonly load: () => Promise<Command>
}

const ENTRIES: readonly Entry[] = [
  {
    name: 'operator',
    description: 'run the operator: sync items to Secrets and restart workloads',
    load: async () => (await import('./operator.ts')).operatorCommand(),
  },
  {
    name: 'connect',
    description: 'serve the Connect API from an encrypted store, and look after that store',
    load: async () => (await import('./connect.ts')).connectCommand(process.env),
  },
  {
    name: 'doctor',
    description: 'find what is wrong with an installation, and say what to do about it',
    load: async () => (await import('./doctor.ts')).doctorCommand(),
  },
  {
    name: 'status',
    description: 'open the status page of a running operator',
    load: async () => (await import('./status.ts')).statusCommand(),
  },
  {
    name: 'crd',
    description: 'apply the CustomResourceDefinition of OnePasswordItem',
    load: async () => (await import('./crd.ts')).crdCommand(),
  },
  {
    name: 'validate',
    description: 'check manifests without a cluster, as the API server and the operator would',
    load: async () => (await import('./validate.ts')).validateCommand(),
  },
  {
    name: 'plan',
    description: 'tell what manifests would change: keys and restarts, never values',
    load: async () => (await import('./plan.ts')).planCommand(),
  },
  {
    name: 'render',
    description: 'print the Secret that a resource gives, values masked',
    load: async () => (await import('./render.ts')).renderCommand(),
  },
  {
    name: 'explain',
    description: 'tell why a Secret is as it is, and what would happen next',
    load: async () => (await import('./explain.ts')).explainCommand(),
  },
  {
    name: 'completion',
    description: 'print a script that completes this program’s commands in a shell',
    load: async () => (await import('./completion.ts')).completionCommand(wholeProgram),
  },
]

const EXIT_CODES =
  '\nExit codes: 0 done, 1 failed, 2 wrong usage; what else a command ends with, its help says.'

/** The program; of commands that are not wanted there is the name only. */
export async function program(isWanted: (name: string) => boolean): Promise<Command> {
  const root = new Command('keyferry')
    .description(packageJson.description)
    .version(packageJson.version)
    .addHelpText('after', EXIT_CODES)
  for (const { name, description, load } of ENTRIES) {
    const command = isWanted(name) ? await load() : new Command(name)
    root.addCommand(command.description(description))
  }
  return throwing(root)
}

function wholeProgram(): Promise<Command> {
  return program((name) => name !== 'completion')
}
