/**
 * Measures, in one run on one machine, the operator against the limit that the API server sets,
 * and the Connect server against a bare HTTP handler and a bare database: ratios can be compared
 * between machines, times cannot. Fails when a goal is missed.
 *
 *   npm run bench                         everything
 *   npm run bench -- throughput life      some parts of it
 *   npm run bench -- throughput --items 5000 --rounds 1
 *   npm run bench -- --json figures.json  writes the figures to a file, too
 *
 * With KEYFERRY_INCUMBENT, the path of the binary of 1Password's own operator, that is measured
 * beside ours.
 */
import { writeFile } from 'node:fs/promises'
import os from 'node:os'
import { parseArgs } from 'node:util'
import { benchConnect } from './connect.ts'
import { benchCrowd } from './crowd.ts'
import { type Figure, isReached, rowOf } from './figures.ts'
import { benchLife } from './life.ts'
import { benchMemory } from './memory.ts'
import { type BenchCluster, startBenchCluster } from './setting.ts'
import { benchThroughput } from './throughput.ts'
import { benchVaults } from './vaults.ts'
import { benchWorkloads } from './workloads.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    items: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    latency: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '2' },
    json: { type: 'string' },
  },
})
const rounds = Number(values.rounds)
const items = (usual: number) => Number(values.items ?? usual)

/** Each on a control plane of its own: what one leaves behind is not in the way of the next. */
const PARTS: Readonly<Record<string, (cluster: BenchCluster) => Promise<Figure[]>>> = {
  throughput: (cluster) =>
    benchThroughput(cluster, { items: items(1_000), rounds, latencyMs: Number(values.latency) }),
  life: (cluster) =>
    benchLife(cluster, { items: items(5_000), vaults: 10, polls: 30, changes: 10 }),
  workloads: (cluster) => benchWorkloads(cluster, { workloads: 300 }),
  crowd: (cluster) =>
    benchCrowd(cluster, { items: items(1_000), secrets: 20_000, deployments: 2_000 }),
  vaults: (cluster) => benchVaults(cluster, { items: items(1_000), vaults: 10, changes: 5 }),
  memory: (cluster) => benchMemory(cluster, { few: 1_000, many: items(5_000) }),
}

const unknown = positionals.filter((name) => !(name in PARTS) && name !== 'connect')
if (unknown.length > 0) {
  console.error(`no part of the benchmark: ${unknown.join(', ')}`)
  console.error(`there are ${[...Object.keys(PARTS), 'connect'].join(', ')}`)
  process.exit(2)
}
const isWanted = (part: string) => positionals.length === 0 || positionals.includes(part)

const figures: Figure[] = []
for (const [name, measure] of Object.entries(PARTS)) {
  if (!isWanted(name)) continue
  await using cluster = await startBenchCluster()
  figures.push(...(await measure(cluster)))
}
if (figures.length > 0) {
  console.table(figures.map(rowOf))
  if (!figures.every(isReached)) process.exitCode = 1
}
if (values.json !== undefined) {
  const machine = { processors: os.availableParallelism(), model: os.cpus()[0]?.model }
  const text = JSON.stringify({ node: process.version, machine, figures }, undefined, 2)
  await writeFile(values.json, `${text}\n`)
}
if (isWanted('connect')) {
  const reached = await benchConnect({ rounds, seconds: Number(values.seconds) })
  if (!reached) process.exitCode = 1
}
