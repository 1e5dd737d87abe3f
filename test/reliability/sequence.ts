/**
 * One random history on a real API server: what people do in a namespace and a vault of its own while
 * one misfortune befalls the operator. In the end everything must be as if it had not, and then be
 * still; and every version that was stored meanwhile must keep the promises.
 */
import { randomBytes } from 'node:crypto'
import type { KubeRest } from '../../src/kube/rest.ts'
import { createRandom } from '../simulation/random.ts'
import { furnishNamespace, operate } from '../simulation/operations.ts'
import { clusterOf } from '../support/cluster.ts'
import { labelOf } from '../support/crash.ts'
import { patience, pause } from '../support/eventually.ts'
import { type Call, changes, type Fate } from '../support/kube-proxy.ts'
import { OPTED_IN } from '../support/restarts.ts'
import type { Sighting } from '../support/observer.ts'
import { isCommitted } from '../support/ends.ts'
import { createMirror, type Authors } from './mirror.ts'
import { type Misfortune, misfortune, type Place, type Trouble } from './misfortunes.ts'

/** Operations of a history. */
export const OPERATIONS = 8
/** Milliseconds in which they happen. */
const ACTIVE_MS = 3_000
/** Milliseconds for which a version is held back until all that came before it must have been told. */
const MARGIN_MS = 1_000
const LOOK_MS = 300
/** Of stillness until it counts as the end, and of the stillness that is looked at then: polls. */
const STILL_MS = 2_500
/** Longer than any interval between two looks at what matches. */
const READ_MS = 12_000
const PATIENCE_MS = 150_000
const GARBAGE_MS = [100, 1_500] as const

const TROUBLES: readonly Trouble[] = ['kill', 'api', 'kill', 'api', 'connect']

/** What befalls the operator in the history of this number. */
export function troubleOf(number: number): Trouble {
  return TROUBLES[number % TROUBLES.length] as Trouble
}

/** See the head of this file. */
export interface History {
  readonly number: number
  readonly namespace: string
  readonly vault: string
  readonly misfortune: Misfortune
  /** What was done so far, in words. */
  readonly trace: readonly string[]
  /** Whether all operations are done. */
  isOver(): boolean
  /** Makes what is there before the operator starts. */
  prepare(): Promise<void>
  /** Takes what the observer saw in the namespace. */
  take(sighting: Sighting): void
  /** What befalls a request of the operator. */
  fateOf(call: Call): Fate | undefined
  /** Lets the operations and the misfortune happen. */
  act(): Promise<void>
  /** Whether nothing happens any more but what the operator does. */
  isCalm(): boolean
  /** Waits for the end. @returns broken promises, in words */
  settle(): Promise<string[]>
}

/** What a history needs. */
export interface Setting extends Pick<Place, 'proxy' | 'connect' | 'process' | 'moveVaults'> {
  readonly rest: KubeRest
  readonly seed: number
}

/** The same chance for the same purpose, whatever became of the others. */
function randomOf(seed: number, number: number, purpose: number) {
  return createRandom(Math.imul(seed, 0x9e3779b1) ^ (number * 32 + purpose))
}

/** Makes the namespace and the vault of a history. */
export async function openHistory(number: number, setting: Setting): Promise<History> {
  const { rest, connect, seed } = setting
  const random = (purpose: number) => randomOf(seed, number, purpose)
  const plan = random(0)
  const namespace = `history-${number}-${randomBytes(3).toString('hex')}`
  const cluster = clusterOf(rest, namespace)
  const annotations: Record<string, string> = plan.chance(0.6) ? OPTED_IN : {}
  await cluster.create('namespaces', { metadata: { name: namespace, annotations } })
  const mirror = createMirror(cluster, connect, annotations)
  const { vault, ground, judge } = mirror
  const items = () => [...ground.connect.items.keys()]
  const trouble = misfortune(troubleOf(number), { ...setting, namespace, vault, items }, plan)
  const times = Array.from({ length: OPERATIONS }, () => plan.between(100, ACTIVE_MS))
  const trace = [trouble.text]
  /** What the operator asked to change, in words. */
  const asked: string[] = []
  let phase: 'acting' | 'settling' | 'over' = 'acting'
  let done = 0
  const isOver = () => phase === 'over'

  async function operateAll(): Promise<void> {
    const began = Date.now()
    for (const [n, ms] of times.toSorted((a, b) => a - b).entries()) {
      await pause(Math.max(0, began + ms - Date.now()))
      trace.push(`${Date.now() - began} ms: ${operate({ ...ground, random: random(2 + n) })}`)
      const failed = await mirror.send()
      trace.push(...failed.map((one) => `  in vain: ${one}`))
      done += 1
    }
  }

  async function collectGarbage(): Promise<void> {
    const chance = random(OPERATIONS + 2)
    while (!isOver()) {
      await pause(chance.between(...GARBAGE_MS))
      await mirror.collectGarbage()
    }
  }

  /** Whether it matches, as far as is known by now. */
  function left(): string[] {
    mirror.judgeUntil(MARGIN_MS)
    return mirror.unsettled()
  }

  /** Waits until all matches and nobody has tried to change anything for a while. */
  async function untilStill(): Promise<string[]> {
    const isLate = patience(PATIENCE_MS)
    let since = Date.now()
    let before = asked.length
    for (;;) {
      const missing = left()
      if (missing.length > 0 || asked.length !== before) since = Date.now()
      before = asked.length
      if (judge.violations.length > 0) return []
      if (Date.now() - since >= STILL_MS) return []
      if (isLate()) return missing.length > 0 ? missing : ['the operator writes for ever']
      await pause(LOOK_MS)
    }
  }

  async function askedWithin(ms: number): Promise<string[]> {
    const before = asked.length
    await pause(ms)
    return asked.slice(before)
  }

  return {
    number,
    namespace,
    vault,
    misfortune: trouble,
    trace,
    isOver: () => done === OPERATIONS,
    isCalm: () => phase !== 'acting',
    async prepare() {
      trace.push(...furnishNamespace({ ...ground, random: random(1) }))
      await mirror.send()
    },
    take: mirror.take,
    fateOf(call) {
      if (changes(call)) asked.push(labelOf(call))
      return noted(mirror.authors, call, trouble.fateOf?.(call))
    },
    async act() {
      void collectGarbage().catch((error: unknown) => judge.violations.push(String(error)))
      await Promise.all([operateAll(), trouble.happen?.()])
    },
    async settle() {
      phase = 'settling'
      const missing = await untilStill()
      // Who may read only once in ten seconds may have one more thing to write then.
      const more = (await askedWithin(STILL_MS)).length > 0 ? await askedWithin(READ_MS) : []
      const again = missing.length > 0 || judge.violations.length > 0 ? [] : left()
      phase = 'over'
      return [
        ...judge.violations,
        ...missing.map((one) => `L1: ${one}`),
        ...again.map((one) => `L1: ${one} again`),
        ...(missing.length > 0 ? [] : more.map((one) => `L5: ${one} although all matched`)),
      ]
    },
  }
}

/** The same fate, but whose change it was is known afterwards. */
export function noted(authors: Authors, call: Call, fate: Fate = {}): Fate {
  if (!changes(call)) return fate
  return {
    ...fate,
    committed(answer) {
      if (isCommitted(call)) note(authors, call)
      return fate.committed?.(answer)
    },
  }
}

const OPERATOR = 'operator'

function note({ ofVersions, ofDeletions }: Authors, { method, body, answer }: Call): void {
  if (method === 'DELETE') {
    const { preconditions } = body as { preconditions?: { uid?: string } }
    ofDeletions.set(preconditions?.uid ?? '', OPERATOR)
    return
  }
  const { metadata } = answer as { metadata?: { resourceVersion?: string } }
  const version = Number(metadata?.resourceVersion)
  // What changes nothing leaves the version as it was, which is somebody else's.
  if (!ofVersions.has(version)) ofVersions.set(version, OPERATOR)
}
