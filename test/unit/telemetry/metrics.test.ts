import { expect, test } from 'vitest'
import { createMetrics } from '../../../src/telemetry/metrics.ts'

test('what was counted is printed', async () => {
  const metrics = createMetrics({ waiting: () => ({ claims: 3, debts: 0 }) })
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
  const metrics = createMetrics({ waiting: () => ({ claims }) })
  expect(await metrics.print()).toContain('keyferry_queue_waiting{queue="claims"} 1')
  claims = 5
  expect(await metrics.print()).toContain('keyferry_queue_waiting{queue="claims"} 5')
})

test('two programs in one process count apart', async () => {
  const [one, two] = [
    createMetrics({ waiting: () => ({}) }),
    createMetrics({ waiting: () => ({}) }),
  ]
  one.repairs.inc()
  expect(await one.print()).toContain('keyferry_repairs_total 1')
  expect(await two.print()).toContain('keyferry_repairs_total 0')
})

test('every metric of the program has a help text and its prefix', async () => {
  const text = await createMetrics({ waiting: () => ({}) }).print()
  const names = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name ?? '')
  const own = names.filter((name) => !/^(process|nodejs)_/.test(name))
  expect(own.length).toBeGreaterThan(8)
  for (const name of own) expect(text).toMatch(new RegExp(`^# HELP ${name} [A-Z].*\\.$`, 'm'))
  expect(own.every((name) => name.startsWith('keyferry_'))).toBe(true)
})
