/**
 * Tries planted bugs and prints what became of each.
 *
 *   node .ci/bootstrap.mjs node test/mutants/run.ts            all that somebody wrote down
 *   node .ci/bootstrap.mjs node test/mutants/run.ts ignores-410 deletes-by-name
 */
import process from 'node:process'
import { onBenches, tryMutant } from './bench.ts'
import { MUTANTS } from './list/all.ts'

const wanted = process.argv.slice(2)
const mutants = MUTANTS.filter(({ id }) => wanted.length === 0 || wanted.includes(id))
const fates = await onBenches(mutants, 2, async (bench, mutant) => {
  const fate = await tryMutant(bench, mutant).catch((error: unknown) => ({
    mutant,
    isKilled: false,
    by: String(error),
    seconds: 0,
  }))
  const mark = fate.isKilled ? 'killed  ' : 'SURVIVED'
  console.log(`${mark} ${fate.seconds.toFixed(1).padStart(5)} s  ${mutant.id}  (${fate.by})`)
  return fate
})
const killed = fates.filter(({ isKilled }) => isKilled).length
console.log(`${killed} of ${fates.length} killed`)
process.exitCode = killed === fates.length ? 0 : 1
