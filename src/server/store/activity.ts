import { randomBytes } from 'node:crypto'
import type { RowVersion } from './engine.ts'
import { assertGeneration, KEYRING, openRecord, sealRecord } from './records.ts'
import type { StoreParts } from './store.ts'

/** Entries that are kept; the oldest go first. */
const KEPT_ENTRIES = 10_000
/** Milliseconds between two writes: what a crash may lose of the record. */
const FLUSH_MS = 1_000
/**
 * Allowed calls that are kept of one write; denied ones always are. More would push out within
 * seconds what is worth keeping, and make everyone wait for the write.
 */
const ALLOWED_ENTRIES = 1_000
const CACHED_BATCHES = 2_000

/** One call of the API: who asked, for what, and whether it was allowed. */
export interface ActivityEntry {
  readonly requestId: string
  /** RFC 3339. */
  readonly timestamp: string
  readonly action: 'READ' | 'CREATE' | 'UPDATE' | 'DELETE'
  readonly result: 'SUCCESS' | 'DENY'
  readonly actor: string
  readonly jti: string
  readonly userAgent: string
  readonly requestIp: string
  readonly type: 'ITEM' | 'VAULT'
  readonly vault?: string
  readonly item?: string
  readonly itemVersion?: number
}

/**
 * The record of API calls. It is written once a second, a batch at a time: recording every read
 * durably would make reads as slow as writes. Under more than a thousand calls a second it
 * holds all denied ones and the latest thousand of the others.
 */
export interface Activity {
  record(entry: ActivityEntry): void
  /** Entries that `visible` accepts, newest first, with their total number. */
  list(
    visible: (entry: ActivityEntry) => boolean,
    page: { limit: number; offset: number },
  ): Promise<{ entries: ActivityEntry[]; total: number }>
  close(): Promise<void>
}

/** The record of a store. */
export function createActivity(parts: StoreParts): Activity {
  const { engine, ring } = parts
  let buffer: ActivityEntry[] = []
  let timer: NodeJS.Timeout | undefined
  const cache = new Map<string, ActivityEntry[]>()

  const flush = async () => {
    clearTimeout(timer)
    timer = undefined
    const batch = worthKeeping(buffer)
    buffer = []
    if (batch.length === 0) return
    const id = batchId(parts.now())
    const at = { kind: 'activity', scope: '', id, version: batch.length } as const
    const outdated = beyond(await engine.versions('activity'), batch.length)
    await engine.commit({
      keys: [KEYRING],
      decide(seen) {
        assertGeneration(seen.get('meta', '', 'keyring'), ring())
        const drops = outdated.map((old) => ({ op: 'drop', key: { ...at, id: old.id } }) as const)
        const row = sealRecord(ring().current, at, batch)
        return { writes: [{ op: 'put', row }, ...drops], result: undefined }
      },
    })
  }
  const batchOf = async (id: string): Promise<ActivityEntry[]> => {
    const known = cache.get(id)
    if (known) return known
    const row = await engine.get({ kind: 'activity', scope: '', id })
    const batch = row ? (openRecord(ring().all, row) as ActivityEntry[]) : []
    if (cache.size >= CACHED_BATCHES) cache.clear()
    cache.set(id, batch)
    return batch
  }
  return {
    record(entry) {
      buffer.push(entry)
      if (buffer.length > 4 * ALLOWED_ENTRIES) buffer = worthKeeping(buffer)
      // A store that cannot be written must not lose its readers over their record.
      timer ??= setTimeout(() => void flush().catch(() => undefined), FLUSH_MS).unref()
    },
    async list(visible, { limit, offset }) {
      await flush().catch(() => undefined)
      const entries: ActivityEntry[] = []
      let total = 0
      for (const { id } of (await engine.versions('activity')).toReversed()) {
        for (const entry of (await batchOf(id)).toReversed()) {
          if (!visible(entry)) continue
          if (total >= offset && entries.length < limit) entries.push(entry)
          total += 1
        }
      }
      return { entries, total }
    },
    close: () => flush().catch(() => undefined),
  }
}

function worthKeeping(entries: readonly ActivityEntry[]): ActivityEntry[] {
  let allowed = entries.filter(({ result }) => result === 'SUCCESS').length
  const kept = entries.filter(({ result }) => result === 'DENY' || allowed-- <= ALLOWED_ENTRIES)
  return kept.slice(-KEPT_ENTRIES)
}

/** Sorts by time; unique among the processes that share a store. */
function batchId(ms: number): string {
  return `${String(ms).padStart(15, '0')}-${randomBytes(6).toString('hex')}`
}

/** The batches that are no longer needed once `added` more entries are there. */
function beyond(batches: readonly RowVersion[], added: number): RowVersion[] {
  let kept = added
  return batches.toReversed().filter(({ version }) => {
    kept += version
    return kept > KEPT_ENTRIES + version
  })
}
