/**
 * What befalls the operator in one namespace, once, at a moment of chance: it dies, a request or a
 * watch fails, Connect does.
 */
import type { Random } from '../simulation/random.ts'
import { type Position, POSITIONS } from '../support/crash.ts'
import { pause } from '../support/eventually.ts'
import { faultsAt, isBelieved } from '../support/fault-cases.ts'
import {
  type Answer,
  type Call,
  changes,
  type Fate,
  type KubeProxy,
} from '../support/kube-proxy.ts'
import type { ScriptedConnect } from '../support/scripted-connect.ts'
import { REQUEST_FAULTS, spellOf, STREAM_FAULTS } from './faults.ts'
import { placeOf } from './voyage.ts'

/** What kind of misfortune. */
export type Trouble = 'kill' | 'api' | 'connect'

/** Where it happens. */
export interface Place {
  readonly namespace: string
  readonly proxy: KubeProxy
  readonly connect: ScriptedConnect
  readonly vault: string
  /** Ids of the items that are there now. */
  readonly items: () => readonly string[]
  /** Which process of the operator works: 1 is the one that is killed. */
  readonly process: () => number
  /** Gives every vault that the operator uses a new version. */
  readonly moveVaults: () => void
}

/** See the head of this file. */
export interface Misfortune {
  /** What happens when, for a trace. */
  readonly text: string
  /** What befalls a request. */
  fateOf?(call: Call): Fate | undefined
  /** Lets what happens at a time of its own happen. @param activeMs time in which the rest happens */
  happen?(): Promise<void>
  /** Whether a watch tells nothing now. */
  holds?(call: Call): boolean
  /** How many requests, watches or answers it struck. */
  met(): number
}

/** Requests after which something happens, at most: those of the first seconds. */
const REQUESTS = 20
/** Milliseconds in which it begins, and for which it lasts. */
const BEGIN_MS = [300, 2_000] as const
const LAST_MS = [500, 2_000] as const

/** Draws one. */
export function misfortune(trouble: Trouble, place: Place, random: Random): Misfortune {
  switch (trouble) {
    case 'kill':
      return death(place, random)
    case 'api':
      return random.chance(0.65) ? failingRequests(random) : failingWatch(place, random)
    case 'connect':
      return random.chance(0.2) ? lag(place, random) : failingConnect(place, random)
  }
}

/** What nothing comes through any more says. */
const REFUSED: Answer = { status: 503, body: { kind: 'Status', code: 503, message: 'frozen' } }

/**
 * The process is killed for many namespaces at once; in each, nothing that it wants to change reaches
 * the API server from a moment of its own on.
 */
function death({ process }: Place, random: Random): Misfortune {
  const nth = random.between(1, REQUESTS)
  const at = random.pick<Position>(POSITIONS)
  let seen = 0
  let struck = false
  const strike = () => {
    struck = true
    return REFUSED
  }
  return {
    text: `it is killed ${at} request ${nth}`,
    met: () => Number(struck),
    fateOf(call) {
      if (call.isWatch) return undefined
      const asker = process()
      if (asker === 1) seen += 1
      const isHere = asker === 1 && seen === nth
      const isDead = () => asker !== process() || (asker === 1 && struck)
      return {
        before() {
          if (isHere && at === 'before') return strike()
          return isDead() && changes(call) ? REFUSED : undefined
        },
        ...(isHere && at === 'committed' ? { committed: strike } : {}),
        ...(isHere && at === 'after' ? { after: () => void strike() } : {}),
      }
    },
  }
}

function failingRequests(random: Random): Misfortune {
  const [what, fault] = random.pick(Object.entries(REQUEST_FAULTS))
  const nth = random.between(1, REQUESTS)
  const spell = spellOf(fault, fault.times)
  let seen = 0
  return {
    text: `${what} from request ${nth} on`,
    met: () => spell.befell.size,
    fateOf(call) {
      seen += 1
      if (seen === nth) spell.cast()
      return spell.fateOf(call)
    },
  }
}

const WATCHED = ['secrets', 'onepassworditems', 'deployments', 'statefulsets']

function failingWatch({ namespace, proxy }: Place, random: Random): Misfortune {
  const resource = random.pick(WATCHED)
  const isIt = (call: Call) => {
    const place = placeOf(call)
    return call.isWatch && place.namespace === namespace && place.resource === resource
  }
  const beginMs = random.between(...BEGIN_MS)
  let met = 0
  if (random.chance(0.4)) {
    const ms = random.between(...LAST_MS)
    let held: Promise<void> | undefined
    return {
      text: `the watch of ${resource} tells nothing for ${ms} ms after ${beginMs} ms`,
      met: () => met,
      holds: (call) => held !== undefined && isIt(call),
      fateOf(call) {
        if (!isIt(call)) return undefined
        return {
          async line(text) {
            if (held) met += 1
            await held
            return text
          },
        }
      },
      async happen() {
        await pause(beginMs)
        held = pause(ms)
        await held
        held = undefined
      },
    }
  }
  const [what, { text, next }] = random.pick(Object.entries(STREAM_FAULTS))
  const spell = next && spellOf(next)
  return {
    text: `${what} in the watch of ${resource} after ${beginMs} ms`,
    met: () => met,
    fateOf: (call) => (placeOf(call).resource === resource ? spell?.fateOf(call) : undefined),
    async happen() {
      await pause(beginMs)
      spell?.cast()
      proxy.cutWatches(text, (call) => {
        if (!isIt(call)) return false
        met += 1
        return true
      })
    },
  }
}

function failingConnect({ connect, vault, items, moveVaults }: Place, random: Random): Misfortune {
  // The list of vaults is that of all namespaces.
  const place = random.pick(['vaults', 'items', 'items', 'item', 'item'] as const)
  const [what, fault] = random.pick(Object.entries(faultsAt(place)))
  const [beginMs, ms] = [random.between(...BEGIN_MS), random.between(...LAST_MS)]
  const list = `/v1/vaults/${vault}/items`
  let met = 0
  const pathNow = () => {
    const [id] = items()
    if (place === 'vaults') return '/v1/vaults'
    return place === 'item' && id !== undefined ? `${list}/${id}` : list
  }
  return {
    text: `Connect answers ${what} for ${place} for ${ms} ms after ${beginMs} ms`,
    met: () => met,
    async happen() {
      await pause(beginMs)
      const path = pathNow()
      const own: typeof fault = (response, good) => {
        met += 1
        fault(response, good)
      }
      connect.faults.set(path, own)
      // Its list is read again.
      connect.add(vault, { title: 'more', fields: [] })
      await pause(ms)
      // Somebody else's may have taken its place.
      if (connect.faults.get(path) === own) connect.faults.delete(path)
      connect.release()
      // What is believed is undone by the next change of the vault.
      if (isBelieved(what)) moveVaults()
    },
  }
}

/** A second replica of Connect that stays behind for a while. */
function lag({ connect, vault }: Place, random: Random): Misfortune {
  const [beginMs, ms] = [random.between(...BEGIN_MS), random.between(...LAST_MS)]
  return {
    text: `every other answer of Connect is that of ${beginMs} ms, for ${ms} ms`,
    met: () => 1,
    async happen() {
      await pause(beginMs)
      const end = connect.lag(vault)
      await pause(ms)
      end()
    },
  }
}
