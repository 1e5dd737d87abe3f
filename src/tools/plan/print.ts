import { counted, type Paint, printable, type Style, table } from '../report/text.ts'
import type { PlannedSecret } from './plan.ts'

/** Whether anything would change, or something cannot be done. */
export type Verdict = 'same' | 'changes' | 'refused'

/** What a whole plan comes to. */
export function verdictOf(planned: readonly PlannedSecret[]): Verdict {
  if (planned.some(({ action }) => action === 'refuse')) return 'refused'
  const isSame = ({ action, drops }: PlannedSecret) => action === 'unchanged' && drops.length === 0
  const restarts = planned.some(({ workloads }) =>
    workloads.some(({ action }) => action === 'restart'),
  )
  return planned.every(isSame) && !restarts ? 'same' : 'changes'
}

/** For people: a table, what stands behind its rows, and a summary line. */
export function planText(
  planned: readonly PlannedSecret[],
  { hasKey, paint }: { readonly hasKey: boolean; readonly paint: Paint },
): string {
  const rows = planned.map((one) => [
    one.action,
    `${one.namespace}/${one.secret}`,
    one.source,
    one.items.map(({ version }) => version).join(', ') || '-',
    `+${one.added.length} ~${one.changed.length} -${one.removed.length}`,
    String(one.workloads.filter(({ action }) => action === 'restart').length),
  ])
  const headings = ['ACTION', 'SECRET', 'FROM', 'VERSION', 'KEYS', 'RESTARTS']
  const note = hasKey
    ? []
    : [
        'The operator’s digest key could not be read: changes of labels and annotations are not told, and retained Secrets count as somebody else’s.',
      ]
  return [
    ...(planned.length > 0 ? [table({ headings, rows, styleOf }, paint)] : []),
    ...planned.flatMap((one) => details(one, paint)),
    ...note,
    summary(planned),
    '',
  ].join('\n')
}

/** What each action is shown in; what stays as it is, in nothing. */
const STYLES: Readonly<Partial<Record<PlannedSecret['action'], Style>>> = {
  create: 'green',
  update: 'yellow',
  metadata: 'yellow',
  recreate: 'yellow',
  delete: 'red',
  refuse: 'red',
}

function styleOf(cell: string, column: number): Style | undefined {
  return column === 0 ? STYLES[cell as PlannedSecret['action']] : undefined
}

function details(one: PlannedSecret, paint: Paint): string[] {
  const lines = [
    ...(one.reason ? [`${one.reason}: ${one.message}`] : []),
    ...(one.reason || /^\d+ keys? from [^.]+\.$/.test(one.message) ? [] : [one.message]),
    ...named('adds', one.added),
    ...named('changes', one.changed),
    ...named('removes', one.removed),
    ...named('deletes former Secrets', one.drops),
    ...one.items.map(
      ({ path, vaultId, itemId, version }) =>
        `item ${path}: vaults/${vaultId}/items/${itemId}, version ${version}`,
    ),
    ...one.workloads.map(({ workload, action, why }) => `${ACTIONS[action]} ${workload}: ${why}`),
  ].filter((line) => line !== '')
  if (one.action === 'unchanged' && one.workloads.length === 0) return []
  const head = paint('bold', `${one.namespace}/${one.secret}`)
  return [head, ...lines.map((line) => `  ${printable(line)}`), '']
}

const ACTIONS = { restart: 'restarts', notify: 'tells', stay: 'does not restart' } as const

function named(what: string, names: readonly string[]): string[] {
  return names.length === 0 ? [] : [`${what} ${names.join(', ')}`]
}

function summary(planned: readonly PlannedSecret[]): string {
  const count = (...actions: readonly PlannedSecret['action'][]) =>
    planned.filter(({ action }) => actions.includes(action)).length
  const restarts = new Set(
    planned.flatMap(({ namespace, workloads }) =>
      workloads
        .filter(({ action }) => action === 'restart')
        .map(({ workload }) => `${namespace}/${workload}`),
    ),
  )
  return [
    `Plan: ${count('create')} to create`,
    `${count('update', 'metadata', 'recreate')} to change`,
    `${count('delete') + planned.reduce((sum, { drops }) => sum + drops.length, 0)} to delete`,
    `${count('unchanged')} unchanged`,
    `${count('refuse')} refused`,
    `${counted(restarts.size, 'workload')} to restart.`,
  ].join(', ')
}
