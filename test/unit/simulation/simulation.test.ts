/**
 * The simulation: some hundred histories in each run, and that it can be relied on: a seed gives the
 * same history each time, and a product that breaks a promise is found.
 * `npm run simulate -- --histories 100000` runs many; `-- --replay <seed>` tells one.
 */
import { expect, test } from 'vitest'
import { isFull, SEED, tally } from '../../support/gates.ts'
import { valueOf } from '../../simulation/connect.ts'
import { createJudge } from '../../simulation/judge.ts'
import { runHistory } from '../../simulation/history.ts'
import { replayOf, runHistories } from '../../simulation/run.ts'
import { createWorld } from '../../simulation/world.ts'

const HISTORIES = isFull ? 100_000 : 400

test('no history breaks a promise', { timeout: 1_800_000 }, async () => {
  const { histories, operations, faults, broken } = await runHistories({
    first: SEED,
    count: HISTORIES,
  })
  const told = broken.map(({ seed, violations }) => `${replayOf(seed)}: ${violations[0]}`)
  const violations = broken.length
  await tally({ gate: 0, what: 'simulated histories', trials: histories, violations, seed: SEED })
  await tally({ gate: 0, what: 'operations in them', trials: operations, violations: 0 })
  await tally({ gate: 0, what: 'faults in them', trials: faults, violations: 0 })
  expect(told).toEqual([])
  expect(histories).toBe(HISTORIES)
  expect(faults).toBeGreaterThan(histories / 2)
})

test('a seed gives the same history each time', async () => {
  expect(await traceOf(4711)).toEqual(await traceOf(4711))
})

/** What happens, without what is made by chance on purpose: keys, identities and their hashes. */
async function traceOf(seed: number): Promise<string[]> {
  const lines: string[] = []
  await runHistory(seed, (text) => lines.push(text))
  expect(lines.length).toBeGreaterThan(20)
  return lines
    .filter((line) => !line.startsWith('{') && !line.includes('digest-key'))
    .map((line) => line.replaceAll(/[0-9a-f]{8}\.[0-9a-f]+|\.[0-9a-f]{16}/g, ''))
}

/** A world with one synced Secret of a resource, as an operator would have left it. */
function aWorld() {
  const world = createWorld(1, new Map())
  const { server, connect } = world
  const judge = createJudge(world, true)
  const item = connect.add('db')
  const send = (by: string, method: 'POST' | 'PUT', path: string, body: unknown) =>
    server.handle({ method, path, body }, by)
  const items = '/apis/onepassword.com/v1/namespaces/team/onepassworditems'
  const spec = { itemPath: 'vaults/Production/items/db' }
  send('user', 'POST', items, { metadata: { name: 'db' }, spec })
  return { world, judge, item, send }
}

const SECRETS = '/api/v1/namespaces/team/secrets'
const aSecret = (data: Record<string, string>, metadata: object = {}) => ({
  type: 'Opaque',
  metadata: { name: 'db', ...metadata },
  data: Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  ),
})

test.each([
  ['S1', 'user', 'changes Secret db, which is somebody else'],
  ['S2', 'first', 'is no whole version of an item'],
  ['S8', 'first', 'while'],
])('a broken promise %s is seen', (promise, maker, text) => {
  const { judge, send } = aWorld()
  send(maker, 'POST', SECRETS, aSecret({ username: 'a', password: 'b' }))
  send('first', 'PUT', `${SECRETS}/db`, aSecret({ username: 'c', password: 'd' }))
  const told = judge.violations.filter((one) => one.startsWith(promise))
  expect(told.join()).toContain(text)
})

test('content that goes back to a former version is seen', () => {
  const { judge, item, send } = aWorld()
  const content = (version: number) => {
    const value = (field: string) => valueOf(field, item.id, version)
    return aSecret({ username: value('username'), password: value('password') })
  }
  send('first', 'POST', SECRETS, content(1))
  send('first', 'PUT', `${SECRETS}/db`, content(2))
  expect(judge.violations.filter((one) => one.startsWith('S3'))).toEqual([])
  send('first', 'PUT', `${SECRETS}/db`, content(1))
  expect(judge.violations.join()).toMatch(/S3 at 0 ms: Secret db goes from 2 back to 1/)
})

test('a resource that nobody serves is seen', () => {
  const { judge } = aWorld()
  expect(judge.unsettled()).toEqual([expect.stringContaining('resource db is')])
})
