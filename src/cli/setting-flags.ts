import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { KeyferryError } from '../errors.ts'
import {
  flagOf,
  SETTINGS,
  type SettingInfo,
  type SettingKey,
  type Settings,
} from '../settings/settings.ts'

/** Adds the flags of settings to a command. */
export function addSettings(command: Command, keys: readonly SettingKey[]): void {
  for (const info of keys.map((key): SettingInfo => SETTINGS[key])) {
    // The token has no flag: arguments show in the list of processes.
    if (info.name === 'OP_CONNECT_TOKEN') continue
    const fallback = info.fallback === undefined ? '' : ` (default: ${info.fallback})`
    command.option(`${flagOf(info)} <${info.kind.type}>`, `${info.help}${fallback}`)
  }
}

/** The settings among the options of a command. */
export function flagsOf(
  options: Readonly<Record<string, unknown>>,
): Partial<Record<SettingKey, string>> {
  const entries = Object.entries(SETTINGS).map(([key, info]) => [key, options[optionOf(info)]])
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined))
}

/** Commander's name for a flag: `pollingInterval` for `--polling-interval`. */
function optionOf(info: SettingInfo): string {
  const words = flagOf(info).slice('--'.length)
  return words.replaceAll(/-(.)/g, (_match, letter: string) => letter.toUpperCase())
}

/**
 * The authorities for the Connect server (PEM); undefined without the setting.
 *
 * @throws KeyferryError SETTING_INVALID for a file that cannot be read
 */
export function readCa({ connectCaFile }: Settings): string | undefined {
  if (connectCaFile === undefined) return undefined
  try {
    return readFileSync(connectCaFile, 'utf8')
  } catch (cause) {
    throw new KeyferryError('SETTING_INVALID', {
      message: `OP_CONNECT_CA_FILE cannot be read (${(cause as { code?: string }).code ?? 'unknown'})`,
      remedy: 'Set it to a readable file with certificates in PEM form.',
      retry: 'on-change',
      cause,
    })
  }
}
