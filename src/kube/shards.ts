/**
 * The work divided over several processes: each namespace belongs to a shard by a hash of its name,
 * and each shard to the process that holds its Lease.
 *
 * Guarantees: those of one Lease (`lease.ts`), for each shard. How many shards there are is part of
 * them: all who divide the work in the same way hold one more Lease together, under a name that
 * says how, and work only while they hold it. One that divides it otherwise, or not at all, waits
 * for that Lease and works on nothing before.
 * Balance: whoever holds two shards fewer than another asks that one for a shard, which is made over
 * without a moment in which it is nobody's. So numbers differ by one at most.
 */
import { createHash } from 'node:crypto'
import { type Clock, sleep } from './clock.ts'
import { type Candidate, createCandidate, LOOK_MS, type Term, winElection } from './lease.ts'
import type { ObjectKey } from './resource.ts'
import type { KubeRest } from './rest.ts'

/** Which shard of so many a namespace belongs to. Part of the contract between replicas. */
export function shardOf(namespace: string, shards: number): number {
  return createHash('sha256').update(namespace).digest().readUInt32BE(0) % shards
}

/** Name of the Lease of a shard. */
export function shardLease(name: string, shard: number): string {
  return `${name}-shard-${shard}`
}

/** What dividing needs. */
export interface ShardOptions {
  readonly rest: KubeRest
  readonly clock: Clock
  /** The Lease that all hold together; those of the shards have its name with a number. */
  readonly lease: ObjectKey
  readonly shards: number
  /** Unique for each process. */
  readonly identity: string
  readonly onFailure: (error: unknown) => void
}

/** A right to write: while the signal has not aborted and `isWritable`. */
export type Mandate = Pick<Term, 'signal' | 'isWritable'>

/** A process that takes part. */
export interface Member {
  /** What it does whichever shards it has; resolves once its mandate has ended. */
  readonly ended: Promise<void>
  /** Works a shard until its mandate ends; resolves once nothing more of it is written. */
  work(shard: number, mandate: Mandate): Promise<void>
}

/** A shard that another process holds. */
export interface Foreign {
  readonly shard: number
  readonly holder: string
  readonly wantedBy: string | undefined
}

/**
 * Which shard to ask for: the last of whoever has most, when that is at least two more than we have.
 * One at a time, and none that a third process asks for.
 */
export function shardToAsk(
  foreign: readonly Foreign[],
  own: number,
  identity: string,
): Foreign | undefined {
  if (foreign.some(({ wantedBy }) => wantedBy === identity)) return undefined
  const byHolder = Map.groupBy(foreign, ({ holder }) => holder)
  byHolder.delete('')
  const [most = []] = [...byHolder.values()].toSorted((a, b) => b.length - a.length)
  if (most.length < own + 2) return undefined
  return most.findLast(({ wantedBy }) => wantedBy === undefined)
}

interface Held {
  readonly term: Term
  /** Hands the shard over, or back. */
  readonly leave: (heir?: string) => Promise<void>
}

/**
 * Works this process's share of the shards until `signal` aborts.
 *
 * @param join called once this process may take part, with a mandate for what concerns no shard
 * @throws KeyferryError LEASE_LOST when any Lease is lost: what this process knows may be out of
 *   date, so it is to end; whatever the member throws
 */
export async function workShards(
  options: ShardOptions,
  join: (mandate: Mandate) => Promise<Member>,
  signal: AbortSignal,
): Promise<void> {
  const { clock, shards, identity } = options
  const common = await winElection({ ...options, identity: `${shards} shards` }, signal)
  if (common === undefined) return
  // Ends everything, also when one part fails.
  const end = new AbortController()
  follow(common.signal, () => end.abort(common.signal.reason))
  const guarded = (running: Promise<void>) => running.catch((error: unknown) => end.abort(error))
  const member = await join({ signal: end.signal, isWritable: common.isWritable })
  const shared = guarded(member.ended)
  const held = new Map<number, Held>()
  const candidates = Array.from({ length: shards }, (_, shard) => candidateFor(options, shard))

  const begin = (shard: number, term: Term) => {
    const over = new AbortController()
    follow(end.signal, () => over.abort())
    follow(term.signal, () => {
      if (!over.signal.aborted) end.abort(term.signal.reason)
    })
    const isWritable = () => !over.signal.aborted && term.isWritable() && common.isWritable()
    const working = guarded(member.work(shard, { signal: over.signal, isWritable }))
    const leave = async (heir?: string) => {
      over.abort()
      await working
      await term.release(heir)
      held.delete(shard)
    }
    held.set(shard, { term, leave })
  }

  while (!end.signal.aborted) {
    await Promise.all([...held.values()].map(({ term, leave }) => handOver(term, leave)))
    const foreign = await lookAt(candidates, held, begin, end.signal)
    const wanted = shardToAsk(foreign, held.size, identity)
    if (wanted) await candidates[wanted.shard]?.ask(end.signal)
    await sleep(clock, LOOK_MS, end.signal)
  }
  await Promise.all([shared, ...[...held.values()].map(({ leave }) => leave())])
  if (!signal.aborted) throw end.signal.reason
}

function candidateFor(options: ShardOptions, shard: number): Candidate {
  const { namespace, name } = options.lease
  return createCandidate({ ...options, lease: { namespace, name: shardLease(name, shard) } })
}

function follow(signal: AbortSignal, listener: () => void): void {
  if (signal.aborted) listener()
  else signal.addEventListener('abort', listener, { once: true })
}

async function handOver(term: Term, leave: Held['leave']): Promise<void> {
  const heir = term.wantedBy()
  if (heir !== undefined) await leave(heir)
}

/** Takes what can be had. @returns who has the others */
async function lookAt(
  candidates: readonly Candidate[],
  held: ReadonlyMap<number, Held>,
  begin: (shard: number, term: Term) => void,
  signal: AbortSignal,
): Promise<Foreign[]> {
  const looks = candidates.map(async (candidate, shard): Promise<Foreign[]> => {
    if (held.has(shard)) return []
    const look = await candidate.look(signal)
    if (look?.term) begin(shard, look.term)
    return look && !look.term ? [{ shard, ...look }] : []
  })
  return (await Promise.all(looks)).flat()
}
