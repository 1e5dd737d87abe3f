import { Command } from 'commander'
import { type CommandFactory, withAdmin } from './connect-admin.ts'
import { type ConnectFlags, storeOptions } from './connect-settings.ts'
import { type OutputFlags, outputOption, say, tell } from './output.ts'
import { step } from './progress.ts'

const rotateCommand: CommandFactory = (env) =>
  new Command('rotate-key')
    .description('seal everything anew under a new key, also while the server runs')
    .option('--new-key-file <file>', 'the new key, where the key does not live in --data')
    .addHelpText(
      'after',
      '\nWith a key of your own: point OP_STORE_KEY_FILE to the new key afterwards. Replicas on\n' +
        'PostgreSQL must be stopped before, and started with the new key.',
    )
    .action(async (flags: { newKeyFile?: string }, command: Command) => {
      const { readKey } = await import('../server/store/keyfile.ts')
      const { newKeyFile: file } = flags
      const next = file === undefined ? undefined : await readKey({ kind: 'file', file })
      await step('sealing anew', (report) =>
        withAdmin(command, env, (admin) => admin.rotateKey(next, report), report),
      )
      const { key } = storeOptions(command.optsWithGlobals<ConnectFlags>(), env)
      say(
        key.kind === 'managed'
          ? 'the new key is in force, in the place of the old one'
          : 'the new key is in force: start the server with it from now on',
      )
    })

const verifyCommand: CommandFactory = (env) =>
  new Command('verify')
    .description('open and check every record of the store; prints how many there are')
    .addOption(outputOption())
    .action(async (flags: OutputFlags, command: Command) => {
      const records = await step('verifying', () =>
        withAdmin(command, env, (admin) => admin.verify()),
      )
      tell(flags, { records }, String(records))
    })

/** `keyferry connect rotate-key` and `verify`. */
export const keyCommands: readonly CommandFactory[] = [rotateCommand, verifyCommand]
