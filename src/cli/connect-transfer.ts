import { chmod, copyFile, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { text } from 'node:stream/consumers'
import { Command } from 'commander'
import type { ImportResult, ImportVault } from '../server/admin/transfer.ts'
import type { ReadVault } from '../server/admin/formats.ts'
import { type CommandFactory, withAdmin } from './connect-admin.ts'
import { type ConnectFlags, storeOptions } from './connect-settings.ts'
import { counted } from '../tools/report/text.ts'
import { newFile } from './new-file.ts'
import { type OutputFlags, outputOption, say, tell } from './output.ts'
import { step } from './progress.ts'

const IMPORT_HELP = `
Reads what op item get --format json and op item list --format json print, what
keyferry connect export writes, and YAML:

  vault: Production
  items:
    - title: Database
      category: DATABASE
      fields:
        username: app
        password: { generate: { length: 40 } }
      urls: [https://db.example.com]
      tags: [team-a]
      files:
        - { name: ca.pem, path: ./ca.pem }

Examples:
  $ keyferry connect import vaults.yaml
  $ op item list --vault Prod --format json | op item get - --format json \\
      | keyferry connect import --vault Prod -

Ids, versions and dates are kept. All or nothing: a mistake anywhere imports nothing.`

const importCommand: CommandFactory = (env) =>
  new Command('import')
    .description('import items from JSON or YAML')
    .argument('<file>', '- for standard input')
    .option('--vault <name>', 'the vault to import into, instead of those the file names')
    .option('--replace', 'replace items of the same id or title')
    .addOption(outputOption())
    .addHelpText('after', IMPORT_HELP)
    .action(async (file: string, flags: ImportFlags, command: Command) => {
      const { readImport } = await import('../server/admin/formats.ts')
      const source = await (file === '-' ? text(process.stdin) : readFile(file, 'utf8'))
      const read = readImport(source, flags.vault)
      if (read.filesWithoutContent.length > 0) {
        say(`${read.filesWithoutContent.length} files come without content and are left out`)
      }
      if (read.itemsWithoutFields.length > 0) {
        say(`${read.itemsWithoutFields.length} items come without fields: op item get prints them`)
      }
      const base = file === '-' ? process.cwd() : path.dirname(file)
      const vaults = await Promise.all(read.vaults.map((vault) => withContents(vault, base)))
      const result = await step('importing', () =>
        withAdmin(command, env, (admin) => admin.importVaults(vaults, flags.replace ?? false)),
      )
      tell(flags, result, importedText(result))
    })

interface ImportFlags extends OutputFlags {
  readonly vault?: string
  readonly replace?: true
}

function importedText({ vaults, created, replaced, files }: ImportResult): string {
  const items = `${counted(created, 'item')} created, ${replaced} replaced`
  return `imported: ${counted(vaults, 'new vault')}, ${items}, ${counted(files, 'file')}`
}

async function withContents(vault: ReadVault, base: string): Promise<ImportVault> {
  const items = await Promise.all(
    vault.items.map(async (item) => ({
      ...item,
      files: await Promise.all(
        item.files.map(async ({ source, ...file }) => ({
          ...file,
          content:
            source.kind === 'bytes'
              ? source.bytes
              : await readFile(path.resolve(base, source.path)),
        })),
      ),
    })),
  )
  return { ...vault, items }
}

const exportCommand: CommandFactory = (env) =>
  new Command('export')
    .description('print vaults with all values and files, in plain text')
    .option('--vault <vault>', 'name or id; default: all')
    .option('--out <file>', 'write to a new file that only you can read')
    .action(async (flags: { vault?: string; out?: string }, command: Command) => {
      const { writeExport } = await import('../server/admin/export.ts')
      const document = async () =>
        writeExport(
          await step('exporting', () =>
            withAdmin(command, env, (admin) => admin.exportVaults(flags.vault)),
          ),
        )
      if (flags.out === undefined) {
        process.stdout.write(`${await document()}\n`)
        return
      }
      await newFile(flags.out, async (draft) =>
        writeFile(draft, `${await document()}\n`, { mode: 0o600, flag: 'wx' }),
      )
      say(`wrote ${flags.out}: it holds every value in plain text`)
    })

const backupCommand: CommandFactory = (env) =>
  new Command('backup')
    .description('write a sealed copy of the store to a new file; the key is not in it')
    .argument('<file>')
    .addOption(outputOption())
    .action(async (file: string, flags: OutputFlags, command: Command) => {
      const { dir } = storeOptions(command.optsWithGlobals<ConnectFlags>(), env)
      // The server writes where it may; this process carries the copy to where the user may.
      const draft = path.join(dir, `backup-${process.pid}.sqlite`)
      await step('backing up', () =>
        newFile(file, async (copy) => {
          try {
            await withAdmin(command, env, (admin) => admin.backup(draft))
            await copyFile(draft, copy)
            await chmod(copy, 0o600)
          } finally {
            await rm(draft, { force: true })
          }
        }),
      )
      tell(flags, { file: path.resolve(file) }, path.resolve(file))
    })

interface RestoreFlags extends OutputFlags {
  readonly force?: true
}

const restoreCommand: CommandFactory = (env) =>
  new Command('restore')
    .description('put a backup in the place of the store; no server may have the store open')
    .argument('<file>')
    .option('--force', 'although there is a store with vaults already')
    .addOption(outputOption())
    .action(async (file: string, flags: RestoreFlags, command: Command) => {
      const { restore } = await import('../server/admin/restore.ts')
      const options = storeOptions(command.optsWithGlobals<ConnectFlags>(), env)
      const vaults = await step('restoring', () =>
        restore(file, options, flags.force ?? false, say),
      )
      tell(flags, { vaults }, `restored: ${counted(vaults, 'vault')}`)
    })

/** `keyferry connect import`, `export`, `backup` and `restore`. */
export const transferCommands: readonly CommandFactory[] = [
  importCommand,
  exportCommand,
  backupCommand,
  restoreCommand,
]
