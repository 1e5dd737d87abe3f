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
  readonly rollouts: KeyedQueue
  readonly releases: KeyedQueue
}

/** Names of the queues. */
export const QUEUES = [
  'resources',
  'workloads',
  'debts',
  'rollouts',
  'releases',
] as const satisfies readonly (keyof Queues)[]

/** Back-off of claims: quick at first, at most twelve tries an hour. */
const CLAIM_BACKOFF = { firstMs: 500, maxMs: 300_000 }
const RESTART_BACKOFF = { firstMs: 500, maxMs: 60_000 }
const RESTART_WORKERS = 4
/** Milliseconds between two runs that only tell: a mass of statuses is no reason to hurry. */
const HOUSEKEEPING_MS = 100
/** Queues are fair between namespaces. */
const groupOf = (key: string) => parseKey(key).namespace

/** @param concurrency workers for the claims of one kind */
export function createQueues(clock: Clock, random: () => number, concurrency: number): Queues {
  const common = { clock, random, groupOf }
  const priorities = Object.keys(PRIORITY).length
  const ofClaims = { ...common, priorities, workers: concurrency, backoff: CLAIM_BACKOFF }
  const claims = () => createQueue({ ...ofClaims, spacingMs: HOUSEKEEPING_MS })
  const others = (workers: number, levels = 1) =>
    createQueue({ ...common, priorities: levels, workers, backoff: RESTART_BACKOFF })
  return {
    resources: claims(),
    workloads: claims(),
    debts: others(RESTART_WORKERS),
    rollouts: others(RESTART_WORKERS),
    // What is being deleted goes first.
    releases: others(1, 2),
  }
}
