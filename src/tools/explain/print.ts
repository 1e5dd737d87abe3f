import { type Paint, printable } from '../report/text.ts'
import type { Explanation, ExplainedWorkload } from './explain.ts'

/** For people. */
export function explanationText(found: Explanation, paint: Paint): string {
  const { namespace, name, origin, ready, remedy, secret, changedAt, digest, items = [] } = found
  const what = origin === 'resource' ? 'OnePasswordItem' : 'annotated workloads of Secret'
  const lines = [
    `${what} ${namespace}/${name}`,
    ...(origin === 'resource' ? [`  Ready: ${ready.status} ${ready.reason} ${ready.message}`] : []),
    ...(remedy ? [`  What to do: ${remedy}`] : []),
    '',
    `Secret ${secret}${found.isThere ? '' : ' (not there, or not Keyferry’s)'}`,
    `  Content last changed: ${changedAt ?? 'unknown'}`,
    `  Content digest: ${short(digest)}`,
    ...items.map(
      ({ path, vaultId, itemId, version }) =>
        `  From ${path}: vaults/${vaultId}/items/${itemId}, version ${version}`,
    ),
    ...Object.entries(found.keys).map(([key, from]) => `  ${key}: ${from}`),
    '',
    'Workloads that use it',
    ...found.workloads.map((one) => `  ${workloadLine(one)}`),
    ...(found.workloads.length === 0 ? ['  none'] : []),
    ...debtLines(found),
    '',
    ...nextLines(found),
    '',
  ]
  const setOff = (line: string) => {
    if (line.startsWith('  Ready: ')) return paint(ready.status === 'True' ? 'green' : 'red', line)
    return line === '' || line.startsWith(' ') ? line : paint('bold', line)
  }
  return lines.map((line) => setOff(printable(line))).join('\n')
}

function workloadLine({ workload, restarts, digest, isCurrent, restartedAt }: ExplainedWorkload) {
  const wish = { true: 'restarts', false: 'does not restart', notify: 'is told' }[restarts]
  if (digest === undefined) return `${workload} (${wish}): never restarted for this Secret`
  const content = isCurrent ? 'the present content' : `other content, ${short(digest)}`
  return `${workload} (${wish}): restarted ${restartedAt ?? 'at an unknown time'} for ${content}`
}

function debtLines({ debt }: Explanation): string[] {
  if (!debt) return []
  const gaveUp = debt.gaveUp.length > 0 ? `; given up: ${debt.gaveUp.join(', ')}` : ''
  return [`  Restarts are owed since ${debt.since} for content ${short(debt.digest)}${gaveUp}`]
}

function nextLines({ next }: Explanation): string[] {
  if (next === undefined) return ['Next: unknown; name a Connect server (--connect) to find out']
  const keys = [
    ...next.added.map((key) => `+${key}`),
    ...next.changed.map((key) => `~${key}`),
    ...next.removed.map((key) => `-${key}`),
  ]
  const restarts = next.workloads
    .filter(({ action }) => action === 'restart')
    .map(({ workload, why }) => `  restarts ${workload}: ${why}`)
  const reason = next.reason ? ` ${next.reason}: ${next.message}` : ''
  return [
    `Next: ${next.action}${reason}${keys.length > 0 ? ` (${keys.join(' ')})` : ''}`,
    ...restarts,
  ]
}

/** Digests are long, and their first letters tell them apart. */
function short(digest: string | undefined): string {
  return digest?.slice(0, 17) ?? 'none'
}
