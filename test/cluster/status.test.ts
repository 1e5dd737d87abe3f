/**
 * What the status page of a real operator tells over HTTP; what a browser makes of it is in
 * test/browser.
 */
import { request } from 'undici'
import { beforeAll, expect, inject, test } from 'vitest'
import type { Details, Health, Snapshot } from '../../src/status/model.ts'
import { hasReason, isReady } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import type { OperatorProcess } from '../support/operator.ts'
import { keyferry } from '../support/program.ts'
import { json } from '../support/scripted-connect.ts'
import { setStage, type Stage } from '../support/stage.ts'

let stage: Stage

beforeAll(async () => {
  stage = await setStage()
  stage.connect.add(stage.vault, { title: 'x', fields: [{ label: 'password', value: 'one' }] })
  return stage.close
})

async function get({ page }: OperatorProcess, path: string): Promise<unknown> {
  const { statusCode, body } = await request(`${page}${path}`)
  expect(statusCode).toBe(200)
  return body.json()
}

const statusOf = async (operator: OperatorProcess) =>
  (await get(operator, '/api/status')) as Snapshot

async function untilHealth(
  operator: OperatorProcess,
  what: string,
  is: (health: Health) => boolean,
): Promise<Health> {
  return eventually(what, async () => {
    const { health } = await statusOf(operator)
    return is(health) && health
  })
}

test('of two replicas each tells whether it works, and both tell how the resources are', async () => {
  const { cluster } = stage
  const env = { LEADER_ELECTION: 'true', INSTANCE: 'status', POD_NAME: 'status-pod' }
  const first = await stage.operator(env)
  await untilHealth(first, 'the first one works', ({ phase }) => phase === 'working')
  const second = await stage.operator(env)
  await stage.item('x', 'x')
  await stage.item('missing', 'no such item')
  await cluster.until('items', 'x', isReady)
  await cluster.until('items', 'missing', hasReason('ItemNotFound'))
  expect((await statusOf(first)).health).toMatchObject({
    installation: `${cluster.namespace}/status`,
    pod: 'status-pod',
    namespaces: [cluster.namespace],
    shadow: false,
    shards: { held: 1, all: 1 },
    poll: { everyMs: 1_000, last: { ms: expect.any(Number) } },
  })
  const standby = await eventually('the other one knows both', async () => {
    const seen = await statusOf(second)
    return seen.rows.every(({ state }) => state !== 'pending') && seen.rows.length === 2 && seen
  })
  expect(standby.health).toMatchObject({ phase: 'standby', shards: { held: 0, all: 1 } })
  expect(standby.health.poll.last).toBeUndefined()
  expect(standby.rows.toSorted((a, b) => (a.name < b.name ? -1 : 1))).toMatchObject([
    { name: 'missing', state: 'failed', reason: 'ItemNotFound', versions: [] },
    { name: 'x', state: 'ready', reason: 'Synced', versions: [1], secret: 'x' },
  ])
  const path = `/api/resources/${cluster.namespace}/x`
  const [worked, stood] = [await get(first, path), await get(second, path)] as [Details, Details]
  expect(worked.history).toMatchObject([{ kind: 'created', detail: 'version 1' }])
  expect(stood.history).toEqual([])
  expect(stood).toMatchObject({ keys: [{ name: 'password' }], secret: { present: true } })
  await first.stop()
  await untilHealth(second, 'the other one works', ({ phase }) => phase === 'working')
  await second.stop()
})

test('while Connect is away health says since when and why', async () => {
  const { connect } = stage
  const operator = await stage.operator()
  await untilHealth(operator, 'it polls', ({ poll }) => poll.last !== undefined)
  connect.intercept = (_request, response) => {
    json(response, 503, { status: 503, message: 'down' })
    return true
  }
  const first = await untilHealth(operator, 'it fails', ({ poll }) => poll.failure !== undefined)
  expect(first.poll.failure).toMatchObject({ reason: 'ConnectUnavailable' })
  const later = await untilHealth(
    operator,
    'it failed again',
    ({ poll }) => (poll.last?.at ?? 0) > (first.poll.last?.at ?? 0),
  )
  expect(later.poll.failure?.since).toBe(first.poll.failure?.since)
  connect.intercept = undefined
  await untilHealth(operator, 'it polls again', ({ poll }) => poll.failure === undefined)
  await operator.stop()
})

test('without the page, or with its address taken, the operator works all the same', async () => {
  const first = await stage.operator()
  const taken = await stage.operator({ STATUS_ADDRESS: new URL(first.page).host })
  expect(await taken.logs()).toContain('the status page is not served')
  expect(await taken.probe('/healthz')).toBe('200 ok')
  expect(await taken.stop()).toBe(0)
  await first.stop()
  const off = await stage.operator({ STATUS_ADDRESS: 'off' })
  expect(await off.logs()).not.toContain('status page')
  expect(await off.probe('/healthz')).toBe('200 ok')
  await off.stop()
})

test('keyferry status goes to the pod that the Lease names, and tells what kubectl says of it', async () => {
  const { cluster } = stage
  const [kubeconfig, kubectl] = [inject('kubeconfig'), inject('kubectl') || 'kubectl']
  const flags = ['--namespace', cluster.namespace, '--instance', 'forwarded', '--no-open']
  const command = ['status', ...flags, '--kubeconfig', kubeconfig, '--kubectl', kubectl]
  const nobody = await keyferry(command)
  expect(nobody).toMatchObject({ code: 1, out: '' })
  expect(nobody.err).toContain('deployments.apps "forwarded" not found')
  const spec = { holderIdentity: 'the-pod_4fd1', leaseDurationSeconds: 15 }
  await cluster.create('leases', { metadata: { name: 'forwarded' }, spec })
  const gone = await keyferry(command)
  expect(gone).toMatchObject({ code: 1, out: '' })
  expect(gone.err).toContain('pods "the-pod" not found')
  expect(gone.err).toContain('pods/portforward')
})
