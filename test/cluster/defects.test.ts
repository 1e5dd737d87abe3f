/**
 * Defects of 1Password's own operator that no other file is about: each test fails where Keyferry
 * has one. The whole list, with the tests elsewhere, is in docs/decisions.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { hasReason, isReady, RESOURCES, valueOf } from '../support/cluster.ts'
import { objectPath } from '../../src/kube/resource.ts'
import { eventually, timeout } from '../support/eventually.ts'
import type { OperatorProcess } from '../support/operator.ts'
import { aWorkload, synced, untilRestarted, untilValue, usesAsEnv } from '../support/restarts.ts'
import { freshId, json } from '../support/scripted-connect.ts'
import { aDeployment, setStage, type Stage } from '../support/stage.ts'

/** Reads of items so far. */
const reads = ({ connect }: Stage, id: string) =>
  connect.requests.filter((one) => one.endsWith(`/items/${id}`)).length

/** Waits until the vaults were listed so many times more. */
async function polls({ connect }: Stage, more = 3): Promise<void> {
  const count = () => connect.requests.filter((one) => one === 'GET /v1/vaults').length
  const before = count()
  await eventually('polls pass', async () => count() >= before + more)
}

let stage: Stage
let operator: OperatorProcess

/** A stage with one operator for a group of tests. */
const withOperator =
  (env: Record<string, string> = {}) =>
  async () => {
    stage = await setStage()
    operator = await stage.operator(env)
    return stage.close
  }

describe('Keyferry', () => {
  beforeAll(withOperator())

  test('keeps to one of two items of one title, however they are listed', async () => {
    const { cluster, connect, vault } = stage
    const two = ['one', 'two'].map((value) => {
      return connect.add(vault, { title: 'twin', fields: [{ label: 'password', value }] })
    })
    let lists = 0
    connect.intercept = (request, response) => {
      if (request.url !== `/v1/vaults/${vault}/items`) return false
      lists += 1
      const order = lists % 2 === 0 ? two : two.toReversed()
      const createdAt = '2024-01-01T00:00:00Z'
      const heads = order.map((id) => {
        return { id, title: 'twin', vault: { id: vault }, version: 1, createdAt }
      })
      json(response, 200, heads)
      return true
    }
    await stage.item('twin', 'twin')
    await cluster.until('items', 'twin', isReady)
    const before = await cluster.get('secrets', 'twin')
    // Every new item makes the vault be listed again, in the other order.
    for (let n = 0; n < 6; n += 1) {
      const seen = lists
      connect.add(vault, { title: `other ${n}`, fields: [] })
      await eventually('it was listed again', async () => lists > seen)
    }
    await polls(stage, 2)
    connect.intercept = undefined
    const after = await cluster.get('secrets', 'twin')
    expect(after.metadata.resourceVersion).toBe(before.metadata.resourceVersion)
    const bound = (await cluster.get('items', 'twin'))['status'].items[0].itemId
    expect(two.map((id) => reads(stage, id))).toEqual(two.map((id) => (id === bound ? 1 : 0)))
  })

  test('takes a failed read for a failure, not for a title that looks like an id', async () => {
    const { cluster, connect, vault } = stage
    const id = connect.add(vault, {
      title: 'real',
      fields: [{ label: 'password', value: 'right' }],
    })
    connect.add(vault, { title: id, fields: [{ label: 'password', value: 'wrong' }] })
    // A vault of that id's name comes first in the list, and is another one.
    const decoy = connect.vault(vault)
    connect.add(decoy, { title: id, fields: [{ label: 'password', value: 'wrong' }] }, freshId('d'))
    let failures = 0
    connect.intercept = (request, response) => {
      if (!request.url?.endsWith(`/items/${id}`) || failures > 2) return false
      failures += 1
      json(response, 500, { status: 500, message: 'try again' })
      return true
    }
    await stage.item('by-id', '', { spec: { itemPath: `vaults/${vault}/items/${id}` } })
    const secret = await cluster.until('secrets', 'by-id', () => true)
    expect(valueOf(secret, 'password')).toBe('right')
    connect.intercept = undefined
    expect(failures).toBe(3)
    expect(connect.requests.filter((one) => one.includes('filter='))).toEqual([])
    expect(await operator.logs()).not.toContain('wrong')
  })

  test('writes nothing into a Secret that only says itself which item it wants', async () => {
    const { cluster, connect, vault } = stage
    const id = await synced(stage, 'wanted')
    const mine = await cluster.get('secrets', 'wanted')
    const { annotations, labels } = mine.metadata
    const before = await cluster.create('secrets', {
      metadata: {
        name: 'asking',
        labels,
        annotations: {
          ...annotations,
          'operator.1password.io/item-path': `vaults/${vault}/items/${id}`,
          'operator.1password.io/item-version': '0',
        },
      },
    })
    connect.set(id, 'password', 'two')
    await untilValue(cluster, 'wanted', 'two')
    await polls(stage)
    const after = await cluster.get('secrets', 'asking')
    expect(after.metadata.resourceVersion).toBe(before.metadata.resourceVersion)
  })

  test('keeps a former Secret that one of several volumes holds', async () => {
    const { cluster } = stage
    const volumes = [
      { name: 'a', configMap: { name: 'other' } },
      { name: 'b', secret: { secretName: 'held' } },
      { name: 'c', secret: { secretName: 'another' } },
    ]
    await cluster.create('deployments', aWorkload('holds', { volumes }))
    await synced(stage, 'held')
    await cluster.patch('items', 'held', { spec: { secretName: 'held-new' } })
    await cluster.until('items', 'held', (item) => item['status'].secretName === 'held-new')
    expect(await cluster.find('secrets', 'held')).toBeDefined()
    await cluster.delete('deployments', 'holds')
    await cluster.untilGone('secrets', 'held')
  })

  test('keeps conditions of others in the status, and says why and of which generation', async () => {
    const { cluster, connect } = stage
    const id = await synced(stage, 'conditions')
    const { kind, group, version } = RESOURCES.items
    const { namespace, rest } = cluster
    await rest.send(
      {
        method: 'PATCH',
        patch: 'apply',
        path: `${objectPath(RESOURCES.items, { namespace, name: 'conditions' })}/status`,
        query: { fieldManager: 'somebody' },
        body: {
          apiVersion: `${group}/${version}`,
          kind,
          metadata: { name: 'conditions', namespace },
          status: { conditions: [{ type: 'Audited', status: 'True' }] },
        },
      },
      timeout(10_000),
    )
    connect.remove(id)
    const after = await cluster.until('items', 'conditions', hasReason('ItemNotFound'))
    const conditions: { type: string; reason?: string; observedGeneration?: number }[] =
      after['status'].conditions
    expect(conditions.map(({ type }) => type).toSorted()).toEqual(['Audited', 'Ready', 'Stalled'])
    const ours = conditions.filter(({ type }) => type !== 'Audited')
    for (const { reason, observedGeneration } of ours) {
      expect([reason, observedGeneration]).toEqual(['ItemNotFound', 1])
    }
    await polls(stage)
    const later = await cluster.get('items', 'conditions')
    expect(later.metadata.resourceVersion).toBe(after.metadata.resourceVersion)
  })
})

describe('Keyferry between two polls', () => {
  beforeAll(withOperator({ POLLING_INTERVAL: '3600' }))

  test('restarts for a change that an event of the resource meets before the poll does', async () => {
    const { cluster, connect } = stage
    const id = await synced(stage, 'event')
    await cluster.create('deployments', aWorkload('event', usesAsEnv('event')))
    connect.set(id, 'password', 'two')
    await cluster.patch('items', 'event', {
      metadata: { annotations: { 'keyferry.dev/refresh': 'now' } },
    })
    await untilRestarted(
      cluster,
      ['deployments', 'event'],
      await untilValue(cluster, 'event', 'two'),
    )
  })

  test('asks Connect nothing for events of an annotated workload that change nothing', async () => {
    const { cluster, connect, vault } = stage
    const fields = [{ label: 'password', value: 'one' }]
    const id = connect.add(vault, { title: 'quiet', fields })
    const annotations = {
      'operator.1password.io/item-path': 'vaults/Production/items/quiet',
      'operator.1password.io/item-name': 'quiet',
    }
    await cluster.create('deployments', aDeployment('quiet', ['quiet'], annotations))
    await cluster.until('secrets', 'quiet', () => true)
    // The deployment controller goes on to write its status.
    for (let n = 1; n <= 5; n += 1) {
      await cluster.patch('deployments', 'quiet', { spec: { replicas: n } })
    }
    await cluster.until('deployments', 'quiet', ({ status }) => status.replicas === 5)
    await cluster.patch('deployments', 'quiet', { metadata: { labels: { last: 'event' } } })
    await synced(stage, 'proof')
    expect(reads(stage, id)).toBe(1)
    expect((await cluster.get('deployments', 'quiet')).metadata.finalizers).toBeUndefined()
  })

  test('reads an item once, whether it is named by title or by id', async () => {
    const { cluster, connect, vault } = stage
    const before = connect.requests.length
    const fields = [{ label: 'password', value: 'younger' }]
    const younger = connect.add(vault, { title: 'same', fields })
    const id = connect.add(vault, {
      title: 'same',
      fields: [{ label: 'password', value: 'one' }],
      createdAt: '2020-01-01T00:00:00Z',
    })
    await stage.item('by-title', 'same')
    await cluster.until('items', 'by-title', isReady)
    await stage.item('by-ids', '', { spec: { itemPath: `vaults/${vault}/items/${id}` } })
    await cluster.until('items', 'by-ids', isReady)
    expect([reads(stage, id), reads(stage, younger)]).toEqual([2, 0])
    const lists = connect.requests.slice(before).filter((one) => !one.includes('/items/'))
    expect(lists.length).toBeLessThanOrEqual(2)
  })
})

describe('Keyferry with a server that misbehaves', () => {
  beforeAll(withOperator({ CONCURRENCY: '2' }))

  test('asks a server that asks for fewer requests once, for all resources, when it is time', async () => {
    const { cluster, connect } = stage
    const ids = []
    for (let n = 0; n < 6; n += 1) ids.push(await synced(stage, `limited-${n}`))
    const since = Date.now()
    const asked: number[] = []
    connect.intercept = (_request, response) => {
      asked.push(Date.now() - since)
      if (Date.now() - since > 6_000) return false
      response.setHeader('retry-after', '6')
      json(response, 429, { status: 429, message: 'slow down' })
      return true
    }
    for (const id of ids) connect.set(id, 'password', 'two')
    for (let n = 0; n < 6; n += 1) await untilValue(cluster, `limited-${n}`, 'two')
    connect.intercept = undefined
    expect(asked.filter((ms) => ms < 6_000).length).toBeLessThanOrEqual(2)
  })

  test('is held up by no file that never comes, neither for other resources nor at its end', async () => {
    const { cluster, connect, vault } = stage
    connect.add(vault, {
      title: 'stuck',
      fields: [{ label: 'password', value: 'one' }],
      files: [{ name: 'file', content: Buffer.from('x') }],
    })
    let hanging = false
    connect.intercept = ({ url }) => {
      if (!url?.endsWith('/content')) return false
      hanging = true
      return true
    }
    await stage.item('stuck', 'stuck')
    await eventually('the file is asked for', async () => hanging)
    for (let n = 0; n < 5; n += 1) await synced(stage, `goes-on-${n}`)
    operator.signal('SIGTERM')
    // Nobody has to kill it, and the file has not come yet.
    expect(await operator.exited).toBe(0)
    expect(await cluster.find('secrets', 'stuck')).toBeUndefined()
  })
})

test('polls, writes and restarts in one process of several', async () => {
  await using stage = await setStage()
  const { cluster, connect } = stage
  const replica = { LEADER_ELECTION: 'true', POLLING_INTERVAL: '1' }
  const first = await stage.operator(replica)
  await eventually('one holds the Lease', async () => (await first.logs()).includes('holds the'))
  const second = await stage.operator(replica)
  const id = await synced(stage, 'led')
  await cluster.create('deployments', aWorkload('led', usesAsEnv('led')))
  connect.set(id, 'password', 'two')
  const secret = await untilValue(cluster, 'led', 'two')
  const { metadata } = await untilRestarted(cluster, ['deployments', 'led'], secret)
  expect(metadata.generation).toBe(2)
  await polls(stage)
  const asked = await second.metrics()
  expect(asked).toMatch(/^keyferry_leader 0$/m)
  expect(asked).not.toMatch(/^keyferry_(?:connect_requests_total|secret_writes_total)\{/m)
  expect(await first.metrics()).toMatch(/^keyferry_connect_requests_total\{/m)
  await first.stop()
  connect.set(id, 'password', 'three')
  await untilValue(cluster, 'led', 'three')
})
