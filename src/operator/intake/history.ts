import type { Clock } from '../../kube/clock.ts'
import { keyOf, type Tracked } from '../../kube/resource.ts'
import { DIGEST, ITEM_VERSION } from '../annotations.ts'
import type { SecretMeta, Snapshot } from '../plan/types.ts'

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
  /** The Secret of that name is about to be written with that version of its item. */
  writesSecret(key: string, name: string, itemVersion: string | undefined): void
  /** That was done: from now on it is known what is on it. */
  wroteSecret(key: string): void
  /**
   * A Secret was read: another version of its item on it than was written last is the work of
   * somebody else who thinks it his.
   *
   * @param applied the version that was written last to this Secret, as the status has it
   */
  sawSecret(key: string, secret: SecretMeta, applied: string | undefined): void
  /** The incumbent's finalizer was taken off. */
  tookFinalizer(key: string): void
  /** The incumbent was met on a workload that asks for the claim's Secret; holds for two minutes. */
  foundIncumbent(key: string): void
  /**
   * The incumbent, if it is running: it was found, its finalizer is there again although it was taken off, or it
   * rewrote the Secret twice, within ten minutes.
   *
   * @param at the generation that is looked at, and whether the finalizer is on it
   */
  incumbentAt(key: string, at: IncumbentSight): Snapshot['anotherOperator']
  /** It was told for this generation that the incumbent is running. */
  toldOfIncumbent(key: string, generation: number): void
  /**
   * Notes that Connect said the item is gone.
   *
   * @returns how often it said so, counting only sights that are `apartMs` apart
   */
  sawAbsence(key: string, itemId: string, apartMs: number): number
  /** When it said so last, of those that count. Monotonic milliseconds. */
  absentAt(key: string, itemId: string): number | undefined
  sawPresence(key: string): void
  drop(key: string): void
}

/** Versions of Secrets whose content is known because this process wrote them. */
export interface OwnVersions {
  note(secret: Tracked): void
  isKnown(secret: Tracked): boolean
  forget(secret: Tracked): void
}

/** Nothing written yet. */
export function createOwnVersions(): OwnVersions {
  const versions = new Map<string, string>()
  return {
    note(secret) {
      versions.set(keyOf(secret), secret.resourceVersion)
    },
    isKnown: (secret) => versions.get(keyOf(secret)) === secret.resourceVersion,
    forget(secret) {
      versions.delete(keyOf(secret))
    },
  }
}

/** Why an applied claim's item is read again: it changed, or the Secret did. */
export type ReadCause = 'refresh' | 'repair'

const READ_INTERVAL_MS = 10_000
const REPAIRS_MS = 60_000
const INCUMBENT_MS = 600_000
/** Milliseconds for which it counts that the incumbent was met on a workload, once a minute. */
const FOUND_MS = 120_000
/** Secrets rewritten after which the incumbent counts as running. */
const INCUMBENT_REWRITES = 2
/** Writes that are remembered: whether the last one took effect may be unknown. */
const REMEMBERED_WRITES = 2

/** What is looked at for traces of the incumbent. */
export interface IncumbentSight {
  readonly generation: number
  readonly finalizer: boolean
}

/** Traces of the incumbent on one claim. */
interface Traces {
  /** Name of the Secret that the next four are about: a claim may come to ask for another. */
  readonly secret?: string
  /** Versions of the item that this process wrote to the Secret or tried to, the newest first. */
  readonly written?: readonly string[]
  /** Whether any of these is known to have been written. */
  readonly wrote?: boolean
  /** The Secret that was looked at last: each is judged once. */
  readonly seen?: string
  /** What was on it when it was found rewritten: who edits it then leaves that as it is. */
  readonly rewritten?: string | undefined
  readonly rewrites?: readonly number[]
  readonly tookFinalizer?: readonly number[]
  readonly found?: readonly number[]
  readonly toldGeneration?: number
}

interface Entry {
  readonly failingSince?: number | undefined
  readonly asked?: { readonly question: string; readonly at: number }
  readonly readAt?: Partial<Record<ReadCause, number>>
  readonly repairs?: readonly number[]
  readonly incumbent?: Traces
  readonly absence?:
    | { readonly itemId: string; readonly count: number; readonly at: number }
    | undefined
}

/** Nothing remembered yet. */
export function createHistory(clock: Clock): History {
  const { get, change, recent, drop } = createEntries(clock)
  return {
    failingMs(key) {
      const since = get(key).failingSince
      return since === undefined ? 0 : clock.now() - since
    },
    askedAt(key, question) {
      const { asked } = get(key)
      if (asked?.question === question) return asked.at
      const at = clock.now()
      change(key, { asked: { question, at } })
      return at
    },
    failed(key) {
      change(key, { failingSince: get(key).failingSince ?? clock.now() })
    },
    succeeded(key) {
      if (get(key).failingSince !== undefined) change(key, { failingSince: undefined })
    },
    readWaitMs(key, cause) {
      const at = get(key).readAt?.[cause]
      return at === undefined ? 0 : Math.max(0, at + READ_INTERVAL_MS - clock.now())
    },
    didRead(key, cause) {
      change(key, { readAt: { ...get(key).readAt, [cause]: clock.now() } })
    },
    recentRepairs: (key) => recent(get(key).repairs, REPAIRS_MS).length,
    didRepair(key) {
      change(key, { repairs: [...recent(get(key).repairs, REPAIRS_MS), clock.now()] })
    },
    ...createTraces({ clock, get, change, recent }),
    sawAbsence(key, itemId, apartMs) {
      const before = get(key).absence
      const at = clock.now()
      if (before?.itemId === itemId && at - before.at < apartMs) return before.count
      const count = before?.itemId === itemId ? before.count + 1 : 1
      change(key, { absence: { itemId, count, at } })
      return count
    },
    absentAt(key, itemId) {
      const { absence } = get(key)
      return absence?.itemId === itemId ? absence.at : undefined
    },
    sawPresence(key) {
      if (get(key).absence !== undefined) change(key, { absence: undefined })
    },
    drop,
  }
}

type TraceKeeper = Pick<
  History,
  | 'writesSecret'
  | 'wroteSecret'
  | 'sawSecret'
  | 'tookFinalizer'
  | 'foundIncumbent'
  | 'incumbentAt'
  | 'toldOfIncumbent'
>

/** The part of a history that is about the incumbent. */
function createTraces({
  clock,
  get,
  change,
  recent,
}: { readonly clock: Clock } & Pick<
  ReturnType<typeof createEntries>,
  'get' | 'change' | 'recent'
>): TraceKeeper {
  const tracesOf = (key: string): Traces => get(key).incumbent ?? {}
  /** What is known of the Secret of that name, and what is known anyhow. */
  const tracesOn = (key: string, secret: string): Traces => {
    const all = tracesOf(key)
    if (all.secret === secret) return all
    const { written: _written, wrote: _wrote, seen: _seen, rewritten: _rewritten, ...others } = all
    return { ...others, secret }
  }
  const note = (key: string, traces: Traces, before = tracesOf(key)) =>
    change(key, { incumbent: { ...before, ...traces } })
  const lately = (times: readonly number[] | undefined) => recent(times, INCUMBENT_MS)
  return {
    writesSecret(key, name, version) {
      const traces = tracesOn(key, name)
      const { written = [] } = traces
      if (version === undefined || version === written[0]) return
      note(key, { written: [version, ...written].slice(0, REMEMBERED_WRITES) }, traces)
    },
    wroteSecret: (key) => note(key, { wrote: true, rewritten: undefined }),
    sawSecret(key, { name, uid, resourceVersion, annotations }, applied) {
      const traces = tracesOn(key, name)
      const { written = [], wrote = false, seen, rewrites, rewritten } = traces
      const version = annotations[ITEM_VERSION]
      const sight = `${uid} ${resourceVersion}`
      // Of a write whose status could not be told at once, only the status knows.
      const ours = applied === undefined ? written : [...written, applied]
      // Before anything of ours was on it, all that is on it is of others.
      if (!(wrote || applied !== undefined) || version === undefined || sight === seen) return
      note(key, { seen: sight, rewrites: lately(rewrites) }, traces)
      // Its reconcile takes our annotations off, its poll leaves them and changes its own.
      if (ours.includes(version) && DIGEST in annotations) return
      const found = `${version} ${annotations[DIGEST]}`
      if (found !== rewritten) {
        note(key, { rewrites: [...lately(rewrites), clock.now()], rewritten: found })
      }
    },
    tookFinalizer(key) {
      note(key, { tookFinalizer: [clock.now()] })
    },
    foundIncumbent(key) {
      note(key, { found: [clock.now()] })
    },
    incumbentAt(key, { generation, finalizer }) {
      const { rewrites, tookFinalizer, found, toldGeneration } = tracesOf(key)
      const returned = finalizer && lately(tookFinalizer).length > 0
      const rewritten = lately(rewrites).length >= INCUMBENT_REWRITES
      if (!returned && !rewritten && recent(found, FOUND_MS).length === 0) return undefined
      return toldGeneration === generation ? 'told' : 'met'
    },
    toldOfIncumbent: (key, toldGeneration) => note(key, { toldGeneration }),
  }
}

const NOTHING: Entry = {}

/** The entries by claim; a claim of which nothing is remembered has none. */
function createEntries(clock: Clock) {
  const entries = new Map<string, Entry>()
  return {
    get: (key: string) => entries.get(key) ?? NOTHING,
    change(key: string, members: Entry): void {
      entries.set(key, { ...entries.get(key), ...members })
    },
    recent(times: readonly number[] | undefined, ms: number): readonly number[] {
      return (times ?? []).filter((at) => at > clock.now() - ms)
    },
    drop(key: string): void {
      entries.delete(key)
    },
  }
}
