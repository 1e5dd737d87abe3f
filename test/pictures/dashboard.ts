/**
 * Draws the dashboard for the docs: an operator works on a real API server, Prometheus reads its
 * metrics, the queries of the dashboard's own panels are asked and their answers drawn, each panel
 * in its place. Not Grafana's drawing, but its data.
 *
 *   npm run pictures
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { request } from 'undici'
import { stringify } from 'yaml'
import { adminRest, applyCrd, type Cluster, clusterOf, isReady } from '../support/cluster.ts'
import { startControlPlane } from '../support/control-plane/start.ts'
import { assemble, draw, escapeXml, type Tile } from '../support/draw.ts'
import { eventually, pause } from '../support/eventually.ts'
import { startOperator } from '../support/operator.ts'
import { freePort, startDaemon } from '../support/processes.ts'
import { prometheus } from '../support/promtool.ts'
import { type ScriptedConnect, startScriptedConnect } from '../support/scripted-connect.ts'
import { tell } from '../support/skip.ts'
import { aDeployment } from '../support/stage.ts'

const PICTURE = 'docs/images/dashboard.svg'
const ITEMS = 40
const STEP_SECONDS = 2
/** Pixels of a cell of Grafana's grid. */
const CELL = { width: 50, height: 34 }
const DAY_SECONDS = 86_400

interface Panel {
  readonly title: string
  readonly type: 'stat' | 'timeseries' | 'table'
  readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>
  readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[]
  readonly fieldConfig: { readonly defaults: { readonly unit?: string } }
}

interface Series {
  readonly metric: Readonly<Record<string, string>>
  readonly values: readonly (readonly [number, string])[]
}

await using resources = new AsyncDisposableStack()
tell('starting a control plane, Connect, the operator and Prometheus')
const plane = await startControlPlane({ controllers: false })
resources.defer(() => plane.stop())
await applyCrd(plane.kubeconfig)
const rest = adminRest(plane.kubeconfig)
resources.defer(() => rest.close())
const cluster = clusterOf(rest, 'shop')
await cluster.create('namespaces', { metadata: { name: 'shop' } })
const connect = await startScriptedConnect()
resources.defer(() => connect.close())
connect.latencyMs = 15
const metricsPort = await freePort()
const operator = await startOperator({
  kubeconfig: plane.kubeconfig,
  connect: connect.url,
  namespace: 'shop',
  env: { POLLING_INTERVAL: '5', RESTART_DELAY: '2', METRICS_ADDRESS: `127.0.0.1:${metricsPort}` },
})
resources.defer(async () => void (await operator.stop()))
const server = await startPrometheus()
const began = Date.now() / 1000
await happen(cluster, connect)
const ended = Date.now() / 1000
tell('drawing')
const { panels } = JSON.parse(await readFile('charts/keyferry/files/dashboard.json', 'utf8')) as {
  panels: Panel[]
}
const tiles: Tile[] = []
for (const panel of panels) {
  const { x, y } = panel.gridPos
  tiles.push({ x: x * CELL.width, y: y * CELL.height, svg: await drawPanel(panel) })
}
const rows = Math.max(...panels.map(({ gridPos: { y, h } }) => y + h))
await mkdir(path.dirname(PICTURE), { recursive: true })
await writeFile(PICTURE, assemble(tiles, 24 * CELL.width, rows * CELL.height))
tell(`${PICTURE} is written`)

async function startPrometheus(): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-prometheus-'))
  resources.defer(() => rm(folder, { recursive: true, force: true }))
  const labels = { namespace: 'keyferry', service: 'keyferry' }
  const configuration = {
    global: { scrape_interval: `${STEP_SECONDS}s` },
    scrape_configs: [
      { job_name: 'keyferry', static_configs: [{ targets: [`127.0.0.1:${metricsPort}`], labels }] },
    ],
  }
  const file = path.join(folder, 'prometheus.yaml')
  await writeFile(file, stringify(configuration))
  const address = `127.0.0.1:${await freePort()}`
  const flags = [
    `--config.file=${file}`,
    `--storage.tsdb.path=${path.join(folder, 'data')}`,
    `--web.listen-address=${address}`,
  ]
  const logFile = path.join(folder, 'log')
  const daemon = startDaemon(await prometheus(), flags, { logFile })
  resources.defer(async () => void (await daemon.stop()))
  await eventually('Prometheus is ready', async () => {
    const answer = await request(`http://${address}/-/ready`).catch(() => undefined)
    return answer?.statusCode === 200
  })
  return `http://${address}`
}

/** Some minutes of an operator's life. */
async function happen({ create, until, delete: remove }: Cluster, to: ScriptedConnect) {
  const vault = to.vault('Production')
  const ids = Array.from({ length: ITEMS }, (_, n) =>
    to.add(vault, { title: `Item ${n}`, fields: fieldsOf(n) }),
  )
  await pause(10_000)
  tell('resources and workloads appear')
  for (let n = 0; n < ITEMS; n += 1) {
    const spec = { itemPath: `vaults/Production/items/Item ${n}` }
    await create('items', { metadata: { name: `item-${n}` }, spec })
    const annotations = { 'operator.1password.io/auto-restart': 'true' }
    if (n % 4 === 0) {
      await create('deployments', aDeployment(`app-${n}`, [`item-${n}`], annotations))
    }
    await pause(400)
  }
  await create('items', {
    metadata: { name: 'lost' },
    spec: { itemPath: 'vaults/Production/items/Nowhere' },
  })
  for (let n = 0; n < ITEMS; n += 1) await until('items', `item-${n}`, isReady)
  tell('items change, one after the other, and all at once')
  for (let n = 0; n < 20; n += 1) {
    to.set(ids[n % ids.length] ?? '', 'password', `new-${n}`)
    await pause(1_500)
  }
  for (const [n, id] of ids.entries()) to.set(id, 'password', `newest-${n}`)
  await pause(15_000)
  tell('Secrets are deleted, and Connect fails for a while')
  for (let n = 0; n < 5; n += 1) await remove('secrets', `item-${n}`)
  await pause(10_000)
  to.intercept = (_request, response) => {
    response.writeHead(503).end('{"status":503,"message":"no"}')
    return true
  }
  await pause(20_000)
  to.intercept = undefined
  // The API server tells once a minute that nothing has happened, which closes the last restarts.
  await pause(90_000)
}

function fieldsOf(n: number) {
  const expires = Date.now() / 1000 + (n + 5) * DAY_SECONDS
  return [
    { label: 'username', value: 'admin' },
    { label: 'password', value: `first-${n}` },
    ...(n % 10 === 0
      ? [{ label: 'expires', type: 'DATE', value: String(Math.floor(expires)) }]
      : []),
  ]
}

async function ask(page: string, query: Readonly<Record<string, string>>) {
  const answer = await request(`${server}/api/v1/${page}?${new URLSearchParams(query).toString()}`)
  const { data, error } = (await answer.body.json()) as {
    data?: { result: (Series & { value: readonly [number, string] })[] }
    error?: string
  }
  if (!data) throw new Error(`Prometheus: ${error}`)
  return data.result
}

function bound(expr: string): string {
  const rate = `${STEP_SECONDS * 5}s`
  return expr.replaceAll('$namespace', '.*').replaceAll('$__rate_interval', rate)
}

function sizeOf({ gridPos: { w, h } }: Panel) {
  return { width: w * CELL.width, height: h * CELL.height }
}

function drawPanel(panel: Panel): Promise<string> | string {
  switch (panel.type) {
    case 'stat':
      return drawStat(panel)
    case 'table':
      return drawTable(panel)
    case 'timeseries':
      return drawLines(panel)
  }
}

async function drawStat(panel: Panel): Promise<string> {
  const { width, height } = sizeOf(panel)
  const cell = width / panel.targets.length
  const parts = panel.targets.map(async ({ expr, legendFormat }, n) => {
    const [one] = await ask('query', { query: bound(expr), time: `${ended}` })
    const x = cell * (n + 0.5)
    return [
      `<text x="${x}" y="${height * 0.66}" font-size="${one ? 40 : 20}" text-anchor="middle" fill="#111">${one?.value[1] ?? 'no data'}</text>`,
      `<text x="${x}" y="${height * 0.88}" font-size="12" text-anchor="middle" fill="#555">${escapeXml(legendFormat)}</text>`,
    ]
  })
  return framed(panel, (await Promise.all(parts)).flat())
}

async function drawTable(panel: Panel): Promise<string> {
  const found = await ask('query', { query: bound(panel.targets[0]?.expr ?? ''), time: `${ended}` })
  const rows = found
    .toSorted((a, b) => Number(a.value[1]) - Number(b.value[1]))
    .map(({ metric, value }, n) => {
      const days = (Number(value[1]) / DAY_SECONDS).toFixed(1)
      const { resource_namespace: namespace, resource } = metric
      return `<text x="16" y="${58 + 26 * n}" font-size="13" fill="#111">${escapeXml(`${namespace}/${resource}`)}<tspan x="300">${days} days</tspan></text>`
    })
  return framed(panel, rows)
}

/** A panel that is no chart. */
function framed(panel: Panel, parts: readonly string[]): string {
  const { width, height } = sizeOf(panel)
  return [
    `<svg width="${width}" height="${height}" font-family="sans-serif">`,
    `<text x="12" y="22" font-size="13" font-weight="bold" fill="#111">${escapeXml(panel.title)}</text>`,
    ...parts,
    '</svg>',
  ].join('\n')
}

async function drawLines(panel: Panel): Promise<string> {
  const points: object[] = []
  for (const { expr, legendFormat } of panel.targets) {
    const range = { start: `${began}`, end: `${ended}`, step: `${STEP_SECONDS}s` }
    for (const { metric, values } of await ask('query_range', { query: bound(expr), ...range })) {
      const series = legendFormat.replaceAll(/\{\{(\w+)\}\}/g, (_, label) => metric[label] ?? '')
      for (const [at, value] of values) {
        // Prometheus writes NaN for a rate of nothing.
        if (Number.isFinite(Number(value))) {
          points.push({ seconds: at - began, value: Number(value), series })
        }
      }
    }
  }
  const { width, height } = sizeOf(panel)
  const isBytes = panel.fieldConfig.defaults.unit === 'bytes'
  return draw({
    width,
    height,
    autosize: { type: 'fit', contains: 'padding' },
    padding: 10,
    title: panel.title,
    data: { values: points },
    mark: { type: 'line', strokeWidth: 1.5 },
    encoding: {
      x: {
        field: 'seconds',
        type: 'quantitative',
        title: null,
        axis: { labelExpr: 'datum.value + " s"', tickCount: 5 },
      },
      y: {
        field: 'value',
        type: 'quantitative',
        title: null,
        axis: { tickCount: 4, format: isBytes ? '.3s' : undefined },
      },
      color: {
        field: 'series',
        type: 'nominal',
        title: null,
        legend: { orient: 'bottom', columns: 3 },
      },
    },
  })
}
