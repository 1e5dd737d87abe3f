/**
 * The queues of a term: what to look at next.
 */
import type { Clock } from '../kube/clock.ts'
import { createQueue, type KeyedQueue } from '../kube/queue.ts'
import { parseKey } from '../kube/resource.ts'
import { PRIORITY } from './intake/keys.ts'

/** See the head of this file. */
export interface Queues {
  /** Claims of resources. */
  readonly resources: KeyedQueue
  /** Claims of annotated workloads. */
  readonly workloads: KeyedQueue
  readonly debts: KeyedQueue
  /** Debts that nobody owes any more. */
  readonly closings: KeyedQueue
  readonly rollouts: KeyedQueue
  readonly releases: KeyedQueue
}

/** Names of the queues. */
export const QUEUES = [
  'resources',
  'workloads',
  'debts',
  'closings',
  'rollouts',
  'releases',
] as const satisfies readonly (keyof Queues)[]

/** Back-off of claims: quick at first, at most twelve tries an hour. */
const CLAIM_BACKOFF = { firstMs: 500, maxMs: 300_000 }
const RESTART_BACKOFF = { firstMs: 500, maxMs: 60_000 }
const RESTART_WORKERS = 4
/** Milliseconds between two runs that only tell or tidy up: a mass of them is no reason to hurry. */
const HOUSEKEEPING_MS = 100
/** Queues are fair between namespaces. */
const groupOf = (key: string) => parseKey(key).namespace

/** @param concurrency workers for the claims of one kind */
export function createQueues(clock: Clock, random: () => number, concurrency: number): Queues {
  const common = { clock, random, groupOf }
  const priorities = Object.keys(PRIORITY).length
  const ofClaims = { ...common, priorities, workers: concurrency, backoff: CLAIM_BACKOFF }
  const claims = () => createQueue({ ...ofClaims, spacingMs: HOUSEKEEPING_MS })
  const ofRestarts = { ...common, priorities: 1, backoff: RESTART_BACKOFF }
  const restarts = () => createQueue({ ...ofRestarts, workers: RESTART_WORKERS })
  return {
    resources: claims(),
    workloads: claims(),
    debts: restarts(),
    closings: createQueue({ ...ofRestarts, workers: 1, spacingMs: HOUSEKEEPING_MS }),
    rollouts: restarts(),
    // What is being deleted goes first.
    releases: createQueue({ ...ofRestarts, priorities: 2, workers: 1 }),
  }
}
