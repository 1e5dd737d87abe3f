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
  readonly enqueue: (key: string, priority: Priority) => void
}

/** What the poll needs. */
export interface PollDeps {
  readonly catalog: Catalog
  readonly lanes: readonly Lane[]
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

/** Polls until `signal` aborts. */
export async function runPoll(deps: PollDeps, signal: AbortSignal): Promise<void> {
  const { clock, intervalMs, random, catalog } = deps
  let before: Ages = new Map()
  while (!signal.aborted) {
    await pollOnce(deps, signal)
    const now: Ages = new Map([...catalog.outages()].map(([vault, { ms }]) => [vault, ms]))
    if (needsTelling(before, now, deps.staleMs)) enqueueAll(deps)
    before = now
    // A tenth of jitter, so that several installations do not ask at the same moment.
    await sleep(clock, intervalMs * (0.95 + 0.1 * random()), signal)
  }
}

/** Milliseconds for which vaults have failed. */
type Ages = ReadonlyMap<string, number>

/** Whether an outage has come of age since the last poll, or has ended. */
function needsTelling(before: Ages, now: Ages, staleMs: readonly number[]): boolean {
  const ended = [...before.keys()].some((vault) => !now.has(vault))
  const cameOfAge = [...now].some(([vault, ms]) =>
    staleMs.some((age) => (before.get(vault) ?? 0) < age && ms >= age),
  )
  return ended || cameOfAge
}

/** Enqueues the claims whose paths mean something else than when they were last worked. */
export function enqueueOutdated({ catalog, lanes }: Pick<PollDeps, 'catalog' | 'lanes'>): void {
  for (const { bindings, enqueue } of lanes) {
    for (const key of bindings.outdated(catalog.peek)) enqueue(key, PRIORITY.refresh)
  }
}

async function pollOnce(deps: PollDeps, signal: AbortSignal): Promise<void> {
  const { catalog, lanes, clock, onPoll } = deps
  const started = clock.now()
  try {
    const used = new Set(lanes.flatMap(({ bindings }) => [...bindings.vaults()]))
    if (await catalog.refresh(used, signal)) enqueueOutdated(deps)
    onPoll(clock.now() - started, undefined)
  } catch (error) {
    if (signal.aborted) return
    if (isKeyferryError(error)) onPoll(clock.now() - started, error)
    // A defect in a poll must not be the end of polling.
    else deps.onCrash(error)
  }
}

function enqueueAll({ lanes }: PollDeps): void {
  for (const { keys, enqueue } of lanes) {
    for (const key of keys()) enqueue(key, PRIORITY.housekeeping)
  }
}
