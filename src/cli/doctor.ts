import process from 'node:process'
import { Command } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import { isKeyferryError } from '../errors.ts'
import { examine, failed, type Finding } from '../operator/doctor.ts'
import { loadSettings } from '../settings/load.ts'
import { SETTINGS, type SettingKey } from '../settings/settings.ts'
import { asJson, type Paint, painter } from '../tools/report/text.ts'
import { ownCrd } from './crd.ts'
import { outputOption } from './output.ts'
import { step } from './progress.ts'
import { addSettings, flagsOf, readCa } from './setting-flags.ts'

/** Exit codes: all is well (warnings aside), something is wrong, the settings cannot be used. */
const EXIT = { well: 0, ill: 1, settings: 2 } as const

const MARKS = { ok: 'ok', warning: 'warning', failed: 'FAILED', skipped: 'skipped' } as const

/** `keyferry doctor` */
export function doctorCommand(): Command {
  const command = new Command('doctor').addHelpText(
    'after',
    '\nIt takes the settings of the operator and changes nothing. Rights are those of the account that\n' +
      'runs it, so run it where the operator runs:\n' +
      '  kubectl --namespace keyferry exec deployment/keyferry -- /nodejs/bin/node /keyferry.mjs doctor\n' +
      '\nExit codes: 0 all is well, 1 something is wrong, 2 the settings cannot be used.',
  )
  command.addOption(outputOption())
  addSettings(command, Object.keys(SETTINGS) as SettingKey[])
  return command.action(async (options: Record<string, string>) => {
    const { findings, code } = await diagnose(flagsOf(options))
    process.stdout.write(
      options['output'] === 'json'
        ? asJson({ findings })
        : asText(findings, painter(process.stdout)),
    )
    process.exitCode = code
  })
}

async function diagnose(
  flags: Partial<Record<SettingKey, string>>,
): Promise<{ findings: Finding[]; code: number }> {
  try {
    const settings = loadSettings(flags)
    const connectCa = readCa(settings)
    const { version } = packageJson
    const findings = await step('examining', () =>
      examine({ settings, version, connectCa, crd: ownCrd() }),
    )
    const ill = findings.some(({ status }) => status === 'failed')
    return { findings, code: ill ? EXIT.ill : EXIT.well }
  } catch (error) {
    if (!isKeyferryError(error, 'SETTING_INVALID')) throw error
    return { findings: [failed('settings', error)], code: EXIT.settings }
  }
}

const STYLES = { ok: 'green', warning: 'yellow', failed: 'red', skipped: 'dim' } as const

function asText(findings: readonly Finding[], paint: Paint): string {
  const lines = findings.flatMap(({ check, status, message, remedy }) => [
    `${paint(STYLES[status], MARKS[status].padEnd(8))} ${check.padEnd(11)} ${message}`,
    ...(remedy === undefined ? [] : [`${' '.repeat(21)}→ ${remedy}`]),
  ])
  return `${lines.join('\n')}\n`
}
