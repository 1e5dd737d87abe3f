import { expect, test } from 'vitest'
import { createMetrics } from '../../../src/telemetry/metrics.ts'

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

test('resources are counted as they are at the moment', async () => {
  const [ready, failed] = [
    { ready: 'True', reason: 'Synced' },
    { ready: 'False', reason: 'ItemNotFound' },
  ]
  let resources = [ready, ready, failed]
  const metrics = createMetrics({ ...idle, resources: () => resources })
  const text = await metrics.print()
  expect(text).toContain('keyferry_resources{ready="True",reason="Synced"} 2')
  expect(text).toContain('keyferry_resources{ready="False",reason="ItemNotFound"} 1')
  resources = [ready]
  expect(await metrics.print()).not.toContain('ItemNotFound')
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
