/** Mutants of the writes: of Secrets, statuses and restarts. */
import { type Mutant, unit } from '../mutant.ts'

const SECRET = 'src/operator/write/secret.ts'
const WRITE = 'src/operator/write/write.ts'
const ROLLOUTS = 'src/operator/rollouts.ts'

/** See the head of this file. */
export const writeMutants: readonly Mutant[] = [
  {
    id: 'deletes-by-name',
    breaks: ['S1', 'P3'],
    file: SECRET,
    find: 'const body = { preconditions: { uid, resourceVersion } }',
    replace: 'const body = { preconditions: { resourceVersion }, was: uid }',
    harm: 'A Secret that somebody made anew under the name is deleted.',
    killers: [unit('operator/write/secret')],
  },
  {
    id: 'replaces-whatever-is-there',
    breaks: ['S1', 'S8', 'P3'],
    file: SECRET,
    find: 'const body = bodyOf(manifest, { uid, resourceVersion })',
    replace: 'const body = bodyOf(manifest, { uid })',
    harm: 'A write that comes late overwrites what somebody else has written meanwhile.',
    killers: [unit('operator/write/secret')],
  },
  {
    id: 'deletes-before-it-is-known-that-it-can-create',
    breaks: ['S4', 'L3'],
    file: SECRET,
    find: "  await rest.send({ ...COMMON, query, method: 'POST', path, body }, signal)\n  if (",
    replace: '  if (query.dryRun === path || body.metadata === undefined) return undefined\n  if (',
    harm: 'A type that the API server does not take costs the Secret.',
    killers: [unit('operator/write/secret')],
  },
  {
    id: 'gives-up-between-deletion-and-creation',
    breaks: ['S4', 'L1'],
    file: SECRET,
    find: 'const CREATE_TRIES = 5',
    replace: 'const CREATE_TRIES = 1',
    harm: 'One failed request in the middle leaves workloads without their Secret.',
    killers: [unit('operator/write/secret')],
  },
  {
    id: 'merges-into-a-secret-that-was-there-first',
    breaks: ['S1', 'P3'],
    file: WRITE,
    find: "    if (isAlreadyExists(error) || isConflict(error)) return { kind: 'stale-secret' }\n",
    replace:
      "    if (isAlreadyExists(error)) return {}\n    if (isConflict(error)) return { kind: 'stale-secret' }\n",
    harm: 'A Secret of somebody else counts as written by us.',
    killers: [unit('operator/write/write')],
  },
  {
    id: 'tells-of-success-before-the-write',
    breaks: ['L1', 'S2'],
    file: WRITE,
    find: "    if (meta === 'moved on') return { kind: 'stale-secret' }\n",
    replace: "    if (meta === 'moved on') return {}\n",
    harm: 'A Secret that was left alone is told to be as it should be.',
    killers: [unit('operator/write/write')],
  },
  {
    id: 'asks-terminating-namespaces-again-and-again',
    breaks: ['L4', 'L6'],
    file: WRITE,
    find: "    if (isNamespaceTerminating(error)) return { kind: 'gone' }\n",
    replace: '',
    harm: 'A namespace that goes away is written to until it is gone.',
    killers: [unit('operator/write/write')],
  },
  {
    id: 'drops-a-restart-on-a-conflict',
    breaks: ['L2', 'P2'],
    file: ROLLOUTS,
    find: '      if (!isConflict(error) || conflicts === MAX_CONFLICTS) throw error\n',
    replace: "      if (isConflict(error)) return { kind: 'forget' }\n      throw error\n",
    harm: 'A workload that somebody scales at that moment is not restarted.',
    killers: [unit('operator/rollouts')],
  },
  {
    id: 'drops-a-restart-when-the-api-server-fails',
    breaks: ['L2', 'P2'],
    file: ROLLOUTS,
    find: "      deps.onFailure(key, error)\n      return { kind: 'backoff' }\n",
    replace: "      deps.onFailure(key, error)\n      return { kind: 'forget' }\n",
    harm: 'An API server that is away for a second costs a restart.',
    killers: [unit('operator/rollouts')],
  },
  {
    id: 'restarts-by-what-the-cache-says',
    breaks: ['S7'],
    file: ROLLOUTS,
    find: "    if (owed.length === 0) return { kind: 'forget' }\n    try {",
    replace: "    if (owed.length < 0) return { kind: 'forget' }\n    try {",
    harm: 'A workload that carries the digest already is patched again.',
    killers: [unit('operator/rollouts')],
  },
  {
    id: 'restarts-again-what-was-put-back',
    breaks: ['S7', 'L6'],
    file: ROLLOUTS,
    find: '  for (const { secret, debt } of owed) memory.of(secret, debt).tried.add(workload.uid)\n',
    replace: '',
    harm: 'A controller that puts the template back has the workload restarted for ever.',
    killers: [unit('operator/rollouts')],
  },
  {
    id: 'forgets-open-debts-after-a-failure',
    breaks: ['L2', 'P2'],
    file: 'src/operator/debts.ts',
    find: "    onFailure(key, error)\n    return { kind: 'backoff' }\n",
    replace: "    onFailure(key, error)\n    return { kind: 'forget' }\n",
    harm: 'A debt that could not be closed once stays open, and the status tells of it for ever.',
    killers: [unit('operator/debts')],
  },
  {
    id: 'starts-back-offs-anew-at-each-wait',
    breaks: ['L6', 'P13'],
    file: 'src/operator/reconcile.ts',
    find: '      return failingMs > 0\n        ? backoffAmid(failingMs, outcome.afterMs)\n        : { kind: ',
    replace:
      '      return failingMs < 0\n        ? backoffAmid(failingMs, outcome.afterMs)\n        : { kind: ',
    harm: 'What fails for good is tried as often as what waits its turn.',
    killers: [unit('operator/reconcile')],
  },
]
