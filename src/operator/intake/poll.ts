/**
 * The poll. It writes nothing and decides nothing: it looks whether anything moved and enqueues the
 * keys that this concerns.
 */
import { isKeyferryError, type KeyferryError } from '../../errors.ts'
import { type Clock, sleep } from '../../kube/clock.ts'
import type { Bindings } from './bindings.ts'
import type { Catalog } from './catalog.ts'
import { PRIORITY, type Priority } from './keys.ts'

/** What the poll needs. */
export interface PollDeps {
  readonly catalog: Catalog
  readonly bindings: Bindings
  readonly clock: Clock
  readonly random: () => number
  readonly intervalMs: number
  /** Ages of an outage, in milliseconds, at which every claim's status changes. */
  readonly staleMs: readonly number[]
  /** All claims. */
  readonly keys: () => Iterable<string>
  readonly enqueue: (key: string, priority: Priority) => void
  /** Called at the end of each poll; `error` undefined is success. */
  readonly onPoll: (ms: number, error: KeyferryError | undefined) => void
}

/** Polls until `signal` aborts. */
export async function runPoll(deps: PollDeps, signal: AbortSignal): Promise<void> {
  const { clock, intervalMs, random } = deps
  let failedFor = 0
  while (!signal.aborted) {
    failedFor = await pollOnce(deps, failedFor, signal)
    // A tenth of jitter, so that several installations do not ask at the same moment.
    await sleep(clock, intervalMs * (0.95 + 0.1 * random()), signal)
  }
}

/** @returns age of the outage after this poll, 0 without one */
async function pollOnce(deps: PollDeps, failedFor: number, signal: AbortSignal): Promise<number> {
  const { catalog, bindings, clock, onPoll } = deps
  const started = clock.now()
  try {
    const moved = await catalog.refresh(bindings.vaults(), signal)
    if (moved) enqueueAll(deps, bindings.outdated(catalog.peek), PRIORITY.refresh)
    // What failed or was marked while Connect was away is looked at again.
    if (failedFor > 0) enqueueAll(deps, deps.keys(), PRIORITY.housekeeping)
    onPoll(clock.now() - started, undefined)
    return 0
  } catch (error) {
    if (signal.aborted) return failedFor
    if (!isKeyferryError(error)) throw error
    onPoll(clock.now() - started, error)
    const now = catalog.outage()?.ms ?? 0
    const crossed = deps.staleMs.some((age) => failedFor < age && now >= age)
    if (crossed) enqueueAll(deps, deps.keys(), PRIORITY.housekeeping)
    return Math.max(now, 1)
  }
}

function enqueueAll({ enqueue }: PollDeps, keys: Iterable<string>, priority: Priority): void {
  for (const key of keys) enqueue(key, priority)
}
