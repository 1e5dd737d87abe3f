import type { Clock } from '../../kube/clock.ts'

/**
 * What this process remembers of its runs, by claim: since when it fails, when it read from
 * Connect, how often it repaired. All of it may be lost with the process.
 */
export interface History {
  /** Milliseconds for which the claim has failed without a break. */
  failingMs(key: string): number
  /** When a question of this generation was asked first. Monotonic milliseconds. */
  askedAt(key: string, generation: number): number
  failed(key: string): void
  succeeded(key: string): void
  /** Milliseconds until Connect may be read again for this cause. */
  readWaitMs(key: string, cause: ReadCause): number
  didRead(key: string, cause: ReadCause): void
  /** Repairs within the last minute. */
  recentRepairs(key: string): number
  didRepair(key: string): void
  /** Notes that this version of a Secret holds the content that its digest names. */
  noteVersion(secretKey: string, version: string): void
  isKnownVersion(secretKey: string, version: string): boolean
  drop(key: string): void
}

/** Why an applied claim's item is read again: it changed, or the Secret did. */
export type ReadCause = 'refresh' | 'repair'

const READ_INTERVAL_MS = 10_000
const REPAIRS_MS = 60_000

interface Entry {
  failingSince?: number | undefined
  asked?: { readonly generation: number; readonly at: number }
  readAt?: Partial<Record<ReadCause, number>>
  repairs?: number[]
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

  function repairs(key: string): number[] {
    const since = clock.now() - REPAIRS_MS
    return (entries.get(key)?.repairs ?? []).filter((at) => at > since)
  }

  return {
    failingMs(key) {
      const since = entries.get(key)?.failingSince
      return since === undefined ? 0 : clock.now() - since
    },
    askedAt(key, generation) {
      const asked = entries.get(key)?.asked
      if (asked?.generation === generation) return asked.at
      const at = clock.now()
      change(key, (entry) => (entry.asked = { generation, at }))
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
    noteVersion: (secretKey, version) => void versions.set(secretKey, version),
    isKnownVersion: (secretKey, version) => versions.get(secretKey) === version,
    drop(key) {
      entries.delete(key)
    },
  }
}
