/**
 * Pages of docs/ that are made from the code. `node .ci/docs.ts` writes them; a test compares them.
 */
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { isMap, isNode, isScalar, parseDocument, type YAMLMap } from 'yaml'
import { NOTICES, REASONS } from '../src/operator/reasons.ts'
import { commandsPage } from './command-docs.ts'
import { CONTENTS } from './contents.ts'
import { pictures } from './pictures.ts'
import { annotationsPage, decisionsPage, metricsPage } from './reference-docs.ts'
import {
  RELIABILITY_PAGE,
  RELIABILITY_RESULTS,
  reliabilityPage,
  type Results,
} from './reliability-docs.ts'
import { rulePages } from './rule-docs.ts'
import { flagOf, SETTINGS, type SettingInfo, type SettingKind } from '../src/settings/settings.ts'

const MADE = '<!-- Made from the code by `npm run docs`; edit the code instead. -->\n\n'

/** The generated pages, by path. */
export async function pages(): Promise<Readonly<Record<string, string>>> {
  return {
    'docs/README.md': MADE + contentsPage(),
    'docs/settings.md': MADE + settingsPage(),
    'docs/reasons.md': MADE + reasonsPage(),
    'docs/annotations.md': MADE + annotationsPage(),
    'docs/metrics.md': MADE + (await metricsPage()),
    'docs/commands.md': MADE + (await commandsPage()),
    'docs/decisions/README.md': MADE + decisionsPage(),
    ...Object.fromEntries(Object.entries(rulePages()).map(([page, text]) => [page, MADE + text])),
    ...pictures(),
    [RELIABILITY_PAGE]: reliabilityPage(JSON.parse(read(RELIABILITY_RESULTS)) as Results),
    'charts/keyferry/README.md': MADE + chartPage(),
    // Helm reads no file outside of the chart.
    'charts/keyferry/files/admission-policy.yaml': read('deploy/base/admission-policy.yaml'),
    // Nor does kustomize read one outside of the overlay.
    'deploy/overlays/monitoring/keyferry.json': read('charts/keyferry/files/dashboard.json'),
    'deploy/overlays/monitoring/rules.yaml':
      RULES_HEAD +
      read('charts/keyferry/files/alerts.yaml').replaceAll(/^/gm, '  ').trimEnd() +
      '\n',
  }
}

function contentsPage(): string {
  const parts = CONTENTS.flatMap(({ title, pages: listed }) => [
    `## ${title}`,
    '',
    ...listed.map((page) => `- [${page.title}](${path.relative('docs', page.path)}): ${page.says}`),
    '',
  ])
  return [
    '# Keyferry',
    '',
    'Keyferry ferries 1Password items to Kubernetes Secrets and restarts the workloads that use them when a value changes. `npm run docs:site` makes a site of these pages, with a search, in `site/`.',
    '',
    '![A OnePasswordItem names an item; Keyferry reads it, writes the Secret and restarts the workloads that use it](images/concepts-flow.svg)',
    '',
    ...parts,
  ].join('\n')
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
    case 'loopback':
      return '127.0.0.1:port, [::1]:port, :port or off'
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

const CONDITIONS = [
  [
    '`Ready`',
    'always',
    'The Secret is as it should be (True), is not (False), or that is not known yet (Unknown). Its reason is one of those above.',
  ],
  [
    '`Reconciling`',
    'while Ready is Unknown',
    'The first attempt for this generation has not ended, or its cause may pass within two minutes.',
  ],
  [
    '`Stalled`',
    'while only a person can help',
    'Keyferry waits for a change of the resource, the item or the cluster.',
  ],
  [
    '`Stale`',
    'after two minutes without Connect',
    'The Secret holds the last good content. Ready turns False after STALE_AFTER.',
  ],
  ['`Restarting`', 'while a restart is owed', 'Its reason is `RestartOwed`.'],
]

type Told = { readonly meaning: string; readonly remedy: string }

function tableOf(reasons: readonly (readonly [string, Told])[]): readonly string[] {
  const rows = reasons.map(
    ([name, { meaning, remedy }]) => `| \`${name}\` | ${plain(meaning)} | ${plain(remedy)} |`,
  )
  return ['| reason | meaning | remedy |', '| --- | --- | --- |', ...rows, '']
}

/** Text in which GitHub would take `<vault>` for an element, and show nothing. */
function plain(text: string): string {
  return text.replaceAll('<', '&lt;')
}

function reasonsPage(): string {
  const parts = Object.entries(KINDS).flatMap(([kind, title]) => {
    const reasons = Object.entries(REASONS).filter(([, info]) => info.kind === kind)
    return [`## ${title}`, '', ...tableOf(reasons)]
  })
  return [
    '# Reasons',
    '',
    'What `kubectl get onepassworditems` shows in its column REASON, conditions and Events carry, and metrics count. The list is closed.',
    '',
    ...parts,
    '## Told besides, in Events and other conditions',
    '',
    'A successful sync makes no Event. Events of failures carry the reasons above, once each for a generation.',
    '',
    ...tableOf(Object.entries(NOTICES)),
    '## Conditions of a resource',
    '',
    '| condition | is there | meaning |',
    '| --- | --- | --- |',
    ...CONDITIONS.map((cells) => `| ${cells.join(' | ')} |`),
    '',
  ].join('\n')
}

const read = (file: string) => readFileSync(file, 'utf8')

const RULES_HEAD = `apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: keyferry
spec:
`

/** What the comments in the chart's values say of each. */
function chartPage(): string {
  const { contents } = parseDocument(read('charts/keyferry/values.yaml'))
  return [
    '# Helm chart',
    '',
    'How to install it is in [docs/install.md](../../docs/install.md). `values.schema.json` refuses what is none of these.',
    '',
    '| value | default | meaning |',
    '| --- | --- | --- |',
    ...(isMap(contents) ? valueRows(contents, '') : []),
    '',
  ].join('\n')
}

function valueRows(map: YAMLMap, above: string): string[] {
  return map.items.flatMap(({ key, value }, n) => {
    if (!isScalar(key)) return []
    const name = `${above}${String(key.value)}`
    // The comment above the first member of a map stands at the map.
    const comment = key.commentBefore ?? (n === 0 ? map.commentBefore : undefined)
    const text = (comment ?? '')
      .trim()
      .replaceAll(/\s*\n\s*/g, ' ')
      .replaceAll('|', '\\|')
    const isBranch =
      isMap(value) &&
      value.items.length > 0 &&
      value.flow !== true &&
      !OPAQUE.has(String(key.value))
    if (!isBranch) {
      const json = JSON.stringify(isNode(value) ? value.toJSON() : null)
      return [`| \`${name}\` | \`${json}\` | ${text} |`]
    }
    const own = text === '' ? [] : [`| **\`${name}\`** | | ${text} |`]
    return [...own, ...valueRows(value, `${name}.`)]
  })
}

/** Values that Kubernetes gives their members. */
const OPAQUE = new Set(['podSecurityContext', 'securityContext', 'resources'])

if (import.meta.main) {
  for (const [file, text] of Object.entries(await pages())) await writeFile(file, text)
}
