/**
 * Time travel: a second API server of the same cluster stands still at each notice of each plot,
 * while the plot goes on to its end. Then a new operator lists and watches there, in the past: some
 * kinds or all of them, as connections through a load balancer may have it. Its reads of single
 * objects and its writes reach the present. While it believes in the past it takes nothing away from
 * what is newer and writes over none of it; back in the present it ends as an undisturbed run.
 *
 * A plan is a notice after which something is overwritten or deleted. Which kinds are seen in the
 * past is chance: KEYFERRY_SEED repeats it. KEYFERRY_PROGRAMME=full takes three seeds;
 * KEYFERRY_PLANS=text takes the plans whose names contain it.
 */
import { expect, test } from 'vitest'
import { collectionPath } from '../../src/kube/resource.ts'
import { chance } from '../support/chance.ts'
import { adminRest, RESOURCES } from '../support/cluster.ts'
import { differences } from '../support/ends.ts'
import { END_KINDS } from '../support/whole-end.ts'
import { eventually, timeout } from '../support/eventually.ts'
import { type Berth, type Fleet, judge, startFleet } from '../support/fleet.ts'
import { isFull, SEED, SEEDS, tally } from '../support/gates.ts'
import { type Call, changes, type Fate, type Upstream } from '../support/kube-proxy.ts'
import { type Relay, startRelay } from '../support/relay.ts'
import {
  type Calm,
  listener,
  type Notice,
  noticeText,
  ONLY,
  placeOf,
  plotOf,
  PLOTS,
  prepare,
  undisturbed,
} from './voyage.ts'

const FEWEST = ONLY === '' ? 60 : 1
/** A debt may be closed meanwhile, and that be told: whoever closes one reads the Secret itself. */
const OF_DEBTS = /keyferry\.dev\/restart: |\.conditions\.|\.knowsVersion: /
/** A Secret may be made that nobody wants any more: it takes nothing from anybody, and goes again. */
const MADE = /^\.secrets\.[^.]+: \{.*undisturbed undefined$/
const TOLERATED: Readonly<Record<string, RegExp>> = {
  // One workload uses three Secrets: how many patches that takes depends on the moment.
  several: /\.web\.metadata\.generation: /,
  // Who finds a Secret deleted cannot know what was in it: one rollout too many is allowed.
  typeChange: /\.web\.(?:metadata\.generation: 2, |spec\.template\.metadata\.annotations: )/,
}
/** Milliseconds in which the present is caught up with: the next try of what was put off included. */
const CATCH_UP_MS = 90_000
/** Each wait ends by itself: only what hangs is ended by this. */
const UNIT = { timeout: 1_200_000 }
/** Milliseconds for which a stop is waited for: in some runs two notices are one. */
const STOP_MS = 30_000

test.runIf(isFull)(
  'B1-B3: an operator that is sent into the past takes nothing from the present',
  UNIT,
  async () => {
    await using fleet = await startFleet()
    const { processes, kubeconfig } = fleet.plane
    if (!processes) throw new Error('this control plane runs in a container')
    await using relay = await startRelay(processes.etcdAddress)
    const second = await processes.another(relay.address)
    const past: Past = { relay, second, upstream: await fleet.proxy.upstream(second), kubeconfig }
    const calm = await undisturbed(fleet)
    let trials = 0
    const failures: string[] = []
    for (const seed of SEEDS) {
      const run = await travel(fleet, past, calm, seed)
      trials += run.trials
      failures.push(...run.failures)
    }
    const violations = failures.length
    await tally({ gate: 4, what: 'travels into the past', trials, violations, seed: SEED })
    expect(failures, `seed ${SEED}`).toEqual([])
    expect(trials).toBeGreaterThanOrEqual(FEWEST * SEEDS.length)
  },
)

/** The second API server. */
interface Past {
  readonly relay: Relay
  /** Its kubeconfig. */
  readonly second: string
  readonly upstream: Upstream
  /** Of the first one. */
  readonly kubeconfig: string
}

interface Plan {
  readonly name: string
  readonly plot: string
  readonly notice: Notice
}

/** Notices after which something is overwritten or deleted. */
function plansOf(calm: ReadonlyMap<string, Calm>): Plan[] {
  const all = [...calm].flatMap(([plot, { before }]) => {
    const last = before.findLastIndex((step) => typeof step === 'string')
    return before
      .slice(0, Math.max(0, last))
      .filter((step) => typeof step !== 'string')
      .map((notice) => ({ plot, notice, name: `${plot} back to ${noticeText(notice)}` }))
  })
  return all.filter(({ name }) => name.includes(ONLY))
}

async function travel(
  fleet: Fleet,
  past: Past,
  calm: ReadonlyMap<string, Calm>,
  seed: number,
): Promise<{ readonly trials: number; readonly failures: string[] }> {
  const plans = plansOf(calm)
  const berths = await fleet.moor(
    plans.flatMap(({ name, plot }) => (PLOTS[plot] ? [[name, PLOTS[plot]] as const] : [])),
  )
  const stops = new Map(
    berths.map(({ name, namespace }) => {
      const { notice } = plans.find((plan) => plan.name === name) as Plan
      return [namespace, stopAt(notice)]
    }),
  )
  fleet.proxy.fate = (call) => stops.get(placeOf(call).namespace)?.fateOf(call)
  const goOn = await sail(fleet, berths)
  const stopped = await fleet.until(
    berths,
    async ({ namespace }) => stops.get(namespace)?.isStopped === true,
    STOP_MS,
  )
  await standStill(past)
  for (const stop of stops.values()) stop.release()
  const late = await goOn()
  await fleet.untilStill()
  await fleet.dismiss()
  const present = new Map(berths.map((berth) => [berth, fleet.endOf(berth)]))
  const believes = (call: Call, { name }: Berth) =>
    placeOf(call).resource === 'onepassworditems' || chance(`${seed} ${name} ${call.path}`)() < 0.6
  const byNamespace = new Map(berths.map((berth) => [berth.namespace, berth]))
  const isSent = (call: Call) => {
    const berth = byNamespace.get(placeOf(call).namespace)
    return berth !== undefined && isCollection(call) && believes(call, berth)
  }
  fleet.proxy.fate = (call) =>
    isSent(call) ? { upstream: past.upstream, query: anyVersion } : undefined
  await fleet.serve(berths)
  await fleet.untilStill()
  const during = berths.flatMap((berth) =>
    differences(fleet.endOf(berth), present.get(berth))
      .filter((one) => !OF_DEBTS.test(one) && !MADE.test(one))
      .map((one) => `${berth.name}, in the past: ${one}`),
  )
  past.relay.resume()
  fleet.proxy.fate = undefined
  fleet.proxy.cutWatches('', isSent)
  await fleet.untilCalm()
  const differencesOf = (berth: Berth) =>
    judge(fleet, berth, calm.get(plotOf(berth))?.end, TOLERATED[plotOf(berth)])
  await fleet.until(berths, async (berth) => differencesOf(berth).length === 0, CATCH_UP_MS)
  await fleet.dismiss()
  const failures = berths.flatMap((berth) => [
    ...(late.includes(berth) ? [`${berth.name}: it never came to its end`] : []),
    ...differencesOf(berth),
  ])
  return { trials: berths.length - stopped.length, failures: [...during, ...failures] }
}

const isCollection = ({ method, path, isWatch, query }: Call) =>
  method === 'GET' && (isWatch || query.has('limit')) && !path.endsWith('/status')

/** Asks for what the server has, however old. */
function anyVersion(query: URLSearchParams): void {
  if (query.get('sendInitialEvents') === 'true' || query.has('limit'))
    query.set('resourceVersion', '0')
}

/** Prepares the plots and lets them happen, each as soon as it can. @returns waits for their ends */
async function sail(fleet: Fleet, berths: readonly Berth[]): Promise<() => Promise<Berth[]>> {
  const prepared = prepare(fleet, berths, async ({ plot }) => void (await plot.act?.()))
  return async () => {
    await prepared
    return fleet.until(berths, ({ plot }) => plot.isDone())
  }
}

/** Lets the second server see all that has happened, and nothing more. */
async function standStill({ relay, second, kubeconfig }: Past): Promise<void> {
  const [here, there] = [adminRest(kubeconfig), adminRest(second)]
  const list = async (rest: typeof here, kind: (typeof END_KINDS)[number], query = {}) => {
    const path = collectionPath(RESOURCES[kind])
    const answer = await rest.send({ method: 'GET', path, query }, timeout(20_000))
    return answer as { metadata: { resourceVersion: string } }
  }
  for (const kind of END_KINDS) {
    const { resourceVersion } = (await list(here, kind, { limit: 1 })).metadata
    // Whole lists come from its cache, which must be there: nothing could fill it afterwards.
    await eventually(`the second server has come as far with ${kind}`, async () =>
      list(there, kind, { resourceVersion, resourceVersionMatch: 'NotOlderThan' }),
    )
  }
  relay.pause()
  await here.close()
  await there.close()
}

interface Stop {
  fateOf(call: Call): Fate | undefined
  readonly isStopped: boolean
  release(): void
}

/** Seconds after which a write that was refused comes again. */
const BUSY = { status: 429, headers: { 'retry-after': '1' } }

/** Lets an operator come as far as to a notice: then it hears nothing more, and its writes wait. */
function stopAt(wanted: Notice): Stop {
  let state: 'sailing' | 'stopped' | 'released' = 'sailing'
  let seen = 0
  const gate = Promise.withResolvers<void>()
  return {
    get isStopped() {
      return state === 'stopped'
    },
    release() {
      state = 'released'
      gate.resolve()
    },
    fateOf(call) {
      if (!call.isWatch)
        return changes(call) && state === 'stopped' ? { before: () => BUSY } : undefined
      const isKind = placeOf(call).resource === wanted.resource
      const listen = listener(call, ({ name }) => {
        if (!isKind || name !== wanted.name || state !== 'sailing') return
        seen += 1
        if (seen === wanted.nth) state = 'stopped'
      })
      return {
        async line(text) {
          if (state === 'stopped') await gate.promise
          return listen(text)
        },
      }
    },
  }
}
