/**
 * Leader election by a Lease: one process works, the others wait with warm caches.
 *
 * Guarantees: the holder starts no write later than 5 s before its renew deadline, and a write takes
 * at most 4 s, so that none takes effect after somebody else's lease has begun.
 * Assumptions: monotonic clocks run at about the same speed; their readings need not agree, because
 * a candidate measures how long it has seen the Lease unchanged.
 * Source: client-go `tools/leaderelection`, whose times these are.
 */
import { isKeyferryError, KeyferryError } from '../errors.ts'
import { type Clock, sleep } from './clock.ts'
import { type ObjectKey, objectPath, collectionPath, type Resource } from './resource.ts'
import type { KubeRest } from './rest.ts'
import { isAlreadyExists, isConflict, isNotFound } from './status.ts'

/** Leases in the API. */
export const LEASES: Resource = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
}

/** Milliseconds for which a Lease holds without being renewed. */
export const LEASE_MS = 15_000
/** Milliseconds within which the holder must have renewed it. */
const RENEW_DEADLINE_MS = 10_000
const RETRY_MS = 2_000
/** Milliseconds before the deadline in which no write is started any more. */
const MARGIN_MS = 5_000

/** The Lease as it was read. */
export interface LeaseView {
  readonly resourceVersion: string
  /** Empty: released. */
  readonly holder: string
  readonly durationMs: number
  /** Milliseconds since the epoch by the holder's clock. */
  readonly renewedAt: number
  readonly transitions: number
}

/** What a candidate does next. */
export type LeaseStep = 'create' | 'acquire' | 'renew' | 'wait'

/**
 * @param unchangedMs for which the candidate has seen this version of the Lease
 */
export function leaseStep(
  lease: LeaseView | undefined,
  identity: string,
  unchangedMs: number,
): LeaseStep {
  if (lease === undefined) return 'create'
  if (lease.holder === identity) return 'renew'
  const free = lease.holder === '' || unchangedMs >= lease.durationMs
  return free ? 'acquire' : 'wait'
}

/** What an election needs. */
export interface ElectionOptions {
  readonly rest: KubeRest
  readonly clock: Clock
  readonly lease: ObjectKey
  /** Unique for each process. */
  readonly identity: string
  readonly onFailure: (error: unknown) => void
}

/** A term in office. */
export interface Term {
  /** Aborts when the term ends. */
  readonly signal: AbortSignal
  /** Whether a write may still be started. */
  isWritable(): boolean
  /** Gives the Lease back, so that somebody else can take it at once. */
  release(): Promise<void>
}

/**
 * Waits until this process holds the Lease.
 *
 * @returns undefined when `signal` aborts before
 */
export async function winElection(
  options: ElectionOptions,
  signal: AbortSignal,
): Promise<Term | undefined> {
  const { clock, identity, onFailure } = options
  let seen: { readonly version: string; readonly at: number } | undefined
  while (!signal.aborted) {
    const asked = clock.now()
    try {
      const lease = await readLease(options, signal)
      if (lease && lease.resourceVersion !== seen?.version) {
        seen = { version: lease.resourceVersion, at: asked }
      }
      const step = leaseStep(lease, identity, seen ? asked - seen.at : 0)
      const held = step === 'wait' ? undefined : await writeLease(options, lease, identity, signal)
      if (held) return hold(options, held, asked, signal)
    } catch (error) {
      // Somebody else was faster.
      if (!isConflict(error) && !isAlreadyExists(error) && !signal.aborted) onFailure(error)
    }
    await sleep(clock, RETRY_MS, signal)
  }
  return undefined
}

/** Renews until the term ends: by `signal`, by a release, or because it could not be renewed. */
function hold(
  options: ElectionOptions,
  first: LeaseView,
  since: number,
  signal: AbortSignal,
): Term {
  const { clock, identity, onFailure } = options
  const over = new AbortController()
  let renewedAt = since
  let lease = first

  async function renew(): Promise<void> {
    while (!over.signal.aborted) {
      await sleep(clock, RETRY_MS, over.signal)
      if (over.signal.aborted) return
      const asked = clock.now()
      try {
        lease = await renewLease(options, lease, over.signal)
        renewedAt = asked
      } catch (error) {
        if (over.signal.aborted) return
        if (isLost(error)) return over.abort(lost('somebody else holds it'))
        onFailure(error)
      }
      if (clock.now() - renewedAt >= RENEW_DEADLINE_MS)
        over.abort(lost('it was not renewed in time'))
    }
  }

  const stop = () => over.abort(signal.reason)
  signal.addEventListener('abort', stop)
  const renewing = renew()
  return {
    signal: over.signal,
    isWritable: () =>
      !over.signal.aborted && clock.now() - renewedAt < RENEW_DEADLINE_MS - MARGIN_MS,
    async release() {
      over.abort()
      await renewing
      signal.removeEventListener('abort', stop)
      await writeLease(
        options,
        { ...lease, holder: identity },
        '',
        AbortSignal.timeout(1_500),
      ).catch(onFailure)
    },
  }
}

/** A conflict may be a stranger's harmless edit: read once more before giving up. */
async function renewLease(
  options: ElectionOptions,
  lease: LeaseView,
  signal: AbortSignal,
): Promise<LeaseView> {
  const { identity } = options
  try {
    return await writeLease(options, lease, identity, signal)
  } catch (error) {
    if (!isConflict(error) && !isNotFound(error)) throw error
  }
  const now = await readLease(options, signal)
  if (now && now.holder !== identity) throw lost('somebody else holds it')
  return writeLease(options, now, identity, signal)
}

function isLost(error: unknown): boolean {
  return isKeyferryError(error, 'LEASE_LOST')
}

function lost(why: string): KeyferryError {
  return new KeyferryError('LEASE_LOST', {
    message: `the Lease is lost: ${why}`,
    remedy: 'Nothing to do: the process ends and is started again as a candidate.',
    retry: 'soon',
  })
}

interface RawLease {
  readonly metadata: { readonly resourceVersion: string }
  readonly spec?: {
    readonly holderIdentity?: string
    readonly leaseDurationSeconds?: number
    readonly renewTime?: string
    readonly leaseTransitions?: number
  }
}

/** A Lease as the API server gave it. */
export function parseLease(raw: unknown): LeaseView {
  const { metadata, spec = {} } = raw as RawLease
  return {
    resourceVersion: metadata.resourceVersion,
    holder: spec.holderIdentity ?? '',
    durationMs: (spec.leaseDurationSeconds ?? LEASE_MS / 1000) * 1000,
    renewedAt: Date.parse(spec.renewTime ?? '') || 0,
    transitions: spec.leaseTransitions ?? 0,
  }
}

async function readLease(
  { rest, lease }: ElectionOptions,
  signal: AbortSignal,
): Promise<LeaseView | undefined> {
  const path = objectPath(LEASES, lease)
  try {
    return parseLease(await rest.send({ method: 'GET', path, timeoutMs: RETRY_MS }, signal))
  } catch (error) {
    if (isNotFound(error)) return undefined
    throw error
  }
}

/** Writes over the very version that was read, or creates; `holder` empty releases it. */
async function writeLease(
  { rest, clock, lease: key }: ElectionOptions,
  lease: LeaseView | undefined,
  holder: string,
  signal: AbortSignal,
): Promise<LeaseView> {
  const { namespace, name } = key
  const now = new Date(clock.wall()).toISOString().replace('Z', '000Z')
  const changed = lease !== undefined && lease.holder !== holder && holder !== ''
  const body = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: LEASES.kind,
    metadata: { namespace, name, ...(lease ? { resourceVersion: lease.resourceVersion } : {}) },
    spec: {
      holderIdentity: holder,
      leaseDurationSeconds: holder === '' ? 1 : LEASE_MS / 1000,
      renewTime: now,
      acquireTime: now,
      leaseTransitions: (lease?.transitions ?? 0) + (changed ? 1 : 0),
    },
  }
  const request = lease
    ? ({ method: 'PUT', path: objectPath(LEASES, key) } as const)
    : ({ method: 'POST', path: collectionPath(LEASES, namespace) } as const)
  const timeoutMs = RENEW_DEADLINE_MS / 2
  return parseLease(await rest.send({ ...request, body, timeoutMs }, signal))
}

/** Refuses writes that would start too late in a term, or after it. */
export function guardWrites(rest: KubeRest, term: Term): KubeRest {
  return {
    ...rest,
    send(request, signal) {
      if (request.method === 'GET' || term.isWritable()) return rest.send(request, signal)
      return Promise.reject(lost('its renewal is overdue'))
    },
  }
}
