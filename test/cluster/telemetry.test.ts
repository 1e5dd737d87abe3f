/**
 * What an operator tells of itself: probes, the Lease, its end, and how little it logs.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { hasReason, isReady } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { type OperatorProcess, startOperator } from '../support/operator.ts'
import { freePort } from '../support/processes.ts'
import { json } from '../support/scripted-connect.ts'
import { setStage, type Stage } from '../support/stage.ts'

let stage: Stage

beforeAll(async () => {
  stage = await setStage()
  stage.connect.add(stage.vault, { title: 'x', fields: [{ label: 'password', value: 'one' }] })
  return stage.close
})

const STANDBY = '200 ok: the caches are complete, another replica holds the Lease'
const WORKS = '200 ok: the caches are complete, this replica works'

async function untilSays(operator: OperatorProcess, answer: string): Promise<void> {
  await eventually(
    `/readyz says ${answer}`,
    async () => (await operator.probe('/readyz')) === answer || undefined,
  )
}

async function untilMorePolls(operator: OperatorProcess, count: number): Promise<void> {
  const polls = async () =>
    Number(/keyferry_poll_seconds_count (\d+)/.exec(await operator.metrics())?.[1] ?? 0)
  const before = await polls()
  await eventually(
    `${count} more polls`,
    async () => (await polls()) >= before + count || undefined,
  )
}

test('before its caches are complete an operator is alive but not ready', async () => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-nowhere-'))
  const kubeconfig = path.join(folder, 'kubeconfig')
  const config = {
    clusters: [{ name: 'c', cluster: { server: `https://127.0.0.1:${await freePort()}` } }],
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    users: [{ name: 'u', user: {} }],
    'current-context': 'c',
  }
  await writeFile(kubeconfig, JSON.stringify(config))
  const { connect, cluster } = stage
  const operator = await startOperator({
    kubeconfig,
    connect: connect.url,
    namespace: cluster.namespace,
    ready: false,
  })
  await eventually('it answers', () => operator.probe('/healthz').catch(() => undefined))
  expect(await operator.probe('/healthz')).toBe('200 ok')
  expect(await operator.probe('/readyz')).toBe('503 the caches are not complete yet')
  expect(await operator.metrics()).toContain('\nkeyferry_leader 0\n')
  expect(await operator.stop()).toBe(0)
  await rm(folder, { recursive: true })
})

test('of two replicas both are ready and one works; it gives the Lease back at its end', async () => {
  const env = { LEADER_ELECTION: 'true', INSTANCE: 'pair' }
  const first = await stage.operator(env)
  await untilSays(first, WORKS)
  const second = await stage.operator(env)
  await untilSays(second, STANDBY)
  expect(await first.metrics()).toContain('\nkeyferry_leader 1\n')
  expect(await second.metrics()).toContain('\nkeyferry_leader 0\n')
  expect(await first.stop()).toBe(0)
  expect(await first.logs()).toContain('the Lease is released')
  await untilSays(second, WORKS)
  expect(await second.metrics()).toContain('\nkeyferry_leader 1\n')
  expect(await second.stop()).toBe(0)
})

test('at info a state that lasts is told once, and nothing is told of polls', async () => {
  const { connect, cluster } = stage
  const operator = await stage.operator({ LOG_LEVEL: 'info' })
  await stage.item('x', 'x')
  await stage.item('missing', 'no such item')
  await cluster.until('items', 'x', isReady)
  await cluster.until('items', 'missing', hasReason('ItemNotFound'))
  const lines = async () => (await operator.logs()).trimEnd().split('\n')
  await untilMorePolls(operator, 2)
  const before = await lines()
  await untilMorePolls(operator, 3)
  expect(await lines()).toEqual(before)
  const parsed = before.map((line) => JSON.parse(line) as { level: string; msg: string })
  expect(parsed.filter(({ msg }) => msg === 'Secret written')).toHaveLength(1)
  connect.intercept = (_request, response) => {
    json(response, 503, { status: 503, message: 'down' })
    return true
  }
  await eventually(
    'the outage is told',
    async () => (await operator.metrics()).includes('\nkeyferry_connect_up 0\n') || undefined,
  )
  await untilMorePolls(operator, 2)
  connect.intercept = undefined
  await eventually(
    'its end is told',
    async () => (await operator.logs()).includes('Connect answers again') || undefined,
  )
  const told = (await lines()).slice(before.length).map((line) => JSON.parse(line))
  const about = told.filter(({ msg }) => msg.startsWith('Connect '))
  expect(about).toMatchObject([
    { level: 'error', msg: 'Connect cannot be polled' },
    { level: 'info', msg: 'Connect answers again' },
  ])
  await operator.stop()
})

test('as text each line has a time, a level and a sentence', async () => {
  const operator = await stage.operator({ LOG_LEVEL: 'info', LOG_FORMAT: 'text' })
  await eventually(
    'it works',
    async () => (await operator.logs()).includes('Connect answers') || undefined,
  )
  await operator.stop()
  for (const line of (await operator.logs()).trimEnd().split('\n')) {
    expect(line).toMatch(/^\d\d:\d\d:\d\d (INFO |WARN |ERROR) \S/)
  }
})
