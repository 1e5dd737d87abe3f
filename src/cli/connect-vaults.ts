import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { Command } from 'commander'
import type { StoredFile } from '../server/items/model.ts'
import { type CommandFactory, withAdmin } from './connect-admin.ts'
import { type OutputFlags, outputOption, tell } from './output.ts'
import { step } from './progress.ts'

/** `keyferry connect vault …` */
export const vaultCommand: CommandFactory = (env) => {
  const vault = new Command('vault').description('make, list, rename and delete vaults')
  vault
    .command('create')
    .description('make a vault; prints its id')
    .argument('<name>')
    .option('--description <text>')
    .addOption(outputOption())
    .action(async (name: string, flags: VaultFlags, command: Command) => {
      const { description } = flags
      const made = await withAdmin(command, env, (admin) => admin.createVault(name, description))
      tell(flags, made, made.id)
    })
  vault
    .command('list')
    .description('list the vaults')
    .addOption(outputOption())
    .action(async (flags: OutputFlags, command: Command) => {
      const vaults = await withAdmin(command, env, (admin) => admin.vaults())
      const rows = vaults.map(({ id, name, active, contentVersion }) => [
        id,
        String(active),
        String(contentVersion),
        name,
      ])
      tell(flags, vaults, { headings: ['ID', 'ITEMS', 'VERSION', 'NAME'], rows })
    })
  vault
    .command('rename')
    .description('rename a vault; prints its id')
    .argument('<vault>', 'name or id')
    .argument('<name>', 'its new name')
    .addOption(outputOption())
    .action(async (old: string, name: string, flags: OutputFlags, command: Command) => {
      const renamed = await withAdmin(command, env, (admin) => admin.renameVault(old, name))
      tell(flags, renamed, renamed.id)
    })
  vault
    .command('delete')
    .description('delete a vault for good; prints its id')
    .argument('<vault>', 'name or id')
    .option('--force', 'with the items in it')
    .addOption(outputOption())
    .action(async (name: string, flags: VaultFlags, command: Command) => {
      const { force = false } = flags
      const deleted = await withAdmin(command, env, (admin) => admin.deleteVault(name, force))
      tell(flags, deleted, deleted.id)
    })
  return vault
}

interface VaultFlags extends OutputFlags {
  readonly description?: string
  readonly force?: true
}

/** `keyferry connect file …` */
export const fileCommand: CommandFactory = (env) => {
  const file = new Command('file').description('add files to items, and remove them')
  file
    .command('add')
    .description('add a file to an item; prints the id of the file')
    .argument('<path>')
    .requiredOption('--vault <vault>', 'name or id')
    .requiredOption('--item <item>', 'title or id')
    .option('--name <name>', 'default: the name of the file')
    .option('--section <section>', 'label or id of a section of the item')
    .addOption(outputOption())
    .addHelpText(
      'after',
      '\nExample:\n  $ keyferry connect file add --vault Production --item "Root CA" ca.pem',
    )
    .action(async (source: string, flags: AddFlags, command: Command) => {
      const content = await readFile(source)
      const upload = { vault: flags.vault, item: flags.item, content }
      const section = flags.section === undefined ? {} : { section: flags.section }
      const name = flags.name ?? path.basename(source)
      const added = await step('adding the file', () =>
        withAdmin(command, env, (admin) => admin.addFile({ ...upload, ...section, name })),
      )
      tell(flags, publicPart(added), added.id)
    })
  file
    .command('remove')
    .description('remove a file from an item for good; prints the id of the file')
    .argument('<file>', 'name or id')
    .requiredOption('--vault <vault>', 'name or id')
    .requiredOption('--item <item>', 'title or id')
    .addOption(outputOption())
    .action(async (name: string, flags: AddFlags, command: Command) => {
      const removed = await withAdmin(command, env, (admin) =>
        admin.removeFile(flags.vault, flags.item, name),
      )
      tell(flags, publicPart(removed), removed.id)
    })
  return file
}

/** Of its content a digest would tell, too. */
function publicPart({ id, name, size, section }: StoredFile): object {
  return { id, name, size, section }
}

interface AddFlags extends OutputFlags {
  readonly vault: string
  readonly item: string
  readonly name?: string
  readonly section?: string
}
