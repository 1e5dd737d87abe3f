/**
 * Histories in virtual time, each decided by its seed: what people do, what fails and when.
 *
 *   npm run simulate -- --histories 100000          those with the seeds 1 to 100000
 *   npm run simulate -- --histories 500 --seed 7    those with the seeds 7 to 506
 *   npm run simulate -- --replay 7                  one, with everything that happens in it
 */
import { parseArgs } from 'node:util'
import { SEED } from '../support/gates.ts'
import { runHistory } from './history.ts'
import { replayOf, runHistories } from './run.ts'

const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '10000' },
    seed: { type: 'string', default: String(SEED) },
    replay: { type: 'string' },
  },
})

/** A whole number from the command line. @throws RangeError */
function wholeNumber(name: 'histories' | 'seed' | 'replay'): number {
  const value = Number(values[name])
  if (Number.isInteger(value) && value >= 0) return value
  throw new RangeError(`--${name} must be a whole number, not "${values[name]}"`)
}

async function replay(seed: number): Promise<void> {
  const { violations } = await runHistory(seed, console.log)
  for (const violation of violations) console.log(`BROKEN ${violation}`)
  console.log(`${violations.length} promises broken`)
  process.exitCode = violations.length > 0 ? 1 : 0
}

async function runMany(first: number, count: number): Promise<void> {
  console.log(`${count} histories, seeds ${first} to ${first + count - 1}`)
  const started = Date.now()
  let told = started
  const { histories, operations, faults, ms, broken } = await runHistories(
    { first, count },
    (sums) => {
      if (Date.now() - told < 2_000) return
      told = Date.now()
      console.log(`  ${sums.histories} histories, ${sums.broken.length} with a broken promise`)
    },
  )
  for (const { seed, violations } of broken) {
    console.log(`BROKEN by seed ${seed}: ${violations[0]}`)
    console.log(`  ${replayOf(seed)}`)
  }
  const hours = (ms / 3_600_000).toFixed(0)
  const seconds = ((Date.now() - started) / 1000).toFixed(0)
  console.log(`${operations} operations and ${faults} faults in ${hours} hours of virtual time`)
  console.log(`${histories} histories, ${broken.length} with a broken promise, ${seconds} s`)
  process.exitCode = broken.length > 0 ? 1 : 0
}

if (values.replay === undefined) await runMany(wholeNumber('seed'), wholeNumber('histories'))
else await replay(wholeNumber('replay'))
