/**
 * A view made anew. What a standby holds may be as old as a watch that died without a word, which
 * shows after 90 s: good enough for waiting, but whoever acts on it would write the content of a
 * former spec, or take for told what the leader before has told otherwise.
 */
import { type Clock, sleep } from '../../kube/clock.ts'
import type { WatchEvent } from '../../kube/watch.ts'

/** A list-watch that ends with its signal. */
type Watching<T> = (onEvent: (event: WatchEvent<T>) => void, signal: AbortSignal) => Promise<void>

/** See the head of this file. */
export interface Renewal {
  /** Runs a list-watch until `signal` aborts, from its list again each time that is asked for. */
  run<T>(
    watching: Watching<T>,
    onEvent: (event: WatchEvent<T>) => void,
    signal: AbortSignal,
  ): Promise<void>
  /**
   * Lists anew what was not listed just now. Resolves when that is complete, at the latest after
   * 15 s: an API server that cannot list one namespace must not be the end of work in all others.
   */
  renew(signal: AbortSignal): Promise<void>
}

/** Milliseconds for which a list counts as made just now: so old is that of a process that starts. */
const FRESH_MS = 5_000
const PATIENCE_MS = 15_000

interface Watched {
  again: AbortController
  /** When its last whole list began. */
  listedAt: number
  /** A new list that was asked for and is not complete yet. */
  asked: PromiseWithResolvers<void> | undefined
}

/** Nothing watched yet. */
export function createRenewal(clock: Clock): Renewal {
  const all = new Set<Watched>()

  function listAgain(watched: Watched): Promise<void> {
    if (watched.asked === undefined) {
      watched.asked = Promise.withResolvers()
      watched.again.abort()
    }
    return watched.asked.promise
  }

  return {
    async run(watching, onEvent, signal) {
      const watched: Watched = {
        again: new AbortController(),
        listedAt: Number.NEGATIVE_INFINITY,
        asked: undefined,
      }
      all.add(watched)
      let beganAt = watched.listedAt
      const take: typeof onEvent = (event) => {
        if (event.kind === 'listing') beganAt = clock.now()
        onEvent(event)
        if (event.kind !== 'synced') return
        watched.listedAt = beganAt
        watched.asked?.resolve()
        watched.asked = undefined
      }
      while (!signal.aborted) {
        watched.again = new AbortController()
        await watching(take, AbortSignal.any([signal, watched.again.signal]))
      }
      all.delete(watched)
    },
    async renew(signal) {
      const old = [...all].filter(({ listedAt }) => clock.now() - listedAt >= FRESH_MS)
      if (old.length === 0) return
      const patience = new AbortController()
      const both = AbortSignal.any([signal, patience.signal])
      await Promise.race([Promise.all(old.map(listAgain)), sleep(clock, PATIENCE_MS, both)])
      patience.abort()
    },
  }
}
