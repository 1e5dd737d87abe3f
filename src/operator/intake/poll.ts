/**
 * The poll. It writes nothing and decides nothing: it looks whether anything moved and enqueues the
 * keys that this concerns.
 */
import { isKeyferryError, type KeyferryError } from '../../errors.ts'
import { type Clock, sleep } from '../../kube/clock.ts'
import type { Bindings } from './bindings.ts'
import type { Catalog } from './catalog.ts'
import { PRIORITY, type Priority } from './keys.ts'

/** Claims of one origin, with their queue. */
export interface Lane {
  readonly bindings: Bindings
  /** Keys of all claims. */
  readonly keys: () => Iterable<string>
  /** Whether the last run of a key failed for a cause that may pass. */
  readonly isFailing: (key: string) => boolean
  readonly enqueue: (key: string, priority: Priority) => void
}

/** What the poll needs. */
export interface PollDeps {
  readonly catalog: Catalog
  readonly lanes: Iterable<Lane>
  readonly clock: Clock
  readonly random: () => number
  readonly intervalMs: number
  /** Ages of an outage, in milliseconds, at which every claim's status changes. */
  readonly staleMs: readonly number[]
  /** Called at the end of each poll; `error` undefined is success. */
  readonly onPoll: (ms: number, error: KeyferryError | undefined) => void
  /** Called for an error that nobody expected. */
  readonly onCrash: (error: unknown) => void
}

/** Milliseconds between two polls at least, whatever Connect asks for. */
const LEAST_MS = 1_000

/** Polls until `signal` aborts. */
export async function runPoll(deps: PollDeps, signal: AbortSignal): Promise<void> {
  const { clock, intervalMs, random, catalog } = deps
  let before: Ages = new Map()
  while (!signal.aborted) {
    const error = await pollOnce(deps, signal)
    const now: Ages = new Map([...catalog.outages()].map(([vault, { ms }]) => [vault, ms]))
    const ended = [...before.keys()].some((vault) => !now.has(vault))
    if (ended) enqueueFailing(deps)
    if (ended || cameOfAge(before, now, deps.staleMs)) enqueueAll(deps)
    before = now
    // Once it may be asked again, Connect is asked.
    const askedMs = Math.max(LEAST_MS, error?.retryAfterMs ?? intervalMs)
    const waitMs = Math.min(intervalMs, askedMs)
    // A tenth of jitter, so that several installations do not ask at the same moment.
    await sleep(clock, waitMs * (0.95 + 0.1 * random()), signal)
  }
}

/** Milliseconds for which vaults have failed. */
type Ages = ReadonlyMap<string, number>

/** Whether a failure has come of age since the last poll. */
function cameOfAge(before: Ages, now: Ages, staleMs: readonly number[]): boolean {
  return [...now].some(([vault, ms]) =>
    staleMs.some((age) => (before.get(vault) ?? 0) < age && ms >= age),
  )
}

/** Enqueues the claims whose paths mean something else than when they were last worked. */
export function enqueueOutdated({ catalog, lanes }: Pick<PollDeps, 'catalog' | 'lanes'>): void {
  for (const { bindings, enqueue } of lanes) {
    for (const key of bindings.outdated(catalog.peek)) enqueue(key, PRIORITY.refresh)
  }
}

/** @returns the failure to list the vaults */
async function pollOnce(deps: PollDeps, signal: AbortSignal): Promise<KeyferryError | undefined> {
  const { catalog, lanes, clock, onPoll } = deps
  const started = clock.now()
  try {
    const used = new Set([...lanes].flatMap(({ bindings }) => [...bindings.vaults()]))
    await catalog.refresh(used, signal, () => enqueueOutdated(deps))
    onPoll(clock.now() - started, undefined)
  } catch (error) {
    if (signal.aborted) return undefined
    if (isKeyferryError(error)) {
      onPoll(clock.now() - started, error)
      return error
    }
    // A defect in a poll must not be the end of polling.
    deps.onCrash(error)
  }
  return undefined
}

/** Connect is back: what failed need not wait for the end of its back-off. */
function enqueueFailing({ lanes }: PollDeps): void {
  for (const { keys, isFailing, enqueue } of lanes) {
    for (const key of keys()) if (isFailing(key)) enqueue(key, PRIORITY.refresh)
  }
}

function enqueueAll({ lanes }: PollDeps): void {
  for (const { keys, enqueue } of lanes) {
    for (const key of keys()) enqueue(key, PRIORITY.housekeeping)
  }
}
