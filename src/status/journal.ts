/**
 * What the operator did lately, for the status page: a short history of each resource and the last
 * poll. In memory alone and bounded: the youngest entries of each, and so many in all.
 */
import type { Clock } from '../kube/clock.ts'
import { keyOf, type ObjectKey } from '../kube/resource.ts'
import { conditionOf, type ItemStatus, versionsOf } from '../operator/item.ts'
import { workloadName } from '../operator/plan/restarts.ts'
import { reasonOf } from '../operator/plan/trouble.ts'
import type { Plan, SecretWrite, Snapshot } from '../operator/plan/types.ts'
import type { Witness } from '../operator/report.ts'
import type { Happening, Poll } from './model.ts'

/** See the head of this file. */
export interface Journal {
  /** Through which the operator tells of itself. */
  readonly witness: Witness
  /** What happened to a resource and to its Secret, from the youngest. */
  of(resource: ObjectKey, secretName: string): readonly Happening[]
  readonly poll: () => Omit<Poll, 'everyMs'>
  /** Calls for each new entry: with the key of a resource or that of a Secret. @returns ends that */
  subscribe(listener: (subject: Subject) => void): () => void
}

/** What an entry is about: restarts are told by Secret. */
export interface Subject {
  readonly about: 'resource' | 'secret'
  /** `namespace/name`. */
  readonly key: string
}

/** Entries of one resource or Secret. */
const MOST_OF_ONE = 16
/** Entries in all, about 100 bytes each: the histories in which nothing happened longest go first. */
const MOST = 8_192

/** An empty journal. */
export function createJournal(clock: Clock): Journal {
  const rings = createRings()
  const listeners = new Set<(subject: Subject) => void>()
  let poll: Omit<Poll, 'everyMs'> = {}

  function note(subject: Subject, kind: Happening['kind'], detail: string): void {
    rings.add(idOf(subject), { at: clock.wall(), kind, detail })
    for (const listener of listeners) listener(subject)
  }
  const witness: Witness = {
    outcome(seen, plan) {
      const subject: Subject = { about: 'resource', key: keyOf(seen.claim) }
      // The histories of workloads that ask by annotation have no resource to stand at.
      if (seen.claim.origin !== 'resource') return
      for (const [kind, detail] of happeningsIn(seen, plan)) note(subject, kind, detail)
    },
    restart(workload, secrets) {
      for (const name of secrets) {
        const key = keyOf({ namespace: workload.namespace, name })
        note({ about: 'secret', key }, 'restarted', workloadName(workload))
      }
    },
    giveUp(workload, why, secret) {
      const key = keyOf({ namespace: workload.namespace, name: secret })
      note({ about: 'secret', key }, 'gave up', `${workloadName(workload)}: ${why}`)
    },
    poll(ms, error) {
      const at = clock.wall()
      const failure = error && {
        reason: reasonOf(error),
        message: error.message,
        since: poll.failure?.since ?? at,
      }
      poll = { last: { at, ms: Math.round(ms) }, ...(failure ? { failure } : {}) }
    },
  }
  return {
    witness,
    of({ namespace, name }, secretName) {
      const own = rings.of(idOf({ about: 'resource', key: keyOf({ namespace, name }) }))
      const key = keyOf({ namespace, name: secretName })
      const ofSecret = rings.of(idOf({ about: 'secret', key }))
      return [...own, ...ofSecret].toReversed().toSorted((a, b) => b.at - a.at)
    },
    poll: () => poll,
    subscribe(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}

const idOf = ({ about, key }: Subject) => `${about} ${key}`

/** Short histories by id. */
function createRings() {
  // In the order of their youngest entries: a Map keeps that of insertion.
  const rings = new Map<string, Happening[]>()
  let count = 0
  return {
    add(id: string, entry: Happening): void {
      const ring = rings.get(id) ?? []
      rings.delete(id)
      rings.set(id, ring)
      ring.push(entry)
      count += 1
      if (ring.length > MOST_OF_ONE) {
        ring.shift()
        count -= 1
      }
      for (const [oldest, entries] of rings) {
        if (count <= MOST) return
        rings.delete(oldest)
        count -= entries.length
      }
    },
    /** From the oldest. */
    of: (id: string): readonly Happening[] => rings.get(id) ?? [],
  }
}

type Entry = readonly [kind: Happening['kind'], detail: string]

const NOTHING: readonly Entry[] = []

/** What a run did that somebody may want to know; most did nothing. */
function happeningsIn(
  { claim }: Snapshot,
  { secret, repair, status, fault }: Plan,
): readonly Entry[] {
  if (secret === undefined && status === undefined) return NOTHING
  const found: Entry[] = []
  if (secret) found.push([repair ? 'repaired' : KINDS[secret.kind], versionsIn(status)])
  const [before, after] = [readinessOf(claim.status), status && readinessOf(status)]
  const isNews = after !== undefined && after !== before
  if (isNews && (fault !== undefined || before !== '')) found.push(['state', after])
  return found
}

const KINDS = {
  create: 'created',
  replace: 'updated',
  recreate: 'recreated',
  delete: 'deleted',
} as const satisfies Record<SecretWrite['kind'], Happening['kind']>

/** The reason that a status shows; empty before the first. */
function readinessOf(status: ItemStatus): string {
  return conditionOf(status, 'Stale')?.reason ?? conditionOf(status, 'Ready')?.reason ?? ''
}

function versionsIn(status: ItemStatus | undefined): string {
  const versions = versionsOf(status?.items)
  if (versions.length === 0) return ''
  return `${versions.length > 1 ? 'versions' : 'version'} ${versions.join(', ')}`
}
