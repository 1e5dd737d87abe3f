/**
 * One history: what a seed makes happen to a cluster, a vault and the operators between them, and
 * what the judge says of it. After the last fault everything must come to match, and then be still.
 */
import { isDeepStrictEqual } from 'node:util'
import { isKeyferryError } from '../../src/errors.ts'
import type { KubeRequest } from '../../src/kube/rest.ts'
import { CANARY, type ConnectFault } from './connect.ts'
import { createJudge, type Judge } from './judge.ts'
import type { Fate, Hooks, StreamFault } from './kube-client.ts'
import { CRD, type SimulatedOperator, startSimulatedOperator } from './operator.ts'
import { furnish, operate } from './operations.ts'
import { createWorld, type World } from './world.ts'

/** What came of a history. */
export interface Result {
  readonly seed: number
  /** Broken promises, in words; none if all was well. */
  readonly violations: readonly string[]
  /** Operations of users. */
  readonly operations: number
  /** Faults that struck: processes killed or stopped, requests and streams that failed, outages. */
  readonly faults: number
  /** Virtual milliseconds. */
  readonly ms: number
}

/** Virtual milliseconds in which operations and faults happen. */
const ACTIVE_MS = 30_000
/** For everything to match once all faults are over: a poll and ten seconds, and the longest pause. */
const MATCH_MS = 400_000
/**
 * For polls to notice what happened last: what vanished is seen by two of them, and a list that is
 * slow is told by the next.
 */
const NOTICE_MS = 32_000
const SLICE_MS = 5_000
/** For what is under way then to end, and of stillness after that. */
const ENDING_MS = 3_000
const STILL_MS = 12_000

/** Kinds of trouble; a history has some of them. */
interface Trouble {
  readonly kills: boolean
  readonly stops: boolean
  readonly pauses: boolean
  readonly requests: boolean
  readonly streams: boolean
  readonly lags: boolean
  readonly connect: boolean
}

/** Where in the life of its next write a process dies. */
interface Strike {
  /** Writes until then. */
  left: number
  readonly at: 'before' | 'committed' | 'after'
}

interface Stage {
  readonly world: World
  readonly judge: Judge
  readonly trouble: Trouble
  /** Whether there are two operators, of which the Lease chooses one. */
  readonly elects: boolean
  readonly operators: Map<string, SimulatedOperator>
  readonly strikes: Map<string, Strike>
  readonly trace: (text: string) => void
  /** Lines of logs, where they are looked at. */
  readonly log: ((line: string) => void) | undefined
  faults: number
  /** Whether faults have an end by now. */
  healed: boolean
  apiDownUntil: number
}

const documents = new Map<string, unknown>([
  [
    '/openapi/v3/apis/onepassword.com/v1',
    {
      components: {
        schemas: {
          item: {
            ...CRD.spec.versions[0]?.schema?.openAPIV3Schema,
            'x-kubernetes-group-version-kind': [{ kind: 'OnePasswordItem' }],
          },
        },
      },
    },
  ],
])

/** Runs the history of a seed. @param trace told of everything that happens */
export async function runHistory(seed: number, trace?: (text: string) => void): Promise<Result> {
  const world = createWorld(seed, documents)
  const { random, scheduler } = world
  const elects = random.chance(0.3)
  const trouble: Trouble = {
    kills: random.chance(0.5),
    stops: random.chance(0.15),
    pauses: elects && random.chance(0.5),
    requests: random.chance(0.4),
    streams: random.chance(0.3),
    lags: random.chance(0.4),
    connect: random.chance(0.35),
  }
  const judge = createJudge(world, elects)
  const looksAtLog = random.chance(0.02) || trace !== undefined
  const log = looksAtLog
    ? (line: string) => {
        if (line.includes(CANARY)) judge.violations.push(`S6: a log tells a value: ${line}`)
        trace?.(line.trim())
      }
    : undefined
  const stage: Stage = {
    world,
    judge,
    trouble,
    elects,
    operators: new Map(),
    strikes: new Map(),
    trace: (text) => trace?.(`${scheduler.now()} ms: ${text}`),
    log,
    faults: 0,
    healed: false,
    apiDownUntil: 0,
  }
  if (trace) traceChanges(stage)
  stage.trace(`trouble ${JSON.stringify({ elects, ...trouble })}`)
  for (const text of furnish(world)) stage.trace(`user ${text}`)
  for (const name of elects ? ['first', 'second'] : ['only']) start(stage, name)
  collectGarbage(stage)
  const operations = random.between(8, 12)
  for (let n = 0; n < operations; n += 1) {
    scheduler.after(random.between(200, ACTIVE_MS), () => stage.trace(`user ${operate(world)}`))
  }
  plotFaults(stage)
  await scheduler.run(ACTIVE_MS)
  heal(stage)
  await settle(stage)
  for (const operator of stage.operators.values()) operator.kill()
  const { faults } = stage
  return { seed, violations: judge.violations, operations, faults, ms: scheduler.now() }
}

/** L1 and L2, and then L5: all that is asked for is there, and nobody writes any more. */
async function settle({ world: { scheduler }, judge, trace }: Stage): Promise<void> {
  const since = scheduler.now()
  const until = since + MATCH_MS
  // What happened last must have been noticed: before, only an old state would be seen to match.
  await scheduler.run(scheduler.now() + NOTICE_MS)
  let left = judge.unsettled()
  while (left.length > 0 && scheduler.now() < until && judge.violations.length === 0) {
    await scheduler.run(scheduler.now() + SLICE_MS)
    left = judge.unsettled()
  }
  if (judge.violations.length > 0) return
  if (left.length > 0) {
    judge.violations.push(...left.map((text) => `L1: ${text}`))
    return
  }
  trace('all matches')
  // What was under way ends; and what was seen late by one cache may be seen later by another.
  const waited = scheduler.now() > since + NOTICE_MS
  await scheduler.run(scheduler.now() + (waited ? NOTICE_MS : ENDING_MS))
  const writes = judge.writes()
  await scheduler.run(scheduler.now() + STILL_MS)
  const more = judge.writes() - writes
  if (more > 0) judge.violations.push(`L5: ${more} writes although all matched`)
  judge.violations.push(...judge.unsettled().map((text) => `L1: ${text} again`))
}

function start(stage: Stage, name: string): void {
  const { world, operators, judge, log, healed } = stage
  const { random, scheduler } = world
  const { trace } = stage
  trace(`${name} starts`)
  const operator = startSimulatedOperator(world, {
    name,
    hooks: hooksFor(stage, name),
    elects: stage.elects,
    skewMs: healed ? 0 : random.between(-60_000, 60_000),
    log,
    onEnd(error) {
      if (operators.get(name) !== operator || operator.host.dead) return
      const why = error instanceof Error ? error.message : 'as told'
      trace(`${name} ends (${why})`)
      // One that was told to end, or lost its Lease, is started again, as its Deployment does.
      const expected = error === undefined || isKeyferryError(error, 'LEASE_LOST')
      if (!expected) judge.violations.push(`a process ends: ${why}`)
      operator.kill()
      scheduler.after(random.between(500, 3_000), () => start(stage, name))
    },
  })
  operators.set(name, operator)
}

function kill(stage: Stage, name: string): void {
  const { operators, world, trace } = stage
  const operator = operators.get(name)
  if (operator === undefined || operator.host.dead) return
  trace(`${name} is killed`)
  stage.faults += 1
  operator.kill()
  world.scheduler.after(world.random.between(500, 5_000), () => start(stage, name))
}

const isWrite = ({ method, path }: KubeRequest) => method !== 'GET' && !path.includes('/leases')

function hooksFor(stage: Stage, name: string): Hooks {
  const { world, trouble, strikes } = stage
  const { random, scheduler } = world
  const slowUntil = new Map<string, number>()
  function strike(request: KubeRequest, at: Strike['at']): void {
    const due = strikes.get(name)
    if (due === undefined || due.at !== at || !isWrite(request)) return
    due.left -= 1
    if (due.left > 0) return
    strikes.delete(name)
    stage.trace(`${at} ${request.method} ${request.path}:`)
    kill(stage, name)
  }
  return {
    fate(request): Fate {
      strike(request, 'before')
      if (stage.healed) return 'answer'
      if (scheduler.now() < stage.apiDownUntil) return 'refuse'
      if (!trouble.requests || !random.chance(0.08)) return 'answer'
      stage.faults += 1
      const fate = random.pick<Fate>(['refuse', 'lose', 'lose', 'silence', 429, 500, 503, 504])
      stage.trace(`${request.method} ${request.path} of ${name}: ${fate}`)
      return fate
    },
    committed: (request) => strike(request, 'committed'),
    answered: (request) => strike(request, 'after'),
    lagMs(kind) {
      const usual = random.between(0, 15)
      if (!trouble.lags || stage.healed) return usual
      const now = scheduler.now()
      if ((slowUntil.get(kind) ?? 0) < now && random.chance(0.1)) {
        slowUntil.set(kind, now + random.between(500, 8_000))
      }
      return Math.max(usual, (slowUntil.get(kind) ?? 0) - now)
    },
  }
}

function plotFaults(stage: Stage): void {
  const { world, trouble, operators } = stage
  const { random, scheduler, connect } = world
  const sometime = (run: () => void) => scheduler.after(random.between(0, ACTIVE_MS), run)
  const someone = () => random.pick([...operators.keys()])
  const some = (most: number, run: () => void) => {
    const count = random.between(1, most)
    for (let n = 0; n < count; n += 1) sometime(run)
  }
  if (trouble.kills) {
    some(3, () => {
      const at = random.pick<Strike['at']>(['before', 'committed', 'after'])
      stage.strikes.set(someone(), { left: random.between(1, 6), at })
    })
  }
  if (trouble.stops) some(1, () => operators.get(someone())?.stop())
  if (trouble.pauses) {
    some(2, () => {
      const operator = operators.get(someone()) as SimulatedOperator
      stage.faults += 1
      stage.trace(`${operator.name} stands still`)
      operator.host.pausedUntil = scheduler.now() + random.between(3_000, 25_000)
    })
  }
  if (trouble.requests && random.chance(0.3)) {
    some(2, () => {
      stage.faults += 1
      stage.apiDownUntil = scheduler.now() + random.between(500, 8_000)
    })
  }
  if (trouble.streams) {
    some(4, () => {
      const fault = random.pick<StreamFault>(['end', 'cut', 'garble', 'mute', 'expire'])
      stage.faults += 1
      stage.trace(`streams: ${fault}`)
      const { rest } = operators.get(someone()) as SimulatedOperator
      if (random.chance(0.5)) rest.compact(world.server.version)
      rest.strike(fault)
    })
  }
  if (trouble.connect) {
    some(2, () => {
      stage.faults += 1
      connect.fault = random.pick<ConnectFault>([
        'unreachable',
        'unavailable',
        'unauthorized',
        'forbidden',
        'limited',
        'malformed',
      ])
      stage.trace(`Connect: ${connect.fault}`)
      scheduler.after(random.between(500, 15_000), () => (connect.fault = undefined))
    })
  }
}

/** From now on nothing fails any more. */
function heal(stage: Stage): void {
  const { world, operators, strikes } = stage
  stage.healed = true
  strikes.clear()
  world.connect.fault = undefined
  for (const { host } of operators.values()) {
    host.pausedUntil = Math.min(host.pausedUntil, world.scheduler.now())
  }
  stage.trace('no more faults')
}

function collectGarbage({ world: { server, scheduler, random } }: Stage): void {
  let isDue = false
  server.onChange.add(({ after, kind }) => {
    const mayOrphan = after === undefined || kind === 'secrets'
    if (isDue || !mayOrphan || kind === 'leases') return
    isDue = true
    scheduler.after(random.between(10, 2_000), () => {
      isDue = false
      server.collectGarbage()
    })
  })
}

function traceChanges({ world: { server }, trace }: Stage): void {
  server.onChange.add(({ kind, by, before, after, version }) => {
    if (kind === 'leases') return
    const { name, annotations = {} } = (after ?? before)?.metadata ?? { name: '' }
    const verb = before === undefined ? 'creates' : after === undefined ? 'deletes' : 'changes'
    const was = (before?.['status'] ?? {}) as Record<string, unknown>
    const moved = Object.entries(after?.['status'] ?? {}).filter(
      ([member, value]) => !isDeepStrictEqual(value, was[member]) && member !== 'conditions',
    )
    const more = moved.length > 0 && before ? JSON.stringify(Object.fromEntries(moved)) : ''
    const status = after?.['status']?.conditions
      ?.map((one: { type: string; status: string; reason: string }) =>
        [one.type, one.status, one.reason].join(' '),
      )
      .join()
    const data = Object.entries((after?.['data'] ?? {}) as Record<string, string>).map(
      ([key, value]) => `${key}=${Buffer.from(value, 'base64').toString()}`,
    )
    const debt = annotations['keyferry.dev/restart'] ?? ''
    trace(`${by} ${verb} ${kind} ${name} (${version}) ${status ?? data.join()} ${debt} ${more}`)
  })
}
