/**
 * Measures the operator against the limit that the API server sets, in one run on one machine:
 * ratios can be compared between machines, times cannot.
 *
 *   npm run bench                 the table
 *   npm run bench -- --items 500 --rounds 1
 */
import { parseArgs } from 'node:util'
import { benchInitialSync } from './initial-sync.ts'
import { startBenchCluster } from './setting.ts'

const { values } = parseArgs({
  options: {
    items: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '3' },
    latency: { type: 'string', default: '2' },
    json: { type: 'boolean', default: false },
  },
})

const cluster = await startBenchCluster()
try {
  const result = await benchInitialSync(cluster, {
    items: Number(values.items),
    rounds: Number(values.rounds),
    latencyMs: Number(values.latency),
  })
  if (values.json) console.log(JSON.stringify(result, undefined, 2))
  else console.table(result.rows)
  console.log(`operator / bare loop: ${(result.ratio * 100).toFixed(0)} %`)
} finally {
  await cluster.stop()
}
