/**
 * The stream of the status page: the whole table for each who joins, then what changes, gathered for
 * a moment so that a mass of changes is a few events. While nobody looks, nothing is done at all.
 */
import type { Clock } from '../kube/clock.ts'
import { keyOf, parseKey, type Tracked } from '../kube/resource.ts'
import type { Store } from '../kube/store.ts'
import { BY_SECRET, type Views } from '../operator/intake/views.ts'
import type { NamespaceView } from '../operator/objects.ts'
import type { Journal } from './journal.ts'
import type { Change, Health, Row, Snapshot } from './model.ts'
import { rowOf } from './snapshot.ts'

/** What a feed stands on. */
export interface FeedDeps {
  readonly views: Views
  readonly journal: Journal
  readonly clock: Clock
  readonly health: () => Health
  readonly advice: Snapshot['advice']
}

/** See the head of this file. */
export interface Feed {
  /**
   * Begins to send events; the first is a snapshot.
   *
   * @param send gives false when the receiver is behind: nothing is sent until `Reader.resume`
   */
  join(send: (event: string) => boolean): Reader
  snapshot(): Snapshot
}

/** Who follows a feed. */
export interface Reader {
  resume(): void
  leave(): void
}

/** Milliseconds for which changes are gathered. */
const GATHER_MS = 250
/** Milliseconds between two events at most: by their absence readers notice a dead connection. */
const BEAT_MS = 5_000

interface Member {
  readonly send: (event: string) => boolean
  /** Keys of resources that changed since the last event. */
  readonly dirty: Set<string>
  behind: boolean
}

/** A feed that nobody reads yet. */
export function createFeed(deps: FeedDeps): Feed {
  const { views, clock, health, advice } = deps
  const members = new Set<Member>()
  let stop: (() => void) | undefined
  let gathering = false

  const snapshot = (): Snapshot => ({
    health: health(),
    advice,
    rows: [...views.claims.values()].map(rowOf),
  })
  function flush(member: Member): void {
    if (member.behind) return
    member.behind = !member.send(eventOf('change', changeOf(deps, member.dirty)))
    member.dirty.clear()
  }
  function touch(key: string): void {
    for (const { dirty } of members) dirty.add(key)
    if (gathering) return
    gathering = true
    clock.timer(GATHER_MS, () => {
      gathering = false
      for (const member of members) if (member.dirty.size > 0) flush(member)
    })
  }
  function beat(): () => void {
    let cancel = () => {}
    const next = () => {
      for (const member of members) flush(member)
      cancel = clock.timer(BEAT_MS, next)
    }
    cancel = clock.timer(BEAT_MS, next)
    return () => cancel()
  }
  function begin(): () => void {
    const ends = [...listen(deps, touch), beat()]
    return () => ends.forEach((end) => end())
  }

  return {
    snapshot,
    join(send) {
      stop ??= begin()
      const member: Member = { send, dirty: new Set(), behind: false }
      members.add(member)
      member.behind = !send(eventOf('snapshot', snapshot()))
      return {
        resume() {
          member.behind = false
          if (member.dirty.size > 0) flush(member)
        },
        leave() {
          members.delete(member)
          if (members.size > 0) return
          stop?.()
          stop = undefined
        },
      }
    },
  }
}

/** One event of a stream. Source: WHATWG HTML, "Server-sent events". */
function eventOf(name: 'snapshot' | 'change', data: Snapshot | Change): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}

function changeOf({ views, health }: FeedDeps, dirty: ReadonlySet<string>): Change {
  const rows: Row[] = []
  const gone: string[] = []
  for (const key of dirty) {
    const claim = views.claims.get(parseKey(key))
    if (claim) rows.push(rowOf(claim))
    else gone.push(key)
  }
  return { health: health(), rows, gone }
}

/** Calls for each resource whose row or details may have changed. @returns what ends that */
function listen({ views, journal }: FeedDeps, touch: (key: string) => void): (() => void)[] {
  const touchUsers = (secretKey: string) => {
    for (const claim of views.claims.find(BY_SECRET, secretKey)) touch(keyOf(claim))
  }
  const workloads = Object.values(views.workloads).map((store) =>
    follow(store, ({ namespace, uses, pulls }) => {
      for (const name of [...uses, ...pulls]) touchUsers(keyOf({ namespace, name }))
    }),
  )
  const touchNamespace = ({ name }: NamespaceView) => {
    for (const claim of views.claims.values()) if (claim.namespace === name) touch(keyOf(claim))
  }
  return [
    ...workloads,
    follow(views.claims, (claim) => touch(keyOf(claim))),
    follow(views.namespaces, touchNamespace, (namespace) => namespace?.autoRestart),
    follow(views.secrets, (secret) => touchUsers(keyOf(secret))),
    journal.subscribe(({ about, key }) => (about === 'resource' ? touch(key) : touchUsers(key))),
  ]
}

/**
 * Calls with the object before and after each change, but not with what is there already.
 *
 * @param part what of an object counts
 */
function follow<T extends Tracked>(
  store: Store<T>,
  take: (object: T) => void,
  part: (object: T | undefined) => unknown = (object) => object,
): () => void {
  let begun = false
  const end = store.subscribe((before, after) => {
    if (!begun || part(before) === part(after)) return
    if (before) take(before)
    if (after) take(after)
  })
  begun = true
  return end
}
