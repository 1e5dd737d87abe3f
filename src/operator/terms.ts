/**
 * When this process works: from its start, while it holds the Lease, or, where the work is divided,
 * each shard while it holds that shard's.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { isKeyferryError } from '../errors.ts'
import { sleep } from '../kube/clock.ts'
import { guardWrites, winElection } from '../kube/lease.ts'
import { keyOf } from '../kube/resource.ts'
import type { KubeRest } from '../kube/rest.ts'
import { type Mandate, type Member, shardOf, workShards } from '../kube/shards.ts'
import { findDigestKey, type KeyLocation, loadDigestKey } from './key.ts'
import { type DigestKey, digestKey } from './plan/digest.ts'
import type { Parts } from './run.ts'
import { ALL_NAMESPACES, type Office, openSources, startWork } from './work.ts'

const KEY_RETRY_MS = 2_000

/** Works in terms of office until `signal` aborts. @throws KeyferryError LEASE_LOST */
export function workInTerms(parts: Parts, signal: AbortSignal): Promise<void> {
  const { settings, metrics } = parts
  const divided = settings.shards > 1 && !settings.dryRun
  metrics.shards.set(divided ? settings.shards : 1)
  if (settings.dryRun) return workInShadow(parts, signal)
  if (!settings.leaderElection) return workAlone(parts, parts.rest, signal)
  return divided ? workDivided(parts, signal) : workAsLeader(parts, signal)
}

async function workInShadow(parts: Parts, signal: AbortSignal): Promise<void> {
  const { rest, log } = parts
  log.info('shadow mode: nothing is written')
  // Of an installation that already works here: its Secrets are then known by their digests.
  const present = await findDigestKey(rest, keyLocation(parts), signal).catch(() => undefined)
  await workWith(parts, { rest, key: present ?? digestKey(randomBytes(32)) }, signal)
}

async function workAsLeader(parts: Parts, signal: AbortSignal): Promise<void> {
  const { rest, log } = parts
  const election = electionOf(parts)
  const term = await winElection(election, signal)
  if (term === undefined) return
  log.info({ lease: keyOf(election.lease) }, 'holds the Lease and begins to work')
  await workAlone(parts, guardWrites(rest, term), term.signal)
  // A process that lost its Lease ends: what it knows may be out of date in ways it cannot see.
  if (!signal.aborted) throw term.signal.reason
  await term.release()
  log.info('the Lease is released')
}

/** Works everything. */
async function workAlone(parts: Parts, rest: KubeRest, signal: AbortSignal): Promise<void> {
  const key = await untilKey(parts, rest, signal)
  if (key) await workWith(parts, { rest, key }, signal)
}

async function workWith(
  parts: Parts,
  { rest, key }: { readonly rest: KubeRest; readonly key: DigestKey },
  signal: AbortSignal,
): Promise<void> {
  const sources = await openSources(parts, rest, signal)
  const office = { rest, key, sources, ...ALL_NAMESPACES }
  parts.holds(1)
  try {
    await Promise.all([sources.run(), beginWork(parts, office, signal)])
  } finally {
    parts.holds(0)
  }
}

/** Works on resources as they are now, whatever was held while others worked. */
async function beginWork(parts: Parts, office: Office, signal: AbortSignal): Promise<void> {
  await parts.renewal.renew(signal)
  await startWork(parts, office, signal)
}

async function workDivided(parts: Parts, signal: AbortSignal): Promise<void> {
  const { settings, log } = parts
  const election = electionOf(parts)
  const common = { ...election, shards: settings.shards }
  await workShards(common, (mandate) => joinShards(parts, mandate), signal)
  log.info('the Leases of all shards are released')
}

/** Takes part in divided work: with one poll and one set of caches for all of its shards. */
async function joinShards(parts: Parts, mandate: Mandate): Promise<Member> {
  const { rest, settings, log, holds } = parts
  const { shards } = settings
  const shared = guardWrites(rest, mandate)
  const key = await untilKey(parts, shared, mandate.signal)
  // The end of the mandate: there is nothing left to take part in.
  if (key === undefined) return { ended: Promise.resolve(), work: () => Promise.resolve() }
  const sources = await openSources(parts, shared, mandate.signal)
  const held = new Set<number>()
  return {
    ended: sources.run(),
    async work(shard, { signal, ...term }) {
      holds(held.add(shard).size)
      log.info({ shard, shards, held: held.size }, 'holds the Lease of a shard and works it')
      const serves = (namespace: string) => shardOf(namespace, shards) === shard
      const office = { rest: guardWrites(rest, term), key, sources, serves, part: 1 / shards }
      try {
        await beginWork(parts, office, signal)
      } finally {
        held.delete(shard)
        holds(held.size)
        log.info({ shard, shards, held: held.size }, 'works a shard no more')
      }
    },
  }
}

function electionOf({ settings, rest, clock, log, namespace }: Parts) {
  return {
    rest,
    clock,
    lease: { namespace, name: settings.instance },
    identity: `${settings.podName ?? 'keyferry'}_${randomUUID()}`,
    onFailure: (error: unknown) => log.warn({ error }, 'the Lease cannot be had or renewed'),
  }
}

function keyLocation({ settings, namespace }: Parts): KeyLocation {
  return { namespace, name: `${settings.instance}-digest-key` }
}

/** The key, as soon as the API server gives it: an operator waits for its API server. */
async function untilKey(
  parts: Parts,
  rest: KubeRest,
  signal: AbortSignal,
): Promise<DigestKey | undefined> {
  const { log, clock } = parts
  const at = keyLocation(parts)
  while (!signal.aborted) {
    try {
      return await loadDigestKey(rest, at, signal)
    } catch (error) {
      if (signal.aborted) break
      if (!isKeyferryError(error) || error.code === 'INPUT_INVALID') throw error
      log.warn({ error, secret: keyOf(at) }, 'cannot get the digest key yet')
    }
    await sleep(clock, KEY_RETRY_MS, signal)
  }
  return undefined
}
