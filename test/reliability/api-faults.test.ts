/**
 * Faults of the API server: every kind of fault on every resource that the operator speaks of, each
 * in a namespace of its own while an item changes, a resource comes and another one's Secret gets a
 * new name. Whatever happened, the namespace ends as one that nothing happened to; each collection
 * is listed once at most; nobody asks without bound; the process goes on; nothing of others is
 * touched.
 *
 * KEYFERRY_PROGRAMME=full makes two rounds, the second with faults that last longer;
 * KEYFERRY_PLANS=text takes the plans whose names contain it. Chance has no part.
 */
import { describe, expect, test } from 'vitest'
import { isReady, textsOf } from '../support/cluster.ts'
import { CANARY, type Scenario } from '../support/crash.ts'
import { type Berth, type Fleet, judge, startFleet } from '../support/fleet.ts'
import { isFull, tally } from '../support/gates.ts'
import type { Call } from '../support/kube-proxy.ts'
import {
  AUTO_RESTART,
  aWorkload,
  digestOf,
  OPTED_IN,
  restartedFor,
  usesAsEnv,
} from '../support/restarts.ts'
import { act, listsOf, ONLY, placeOf, prepare } from './voyage.ts'
import { REQUEST_FAULTS, type Spell, spellOf, STREAM_FAULTS } from './faults.ts'

const ROUNDS = isFull ? 2 : 1
/** Each wait ends by itself: only what hangs is ended by this. */
const UNIT = { timeout: 1_200_000 }
/** Requests that one that failed may cost besides, at most. */
const EXTRA = 6

/** What is asked for by single requests; the operator only watches resources. */
const ASKED = [
  'secrets',
  'onepassworditems',
  'onepassworditems/status',
  'deployments',
  'events',
  'namespaces',
]
/** What is watched. */
const WATCHED = ['secrets', 'onepassworditems', 'deployments', 'statefulsets', 'daemonsets']
/** Nothing of these is written, so nothing can conflict. */
const NEVER_WRITTEN = new Set(['onepassworditems', 'namespaces'])
const LEASE_OPERATORS = 5
/** Times that a fault may cost an operator its Lease before that is the fault's doing. */
const TRIES = 3

const titled = (value: string) => ({ fields: [{ label: 'password', value: `${CANARY}${value}` }] })
const rolledOut = async ({ cluster }: Berth['stage'], value: string): Promise<boolean> => {
  const [secret, web] = [
    await cluster.get('secrets', 'db'),
    await cluster.get('deployments', 'web'),
  ]
  const isNew = textsOf(secret)['password'] === `${CANARY}${value}`
  return isNew && restartedFor(web).includes(digestOf(secret))
}
const areReady = async ({ cluster }: Berth['stage'], names: readonly string[]) =>
  (await Promise.all(names.map((name) => cluster.get('items', name)))).every(isReady)

/** Ids of the items behind the Secrets `db`, by namespace. */
const ids = new Map<string, string>()
const idOf = ({ cluster }: Berth['stage']) => ids.get(cluster.namespace) ?? ''

/** An item changes, whose Secret a workload uses; a resource comes; a Secret gets another name. */
function errand(optsIn: 'resource' | 'namespace'): Scenario {
  return (stage) => {
    const { cluster, connect, vault } = stage
    const [db = ''] = ['db', 'new', 'old'].map((title) =>
      connect.add(vault, { title, ...titled('one') }),
    )
    ids.set(cluster.namespace, db)
    return {
      async prepare() {
        const annotations = {}
        const user = aWorkload('web', usesAsEnv('db'), { annotations, spec: { replicas: 0 } })
        await cluster.create('deployments', user)
        await stage.item('db', 'db', optsIn === 'resource' ? { annotations: OPTED_IN } : {})
        await stage.item('old', 'old')
      },
      isPrepared: () => areReady(stage, ['db', 'old']),
      async act() {
        if (optsIn === 'namespace') {
          const annotations = { [AUTO_RESTART]: 'true' }
          await cluster.patch('namespaces', cluster.namespace, { metadata: { annotations } })
        }
        connect.set(db, 'password', `${CANARY}two`)
        await stage.item('new', 'new')
        await cluster.patch('items', 'old', { spec: { secretName: 'renamed' } })
      },
      async isDone() {
        const former = await cluster.find('secrets', 'old')
        const ready = await areReady(stage, ['db', 'new', 'old'])
        return former === undefined && ready && (await rolledOut(stage, 'two'))
      },
    }
  }
}

interface Plan {
  readonly name: string
  readonly resource: string
  readonly spell: Spell
  /** With what the watches of the resource are cut. */
  readonly text: string
}

/** @param round the second one's faults last longer */
function plansOf(round: number): Plan[] {
  const longer = (times: number) => (times === 1 ? 1 : times + 2 * round)
  const requests = ASKED.flatMap((resource) =>
    Object.entries(REQUEST_FAULTS)
      .filter(([kind]) => !kind.startsWith('409') || !NEVER_WRITTEN.has(resource))
      .map(([kind, fault]) => {
        // After three refusals in a row a restart is given up.
        const times = kind.startsWith('403') ? fault.times : longer(fault.times)
        const spell = spellOf({ ...fault, times })
        return { name: `${kind} on ${resource}`, resource, spell, text: '' }
      }),
  )
  const streams = WATCHED.flatMap((resource) =>
    Object.entries(STREAM_FAULTS).map(([kind, { text, next }]) => {
      const spell = spellOf(next ?? { times: 0, fateOf: () => undefined })
      return { name: `${kind} on ${resource}`, resource, spell, text }
    }),
  )
  return [...requests, ...streams].filter(({ name }) => name.includes(ONLY))
}

/** Level of the opt-in that a plan's errand has. */
const levelOf = ({ resource }: Plan) => (resource === 'namespaces' ? 'namespace' : 'resource')

describe.runIf(isFull).concurrent('an operator whose API server', () => {
  test('fails in any way ends as if it had not, and asks no more than it must', UNIT, async () => {
    await using fleet = await startFleet()
    let trials = 0
    const failures: string[] = []
    const parts = Array.from({ length: ROUNDS }, (_, round) => () => suffer(fleet, round))
    for (const part of [...parts, () => sufferOnLeases(fleet)]) {
      const run = await part()
      trials += run.trials
      failures.push(...run.failures)
      // Whatever failed was waited for, as long as anybody has patience: the rest would be as well.
      if (failures.length > 0) break
    }
    const violations = failures.length
    await tally({ gate: 6, what: 'API faults', trials, violations })
    expect(failures).toEqual([])
  })
})

/** Lets every plan happen in a namespace of its own, all at once. */
async function suffer(fleet: Fleet, round: number) {
  const plans = new Map(plansOf(round).map((plan) => [plan.name, plan]))
  const berths = await fleet.moor([
    ...(['resource', 'namespace'] as const).map((level) => [level, errand(level)] as const),
    ...[...plans.values()].map((plan) => [plan.name, errand(levelOf(plan))] as const),
  ])
  const byNamespace = new Map(berths.map((berth) => [berth.namespace, plans.get(berth.name)]))
  const planOf = (call: Call) => {
    const { namespace, resource } = placeOf(call)
    const plan = byNamespace.get(namespace)
    return plan?.resource === resource ? plan : undefined
  }
  fleet.proxy.fate = (call) => planOf(call)?.spell.fateOf(call)
  const unprepared = await prepare(fleet, berths)
  const began = fleet.proxy.calls.length
  for (const plan of plans.values()) {
    plan.spell.cast()
    fleet.proxy.cutWatches(plan.text, (call) => planOf(call) === plan)
  }
  const late = await act(fleet, berths)
  const ends = await fleet.dismiss()
  const calls = Map.groupBy(fleet.proxy.calls.slice(began), (call) => placeOf(call).namespace)
  const callsOf = (berth?: Berth) => calls.get(berth?.namespace ?? '') ?? []
  const failures = berths.flatMap((berth) => {
    const plan = plans.get(berth.name)
    if (plan === undefined) return []
    const calm = berths.find(({ name }) => name === levelOf(plan)) as Berth
    return [
      ...([...unprepared, ...late].includes(berth)
        ? [`${berth.name}: it never came to its end`]
        : []),
      ...judge(fleet, berth, fleet.endOf(calm)),
      ...excessesOf(plan, callsOf(berth), callsOf(calm)).map((one) => `${berth.name}: ${one}`),
    ]
  })
  return { trials: plans.size, failures: [...failures, ...ends] }
}

/** More requests than a fault may cost. */
function excessesOf(
  { resource, spell, text }: Plan,
  calls: readonly Call[],
  calm: readonly Call[],
) {
  const isSuch = (call: Call) => !call.isWatch && placeOf(call).resource === resource
  const [count, usual] = [calls, calm].map((all) => all.filter(isSuch).length) as [number, number]
  const most = usual + EXTRA * (spell.befell.size + 1)
  const lists = listsOf(calls.filter((call) => call.status === 200 && !spell.befell.has(call)))
  return [
    ...(spell.befell.size === 0 && text === '' ? ['it befell nothing'] : []),
    ...(count > most ? [`${count} requests, undisturbed ${usual}`] : []),
    ...Object.entries(lists).flatMap(([path, n]) => (n > 1 ? [`${n} lists of ${path}`] : [])),
  ]
}

/** Lets every fault befall the Lease of an operator, one after the other, some operators at once. */
async function sufferOnLeases(fleet: Fleet) {
  const faults = Object.entries(REQUEST_FAULTS).filter(([kind]) =>
    `${kind} on leases`.includes(ONLY),
  )
  const berths = await fleet.moor(
    Array.from({ length: LEASE_OPERATORS }, (_, n) => [`leases ${n}`, errand('resource')] as const),
  )
  const cast = new Map<string, Spell>()
  fleet.proxy.fate = (call) => {
    const { namespace, resource } = placeOf(call)
    return resource === 'leases' ? cast.get(namespace)?.fateOf(call) : undefined
  }
  const failures: string[] = []
  let lost = 0
  const shares = berths.map((_, n) => faults.filter((_, nth) => nth % LEASE_OPERATORS === n))
  await Promise.all(
    berths.map(async (berth, n) => {
      let candidate = await stand(fleet, berth)
      await berth.plot.prepare()
      await fleet.until([berth], async () => (await berth.plot.isPrepared?.()) ?? true)
      for (const [kind, fault] of shares[n] ?? []) {
        for (let tries = 1; ; tries += 1) {
          // More in a row would cost it the Lease, rightly.
          const spell = spellOf(fault, Math.min(2, fault.times))
          cast.set(berth.namespace, spell)
          const suffered = await sufferOne(fleet, berth, { kind, spell, ...candidate })
          if (!candidate.hasEnded()) {
            failures.push(...suffered)
            if (suffered.length > 0) return
            break
          }
          // A machine that stands still costs everybody the Lease: what a fault does, it does again.
          lost += 1
          cast.delete(berth.namespace)
          if (tries === TRIES) {
            failures.push(`${kind} on leases: it cost the Lease`)
            return
          }
          candidate = await stand(fleet, berth)
          await change(fleet, berth, `${kind} again`)
        }
      }
    }),
  )
  failures.push(...(await fleet.dismiss()).slice(lost))
  return { trials: faults.length, failures }
}

interface Candidate {
  hasEnded(): boolean
}

/** Starts an operator that wants the Lease of its namespace. */
async function stand(fleet: Fleet, berth: Berth): Promise<Candidate> {
  const env = { LEADER_ELECTION: 'true', POD_NAMESPACE: berth.namespace }
  const operator = await fleet.serve([berth], env)
  let isOver = false
  void operator.exited.then(() => (isOver = true))
  return { hasEnded: () => isOver }
}

/** @returns whether it arrived */
async function change(fleet: Fleet, berth: Berth, value: string, hasEnded = () => false) {
  const { stage } = berth
  stage.connect.set(idOf(stage), 'password', `${CANARY}${value}`)
  const stuck = await fleet.until([berth], async () => hasEnded() || rolledOut(stage, value))
  return stuck.length === 0
}

async function sufferOne(
  fleet: Fleet,
  berth: Berth,
  { kind, spell, hasEnded }: Candidate & { readonly kind: string; readonly spell: Spell },
): Promise<string[]> {
  const { proxy, until } = fleet
  const renewals = () =>
    proxy.calls.filter((call) => {
      const { namespace, resource } = placeOf(call)
      return namespace === berth.namespace && resource === 'leases'
    })
  const before = renewals().length
  spell.cast()
  const isOver = async () => {
    const last = renewals().at(-1)
    if (hasEnded()) return true
    return spell.befell.size > 0 && last?.status === 200 && !spell.befell.has(last)
  }
  const late = await until([berth], isOver)
  const asked = renewals().length - before
  const arrived = await change(fleet, berth, kind, hasEnded)
  return [
    ...(late.length > 0 ? [`${kind} on leases: it was not renewed again`] : []),
    ...(!arrived ? [`${kind} on leases: a change did not arrive`] : []),
    ...(asked > EXTRA * (spell.befell.size + 1) ? [`${kind} on leases: ${asked} requests`] : []),
  ]
}
