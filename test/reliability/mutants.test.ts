/**
 * Whether the suite would notice: bugs are planted in copies of the sources, one at a time, and the
 * tests that are to notice each are run. A usual run takes two of each part of the program by a
 * seed, the whole programme all of them, and some that chance makes.
 *
 *   KEYFERRY_SEED=7                                  the same draw again
 *   KEYFERRY_MUTANT_SEED=7                           others by chance
 *   node .ci/bootstrap.mjs node test/mutants/run.ts  all, or some by their names, with what they say
 */
import { expect, test } from 'vitest'
import { type Bench, onBenches, optionsOf, tryMutant } from '../mutants/bench.ts'
import { draw } from '../support/chance.ts'
import { EQUAL } from '../mutants/equal.ts'
import { GROUPS } from '../mutants/list/all.ts'
import type { Killer, Mutant } from '../mutants/mutant.ts'
import { drawMutants, nameOfRandom, tryRandom } from '../mutants/random.ts'
import { isFull, SEED, tally } from '../support/gates.ts'
import { rounds, tell } from '../support/skip.ts'

/** Tried at the same time: each keeps a processor busy. */
const PARALLEL = 2
/** Of each part of the program in a usual run. */
const OF_EACH = 2
const RANDOM = 20
/**
 * What chance makes is the same in each run, so that who survives has been looked at; another seed
 * makes others, of which nobody knows yet.
 */
const RANDOM_SEED = rounds('KEYFERRY_MUTANT_SEED', 1)

const nameOf = ({ id }: Mutant) => id
const chosen = Object.values(GROUPS).flatMap((group) =>
  draw(group, isFull ? group.length : OF_EACH, { seed: SEED, nameOf }),
)

test('tests that are to notice planted bugs pass without one, and are there', async () => {
  const killers = chosen.flatMap((mutant) => mutant.killers)
  const projects = [...new Set(killers.map(({ project }) => project))]
  const found = await onBenches(projects, PARALLEL, (bench, project) =>
    missing(
      bench,
      killers.filter((killer) => killer.project === project),
    ),
  )
  expect(found).toEqual(projects.map(() => ({ failed: [], missing: [] })))
})

/** Of the killers of a project, those that fail without a cause, and those that run nothing. */
async function missing(bench: Bench, killers: readonly Killer[]) {
  const [{ project } = { project: 'unit' }] = killers
  const { failed, passed } = await bench.run(project, optionsOf(...killers), 'all')
  const runs = ({ name = '' }: Killer) => passed.some((one) => one.includes(name))
  return { failed, missing: killers.filter((killer) => !runs(killer)) }
}

test('every planted bug is noticed', async () => {
  const fates = await onBenches(chosen, PARALLEL, tryMutant)
  const survivors = fates.filter(({ isKilled }) => !isKilled)
  const unexplained = survivors.filter(({ mutant }) => mutant.why === undefined)
  const [trials, violations, seed] = [fates.length, unexplained.length, SEED]
  await tally({ gate: 19, what: 'planted bugs, each to be noticed', trials, violations, seed })
  const names = unexplained.map(({ mutant, by }) => `${mutant.id}: ${by}`)
  expect(names, `KEYFERRY_SEED=${SEED}`).toEqual([])
})

test.runIf(isFull)('every bug that chance plants is noticed, or changes nothing', async () => {
  const mutants = drawMutants(process.cwd(), RANDOM, RANDOM_SEED)
  const survivors: string[] = []
  await onBenches(mutants, PARALLEL, async (bench, mutant) => {
    const by = await tryRandom(bench, mutant)
    if (by === undefined) survivors.push(nameOfRandom(mutant))
  })
  for (const one of survivors) tell(`nobody noticed ${one}`)
  const unexplained = survivors.filter((one) => !(withoutLine(one) in EQUAL))
  const [trials, violations, seed] = [mutants.length, unexplained.length, RANDOM_SEED]
  await tally({
    gate: 19,
    what: 'bugs made by chance, each to be noticed',
    trials,
    violations,
    seed,
  })
  const equal = survivors.length - unexplained.length
  const what = 'bugs made by chance that change nothing'
  if (equal > 0) await tally({ gate: 19, what, trials: equal, violations: 0, seed })
  expect(mutants).toHaveLength(RANDOM)
  expect(unexplained, `KEYFERRY_MUTANT_SEED=${seed}`).toEqual([])
})

/** A random mutant by what it changes, wherever that stands by now. */
function withoutLine(name: string): string {
  return name.replace(/:\d+ /, ' ')
}
