/**
 * Unobserved states: each notice that a watch gives in an undisturbed run of each plot is one that
 * the operator never gets. It is held up, with all that its stream says after it, until the next
 * notice of the same object makes it old news, or, where none comes, until the watch is cut and a
 * list shows only the latest. Either way the plot ends as it does undisturbed.
 *
 * Which of them end by a list although news came, and how long a notice is waited for, is chance:
 * KEYFERRY_SEED repeats it. KEYFERRY_PROGRAMME=full takes three seeds.
 */
import { expect, test } from 'vitest'
import { chance } from '../support/chance.ts'
import { judge, type Berth, type Fleet, startFleet } from '../support/fleet.ts'
import { isFull, SEED, SEEDS, tally } from '../support/gates.ts'
import type { Call, Fate } from '../support/kube-proxy.ts'
import {
  act,
  type Calm,
  listener,
  undisturbed,
  ONLY,
  type Notice,
  noticeText,
  placeOf,
  plotOf,
  PLOTS,
  prepare,
} from './voyage.ts'
import { gone } from './faults.ts'

const FEWEST = ONLY === '' ? 60 : 1

test.runIf(isFull)(
  'B4: an operator that never gets a notice ends as one that got them all',
  async () => {
    await using fleet = await startFleet()
    const calm = await undisturbed(fleet)
    let trials = 0
    const failures: string[] = []
    for (const seed of SEEDS) {
      const run = await withhold(fleet, calm, seed)
      trials += run.hits
      failures.push(...run.failures)
    }
    await tally({
      gate: 5,
      what: 'withheld notices',
      trials,
      violations: failures.length,
      seed: SEED,
    })
    expect(failures, `seed ${SEED}`).toEqual([])
    expect(trials).toBeGreaterThanOrEqual(FEWEST * SEEDS.length)
  },
)

/** Withholds each notice in a run of its plot. */
async function withhold(
  fleet: Fleet,
  calm: ReadonlyMap<string, Calm>,
  seed: number,
): Promise<{ readonly hits: number; readonly failures: string[] }> {
  const plans = [...calm].flatMap(([plot, { steps }]) =>
    steps
      .filter((step) => typeof step !== 'string')
      .map((notice) => ({ notice, name: `${plot} without ${noticeText(notice)}`, plot })),
  )
  const wanted = plans.filter(({ name }) => name.includes(ONLY))
  const moored = wanted.map(({ name, plot }) => [name, PLOTS[plot]] as const)
  const berths = await fleet.moor(moored.filter((one) => one[1] !== undefined) as never)
  const gates = new Map(
    berths.map((berth) => {
      const plan = plans.find(({ name }) => name === berth.name)
      return [
        berth.namespace,
        withholder(fleet, plan?.notice as Notice, chance(`${seed} ${berth.name}`)),
      ]
    }),
  )
  fleet.proxy.fate = (call) => gates.get(placeOf(call).namespace)?.fateOf(call)
  const late = [...(await prepare(fleet, berths)), ...(await act(fleet, berths))]
  await fleet.dismiss()
  const isHit = ({ namespace }: Berth) => gates.get(namespace)?.isHit() === true
  const failures = berths.flatMap((berth) => [
    ...(late.includes(berth) ? [`${berth.name}: it never came to its end`] : []),
    ...judge(fleet, berth, calm.get(plotOf(berth))?.end),
  ])
  return { hits: berths.filter(isHit).length, failures }
}

interface Withholder {
  fateOf(call: Call): Fate | undefined
  isHit(): boolean
}

/** Milliseconds for which news of an object is waited for, at most. */
const LONGEST_MS = 4_000

function withholder(fleet: Fleet, wanted: Notice, random: () => number): Withholder {
  const waitMs = LONGEST_MS * (0.25 + 0.75 * random())
  const endsByList = random() < 0.5
  let state: 'waiting' | 'holding' | 'over' = 'waiting'
  let seen = 0
  /** What the stream said since. */
  let behind: string[] = []
  const relist = (call: Call) => {
    if (state !== 'holding') return
    state = 'over'
    fleet.proxy.cutWatches(gone(), (one) => one === call)
  }
  function take(call: Call, notice: Notice, line: string): string | undefined {
    const isObject = notice.name === wanted.name
    if (state === 'waiting') {
      if (isObject) seen += 1
      if (!isObject || seen !== wanted.nth) return line
      state = 'holding'
      setTimeout(() => relist(call), waitMs)
      return undefined
    }
    behind.push(line)
    if (isObject && endsByList) relist(call)
    if (!isObject || endsByList) return undefined
    state = 'over'
    const all = behind.join('\n')
    behind = []
    return all
  }
  return {
    isHit: () => state === 'over',
    fateOf(call) {
      if (!call.isWatch || placeOf(call).resource !== wanted.resource) return undefined
      let notice: Notice | undefined
      const listen = listener(call, (one) => (notice = one))
      return {
        line(text) {
          notice = undefined
          void listen(text)
          if (state === 'over') return text
          if (notice) return take(call, notice, text)
          if (state === 'waiting') return text
          behind.push(text)
          return undefined
        },
      }
    },
  }
}
