/**
 * docs/annotations.md, docs/metrics.md and docs/decisions/README.md, made from the code and from what
 * is there.
 */
import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { RELEASE } from '../src/cli/crd.ts'
import { WANTED_BY } from '../src/kube/lease.ts'
import { MARKS, type MarkInfo } from '../src/operator/annotations.ts'
import { TEMPLATE_PREFIX } from '../src/operator/plan/workload.ts'
import { createMetrics as createServerMetrics } from '../src/server/http/metrics.ts'
import { createMetrics } from '../src/telemetry/metrics.ts'

/** Names that only their makers know. */
const FAR_MARKS: Readonly<Record<string, readonly MarkInfo[]>> = {
  [`${TEMPLATE_PREFIX}<hash>`]: [
    {
      what: 'annotation',
      on: 'pod template of a workload that was restarted; a Rollout itself',
      by: 'Keyferry',
      meaning:
        'Digest of the content for which it was restarted; the hash is of the Secret’s name.',
    },
  ],
  [RELEASE]: [
    {
      what: 'annotation',
      on: 'CustomResourceDefinition',
      by: 'Keyferry',
      meaning: 'Release whose `keyferry crd apply` wrote it last.',
    },
  ],
  [WANTED_BY]: [
    {
      what: 'annotation',
      on: 'Lease',
      by: 'Keyferry',
      meaning: 'Replica that asks the holder to hand a shard over.',
    },
  ],
}

/** docs/annotations.md */
export function annotationsPage(): string {
  const all = Object.entries({ ...MARKS, ...FAR_MARKS })
  const rows = (by: MarkInfo['by']) =>
    all.flatMap(([name, infos]) =>
      infos
        .filter((info) => info.by === by)
        .map(({ what, on, meaning }) => `| \`${name}\` | ${what} | ${on} | ${meaning} |`),
    )
  const head = ['| name | is | on | meaning |', '| --- | --- | --- | --- |']
  return [
    '# Labels and annotations',
    '',
    'Every name of Keyferry’s own prefix `keyferry.dev/` and of the prefix of 1Password’s own operator that has a meaning. `keyferry validate` finds those that have none, or stand where nobody reads them.',
    '',
    '## Yours',
    '',
    ...head,
    ...rows('you'),
    '',
    'Labels of a resource are copied to its Secret; other labels and annotations of the Secret are set by [`spec.secretMetadata`](resource.md#secretmetadata).',
    '',
    '## Keyferry’s',
    '',
    'Leave these alone. On a Secret they are put back when somebody changes them, and no right comes of it.',
    '',
    ...head,
    ...rows('Keyferry'),
    '',
  ].join('\n')
}

/** A metric as its page shows it. */
interface Metric {
  readonly name: string
  readonly type: string
  readonly labels: readonly string[]
  readonly help: string
}

/** docs/metrics.md */
export async function metricsPage(): Promise<string> {
  const table = (metrics: readonly Metric[]) => [
    '| metric | kind | labels | what it tells |',
    '| --- | --- | --- | --- |',
    ...metrics.map(
      ({ name, type, labels, help }) =>
        `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`,
    ),
    '',
  ]
  return [
    '# Metrics',
    '',
    'How they are served and scraped, which alerts rest on them, and the dashboard, are in [monitoring.md](monitoring.md). No label carries the name of a vault or an item. The names of resources are told only for those whose items expire.',
    '',
    '## Of the operator',
    '',
    ...table(await operatorMetrics()),
    '## Of the Connect server',
    '',
    'On `/metrics` of [`keyferry connect`](connect.md), without a token.',
    '',
    ...table(await serverMetrics()),
    'Those of the process (`process_…`, `nodejs_…`), which both have, are prom-client’s.',
    '',
  ].join('\n')
}

/** Of each metric with labels one sample, so that the labels show. */
async function operatorMetrics(): Promise<Metric[]> {
  const resource = { namespace: '', name: '', ready: '', reason: '', conditions: [], expires: 0 }
  const metrics = createMetrics({ waiting: () => ({ '': 0 }), resources: () => [resource] })
  metrics.runs.inc({ result: '', reason: '' })
  metrics.secretWrites.inc({ kind: '' })
  metrics.restarts.inc({ kind: '' })
  metrics.restartsGivenUp.inc({ kind: '' })
  metrics.connectRequests.inc({ operation: '', status: 0 })
  metrics.kubeRequests.inc({ method: '', status: 0 })
  metrics.differences.inc({ kind: '' })
  return metricsIn(await metrics.print())
}

async function serverMetrics(): Promise<Metric[]> {
  const store = { writeState: () => 'ok' } as Parameters<typeof createServerMetrics>[0]
  const metrics = createServerMetrics(store)
  metrics.answered('', 200, 0)
  return metricsIn(await metrics.render())
}

/** Keyferry's own metrics in a text for Prometheus. @throws Error for one without a sample */
function metricsIn(text: string): Metric[] {
  return [...text.matchAll(/^# HELP (keyferry_\S+) (.+)\n# TYPE \S+ (\S+)$/gm)].map(
    ([, name = '', help = '', type = '']) => {
      const sample = new RegExp(`^${name}(?:_count)?(?:\\{(.*)\\})? `, 'm').exec(text)
      if (!sample) throw new Error(`${name} has no sample, so its labels are not known`)
      const labels = [...(sample[1] ?? '').matchAll(/(\w+)="/g)].map(([, label = '']) => label)
      return { name, type, labels, help }
    },
  )
}

/** docs/decisions/README.md */
export function decisionsPage(): string {
  const rows = globSync('docs/decisions/0*.md')
    .toSorted()
    .map((file) => {
      const title = /^# (.+)$/m.exec(readFileSync(file, 'utf8'))?.[1] ?? ''
      return `- [${title}](${path.basename(file)})`
    })
  return [
    '# Decisions',
    '',
    'Choices of libraries and designs, with their reasons.',
    '',
    ...rows,
    '',
  ].join('\n')
}
