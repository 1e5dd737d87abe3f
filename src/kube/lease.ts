/**
 * Leader election by a Lease: one process works, the others wait with warm caches.
 *
 * Guarantees: the holder starts no write later than 5 s before its renew deadline, and a write takes
 * at most 4 s, so that none takes effect after somebody else's lease has begun.
 * Assumptions: monotonic clocks run at about the same speed; their readings need not agree, because
 * a candidate measures how long it has seen the Lease unchanged.
 * Source: client-go `tools/leaderelection`, whose times these are.
 */
import { isDeepStrictEqual } from 'node:util'
import { isKeyferryError, KeyferryError } from '../errors.ts'
import { type Clock, sleep } from './clock.ts'
import {
  apiVersionOf,
  collectionPath,
  type ObjectKey,
  objectPath,
  type Resource,
} from './resource.ts'
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
/** Milliseconds between two looks of a candidate: a Lease that is given back is soon taken. */
export const LOOK_MS = 1_000
/** Milliseconds for giving the Lease back: the process is about to end. */
const RELEASE_MS = 3_000
/** Tries of one renewal: those who hold a Lease together renew it at the same moment at times. */
const MAX_REWRITES = 4
/** Milliseconds before the deadline in which no write is started any more. */
const MARGIN_MS = 5_000

/** Annotation of a Lease by which another process asks its holder to hand it over: its identity. */
export const WANTED_BY = 'keyferry.dev/wanted-by'

/** The Lease as it was read. */
export interface LeaseView {
  /** As read: what others put there stays. */
  readonly metadata: {
    readonly resourceVersion: string
    readonly annotations?: Readonly<Record<string, string>>
  }
  /** What its holder wrote: the same as before means that it was not renewed. */
  readonly spec: LeaseSpec
  /** Empty: released. */
  readonly holder: string
  readonly durationMs: number
  /** Milliseconds since the epoch by the holder's clock. */
  readonly renewedAt: number
  /** When its holder took it; undefined in a Lease that was never held. */
  readonly acquireTime: string | undefined
  readonly transitions: number
}

/** What a candidate does next. */
export type LeaseStep = 'create' | 'acquire' | 'renew' | 'wait'

/** What a candidate knows of the Lease besides its present state. */
export interface Watched {
  /** Milliseconds for which it has seen the Lease as it is, or as it was when it was last there. */
  readonly unchangedMs: number
  /** Milliseconds for which that holds without being renewed; 0 when it never saw a Lease. */
  readonly durationMs: number
}

/** A Lease that was deleted does not end the term of its holder, who makes it again. */
export function leaseStep(
  lease: LeaseView | undefined,
  identity: string,
  { unchangedMs, durationMs }: Watched,
): LeaseStep {
  if (lease?.holder === identity) return 'renew'
  const free = lease?.holder === '' || unchangedMs >= durationMs
  if (!free) return 'wait'
  return lease ? 'acquire' : 'create'
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
  /** Who asks for the Lease, as the last renewal saw it. */
  wantedBy(): string | undefined
  /**
   * Gives the Lease back, so that somebody else can take it at once. Whoever means to stand for it
   * again waits until that is done: it would give the new term away as well.
   *
   * @param heir identity of the one who gets it; anybody unless told
   */
  release(heir?: string): Promise<void>
}

/** What a candidate found. */
export interface Look {
  /** The term that it has begun, if the Lease could be had. */
  readonly term: Term | undefined
  /** Who holds the Lease otherwise; empty for nobody. */
  readonly holder: string
  /** Who has asked its holder for it. */
  readonly wantedBy: string | undefined
}

/** One who wants a Lease. */
export interface Candidate {
  /**
   * Looks once, and takes the Lease if it is free, expired, or already made over to this process.
   *
   * @returns undefined when that could not be found out
   */
  look(signal: AbortSignal): Promise<Look | undefined>
  /** Asks the holder that the last look found to hand the Lease over. */
  ask(signal: AbortSignal): Promise<void>
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
  const candidate = createCandidate(options)
  while (!signal.aborted) {
    const look = await candidate.look(signal)
    if (look?.term) return look.term
    await sleep(options.clock, LOOK_MS, signal)
  }
  return undefined
}

/** A candidate; each term that it begins ends at the latest with the signal of that look. */
export function createCandidate(options: ElectionOptions): Candidate {
  const { clock, identity, onFailure } = options
  let seen = { spec: {}, at: Number.NEGATIVE_INFINITY, durationMs: 0 }
  let last: LeaseView | undefined

  async function look(signal: AbortSignal): Promise<Look> {
    const asked = clock.now()
    const lease = await readLease(options, signal)
    if (lease && !isDeepStrictEqual(lease.spec, seen.spec)) seen = { ...lease, at: asked }
    last = lease
    const { at, durationMs } = seen
    const step = leaseStep(lease, identity, { unchangedMs: asked - at, durationMs })
    const held = step === 'wait' ? undefined : await writeLease(options, lease, identity, signal)
    return {
      term: held && hold(options, held, asked, signal),
      holder: lease?.holder ?? '',
      wantedBy: lease && wantedBy(lease),
    }
  }

  return {
    async look(signal) {
      try {
        return await look(signal)
      } catch (error) {
        // Somebody else was faster.
        if (!isConflict(error) && !isAlreadyExists(error) && !signal.aborted) onFailure(error)
        return undefined
      }
    },
    async ask(signal) {
      if (last === undefined) return
      const { metadata, spec } = last
      const annotations = { ...metadata.annotations, [WANTED_BY]: identity }
      const body = leaseBody({ ...metadata, annotations }, spec)
      const path = objectPath(LEASES, options.lease)
      try {
        await options.rest.send({ method: 'PUT', path, body, timeoutMs: RETRY_MS }, signal)
      } catch (error) {
        // It was renewed, or is gone: the next look tells.
        if (!isConflict(error) && !isNotFound(error) && !signal.aborted) onFailure(error)
      }
    },
  }
}

function wantedBy({ metadata }: LeaseView): string | undefined {
  return metadata.annotations?.[WANTED_BY]
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
  let lease = first
  let renewedAt = since
  let cancelExpiry = expireFrom(since)

  /** A timer of its own, because a renewal that hangs must not put the end off. */
  function expireFrom(at: number): () => void {
    const ms = at + RENEW_DEADLINE_MS - clock.now()
    return clock.timer(ms, () => over.abort(late()))
  }

  async function renew(): Promise<void> {
    let asked = since
    while (!over.signal.aborted) {
      // After a try that hung the next one follows at once: little is left until the deadline.
      await sleep(clock, Math.max(0, asked + RETRY_MS - clock.now()), over.signal)
      if (over.signal.aborted) return
      asked = clock.now()
      // After a pause of the whole process this timer runs before the one that ends the term.
      if (asked - renewedAt >= RENEW_DEADLINE_MS) return over.abort(late())
      try {
        lease = await rewriteLease(options, lease, identity, over.signal)
        renewedAt = asked
        cancelExpiry()
        cancelExpiry = expireFrom(asked)
      } catch (error) {
        if (over.signal.aborted) return
        if (isLost(error)) return over.abort(error)
        onFailure(error)
      }
    }
  }

  const stop = () => over.abort(signal.reason)
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop)
  over.signal.addEventListener('abort', () => cancelExpiry())
  const renewing = renew()
  return {
    signal: over.signal,
    isWritable: () =>
      !over.signal.aborted && clock.now() - renewedAt < RENEW_DEADLINE_MS - MARGIN_MS,
    wantedBy: () => wantedBy(lease),
    async release(heir = '') {
      over.abort()
      await renewing
      signal.removeEventListener('abort', stop)
      await rewriteLease(options, lease, heir, AbortSignal.timeout(RELEASE_MS)).catch(onFailure)
    },
  }
}

/**
 * Writes over a Lease that this process holds. A conflict may be a stranger's harmless edit, or an
 * own write whose answer was lost: it is read once more before it counts as somebody else's.
 *
 * @param holder empty gives it back
 */
async function rewriteLease(
  options: ElectionOptions,
  lease: LeaseView,
  holder: string,
  signal: AbortSignal,
): Promise<LeaseView> {
  let now: LeaseView | undefined = lease
  for (let tries = 1; ; tries += 1) {
    try {
      return await writeLease(options, now, holder, signal)
    } catch (error) {
      const moved = isConflict(error) || isNotFound(error) || isAlreadyExists(error)
      if (!moved || tries === MAX_REWRITES) throw error
    }
    now = await readLease(options, signal)
    if (now && now.holder !== options.identity) throw lost('somebody else holds it')
  }
}

function isLost(error: unknown): boolean {
  return isKeyferryError(error, 'LEASE_LOST')
}

const late = () => lost('it was not renewed in time')

function lost(why: string): KeyferryError {
  return new KeyferryError('LEASE_LOST', {
    message: `the Lease is lost: ${why}`,
    remedy: 'Nothing to do: the process ends and is started again as a candidate.',
    retry: 'soon',
  })
}

interface LeaseSpec {
  readonly holderIdentity?: string
  readonly leaseDurationSeconds?: number
  readonly acquireTime?: string
  readonly renewTime?: string
  readonly leaseTransitions?: number
}

interface RawLease {
  readonly metadata: LeaseView['metadata']
  readonly spec?: LeaseSpec
}

function leaseBody(metadata: object, spec: LeaseSpec): object {
  return { apiVersion: apiVersionOf(LEASES), kind: LEASES.kind, metadata, spec }
}

/** A Lease as the API server gave it. */
export function parseLease(raw: unknown): LeaseView {
  const { metadata, spec = {} } = raw as RawLease
  return {
    metadata,
    spec,
    holder: spec.holderIdentity ?? '',
    durationMs: (spec.leaseDurationSeconds ?? LEASE_MS / 1000) * 1000,
    renewedAt: Date.parse(spec.renewTime ?? '') || 0,
    acquireTime: spec.acquireTime,
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
  // MicroTime
  const now = new Date(clock.wall()).toISOString().replace('Z', '000Z')
  const same = lease?.holder === holder
  const taken = lease !== undefined && !same && holder !== ''
  const body = leaseBody(lease ? metadataUnder(holder, lease) : key, {
    holderIdentity: holder,
    leaseDurationSeconds: holder === '' ? 1 : LEASE_MS / 1000,
    renewTime: now,
    acquireTime: (same && lease.acquireTime) || now,
    leaseTransitions: (lease?.transitions ?? 0) + (taken ? 1 : 0),
  })
  const request = lease
    ? ({ method: 'PUT', path: objectPath(LEASES, key) } as const)
    : ({ method: 'POST', path: collectionPath(LEASES, key.namespace) } as const)
  const timeoutMs = RENEW_DEADLINE_MS / 2
  return parseLease(await rest.send({ ...request, body, timeoutMs }, signal))
}

/** Who asked the holder before asks no more once there is another. */
function metadataUnder(holder: string, lease: LeaseView): LeaseView['metadata'] {
  const { metadata } = lease
  if (lease.holder === holder || wantedBy(lease) === undefined) return metadata
  const { [WANTED_BY]: _asked, ...annotations } = metadata.annotations ?? {}
  return { ...metadata, annotations }
}

/**
 * Refuses writes that would start too late in a term, or after it. Each is judged when it goes onto
 * the wire: a process that was paused would send what had waited for a socket before any timer of
 * its own tells it that the term is over.
 */
export function guardWrites(rest: KubeRest, term: Pick<Term, 'isWritable'>): KubeRest {
  const check = () => {
    if (!term.isWritable()) throw lost('its renewal is overdue')
  }
  return {
    ...rest,
    send: (request, signal) =>
      rest.send(request.method === 'GET' ? request : { ...request, check }, signal),
  }
}
