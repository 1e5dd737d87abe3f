/**
 * Some minutes of everything at once: a thousand resources and three hundred workloads, two replicas
 * that share a Lease. While items change and Secrets are spoilt, one request in fifty fails, watches
 * break, the leader is killed again and again, the API server dies, and Connect's token is replaced.
 * Then only items change, and the leader's memory, handles and timers must stay as they are; and in
 * the end nothing is written any more.
 *
 * A killed leader's Lease has to run out: that takes most of the time. All versions that are ever
 * stored are judged, by an API server of their own that never fails. KEYFERRY_SEED decides which
 * request fails how; only the whole programme (KEYFERRY_PROGRAMME=full) has this test.
 */
import { randomBytes } from 'node:crypto'
import { readdir, readFile, rename, rm, writeFile, mkdtemp } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { CANARY } from '../simulation/connect.ts'
import { NAMESPACE } from '../simulation/operations.ts'
import { createRandom, type Random } from '../simulation/random.ts'
import { brief, isWrite, lateWrites, readAudit, termsOf } from '../support/audit.ts'
import { adminRest, applyCrd, clusterOf } from '../support/cluster.ts'
import { REFUSALS } from '../support/connect-faults.ts'
import { type ControlPlane, startControlPlane } from '../support/control-plane/start.ts'
import { patience, pause } from '../support/eventually.ts'
import { forEach } from '../support/for-each.ts'
import { isFull, SEED, tally } from '../support/gates.ts'
import { type Call, type Fate, type KubeProxy, startKubeProxy } from '../support/kube-proxy.ts'
import { PLANTED } from '../support/leaks.ts'
import { observe, type Observer } from '../support/observer.ts'
import { LEASE } from '../support/replicas.ts'
import { OPTED_IN } from '../support/restarts.ts'
import { type ScriptedConnect, startScriptedConnect } from '../support/scripted-connect.ts'
import { tell } from '../support/skip.ts'
import { type Crew, type Hand, startCrew } from './crew.ts'
import { REQUEST_FAULTS, STREAM_FAULTS } from './faults.ts'
import { createMirror, type Mirror, MIRRORED } from './mirror.ts'
import { noted } from './sequence.ts'
import { placeOf } from './voyage.ts'

const NAMESPACES = 10
/** In each namespace. */
const RESOURCES = 100
const WORKLOADS = 30
const KILLS = 20
/** Before which of the kills the API server dies, and Connect's token is replaced. */
const RESTARTS = [5, 10, 15]
const ROTATIONS = [3, 8, 13]
/** Milliseconds that a leader works. */
const WORK_MS = [500, 4_000] as const
const FAULT_CHANCE = 0.02
/** For a process to have got all that it needs, and then of looking at it. */
const WARM_UP_MS = 60_000
const QUIET_MS = 240_000
/** Of this the first and the last part are compared. */
const WINDOW_MS = 60_000
const SAMPLE_MS = 2_000
/** Milliseconds between two changes of items while everything fails, and then. */
const CHANGE_MS = { storm: 100, quiet: 500 }
/** Of so many changes one is that of a Secret. */
const SPOILT = 8
const CUT_MS = 8_000
const SETTLE_MS = 300_000
const STEADY_MS = 20_000
const MARGIN_MS = 1_000
const OPENED_MS = 3_000
const MOST_GROWTH = 0.03
const TEST_MS = 1_800_000

const ITEMS = `/apis/onepassword.com/v1/namespaces/${NAMESPACE}/onepassworditems`
const DEPLOYMENTS = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`
const SECRETS = `/api/v1/namespaces/${NAMESPACE}/secrets`

interface Scene extends AsyncDisposable {
  readonly plane: ControlPlane
  readonly proxy: KubeProxy
  readonly connect: ScriptedConnect
  readonly crew: Crew
  readonly observer: Observer
  readonly mirrors: readonly Mirror[]
  readonly random: Random
  /** Writes Connect's next token where the operators look for it; the one before is no longer taken. */
  rotate(): Promise<void>
  /** Whether anything fails. */
  isStormy: boolean
  faults: number
}

async function setScene(): Promise<Scene> {
  await using stack = new AsyncDisposableStack()
  const plane = await startControlPlane({ controllers: false, audit: 'bodies' })
  stack.defer(() => plane.stop())
  const { processes } = plane
  if (!processes) throw new Error('this control plane runs in a container')
  await applyCrd(plane.kubeconfig)
  const rest = adminRest(await processes.another(processes.etcdAddress))
  stack.defer(() => rest.close())
  const connect = await startScriptedConnect()
  stack.defer(() => connect.close())
  const proxy = stack.use(await startKubeProxy(plane.kubeconfig))
  const byNamespace = new Map<string, Mirror>()
  const observer = stack.use(
    await observe(rest, MIRRORED, (sighting) => {
      byNamespace.get(sighting.object.metadata.namespace)?.take(sighting)
    }),
  )
  const fresh = async (kind: string) => {
    const name = `${kind}-${randomBytes(4).toString('hex')}`
    const cluster = clusterOf(rest, name)
    await cluster.create('namespaces', { metadata: { name } })
    return cluster
  }
  for (let n = 0; n < NAMESPACES; n += 1) {
    const cluster = await fresh('soak')
    // What the API server stored when it died, without anybody having heard of it, is the operator's.
    byNamespace.set(cluster.namespace, createMirror(cluster, connect, {}, 'operator'))
  }
  const mirrors = [...byNamespace.values()]
  await forEach(mirrors, NAMESPACES, furnish)
  const tokens = await createTokens(connect)
  stack.defer(tokens.remove)
  await tokens.rotate()
  const random = createRandom(SEED)
  const scene = { isStormy: false, faults: 0 }
  proxy.fate = (call) => {
    const mirror = byNamespace.get(placeOf(call).namespace)
    const fate = scene.isStormy ? fault(random, call) : undefined
    if (fate) scene.faults += 1
    return mirror ? noted(mirror.authors, call, fate) : fate
  }
  connect.intercept = (_request, response) => {
    const fails = scene.isStormy && random.chance(FAULT_CHANCE)
    if (fails) failConnect(random, response)
    return fails
  }
  const env = {
    OP_CONNECT_TOKEN: '',
    OP_CONNECT_TOKEN_FILE: tokens.file,
    POLLING_INTERVAL: '5',
    LOG_LEVEL: 'info',
  }
  const home = await fresh('home')
  const { kubeconfig } = plane
  const crew = stack.use(await startCrew({ home, kubeconfig, proxy, connect: connect.url, env }))
  const all = stack.move()
  return Object.assign(scene, {
    plane,
    proxy,
    connect,
    crew,
    observer,
    mirrors,
    random,
    rotate: tokens.rotate,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  })
}

/** Items, resources for them, and workloads that use their Secrets. */
async function furnish({ ground, send }: Mirror): Promise<void> {
  const { connect, server } = ground
  for (let n = 0; n < RESOURCES; n += 1) {
    connect.add(`item-${n}`)
    const metadata = { name: `of-${n}`, annotations: OPTED_IN }
    const spec = { itemPath: `vaults/Production/items/item-${n}` }
    server.handle({ method: 'POST', path: ITEMS, body: { metadata, spec } }, '')
  }
  for (let n = 0; n < WORKLOADS; n += 1) {
    const envFrom = [3 * n, 3 * n + 1].map((one) => ({ secretRef: { name: `of-${one}` } }))
    const template = { spec: { containers: [{ name: 'app', envFrom }] } }
    const body = { metadata: { name: `web-${n}` }, spec: { template } }
    server.handle({ method: 'POST', path: DEPLOYMENTS, body }, '')
  }
  expect(await send()).toEqual([])
}

async function createTokens(connect: ScriptedConnect) {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-token-'))
  const file = path.join(folder, 'token')
  return {
    file,
    async rotate() {
      const token = `${PLANTED}${randomBytes(8).toString('hex')}`
      await writeFile(`${file}.next`, token, { mode: 0o600 })
      await rename(`${file}.next`, file)
      connect.tokens = new Set([token])
    },
    remove: () => rm(folder, { recursive: true }),
  }
}

/** One request in fifty. */
function fault(random: Random, call: Call): Fate | undefined {
  if (call.isWatch || !random.chance(FAULT_CHANCE)) return undefined
  const [what, { fateOf }] = random.pick(Object.entries(REQUEST_FAULTS))
  // Silence would cost it the Lease, rightly.
  const isSilent = ['a black hole', 'a lost answer'].includes(what)
  return isSilent && call.path.includes('/leases') ? undefined : fateOf(call)
}

function failConnect(random: Random, response: ServerResponse): void {
  const refusals = Object.values(REFUSALS)
  const n = random.between(0, refusals.length)
  const refuse = refusals[n]
  if (refuse) refuse(response, '')
  else response.destroy()
}

/** Changes items, and in a storm Secrets too, until it is ended. */
function startChanges({ mirrors, random }: Scene, how: keyof typeof CHANGE_MS) {
  const over = new AbortController()
  const loop = async () => {
    for (let n = 1; !over.signal.aborted; n += 1) {
      await pause(CHANGE_MS[how])
      const { ground, send } = random.pick(mirrors)
      if (how === 'storm' && n % SPOILT === 0) {
        const data = { extra: Buffer.from(`${CANARY}spoilt`).toString('base64') }
        const name = `of-${random.between(0, RESOURCES - 1)}`
        const body = { data }
        const path = `${SECRETS}/${name}`
        ground.server.handle({ method: 'PATCH', patch: 'merge', path, body }, '')
        await send()
      } else ground.connect.edit(random.pick([...ground.connect.items.keys()]))
    }
  }
  const running = loop()
  return {
    async end() {
      over.abort()
      await running
    },
  }
}

/** Breaks a watch now and then. */
function startCuts({ proxy, random }: Scene) {
  const timer = setInterval(() => {
    const { text } = random.pick(Object.values(STREAM_FAULTS))
    const resource = random.pick(MIRRORED)
    proxy.cutWatches(text, ({ path }) =>
      path.endsWith(resource === 'items' ? 'onepassworditems' : resource),
    )
  }, CUT_MS)
  return { end: () => clearInterval(timer) }
}

/** Kills leader after leader. @returns what happened, how often */
async function storm(scene: Scene): Promise<Readonly<Record<string, number>>> {
  const { crew, plane, random, rotate } = scene
  scene.isStormy = true
  const changes = startChanges(scene, 'storm')
  const cuts = startCuts(scene)
  let { hand, holder } = await crew.untilLed()
  let [kills, rotations, restarts] = [0, 0, 0]
  while (kills < KILLS) {
    kills += 1
    if (ROTATIONS.includes(kills)) {
      await rotate()
      rotations += 1
    }
    if (RESTARTS.includes(kills)) {
      restarts += 1
      await plane.processes?.apiserver.stop()
      await plane.processes?.apiserver.start()
    }
    // In the midst of what its predecessor has left to it.
    await pause(random.between(...WORK_MS))
    hand.process.signal('SIGKILL')
    ;({ hand, holder } = await crew.untilLed(holder))
    tell(`kill ${kills}: ${holder} leads`)
  }
  cuts.end()
  await changes.end()
  scene.isStormy = false
  return {
    'leaders killed': kills,
    "API server's deaths": restarts,
    "Connect's tokens replaced": rotations,
    'requests failed': scene.faults,
  }
}

/** Waits until all matches. @returns broken promises, in words */
async function settle({ mirrors, proxy, observer }: Scene): Promise<string[]> {
  const isLate = patience(SETTLE_MS)
  let told = observer.newest
  for (;;) {
    for (const mirror of mirrors) mirror.judgeUntil(MARGIN_MS)
    const broken = mirrors.flatMap(({ judge }) => judge.violations)
    if (broken.length > 0) return broken
    const left = mirrors.flatMap((mirror) => mirror.unsettled())
    if (left.length === 0) return []
    if (isLate()) return left.map((one) => `L1: ${one}`)
    // By now all watches have told what the observer heard of a second ago.
    proxy.bookmark(String(told), ({ path, cameAt }) => {
      return path.startsWith('/apis/apps/') && Date.now() - cameAt > OPENED_MS
    })
    told = observer.newest
    await pause(MARGIN_MS)
  }
}

/** What a process holds. */
interface Sample {
  /** Resident, in KiB. */
  readonly memory: number
  readonly files: number
  readonly timers: number
}

async function sampleOf({ process: { pid, metrics } }: Hand): Promise<Sample> {
  const [status, files, page] = await Promise.all([
    readFile(`/proc/${pid}/status`, 'utf8'),
    readdir(`/proc/${pid}/fd`),
    metrics(),
  ])
  const timers = /^nodejs_active_resources\{type="Timeout"\} (\d+)/m.exec(page)?.[1]
  return {
    memory: Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]),
    files: files.length,
    timers: Number(timers ?? 0),
  }
}

/** Collections of garbage make memory go up and down: its lower quartile tells what is kept. */
const PARTS: Readonly<Record<keyof Sample, number>> = { memory: 0.25, files: 0.5, timers: 0.5 }

const quantile = (all: readonly number[], part: number) =>
  all.toSorted((a, b) => a - b)[Math.floor(all.length * part)] ?? Number.NaN

/** Only items change. @returns what grows, in words */
async function quiet(scene: Scene, leader: Hand): Promise<string[]> {
  const changes = startChanges(scene, 'quiet')
  await pause(WARM_UP_MS)
  const samples: Sample[] = []
  const isOver = patience(QUIET_MS)
  while (!isOver()) {
    samples.push(await sampleOf(leader))
    await pause(SAMPLE_MS)
  }
  await changes.end()
  const part = Math.ceil((samples.length * WINDOW_MS) / QUIET_MS)
  const of = (what: keyof Sample) => {
    const [first, last] = [samples.slice(0, part), samples.slice(-part)].map((all) =>
      quantile(
        all.map((one) => one[what]),
        PARTS[what],
      ),
    ) as [number, number]
    const text = `${what}: ${first} at first, ${last} at last`
    tell(text)
    return { first, last, text }
  }
  const [memory, files, timers] = [of('memory'), of('files'), of('timers')]
  return [
    ...(memory.last <= memory.first * (1 + MOST_GROWTH) ? [] : [memory.text]),
    ...(files.last <= files.first + 2 ? [] : [files.text]),
    ...(timers.last <= timers.first * 1.1 + 2 ? [] : [timers.text]),
  ]
}

/** What the audit log says of who wrote when. */
async function audited({ plane, crew }: Scene, steadySince: number): Promise<string[]> {
  const records = await readAudit(plane.auditLog ?? '')
  const users = crew.hands.map(({ user }) => user)
  const late = lateWrites(records, termsOf(records, LEASE), users)
  const idle = records.filter(
    (one) =>
      users.includes(one.user) &&
      one.cameAt >= steadySince &&
      one.resource !== 'leases' &&
      isWrite(one),
  )
  return [...late.map((one) => `S8: ${brief(one)}`), ...idle.map((one) => `L5: ${brief(one)}`)]
}

describe.runIf(isFull)('two replicas in a storm, and after it', () => {
  test('keep every promise, and hold no more than they need', { timeout: TEST_MS }, async () => {
    tell(`KEYFERRY_SEED=${SEED}`)
    await using scene = await setScene()
    const { crew, mirrors } = scene
    await crew.untilLed()
    const began = await settle(scene)
    expect(began).toEqual([])
    const happened = await storm(scene)
    const stormy = await settle(scene)
    tell(`${scene.faults} requests failed, processes ended: ${crew.ends.join()}`)
    const { hand, holder } = await crew.untilLed()
    const { pid } = hand.process
    const growth = stormy.length > 0 ? [] : await quiet(scene, hand)
    const calm = await settle(scene)
    const steadySince = Date.now()
    await pause(STEADY_MS)
    const again = await settle(scene)
    const last = await crew.untilLed()
    const others = await audited(scene, steadySince)
    const leaks = (await crew.logs()).includes(CANARY) ? ['S6: a log tells a value'] : []
    const broken = [...stormy, ...growth, ...calm, ...again, ...others, ...leaks]
    if (last.holder !== holder || last.hand.process.pid !== pid) broken.push('the leader changed')
    // Which of them it was that broke a promise, nobody can tell.
    let violations = broken.length
    for (const [event, trials] of Object.entries(happened)) {
      await tally({ gate: 20, what: `soak: ${event}`, trials, violations, seed: SEED })
      violations = 0
    }
    const trials = mirrors.length * RESOURCES
    await tally({ gate: 20, what: 'soak: resources', trials, violations: 0 })
    expect(broken.slice(0, 10)).toEqual([])
  })
})
