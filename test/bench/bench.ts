/**
 * Measures, in one run on one machine, the operator against the limit that the API server sets,
 * and the Connect server against a bare HTTP handler and a bare database: ratios can be compared
 * between machines, times cannot. Fails when the server misses a goal.
 *
 *   npm run bench                 both
 *   npm run bench -- operator --items 500 --rounds 1
 *   npm run bench -- connect --rounds 5 --seconds 5
 */
import { parseArgs } from 'node:util'
import { benchConnect } from './connect.ts'
import { benchInitialSync } from './initial-sync.ts'
import { startBenchCluster } from './setting.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    items: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '3' },
    latency: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '2' },
    json: { type: 'boolean', default: false },
  },
})
const isWanted = (part: string) => positionals.length === 0 || positionals.includes(part)
const rounds = Number(values.rounds)

async function benchOperator(): Promise<void> {
  const cluster = await startBenchCluster()
  try {
    const result = await benchInitialSync(cluster, {
      items: Number(values.items),
      rounds,
      latencyMs: Number(values.latency),
    })
    if (values.json) console.log(JSON.stringify(result, undefined, 2))
    else console.table(result.rows)
    console.log(`operator / bare loop: ${(result.ratio * 100).toFixed(0)} %`)
  } finally {
    await cluster.stop()
  }
}

if (isWanted('operator')) await benchOperator()
if (isWanted('connect')) {
  const reached = await benchConnect({ rounds, seconds: Number(values.seconds) })
  if (!reached) process.exitCode = 1
}
