/**
 * Replicas of one installation: one works, the others wait, and the work changes hands.
 */
import { describe, expect, inject, test } from 'vitest'
import { brief, isWrite, lateWrites } from '../support/audit.ts'
import type { KubeObject } from '../support/cluster.ts'
import { eventually, pause } from '../support/eventually.ts'
import { type Call, changes, type KubeProxy, startKubeProxy } from '../support/kube-proxy.ts'
import {
  expectOneRestartPerContent,
  holderOf,
  judge,
  LEASE,
  otherThan,
  type Replica,
  startLoad,
  startReplica,
  untilLeads,
} from '../support/replicas.ts'
import { tell } from '../support/skip.ts'
import { setStage, type Stage } from '../support/stage.ts'

const HANDOVER_MS = 2_000
/** It looks once a second: with load on the machine, a little later. */
const SUCCESSOR_MS = 6_000
/** The time between two renewals, and for what is under way. */
const NOTICE_MS = 5_000
const TAKEOVER_MS = 20_000
const LEASES = '/leases'

async function startPair(stage: Stage): Promise<Replica[]> {
  return [await startReplica(stage, 'one'), await startReplica(stage, 'two')]
}

/** No write lies outside of a term of its writer. */
async function expectInTerms(stage: Stage, replicas: readonly Replica[]) {
  const judged = await judge(stage, replicas)
  const { records, terms, users } = judged
  expect(lateWrites(records, terms, users).map(brief)).toEqual([])
  expectOneRestartPerContent(records)
  return judged
}

/** A leader that works through a proxy. */
async function startProxied(stage: Stage) {
  const proxy = await startKubeProxy(inject('kubeconfig'))
  const first = await startReplica(stage, 'one', { through: proxy })
  await untilLeads(stage, [first])
  return { proxy, first }
}

/** Milliseconds from `since` to the Lease's next term of a replica other than `replica`. */
async function tookOver(
  stage: Stage,
  replica: Replica,
  replicas: readonly Replica[],
  since: number,
) {
  const { terms } = await judge(stage, replicas)
  const next = terms.find((term) => term.since > since && !['', undefined].includes(term.holder))
  expect(next?.user).not.toBe(replica.login.user)
  return (next?.since ?? Number.POSITIVE_INFINITY) - since
}

describe.concurrent('replicas', () => {
  test('only the one that holds the Lease writes, and it renews every two seconds', async () => {
    await using stage = await setStage()
    const replicas = await startPair(stage)
    const leader = await untilLeads(stage, replicas)
    const load = await startLoad(stage)
    await load.burst()
    await pause(10_000)
    await load.settle()
    const { records, terms } = await expectInTerms(stage, replicas)
    expect(terms.map(({ user }) => user)).toEqual([leader.login.user])
    const writes = (replica: Replica) =>
      records.filter((one) => isWrite(one) && one.user === replica.login.user)
    expect(writes(leader).length).toBeGreaterThan(50)
    expect(writes(otherThan(leader, replicas))).toEqual([])
    const renewals = writes(leader).filter(({ resource }) => resource === 'leases')
    const gaps = renewals.slice(1).map(({ cameAt }, n) => cameAt - (renewals[n]?.cameAt ?? 0))
    // From request to request: after one that was slow to come the next comes sooner.
    expect(Math.min(...gaps)).toBeGreaterThan(1_000)
    expect(gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length).toBeGreaterThan(1_900)
    const [{ request } = { request: undefined }] = renewals
    expect((request as KubeObject)['spec'].leaseDurationSeconds).toBe(15)
  })

  test('a leader that is told to end gives the Lease back within 2 s, and its successor takes it', async () => {
    await using stage = await setStage()
    const replicas = await startPair(stage)
    const load = await startLoad(stage)
    const leader = await untilLeads(stage, replicas)
    await load.burst()
    const asked = Date.now()
    leader.process.signal('SIGTERM')
    expect(await leader.process.exited).toBe(0)
    await untilLeads(stage, [otherThan(leader, replicas)])
    await load.settle()
    const { terms } = await expectInTerms(stage, replicas)
    expect(terms.map(({ holder }) => holder !== '')).toEqual([true, false, true])
    const given = (terms[1]?.since ?? 0) - asked
    const taken = await tookOver(stage, leader, replicas, asked)
    tell(`SIGTERM: given back after ${given} ms, taken after ${taken} ms`)
    expect(given).toBeLessThan(HANDOVER_MS)
    expect(taken).toBeLessThan(SUCCESSOR_MS)
  })

  test('a leader that is killed is succeeded within 20 s, and its work is finished', async () => {
    await using stage = await setStage()
    const replicas = await startPair(stage)
    const load = await startLoad(stage)
    const leader = await untilLeads(stage, replicas)
    await load.burst()
    const killed = Date.now()
    leader.process.signal('SIGKILL')
    await untilLeads(stage, [otherThan(leader, replicas)])
    await load.settle()
    await expectInTerms(stage, replicas)
    const taken = await tookOver(stage, leader, replicas, killed)
    tell(`SIGKILL: taken after ${taken} ms`)
    expect(taken).toBeLessThan(TAKEOVER_MS)
  })

  test('a leader whose Lease somebody else takes by hand ends when it would renew it', async () => {
    await using stage = await setStage()
    const replicas = await startPair(stage)
    const load = await startLoad(stage)
    const leader = await untilLeads(stage, replicas)
    await stage.cluster.patch('leases', LEASE, { spec: { holderIdentity: 'somebody' } })
    expect(await leader.process.exited).not.toBe(0)
    await untilLeads(stage, [otherThan(leader, replicas)])
    await load.settle()
    const { records, terms, users } = await judge(stage, replicas)
    const names = terms.map(({ holder }) => holder.split('_')[0])
    expect(names).toEqual([leader.name, 'somebody', otherThan(leader, replicas).name])
    // It learns of the edit when it renews; nobody else works until then.
    const ofReplicas = terms.filter(({ holder }) => holder !== 'somebody')
    expect(lateWrites(records, ofReplicas, users).map(brief)).toEqual([])
    const edited = terms[1]?.since ?? 0
    const last = records.findLast((one) => isWrite(one) && one.user === leader.login.user)
    expect((last?.cameAt ?? 0) - edited).toBeLessThan(NOTICE_MS)
  })

  test('a Lease that is deleted is made again by its holder, who works on', async () => {
    await using stage = await setStage()
    const replicas = await startPair(stage)
    const load = await startLoad(stage)
    await untilLeads(stage, replicas)
    const before = await holderOf(stage)
    await stage.cluster.delete('leases', LEASE)
    await eventually('there is a Lease again', async () => (await holderOf(stage)) !== '')
    expect(await holderOf(stage)).toBe(before)
    await load.settle()
    await expectInTerms(stage, replicas)
  })

  test.each([
    ['refuses', () => ({ status: 500 })],
    ['does not answer', () => 'drop' as const],
  ])('a leader whose renewals the API server %s ends in time', async (_how, before) => {
    await using stage = await setStage()
    await using started = await disposable(startProxied(stage))
    const { proxy, first } = started
    const second = await startReplica(stage, 'two')
    const load = await startLoad(stage)
    await load.burst()
    const since = Date.now()
    proxy.fate = (call) => (call.path.includes(LEASES) ? { before } : undefined)
    expect(await first.process.exited).not.toBe(0)
    const ended = Date.now() - since
    await untilLeads(stage, [second])
    await load.settle()
    await expectInTerms(stage, [first, second])
    // The deadline, and the time of a process to end.
    expect(ended).toBeLessThan(10_000 + 3_000)
  })

  test.each(KINDS_OF_WRITES())(
    'a %s that was on its way while the Lease changed hands is refused',
    async (_what, concerns) => {
      await using stage = await setStage()
      await using started = await disposable(startProxied(stage))
      const { proxy, first } = started
      const load = await startLoad(stage)
      const held = holdFirst(proxy, concerns)
      await load.burst()
      await held.come
      proxy.fate = undefined
      first.process.signal('SIGSTOP')
      const second = await startReplica(stage, 'two')
      await untilLeads(stage, [second])
      await load.settle()
      held.letGo()
      expect(await held.status).toBe(409)
      first.process.signal('SIGKILL')
      await expectInTerms(stage, [first, second])
    },
  )
})

function KINDS_OF_WRITES(): [string, (call: Call) => boolean][] {
  return [
    ['Secret', ({ method, path }) => method === 'PUT' && path.includes('/secrets/')],
    ['restart', ({ method, path }) => method === 'PATCH' && path.includes('/deployments/')],
    ['status', ({ path }) => path.endsWith('/status')],
  ]
}

function holdFirst(proxy: KubeProxy, concerns: (call: Call) => boolean) {
  const come = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const status = Promise.withResolvers<number>()
  let holding = false
  proxy.fate = (call) => {
    if (holding || !changes(call) || !concerns(call)) return undefined
    holding = true
    return {
      async before() {
        come.resolve()
        await gate.promise
        return undefined
      },
      committed() {
        status.resolve(call.status ?? 0)
        return undefined
      },
    }
  }
  return { come: come.promise, status: status.promise, letGo: () => gate.resolve() }
}

async function disposable<T extends { proxy: KubeProxy }>(starting: Promise<T>) {
  const started = await starting
  return { ...started, [Symbol.asyncDispose]: () => started.proxy[Symbol.asyncDispose]() }
}
