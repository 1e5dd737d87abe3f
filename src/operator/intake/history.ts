import type { Clock } from '../../kube/clock.ts'

/**
 * What this process remembers of its runs, by claim: since when it fails, when it read from
 * Connect, how often it repaired. All of it may be lost with the process.
 */
export interface History {
  /** Milliseconds for which the claim has failed without a break. */
  failingMs(key: string): number
  /** When this question was asked first. Monotonic milliseconds. */
  askedAt(key: string, question: string): number
  failed(key: string): void
  succeeded(key: string): void
  /** Milliseconds until Connect may be read again for this cause. */
  readWaitMs(key: string, cause: ReadCause): number
  didRead(key: string, cause: ReadCause): void
  /** Repairs within the last minute. */
  recentRepairs(key: string): number
  didRepair(key: string): void
  /** The incumbent's finalizer was taken off, or its traces were found over ours. */
  metIncumbent(key: string): void
  /** Whether the incumbent came back again and again within ten minutes. */
  isContested(key: string): boolean
  /**
   * Notes that Connect said the item is gone.
   *
   * @returns how often it said so, counting only sights that are `apartMs` apart
   */
  sawAbsence(key: string, itemId: string, apartMs: number): number
  sawPresence(key: string): void
  /** Notes that this version of a Secret holds the content that its digest names. */
  noteVersion(secretKey: string, version: string): void
  isKnownVersion(secretKey: string, version: string): boolean
  drop(key: string): void
}

/** Why an applied claim's item is read again: it changed, or the Secret did. */
export type ReadCause = 'refresh' | 'repair'

const READ_INTERVAL_MS = 10_000
const REPAIRS_MS = 60_000
const INCUMBENT_MS = 600_000
/** Meetings with the incumbent after which it counts as running. */
const INCUMBENT_MEETINGS = 2

interface Entry {
  failingSince?: number | undefined
  asked?: { readonly question: string; readonly at: number }
  readAt?: Partial<Record<ReadCause, number>>
  repairs?: number[]
  incumbent?: number[]
  absence?: { readonly itemId: string; readonly count: number; readonly at: number } | undefined
}

/** Nothing remembered yet. */
export function createHistory(clock: Clock): History {
  const entries = new Map<string, Entry>()
  const versions = new Map<string, string>()

  function change(key: string, change: (entry: Entry) => void): void {
    const entry = entries.get(key) ?? {}
    change(entry)
    entries.set(key, entry)
  }

  function recent(times: readonly number[] | undefined, ms: number): number[] {
    const since = clock.now() - ms
    return (times ?? []).filter((at) => at > since)
  }

  const repairs = (key: string) => recent(entries.get(key)?.repairs, REPAIRS_MS)
  const meetings = (key: string) => recent(entries.get(key)?.incumbent, INCUMBENT_MS)

  return {
    failingMs(key) {
      const since = entries.get(key)?.failingSince
      return since === undefined ? 0 : clock.now() - since
    },
    askedAt(key, question) {
      const asked = entries.get(key)?.asked
      if (asked?.question === question) return asked.at
      const at = clock.now()
      change(key, (entry) => (entry.asked = { question, at }))
      return at
    },
    failed: (key) => change(key, (entry) => (entry.failingSince ??= clock.now())),
    succeeded(key) {
      const entry = entries.get(key)
      if (entry) entry.failingSince = undefined
    },
    readWaitMs(key, cause) {
      const at = entries.get(key)?.readAt?.[cause]
      return at === undefined ? 0 : Math.max(0, at + READ_INTERVAL_MS - clock.now())
    },
    didRead(key, cause) {
      change(key, (entry) => (entry.readAt = { ...entry.readAt, [cause]: clock.now() }))
    },
    recentRepairs: (key) => repairs(key).length,
    didRepair(key) {
      change(key, (entry) => (entry.repairs = [...repairs(key), clock.now()]))
    },
    metIncumbent(key) {
      change(key, (entry) => (entry.incumbent = [...meetings(key), clock.now()]))
    },
    isContested: (key) => meetings(key).length >= INCUMBENT_MEETINGS,
    sawAbsence(key, itemId, apartMs) {
      const before = entries.get(key)?.absence
      const at = clock.now()
      if (before?.itemId === itemId && at - before.at < apartMs) return before.count
      const count = before?.itemId === itemId ? before.count + 1 : 1
      change(key, (entry) => (entry.absence = { itemId, count, at }))
      return count
    },
    sawPresence(key) {
      const entry = entries.get(key)
      if (entry) entry.absence = undefined
    },
    noteVersion: (secretKey, version) => void versions.set(secretKey, version),
    isKnownVersion: (secretKey, version) => versions.get(secretKey) === version,
    drop(key) {
      entries.delete(key)
    },
  }
}
