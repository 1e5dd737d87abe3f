import { expect, test } from 'vitest'
import { createMetrics, type ResourceState } from '../../../src/telemetry/metrics.ts'

const idle = { waiting: () => ({}), resources: () => [] }

test('what was counted is printed', async () => {
  const metrics = createMetrics({ ...idle, waiting: () => ({ claims: 3, debts: 0 }) })
  metrics.runs.inc({ result: 'settled', reason: 'Synced' })
  metrics.secretWrites.inc({ kind: 'create' }, 2)
  metrics.connectRequests.inc({ operation: 'vaults', status: 200 })
  metrics.connectUp.set(1)
  metrics.pollSeconds.observe(0.2)
  const lines = (await metrics.print()).split('\n')
  expect(lines).toEqual(
    expect.arrayContaining([
      'keyferry_runs_total{result="settled",reason="Synced"} 1',
      'keyferry_secret_writes_total{kind="create"} 2',
      'keyferry_connect_requests_total{operation="vaults",status="200"} 1',
      'keyferry_connect_up 1',
      'keyferry_poll_seconds_count 1',
      'keyferry_queue_waiting{queue="claims"} 3',
      'keyferry_queue_waiting{queue="debts"} 0',
      'keyferry_repairs_total 0',
    ]),
  )
  expect(metrics.contentType).toContain('text/plain')
})

test('numbers of queues are those of the moment', async () => {
  let claims = 1
  const metrics = createMetrics({ ...idle, waiting: () => ({ claims }) })
  expect(await metrics.print()).toContain('keyferry_queue_waiting{queue="claims"} 1')
  claims = 5
  expect(await metrics.print()).toContain('keyferry_queue_waiting{queue="claims"} 5')
})

const aResource = (more: Partial<ResourceState> = {}): ResourceState => ({
  namespace: 'shop',
  name: 'db',
  ready: 'True',
  reason: 'Synced',
  conditions: [],
  expires: undefined,
  ...more,
})

test('resources are counted as they are at the moment', async () => {
  const [ready, failed] = [aResource(), aResource({ ready: 'False', reason: 'ItemNotFound' })]
  let resources = [ready, ready, failed]
  const metrics = createMetrics({ ...idle, resources: () => resources })
  const text = await metrics.print()
  expect(text).toContain('keyferry_resources{ready="True",reason="Synced"} 2')
  expect(text).toContain('keyferry_resources{ready="False",reason="ItemNotFound"} 1')
  resources = [ready]
  expect(await metrics.print()).not.toContain('ItemNotFound')
})

test('conditions are counted, those that no resource has and strange ones not among them', async () => {
  let resources = [
    aResource({ conditions: ['Stale', 'Restarting'] }),
    aResource({ conditions: ['Restarting', 'OfSomebodyElse'] }),
  ]
  const metrics = createMetrics({ ...idle, resources: () => resources })
  const count = async () =>
    (await metrics.print()).match(/^keyferry_resource_conditions\{.*$/gm)?.toSorted()
  const line = (type: string, n: number) => `keyferry_resource_conditions{type="${type}"} ${n}`
  expect(await count()).toEqual([line('Restarting', 2), line('Stale', 1), line('Stalled', 0)])
  resources = []
  expect(await count()).toEqual([line('Restarting', 0), line('Stale', 0), line('Stalled', 0)])
})

test('a time of expiry is told of those resources whose items have one', async () => {
  let resources = [aResource({ expires: 1_800_000_000 }), aResource({ name: 'lasting' })]
  const metrics = createMetrics({ ...idle, resources: () => resources })
  const times = async () => (await metrics.print()).match(/^keyferry_item_expiry\S+ .*$/gm)
  expect(await times()).toEqual([
    'keyferry_item_expiry_timestamp_seconds{resource_namespace="shop",resource="db"} 1800000000',
  ])
  resources = []
  expect(await times()).toBeNull()
})

test('two programs in one process count apart', async () => {
  const [one, two] = [createMetrics(idle), createMetrics(idle)]
  one.repairs.inc()
  expect(await one.print()).toContain('keyferry_repairs_total 1')
  expect(await two.print()).toContain('keyferry_repairs_total 0')
})

test('every metric of the program has a help text and its prefix', async () => {
  const text = await createMetrics(idle).print()
  const names = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name ?? '')
  const own = names.filter((name) => !/^(process|nodejs)_/.test(name))
  expect(own.length).toBeGreaterThan(8)
  for (const name of own) expect(text).toMatch(new RegExp(`^# HELP ${name} [A-Z].*\\.$`, 'm'))
  expect(own.every((name) => name.startsWith('keyferry_'))).toBe(true)
})
