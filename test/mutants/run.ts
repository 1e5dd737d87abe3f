/**
 * Tries planted bugs and prints what became of each.
 *
 *   node .ci/bootstrap.mjs node test/mutants/run.ts                 all that somebody wrote down
 *   node .ci/bootstrap.mjs node test/mutants/run.ts ignores-410     by their names
 *   node .ci/bootstrap.mjs node test/mutants/run.ts random 20 7     20 that seed 7 draws
 */
import process from 'node:process'
import { onBenches, tryMutant } from './bench.ts'
import { MUTANTS } from './list/all.ts'
import { drawMutants, nameOfRandom, tryRandom } from './random.ts'

/** Tried at the same time. */
const PARALLEL = 2

const [first, count, seed] = process.argv.slice(2)
const results = first === 'random' ? await random() : await written(process.argv.slice(2))
const killed = results.filter(Boolean).length
console.log(`${killed} of ${results.length} killed`)
process.exitCode = killed === results.length ? 0 : 1

function written(wanted: readonly string[]): Promise<boolean[]> {
  const mutants = MUTANTS.filter(({ id }) => wanted.length === 0 || wanted.includes(id))
  return onBenches(mutants, PARALLEL, async (bench, mutant) => {
    const { isKilled, by, seconds } = await tryMutant(bench, mutant)
    say(isKilled, `${seconds.toFixed(1).padStart(5)} s  ${mutant.id}  (${by})`)
    return isKilled
  })
}

function random(): Promise<boolean[]> {
  const mutants = drawMutants(process.cwd(), Number(count ?? 20), Number(seed ?? 1))
  return onBenches(mutants, PARALLEL, async (bench, mutant) => {
    const started = Date.now()
    const by = await tryRandom(bench, mutant)
    const seconds = ((Date.now() - started) / 1000).toFixed(1).padStart(5)
    say(by !== undefined, `${seconds} s  ${nameOfRandom(mutant)}  (${by ?? 'nobody'})`)
    return by !== undefined
  })
}

function say(isKilled: boolean, text: string): void {
  console.log(`${isKilled ? 'killed  ' : 'SURVIVED'} ${text}`)
}
