/**
 * Alert rules and dashboard: judged by promtool, and compared with what the operator really tells.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { dashboardJudge } from '../support/dashboard.ts'
import { promtool } from '../support/promtool.ts'
import { runToEnd } from '../support/run.ts'

const RULES = 'charts/keyferry/files/alerts.yaml'
const DASHBOARD = 'charts/keyferry/files/dashboard.json'

interface Panel {
  readonly id: number
  readonly title: string
  readonly type: string
  readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>
  readonly datasource: object
  readonly targets: readonly { readonly refId: string; readonly expr: string }[]
}

let tool: string
let folder: string
let alerts: { readonly alert: string; readonly expr: string }[]
let panels: Panel[]
let names: Set<string>

beforeAll(async () => {
  tool = await promtool()
  folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-monitoring-'))
  alerts = parse(await readFile(RULES, 'utf8')).groups[0].rules
  panels = JSON.parse(await readFile(DASHBOARD, 'utf8')).panels
  const text = await createMetrics({ waiting: () => ({}), resources: () => [] }).print()
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)/gm)]
  names = new Set(
    types.flatMap(([, name = '', type]) =>
      type === 'histogram' ? ['bucket', 'sum', 'count'].map((end) => `${name}_${end}`) : [name],
    ),
  )
})
afterAll(() => rm(folder, { recursive: true }))

/** Names of metrics in a query. */
function metricsIn(query: string): string[] {
  return query.match(/\b(?:keyferry|process|nodejs)_\w+/g) ?? []
}

const queries = () => panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))

describe('alert rules', () => {
  /** What promtool says of the rules under their unit tests. */
  async function judge(rules: string) {
    const [copy, tests] = [path.join(folder, 'rules.yaml'), path.join(folder, 'tests.yaml')]
    await writeFile(copy, rules)
    const cases = await readFile('test/chart/alerts.yaml', 'utf8')
    await writeFile(tests, cases.replace('[RULES]', `[${copy}]`))
    return runToEnd(tool, ['test', 'rules', tests])
  }

  test('do what their unit tests say', async () => {
    const { code, out, err } = await judge(await readFile(RULES, 'utf8'))
    expect(`${out}${err}`).toContain('SUCCESS')
    expect(code).toBe(0)
  })

  test.each([
    ['a threshold', '> 0.2', '> 0.5'],
    ['a time', 'for: 1h', 'for: 2h'],
    ['a label', 'type="Stale"', 'type="Stalled"'],
    [
      'the sum of two replicas',
      'max by (namespace, service, reason)',
      'sum by (namespace, service, reason)',
    ],
  ])('fail them when %s changes', async (_what, from, to) => {
    const rules = await readFile(RULES, 'utf8')
    expect(rules).toContain(from)
    expect((await judge(rules.replace(from, to))).code).not.toBe(0)
  })

  test('have a unit test each in which they fire', async () => {
    const { tests } = parse(await readFile('test/chart/alerts.yaml', 'utf8')) as {
      tests: { alert_rule_test: { alertname: string; exp_alerts?: unknown[] }[] }[]
    }
    const cases = tests.flatMap((one) => one.alert_rule_test)
    const firing = cases.filter(({ exp_alerts: expected }) => expected !== undefined)
    const all = alerts.map(({ alert }) => alert).toSorted()
    expect([...new Set(firing.map(({ alertname }) => alertname))].toSorted()).toEqual(all)
    const silent = cases.filter(({ exp_alerts: expected }) => expected === undefined)
    expect([...new Set(silent.map(({ alertname }) => alertname))].toSorted()).toEqual(all)
  })

  test('are those that the page about monitoring names', async () => {
    const page = await readFile('docs/monitoring.md', 'utf8')
    const rows = [...page.matchAll(/^\| `(Keyferry\w+)`/gm)].map(([, name]) => name)
    expect(rows).toEqual(alerts.map(({ alert }) => alert))
  })

  test('ask for metrics that there are', () => {
    const asked = alerts.flatMap(({ expr }) => metricsIn(expr))
    expect(asked.filter((name) => !names.has(name))).toEqual([])
    expect(asked.length).toBeGreaterThan(alerts.length)
  })
})

describe('the dashboard', () => {
  test("is one by Grafana's own schema", async () => {
    const judge = await dashboardJudge()
    expect(await runToEnd(judge, [DASHBOARD])).toEqual({ code: 0, out: '', err: '' })
    const wrong = path.join(folder, 'dashboard.json')
    const text = await readFile(DASHBOARD, 'utf8')
    await writeFile(wrong, text.replace('"graphMode":', '"graphMood":'))
    const { code, err } = await runToEnd(judge, [wrong])
    expect(code).toBe(1)
    expect(err).toContain('panels[0].options')
    expect(err).toContain('graphMood')
  })

  test('asks for metrics that there are', () => {
    const asked = queries().flatMap(metricsIn)
    expect(asked.filter((name) => !names.has(name))).toEqual([])
    expect(asked.length).toBeGreaterThan(20)
  })

  test('shows every metric of the operator', () => {
    const shown = new Set(queries().flatMap(metricsIn))
    const own = [...names].filter((name) => name.startsWith('keyferry_'))
    const told = own.filter((name) => !/_(sum|count)$/.test(name))
    expect(told.filter((name) => !shown.has(name))).toEqual([])
  })

  test('has queries that Prometheus can read', async () => {
    const rules = queries().map((query, n) => ({
      record: `query${n}`,
      expr: query.replaceAll('$__rate_interval', '5m'),
    }))
    const file = path.join(folder, 'queries.yaml')
    await writeFile(file, stringify({ groups: [{ name: 'queries', rules }] }))
    const { out, err } = await runToEnd(tool, ['check', 'rules', file])
    expect(`${out}${err}`).toContain(`SUCCESS: ${rules.length} rules found`)
  })

  test('has panels of known types, side by side on the grid', () => {
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, n) => `${x + (n % w)},${y + Math.floor(n / w)}`),
    )
    expect(new Set(cells).size).toBe(cells.length)
    expect(cells.every((cell) => Number.parseInt(cell, 10) < 24)).toBe(true)
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length)
    const known = ['stat', 'table', 'timeseries']
    for (const { title, type, targets, datasource } of panels) {
      expect(known, title).toContain(type)
      expect(datasource, title).toEqual({ type: 'prometheus', uid: '${datasource}' })
      expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length)
      expect(targets.length, title).toBeGreaterThan(0)
    }
  })
})
