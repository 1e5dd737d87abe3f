/**
 * A Connect server that answers anything but what was asked for: what is in a Secret stays, whole,
 * until a right answer comes; then it follows.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { condition, hasReason, isReady, type KubeObject, valueOf } from '../support/cluster.ts'
import {
  BROKEN,
  type Fault,
  MALFORMED,
  NO_ITEM,
  REFUSALS,
  says,
  SLOW,
} from '../support/connect-faults.ts'
import { eventually } from '../support/eventually.ts'
import type { OperatorProcess } from '../support/operator.ts'
import { setStage, type Stage } from '../support/stage.ts'

const holds = (value: string) => (secret: KubeObject) => valueOf(secret, 'password') === value

/** A resource whose Secret holds `one`; gives the id of its item. */
async function synced(stage: Stage, name: string, vaultName = 'Production'): Promise<string> {
  const { cluster, connect, vault } = stage
  const where = vaultName === 'Production' ? vault : connect.vault(vaultName)
  const id = connect.add(where, { title: name, fields: [{ label: 'password', value: 'one' }] })
  await stage.item(name, name, { spec: { itemPath: `vaults/${vaultName}/items/${name}` } })
  await cluster.until('items', name, isReady)
  return id
}

/** Waits for so many more lists of vaults. */
async function morePolls({ connect }: Stage, count: number): Promise<void> {
  const polls = () => connect.requests.filter((one) => one === 'GET /v1/vaults').length
  const before = polls()
  await eventually(`${count} more polls`, async () => polls() >= before + count)
}

describe.concurrent('of one item', () => {
  let stage: Stage
  let operator: OperatorProcess

  beforeAll(async () => {
    stage = await setStage()
    stage.connect.shuffled = true
    operator = await stage.operator()
    return stage.close
  })

  const { 'a body without an end': endless = () => {}, ...broken } = BROKEN
  const bodies = { ...MALFORMED, ...NO_ITEM }
  const faults: readonly (readonly [string, Fault])[] = [
    ...Object.entries(bodies).map(([what, body]) => [what, says(body)] as const),
    ...Object.entries({ ...broken, ...REFUSALS, ...SLOW }),
  ]

  test('whatever is answered for an item, its Secret stays whole, and follows the right answer', async () => {
    const { cluster, connect } = stage
    const names = faults.map((_, n) => `fault-${n}`)
    const ids = await Promise.all(names.map((name) => synced(stage, name)))
    const before = new Map<string, unknown>()
    for (const secret of await cluster.list('secrets')) {
      before.set(secret.metadata.name, secret['data'])
    }
    const asked = new Set<string>()
    for (const [n, id] of ids.entries()) {
      const [what, fault] = faults[n] ?? ['', () => {}]
      connect.faults.set(id, (response, good) => {
        asked.add(what)
        fault(response, good)
      })
      connect.set(id, 'password', 'two')
    }
    await eventually(
      'each fault has been met',
      async () => asked.size === faults.length,
      async () =>
        faults
          .map(([what]) => what)
          .filter((what) => !asked.has(what))
          .join(),
    )
    // One more thing of the same server that nothing is the matter with.
    await synced(stage, 'beside-faults')
    for (const name of names) {
      expect((await cluster.get('secrets', name))['data']).toEqual(before.get(name))
      expect(condition(await cluster.get('items', name), 'Ready')?.status).toBe('True')
    }
    for (const id of ids) connect.faults.delete(id)
    connect.release()
    await Promise.all(names.map((name) => cluster.until('secrets', name, holds('two'))))
    expect(await operator.logs()).not.toContain('ended unexpectedly')
  }, 150_000)

  test('an item without an end is too large, and its Secret stays', async () => {
    const { cluster, connect } = stage
    const id = await synced(stage, 'endless')
    connect.faults.set(id, endless)
    connect.set(id, 'password', 'two')
    await cluster.until('items', 'endless', hasReason('TooLarge'))
    expect(valueOf(await cluster.get('secrets', 'endless'), 'password')).toBe('one')
    connect.faults.delete(id)
    connect.set(id, 'password', 'three')
    await cluster.until('secrets', 'endless', holds('three'))
    await cluster.until('items', 'endless', isReady)
  })

  test('a file that cannot be had yet leaves nothing half written', async () => {
    const { cluster, connect, vault } = stage
    connect.faults.set(
      'content',
      says(() => '{"status":500,"message":"not synced yet"}', 500),
    )
    const content = Buffer.from('key')
    const fields = [{ label: 'password', value: 'one' }]
    connect.add(vault, { title: 'with-file', fields, files: [{ name: 'key.pem', content }] })
    await stage.item('with-file', 'with-file')
    const item = await cluster.until('items', 'with-file', hasReason('ConnectUnavailable'))
    expect(condition(item, 'Ready')?.status).toBe('Unknown')
    expect(await cluster.find('secrets', 'with-file')).toBeUndefined()
    connect.faults.delete('content')
    await cluster.until('items', 'with-file', isReady)
    const secret = await cluster.get('secrets', 'with-file')
    expect(Object.keys(secret['data']).toSorted()).toEqual(['key.pem', 'password'])
  })

  test('a renamed item is missing until it bears its title again', async () => {
    const { cluster, connect } = stage
    const id = await synced(stage, 'renamed')
    connect.edit(id, { title: 'other', fields: [{ label: 'password', value: 'two' }] })
    const item = await cluster.until('items', 'renamed', hasReason('ItemNotFound'))
    expect(condition(item, 'Stalled')?.status).toBe('True')
    expect(valueOf(await cluster.get('secrets', 'renamed'), 'password')).toBe('one')
    connect.edit(id, { title: 'renamed' })
    await cluster.until('secrets', 'renamed', holds('two'))
    await cluster.until('items', 'renamed', isReady)
  })

  test('an item that is made anew under its title is the one that is meant', async () => {
    const { cluster, connect, vault } = stage
    const old = await synced(stage, 'recreated')
    for (const value of ['two', 'three']) connect.set(old, 'password', value)
    await cluster.until('secrets', 'recreated', holds('three'))
    connect.remove(old)
    const fields = [{ label: 'password', value: 'of the new one' }]
    const id = connect.add(vault, { title: 'recreated', fields })
    await cluster.until('secrets', 'recreated', holds('of the new one'))
    const item = await cluster.until('items', 'recreated', ({ status }) => {
      return status.items[0].itemId === id
    })
    expect(item['status'].items).toHaveLength(1)
    expect(item['status'].items[0].version).toBe(1)
  })

  test('an item that moves to another vault is gone from the first', async () => {
    const { cluster, connect, vault } = stage
    const id = await synced(stage, 'moved')
    const elsewhere = connect.vault('Elsewhere')
    const moved = connect.move(id, elsewhere)
    connect.set(moved, 'password', 'two')
    await cluster.until('items', 'moved', hasReason('ItemNotFound'))
    expect(valueOf(await cluster.get('secrets', 'moved'), 'password')).toBe('one')
    connect.move(moved, vault)
    await cluster.until('secrets', 'moved', holds('two'))
  })

  test('of items with one title, listed in any order, one stays meant', async () => {
    const { cluster, connect } = stage
    const vault = connect.vault('Twins')
    for (const value of ['one', 'two', 'three']) {
      connect.add(vault, { title: 'twin', fields: [{ label: 'password', value }] })
    }
    const noise = connect.add(vault, { title: 'noise', fields: [] })
    await stage.item('twin', 'twin', { spec: { itemPath: 'vaults/Twins/items/twin' } })
    await cluster.until('items', 'twin', isReady)
    const before = await cluster.get('secrets', 'twin')
    for (let n = 0; n < 5; n += 1) {
      connect.edit(noise, {})
      await morePolls(stage, 1)
    }
    expect(await cluster.get('secrets', 'twin')).toEqual(before)
  })

  test('of two vaults with one name one stays meant; an id is meant before a name like it', async () => {
    const { cluster, connect } = stage
    const [first, second] = [connect.vault('Same'), connect.vault('Same')]
    const named = connect.vault(first)
    for (const [vault, value] of Object.entries({ [first]: 'a', [second]: 'b', [named]: 'c' })) {
      connect.add(vault, { title: 'x', fields: [{ label: 'password', value }] })
    }
    await stage.item('same-name', 'x', { spec: { itemPath: 'vaults/Same/items/x' } })
    await stage.item('like-an-id', 'x', { spec: { itemPath: `vaults/${first}/items/x` } })
    for (const name of ['same-name', 'like-an-id']) {
      await cluster.until('items', name, isReady)
      expect(valueOf(await cluster.get('secrets', name), 'password')).toBe('a')
    }
    await morePolls(stage, 3)
    expect(valueOf(await cluster.get('secrets', 'same-name'), 'password')).toBe('a')
  })

  test('of two replicas of Connect the one that lags behind changes nothing', async () => {
    const { cluster, connect } = stage
    const id = await synced(stage, 'lagging', 'Lagging')
    const vaultId = connect.requests.findLast((one) => one.endsWith(id))?.split('/')[3] ?? ''
    const end = connect.lag(vaultId)
    connect.set(id, 'password', 'two')
    const seen: string[] = []
    await cluster.until('secrets', 'lagging', (secret) => {
      seen.push(valueOf(secret, 'password') ?? '')
      return seen.at(-1) === 'two'
    })
    const { metadata } = await cluster.get('secrets', 'lagging')
    await morePolls(stage, 6)
    const after = await cluster.get('secrets', 'lagging')
    expect(after.metadata.resourceVersion).toBe(metadata.resourceVersion)
    end()
  })
})

describe.concurrent('of everything', () => {
  test('a token that is revoked stops all requests until its successor is in the file', async () => {
    await using stage = await setStage()
    const { cluster, connect } = stage
    const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-token-'))
    const file = path.join(folder, 'token')
    const canary = randomBytes(8).toString('hex')
    connect.tokens = new Set([`one-${canary}`])
    await writeFile(file, `one-${canary}\n`)
    const env = { OP_CONNECT_TOKEN: '', OP_CONNECT_TOKEN_FILE: file, POD_NAME: 'keyferry-0' }
    const operator = await stage.operator(env)
    const id = await synced(stage, 'token')
    const logged = (words: string) => async () => (await operator.logs()).includes(words)

    await writeFile(file, `two\nlines-${canary}`)
    await eventually('the file is refused', logged('the token file cannot be used'))
    connect.set(id, 'password', 'two')
    await cluster.until('secrets', 'token', holds('two'))

    connect.tokens = new Set([`two-${canary}`])
    connect.set(id, 'password', 'three')
    await eventually('the outage is told', logged('Connect cannot be polled'))
    expect(await operator.metrics()).toContain('keyferry_connect_up 0')
    connect.requests.length = 0
    connect.add(stage.vault, { title: 'new', fields: [{ label: 'password', value: 'one' }] })
    await stage.item('new', 'new')
    const waiting = await cluster.until('items', 'new', hasReason('ConnectUnauthorized'))
    expect(condition(waiting, 'Ready')?.status).toBe('Unknown')
    expect(connect.requests.length).toBeLessThanOrEqual(2)
    expect(valueOf(await cluster.get('secrets', 'token'), 'password')).toBe('two')

    await writeFile(file, `two-${canary}`)
    await cluster.until('items', 'new', isReady)
    await cluster.until('secrets', 'token', holds('three'))
    await eventually('the end is told', logged('Connect answers again'))
    expect(await operator.metrics()).toContain('keyferry_connect_up 1')
    const about = ({ regarding }: KubeObject) => regarding.kind === 'Pod'
    const events = await eventually('both Events are there', async () => {
      const found = (await cluster.list('events')).filter(about)
      return found.length >= 2 && found
    })
    const told = events.map(({ reason, regarding, type }) => `${type} ${reason} ${regarding.name}`)
    expect(new Set(told)).toEqual(
      new Set(['Warning ConnectUnauthorized keyferry-0', 'Normal ConnectAnswers keyferry-0']),
    )
    expect(told).toHaveLength(2)
    expect((await operator.logs()) + JSON.stringify([events, waiting])).not.toContain(canary)
    await rm(folder, { recursive: true })
  })

  test.each([
    ['in seconds', () => ({ 'retry-after': '3' })],
    [
      'as a date',
      () => {
        const now = Date.now()
        const text = (ms: number) => new Date(ms).toUTCString()
        return { date: text(now), 'retry-after': text(now + 3_000) }
      },
    ],
  ])('a pause that Connect asks for %s is kept', async (_how, headers) => {
    await using stage = await setStage()
    const { connect, cluster } = stage
    const answered: number[] = []
    const pauses: number[] = []
    await stage.operator()
    const id = await synced(stage, 'paused')
    connect.intercept = (_request, response) => {
      const last = answered.at(-1)
      if (last !== undefined) pauses.push(performance.now() - last)
      response.writeHead(429, headers())
      response.end(() => answered.push(performance.now()))
      return true
    }
    await eventually('it was asked for a pause three times', async () => pauses.length >= 2)
    connect.intercept = undefined
    for (const ms of pauses) expect(ms).toBeGreaterThan(2_950)
    connect.set(id, 'password', 'two')
    await cluster.until('secrets', 'paused', holds('two'))
    expect(condition(await cluster.get('items', 'paused'), 'Ready')?.status).toBe('True')
  })

  test('a server that is down is not asked by everybody, and everybody goes on once it is back', async () => {
    await using stage = await setStage()
    const { connect, cluster } = stage
    const operator = await stage.operator()
    const names = Array.from({ length: 40 }, (_, n) => `many-${n}`)
    const ids = await Promise.all(names.map((name) => synced(stage, name)))
    connect.intercept = (_request, response) => {
      says(() => '<html>bad gateway</html>', 502)(response, '')
      return true
    }
    for (const id of ids) connect.set(id, 'password', 'two')
    const added = names.map((name) => `${name}-new`)
    for (const [n, name] of added.entries()) {
      connect.add(stage.vault, { title: name, fields: [{ label: 'password', value: String(n) }] })
      await stage.item(name, name)
    }
    connect.requests.length = 0
    const runs = async () => {
      const all = (await operator.metrics()).matchAll(
        /^keyferry_runs_total{result="retry".*} (\d+)$/gm,
      )
      return [...all].reduce((sum, [, count]) => sum + Number(count), 0)
    }
    await eventually('all have tried, some often', async () => (await runs()) >= 120)
    // Each try for itself would be three requests.
    expect(connect.requests.length).toBeLessThan(100)
    for (const name of names) {
      expect(condition(await cluster.get('items', name), 'Ready')?.status).toBe('True')
    }
    connect.intercept = undefined
    await Promise.all(names.map((name) => cluster.until('secrets', name, holds('two'))))
    await Promise.all(added.map((name) => cluster.until('items', name, isReady)))
  }, 120_000)
})
