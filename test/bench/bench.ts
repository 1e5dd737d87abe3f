/**
 * Measures, in one run on one machine, the operator against the limit that the API server sets,
 * and the Connect server against a bare HTTP handler and a bare database: ratios can be compared
 * between machines, times cannot. Fails when a goal is missed.
 *
 *   npm run bench                         everything
 *   npm run bench -- throughput life      some parts of it
 *   npm run bench -- throughput --items 5000 --rounds 1
 *   npm run bench -- growth               how cost grows with the number of resources (--counts)
 *   npm run bench -- profile              flame pictures of where the operator's time goes
 *   npm run bench -- gate                 the quick one of .ci/run, which judges ratios alone
 *   npm run bench -- --json FILE --page   writes the figures to a file, and docs/performance.md
 *
 * With KEYFERRY_INCUMBENT, the path of the binary of 1Password's own operator, that is measured
 * beside ours.
 */
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { benchConnect } from './connect.ts'
import { benchCrowd } from './crowd.ts'
import { type Figure, isReached, rowOf } from './figures.ts'
import { benchIdle } from './idle.ts'
import { benchLife } from './life.ts'
import { pass } from './gate.ts'
import { benchMemory } from './memory.ts'
import { writePage } from './page.ts'
import { benchProfile } from './profile.ts'
import { type BenchCluster, buildMeasured, startBenchCluster } from './setting.ts'
import { benchShards } from './shards.ts'
import { benchThroughput } from './throughput.ts'
import { benchVaults } from './vaults.ts'
import { benchWorkloads } from './workloads.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    items: { type: 'string' },
    counts: { type: 'string', default: '100,1000,5000,10000' },
    rounds: { type: 'string', default: '3' },
    latency: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '2' },
    json: { type: 'string' },
    page: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)
const items = (usual: number) => Number(values.items ?? usual)

/** Runs something on a control plane of its own: what one part leaves behind is in nobody's way. */
async function alone(measure: (cluster: BenchCluster) => Promise<Figure[]>): Promise<Figure[]> {
  await using cluster = await startBenchCluster()
  return await measure(cluster)
}

const latencyMs = Number(values.latency)
const throughput = (count: number, times: number) =>
  benchThroughput({ items: count, rounds: times, latencyMs })
const life = (count: number) =>
  alone((cluster) => benchLife(cluster, { items: count, vaults: 10, polls: 30, changes: 10 }))

const PARTS: Readonly<Record<string, () => Promise<Figure[]>>> = {
  throughput: () => throughput(items(1_000), rounds),
  life: () => life(items(5_000)),
  workloads: () => alone((cluster) => benchWorkloads(cluster, { workloads: 300 })),
  crowd: () =>
    alone((cluster) =>
      benchCrowd(cluster, { items: items(1_000), secrets: 20_000, deployments: 2_000 }),
    ),
  vaults: () =>
    alone((cluster) => benchVaults(cluster, { items: items(1_000), vaults: 10, changes: 5 })),
  memory: () => alone((cluster) => benchMemory(cluster, { few: 1_000, many: items(5_000) })),
  idle: () => alone((cluster) => benchIdle(cluster, { items: items(1_000), polls: 1_000 })),
  shards: () => alone((cluster) => benchShards(cluster, items(1_000))),
  async growth() {
    const figures: Figure[] = []
    for (const count of values.counts.split(',').map(Number)) {
      figures.push(...(await throughput(count, 1)), ...(await life(count)))
    }
    return figures
  },
  profile: () => alone((cluster) => benchProfile(cluster, items(1_000))),
  gate: async () => [
    ...(await throughput(500, 3)),
    ...(await alone((cluster) =>
      benchLife(cluster, { items: 300, vaults: 10, polls: 5, changes: 5 }),
    )),
  ],
}
/** Parts that run by their names only: what they measure, others measure more thoroughly. */
const BY_NAME = new Set(['growth', 'profile', 'gate'])

const unknown = positionals.filter((name) => !(name in PARTS) && name !== 'connect')
if (unknown.length > 0) {
  console.error(`no part of the benchmark: ${unknown.join(', ')}`)
  console.error(`there are ${[...Object.keys(PARTS), 'connect'].join(', ')}`)
  process.exit(2)
}
const isWanted = (part: string) =>
  positionals.length === 0 ? !BY_NAME.has(part) : positionals.includes(part)

const figures: Figure[] = []
for (const [name, measure] of Object.entries(PARTS)) {
  if (!isWanted(name)) continue
  if (figures.length === 0) await buildMeasured()
  figures.push(...(await measure()))
}
if (figures.length > 0) console.table(figures.map(rowOf))
if (positionals.includes('gate')) await pass(figures)
else if (!figures.every(isReached)) process.exitCode = 1
if (values.json !== undefined) {
  await writeFile(values.json, `${JSON.stringify(figures, undefined, 2)}\n`)
}
if (values.page) await writePage(figures)
if (isWanted('connect')) {
  const reached = await benchConnect({ rounds, seconds: Number(values.seconds) })
  if (!reached) process.exitCode = 1
}
