import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { Command } from 'commander'
import { type CommandFactory, print, printTable, withAdmin } from './connect-admin.ts'
import { step } from './progress.ts'

/** `keyferry connect vault …` */
export const vaultCommand: CommandFactory = (env) => {
  const vault = new Command('vault').description('make, list, rename and delete vaults')
  vault
    .command('create')
    .description('make a vault; prints its id')
    .argument('<name>')
    .option('--description <text>')
    .action(async (name: string, flags: { description?: string }, command: Command) => {
      print(
        (await withAdmin(command, env, (admin) => admin.createVault(name, flags.description))).id,
      )
    })
  vault
    .command('list')
    .description('list the vaults')
    .option('--json', 'print JSON')
    .action(async (flags: { json?: boolean }, command: Command) => {
      const vaults = await withAdmin(command, env, (admin) => admin.vaults())
      if (flags.json) return print(JSON.stringify(vaults, null, 2))
      const rows = vaults.map(({ id, name, active, contentVersion }) => [
        id,
        String(active),
        String(contentVersion),
        name,
      ])
      printTable(['ID', 'ITEMS', 'VERSION', 'NAME'], rows)
    })
  vault
    .command('rename')
    .description('rename a vault')
    .argument('<vault>', 'name or id')
    .argument('<name>', 'its new name')
    .action(async (old: string, name: string, _: unknown, command: Command) => {
      print((await withAdmin(command, env, (admin) => admin.renameVault(old, name))).id)
    })
  vault
    .command('delete')
    .description('delete a vault for good; prints its id')
    .argument('<vault>', 'name or id')
    .option('--force', 'with the items in it')
    .action(async (name: string, flags: { force?: boolean }, command: Command) => {
      const deleted = await withAdmin(command, env, (admin) =>
        admin.deleteVault(name, flags.force === true),
      )
      print(deleted.id)
    })
  return vault
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
      print(added.id)
    })
  file
    .command('remove')
    .description('remove a file from an item for good; prints the id of the file')
    .argument('<file>', 'name or id')
    .requiredOption('--vault <vault>', 'name or id')
    .requiredOption('--item <item>', 'title or id')
    .action(async (name: string, flags: AddFlags, command: Command) => {
      const removed = await withAdmin(command, env, (admin) =>
        admin.removeFile(flags.vault, flags.item, name),
      )
      print(removed.id)
    })
  return file
}

interface AddFlags {
  readonly vault: string
  readonly item: string
  readonly name?: string
  readonly section?: string
}
