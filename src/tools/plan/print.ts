import { printable } from '../report/human.ts'
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
export function planText(planned: readonly PlannedSecret[], hasKey: boolean): string {
  const rows = planned.map((one) => [
    one.action,
    `${one.namespace}/${one.secret}`,
    one.source,
    one.items.map(({ version }) => version).join(', ') || '-',
    `+${one.added.length} ~${one.changed.length} -${one.removed.length}`,
    String(one.workloads.filter(({ action }) => action === 'restart').length),
  ])
  const head = ['ACTION', 'SECRET', 'FROM', 'VERSION', 'KEYS', 'RESTARTS']
  const note = hasKey
    ? []
    : [
        'The operator’s digest key could not be read: changes of labels and annotations are not told, and retained Secrets count as somebody else’s.',
      ]
  return [
    ...(planned.length > 0 ? [table([head, ...rows])] : []),
    ...planned.flatMap(details),
    ...note,
    summary(planned),
    '',
  ].join('\n')
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, n) => Math.max(...rows.map((row) => row[n]?.length ?? 0))) ?? []
  const lines = rows.map((row) =>
    row
      .map((cell, n) => printable(cell).padEnd(widths[n] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return `${lines.join('\n')}\n`
}

function details(one: PlannedSecret): string[] {
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
  return [`${one.namespace}/${one.secret}`, ...lines.map((line) => `  ${printable(line)}`), '']
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
    `${restarts.size} workload${restarts.size === 1 ? '' : 's'} to restart.`,
  ].join(', ')
}
