/**
 * The planted bugs still apply: a change of the sources that moves the place of one must move the
 * mutant, too. Whether tests notice them is another, longer story: test/reliability/mutants.test.ts.
 */
import { existsSync, readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { expect, test } from 'vitest'
import { MUTANTS } from '../mutants/list/all.ts'
import { DEFECTS, mutate, PROMISES } from '../mutants/mutant.ts'

test.each(MUTANTS.map((mutant) => [mutant.id, mutant] as const))('%s', (_id, mutant) => {
  const source = readFileSync(mutant.file, 'utf8')
  const changed = mutate(source, mutant)
  expect(changed).not.toBe(source)
  expect(() => stripTypeScriptTypes(changed)).not.toThrow()
  for (const { file, name } of mutant.killers) {
    expect(existsSync(file), file).toBe(true)
    if (name !== undefined) expect(readFileSync(file, 'utf8')).toContain(name)
  }
  expect(mutant.killers.length).toBeGreaterThan(0)
})

test('no two planted bugs have one name', () => {
  expect(new Set(MUTANTS.map(({ id }) => id)).size).toBe(MUTANTS.length)
})

test('every promise is broken, and every defect of the former operator is made', () => {
  const broken = new Set(MUTANTS.flatMap(({ breaks }) => breaks))
  const all = [...Object.keys(PROMISES), ...Object.keys(DEFECTS)]
  expect(all.filter((one) => !(broken as ReadonlySet<string>).has(one))).toEqual([])
})

test('who says why no test notices a bug is rare', () => {
  expect(MUTANTS.length).toBeGreaterThanOrEqual(48)
  expect(MUTANTS.filter(({ why }) => why !== undefined).length).toBeLessThanOrEqual(2)
})
