/**
 * Random histories with one random fault in each, on a real API server: eight operations on
 * resources, items, workloads and Secrets in a namespace of its own, while the operator is killed, or
 * the API server, a watch or Connect fails. The operations, and the judge of every version that was
 * ever stored, are those of the simulation (`test/simulation`).
 *
 * Everything is drawn from KEYFERRY_SEED and the number of the history; what an operation finds there
 * depends on the moment. KEYFERRY_ONLY=<number> plays one history several times at once and tells all
 * that happens in it; KEYFERRY_PROGRAMME=full plays a thousand.
 */
import { randomBytes } from 'node:crypto'
import process from 'node:process'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { KubeRest } from '../../src/kube/rest.ts'
import { CANARY } from '../simulation/connect.ts'
import { adminRest, applyCrd, clusterOf } from '../support/cluster.ts'
import { type ControlPlane, startControlPlane } from '../support/control-plane/start.ts'
import { eventually, pause } from '../support/eventually.ts'
import { forEach } from '../support/for-each.ts'
import { isFull, SEED, tally } from '../support/gates.ts'
import { changes, type KubeProxy, startKubeProxy } from '../support/kube-proxy.ts'
import { observe, type Observer } from '../support/observer.ts'
import { startOperator } from '../support/operator.ts'
import { type ScriptedConnect, startScriptedConnect } from '../support/scripted-connect.ts'
import { tell } from '../support/skip.ts'
import { MIRRORED } from './mirror.ts'
import type { Trouble } from './misfortunes.ts'
import { type History, openHistory, troubleOf } from './sequence.ts'
import { placeOf } from './voyage.ts'

const HISTORIES = isFull ? 1_000 : 40
const ONLY = process.env['KEYFERRY_ONLY']
/** How often a history is played that is played alone. */
const AGAIN = 8
/** Histories that share an operator. */
const WAVE = isFull ? 32 : 16
/** Operators at the same time. */
const LANES = isFull ? 4 : 3
const WIDTH = 8
/** Milliseconds that a process which is to be killed lives longer than the operations. */
const GRACE_MS = 1_000
const NUDGE_MS = 1_000
/** Milliseconds after which the first list of a watch is whole. */
const OPENED_MS = 3_000
/** Part of the faults that find something to strike, at least. */
const STRUCK = 0.5
const TEST_MS = isFull ? 3_600_000 : 600_000

let plane: ControlPlane
let rest: KubeRest
let observer: Observer
/** By namespace. */
const histories = new Map<string, History>()

beforeAll(async () => {
  tell(`KEYFERRY_SEED=${SEED}`)
  plane = await startControlPlane({ controllers: false, apiserverArgs: ['--audit-log-path='] })
  await applyCrd(plane.kubeconfig)
  rest = adminRest(plane.kubeconfig)
  observer = await observe(rest, MIRRORED, (sighting) => {
    histories.get(sighting.object.metadata.namespace)?.take(sighting)
  })
})

afterAll(async () => {
  await observer[Symbol.asyncDispose]()
  await rest.close()
  await plane.stop()
})

/** What came of some histories. */
interface Verdict {
  readonly failures: readonly string[]
  /** Histories that their misfortune struck. */
  readonly struck: number
}

/** Histories of one kind of trouble, as many as share an operator. */
function wavesOf(numbers: readonly number[]): number[][] {
  const byTrouble = Map.groupBy(numbers, troubleOf)
  return [...byTrouble.values()].flatMap((all) =>
    Array.from({ length: Math.ceil(all.length / WAVE) }, (_, n) =>
      all.slice(n * WAVE, (n + 1) * WAVE),
    ),
  )
}

/** A wave on its way. */
interface Wave {
  readonly home: string
  readonly proxy: KubeProxy
  readonly connect: ScriptedConnect
  readonly all: readonly History[]
  readonly strays: string[]
  /** Which process works. */
  process: number
}

async function openWave(numbers: readonly number[]): Promise<Wave> {
  const proxy = await startKubeProxy(plane.kubeconfig)
  const connect = await startScriptedConnect()
  const home = `home-${randomBytes(4).toString('hex')}`
  await clusterOf(rest, home).create('namespaces', { metadata: { name: home } })
  const all: History[] = []
  const wave: Wave = { home, proxy, connect, all, strays: [], process: 1 }
  const setting = {
    rest,
    seed: SEED,
    proxy,
    connect,
    process: () => wave.process,
    moveVaults() {
      for (const { vault } of all) connect.add(vault, { title: 'more', fields: [] })
    },
  }
  await forEach(numbers, WIDTH, async (number) => {
    const history = await openHistory(number, setting)
    all.push(history)
    histories.set(history.namespace, history)
    await history.prepare()
  })
  proxy.fate = (call) => {
    const { namespace } = placeOf(call)
    const history = histories.get(namespace)
    if (history === undefined && namespace !== home && changes(call)) {
      wave.strays.push(`S5: ${call.method} ${call.path}`)
    }
    return history?.fateOf(call)
  }
  return wave
}

function startProcess({ home, connect, all }: Wave, kubeconfig: string) {
  return startOperator({
    kubeconfig,
    connect: connect.url,
    namespace: home,
    env: {
      WATCH_NAMESPACE: all.map(({ namespace }) => namespace).join(','),
      LOG_LEVEL: ONLY === undefined ? 'info' : 'debug',
    },
  })
}

/** Lets the caches of workloads know that nothing happened: a real server says so once a minute. */
function nudge({ proxy, all }: Wave, version: number): void {
  const byNamespace = new Map(all.map((one) => [one.namespace, one]))
  proxy.bookmark(String(version), (call) => {
    const history = byNamespace.get(placeOf(call).namespace)
    const isOpen = Date.now() - call.cameAt > OPENED_MS
    const isTold = history?.isCalm() === true && !history.misfortune.holds?.(call)
    return call.path.startsWith('/apis/apps/') && isOpen && isTold
  })
}

/** Plays histories that share an operator. */
async function playWave(numbers: readonly number[], trouble: Trouble): Promise<Verdict> {
  const wave = await openWave(numbers)
  const { all, proxy, connect } = wave
  const kubeconfig = await proxy.kubeconfigFor(plane.kubeconfig)
  const logs: string[] = []
  const ends: string[] = []
  let operator = await startProcess(wave, kubeconfig)
  let told = observer.newest
  // By now all watches have told what the observer heard of so long ago.
  const timer = setInterval(() => {
    nudge(wave, told)
    told = observer.newest
  }, NUDGE_MS)
  const dismiss = async (how: 'SIGKILL' | 'SIGTERM') => {
    operator.signal(how)
    const end = await operator.exited
    if (end !== (how === 'SIGKILL' ? how : 0)) ends.push(`the operator ended with ${end}`)
    logs.push(await operator.logs())
  }
  try {
    const acting = Promise.all(all.map((one) => one.act()))
    if (trouble === 'kill') {
      await eventually('each has had its moment', async () =>
        all.every((one) => one.misfortune.met() > 0 || one.isOver()),
      )
      await pause(GRACE_MS)
      await dismiss('SIGKILL')
      wave.process += 1
      operator = await startProcess(wave, kubeconfig)
    }
    await acting
    const broken = await Promise.all(all.map(async (one) => reportOf(one, await one.settle())))
    await dismiss('SIGTERM')
    const leaks = logs.some((text) => text.includes(CANARY)) ? ['S6: a log tells a value'] : []
    const failures = [...broken.flat(), ...ends, ...leaks, ...wave.strays]
    return { failures, struck: all.filter((one) => one.misfortune.met() > 0).length }
  } finally {
    clearInterval(timer)
    await operator.stop()
    await connect.close()
    await proxy[Symbol.asyncDispose]()
    for (const { namespace } of all) histories.delete(namespace)
  }
}

/** What it needs to be played again, and what happened in it. */
function reportOf({ number, trace }: History, broken: readonly string[]): string[] {
  if (ONLY !== undefined) tell([`history ${number}:`, ...trace, ...broken].join('\n    '))
  if (broken.length === 0) return []
  const command = `KEYFERRY_SEED=${SEED} KEYFERRY_ONLY=${number} npm test -- reliability sequences`
  return [[`${command}:`, ...broken, ...trace].join('\n    ')]
}

test(
  'random histories with a fault in each end as if there had been none',
  async () => {
    const numbers = Array.from({ length: HISTORIES }, (_, n) => n)
    const waves = ONLY === undefined ? wavesOf(numbers) : [Array(AGAIN).fill(Number(ONLY))]
    const verdicts: Verdict[] = []
    await forEach(waves, LANES, async (wave) => {
      const verdict = await playWave(wave, troubleOf(wave[0] ?? 0))
      verdicts.push(verdict)
    })
    const trials = waves.flat().length
    const struck = verdicts.reduce((sum, one) => sum + one.struck, 0)
    const failures = verdicts.flatMap((one) => one.failures)
    const violations = failures.length
    tell(`${trials} histories, ${struck} of them struck by their fault, ${violations} failed`)
    const what = 'random histories with a fault'
    await tally({ gate: 9, what, trials, violations, seed: SEED })
    await tally({
      gate: 9,
      what: 'of them struck by it',
      trials: struck,
      violations: 0,
      seed: SEED,
    })
    expect(failures.slice(0, 5)).toEqual([])
    if (ONLY === undefined) expect(struck).toBeGreaterThan(STRUCK * trials)
  },
  TEST_MS,
)
