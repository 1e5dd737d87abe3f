/**
 * docs/commands.md: every command with its arguments, options and exit codes, from the program's own
 * definitions.
 */
import type { Command, Option } from 'commander'
import { program } from '../src/cli/program.ts'
import { flagOf, SETTINGS, type SettingInfo } from '../src/settings/settings.ts'

const INTRODUCTION = [
  '# Commands',
  '',
  '`keyferry` is the bundle `dist/keyferry.mjs`: `node dist/keyferry.mjs` runs it, and in the image `/nodejs/bin/node /keyferry.mjs` does. Each command has `--help`.',
  '',
  'Exit codes are 0 for done, 1 for failed and 2 for wrong usage, where a command does not say otherwise. A failure is told on standard error, in one sentence with a remedy.',
  '',
]

/** The page. */
export async function commandsPage(): Promise<string> {
  const root = await program(() => true)
  const list = [...root.commands].map(
    (command) =>
      `| [\`${pathOf(command)}\`](#${pathOf(command).replaceAll(' ', '-')}) | ${cell(command.description())} |`,
  )
  const parts = root.commands.flatMap((command) => commandPart(command))
  return [
    ...INTRODUCTION,
    '| command | what it does |',
    '| --- | --- |',
    ...list,
    '',
    ...parts,
  ].join('\n')
}

/** `keyferry connect vault create` */
function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name()
}

function commandPart(command: Command): string[] {
  const depth = pathOf(command).split(' ').length
  const subs = command.commands.flatMap((sub) => commandPart(sub))
  const own = [
    `${'#'.repeat(depth)} ${pathOf(command)}`,
    '',
    sentence(command.description()),
    '',
    ...(isGroup(command) ? [] : usagePart(command)),
  ]
  return [...own, ...subs]
}

/** Whether it is a setting of the operator; some commands have options of such a name for themselves. */
function isSetting({ long, description }: Option): boolean {
  return Object.values(SETTINGS as Record<string, SettingInfo>).some(
    (info) => flagOf(info) === long && description.startsWith(info.help),
  )
}

/** Whether it only holds other commands. */
function isGroup(command: Command): boolean {
  return command.commands.length > 0 && command.options.length === 0
}

function usagePart(command: Command): string[] {
  const args = command.registeredArguments.map(
    (argument) =>
      `| \`${argument.variadic ? `${argument.name()}…` : argument.name()}\` | ${cell(argument.description)}${choices(argument.argChoices)} | |`,
  )
  const own = command.options.filter((option) => !isSetting(option))
  const rows = [...args, ...own.map(optionRow)]
  const table = ['| argument or option | meaning | default |', '| --- | --- | --- |', ...rows, '']
  return [
    '```text',
    `${pathOf(command)} ${command.usage()}`.replace(' [options] [command]', ' [options]'),
    '```',
    '',
    ...(rows.length > 0 ? table : []),
    ...settingsSentence(command.options.filter(isSetting)),
    ...storeSentence(command),
    ...afterHelp(command),
  ]
}

function optionRow({ flags, description, argChoices, defaultValue, envVar, mandatory }: Option) {
  const env = envVar === undefined ? '' : ` (\`${envVar}\`)`
  const must = mandatory ? '; required' : ''
  const isTold = defaultValue !== undefined && !Array.isArray(defaultValue)
  const fallback = isTold ? `\`${String(defaultValue)}\`` : ''
  return `| \`${flags}\`${env} | ${cell(description)}${choices(argChoices)}${must} | ${fallback} |`
}

function choices(all: readonly string[] | undefined): string {
  return all === undefined ? '' : `: ${all.join(', ')}`
}

function settingsSentence(options: readonly Option[]): string[] {
  if (options.length === 0) return []
  // All but the token, which has no flag.
  const isAll = options.length >= Object.keys(SETTINGS).length - 1
  const which = isAll
    ? 'It takes all settings'
    : `It takes the settings ${options.map(({ long }) => `\`${long}\``).join(', ')}`
  return [`${which} of the operator, as flags or by environment: [settings.md](settings.md).`, '']
}

/** Sub-commands of `connect` take its options that name the store. */
function storeSentence(command: Command): string[] {
  const names = command
    .createHelp()
    .visibleGlobalOptions(command)
    .map(({ long }) => `\`${long}\``)
  if (names.length === 0) return []
  return [`The store is that of [keyferry connect](#keyferry-connect), by ${names.join(', ')}.`, '']
}

/** What a command's help says after the list of options: exit codes, examples. */
function afterHelp(command: Command): string[] {
  let text = ''
  command.configureOutput({ writeOut: (part) => (text += part) })
  command.outputHelp()
  const after = text.slice(command.helpInformation().length).trim()
  return after === '' ? [] : ['```text', after, '```', '']
}

function sentence(text: string): string {
  return text === '' ? '' : `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
}
