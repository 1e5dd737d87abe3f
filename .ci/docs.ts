/**
 * Pages of docs/ that are made from the code. `node .ci/docs.ts` writes them; a test compares them.
 */
import { writeFile } from 'node:fs/promises'
import { REASONS } from '../src/operator/reasons.ts'
import { flagOf, SETTINGS, type SettingInfo, type SettingKind } from '../src/settings/settings.ts'

const MADE = '<!-- Made from the code by `npm run docs`; edit the code instead. -->\n\n'

/** The generated pages, by path. */
export function pages(): Readonly<Record<string, string>> {
  return {
    'docs/settings.md': MADE + settingsPage(),
    'docs/reasons.md': MADE + reasonsPage(),
  }
}

function settingsPage(): string {
  const rows = Object.values(SETTINGS as Record<string, SettingInfo>).map((info) => {
    const flag =
      info.name === 'OP_CONNECT_TOKEN'
        ? 'none: arguments show in the list of processes'
        : `\`${flagOf(info)}\``
    return `| \`${info.name}\` | ${flag} | ${kindOf(info.kind)} | ${info.fallback === undefined ? '' : `\`${info.fallback}\``} | ${info.help} |`
  })
  return [
    '# Settings of the operator',
    '',
    'Each is a flag or an environment variable; the flag goes first. A value that makes no sense stops the start with one sentence that names the setting.',
    '',
    '| environment | flag | value | default | meaning |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n')
}

function kindOf(kind: SettingKind): string {
  switch (kind.type) {
    case 'text':
      return 'text'
    case 'list':
      return 'list with commas'
    case 'boolean':
      return 'true or false'
    case 'address':
      return 'host:port, :port or off'
    case 'choice':
      return kind.of.join(', ')
    case 'number':
      return `${kind.min} to ${kind.max} ${kind.unit}`
  }
}

const KINDS = {
  fine: 'All is well',
  passes: 'Passes by itself: Keyferry goes on trying, the last good content stays',
  damaged: 'The Secret is not what it should be, until the cause has passed',
  person: 'A person is needed: Ready is False, the last good content stays',
} as const

function reasonsPage(): string {
  const parts = Object.entries(KINDS).map(([kind, title]) => {
    const rows = Object.entries(REASONS)
      .filter(([, info]) => info.kind === kind)
      .map(([reason, { meaning, remedy }]) => `| \`${reason}\` | ${meaning} | ${remedy} |`)
    return [
      `## ${title}`,
      '',
      '| reason | meaning | remedy |',
      '| --- | --- | --- |',
      ...rows,
      '',
    ].join('\n')
  })
  return [
    '# Reasons',
    '',
    'What `kubectl get onepassworditems` shows in its column REASON, conditions and Events carry, and metrics count. The list is closed.',
    '',
    parts.join('\n'),
  ].join('\n')
}

if (import.meta.main) {
  for (const [path, text] of Object.entries(pages())) await writeFile(path, text)
}
