import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { estimateEntropy, generate } from '../../../../src/server/items/generate.ts'

const SETS = { LETTERS: /[A-Za-z]/, DIGITS: /[0-9]/, SYMBOLS: /[^A-Za-z0-9]/ } as const
type SetName = keyof typeof SETS
const setNames: SetName[] = ['LETTERS', 'DIGITS', 'SYMBOLS']

describe('a generated value', () => {
  test.each([[undefined], [{}], [{ length: 0 }], [{ length: null, characterSets: null }]])(
    'has 32 characters of all sets without a recipe: %j',
    (recipe) => {
      const { value } = generate(recipe)
      expect(value).toHaveLength(32)
      for (const name of setNames) expect(value).toMatch(SETS[name])
    },
  )

  test('follows its recipe: length, every set, no other, nothing excluded', () => {
    const recipes = fc.record({
      length: fc.integer({ min: 1, max: 64 }),
      characterSets: fc.subarray(setNames, { minLength: 1 }),
      excludeCharacters: fc.string({
        unit: fc.constantFrom('a', 'b', 'c', 'A', 'B', '0', '1', '2', '!', '@'),
        maxLength: 12,
      }),
    })
    fc.assert(
      fc.property(recipes, (recipe) => {
        const { value } = generate(recipe)
        expect(value).toHaveLength(recipe.length)
        const found = setNames.filter((name) => SETS[name].test(value))
        const [fewest, most] = [found, recipe.characterSets]
        expect(most).toEqual(expect.arrayContaining(fewest))
        expect(found.length).toBeGreaterThanOrEqual(recipe.length < most.length ? 1 : most.length)
        for (const char of recipe.excludeCharacters) expect(value).not.toContain(char)
      }),
    )
  })

  test('draws every character alike', () => {
    const counts = new Map<string, number>()
    const draws = 20_000
    for (let i = 0; i < draws / 50; i++) {
      const { value } = generate({ length: 50, characterSets: ['DIGITS'] })
      for (const char of value) counts.set(char, (counts.get(char) ?? 0) + 1)
    }
    const expected = draws / 10
    const chi = [...counts.values()].reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0)
    expect(counts.size).toBe(10)
    // 9 degrees of freedom: a fair source stays below 33.7 in 9,999 of 10,000 runs.
    expect(chi).toBeLessThan(33.7)
  })

  test('is refused when the exclusions leave a set empty', () => {
    const recipe = { characterSets: ['DIGITS' as const], excludeCharacters: '0123456789' }
    expect(() => generate(recipe)).toThrow('excludes every character')
  })

  test('may lose a whole set to the exclusions when it names none', () => {
    const letters = generate({ excludeCharacters: '0123456789!@#$%^&*()-_=+[]{};:,.?/~' })
    expect(letters.value).toMatch(/^[A-Za-z]{32}$/)
    const everything = String.fromCharCode(...Array.from({ length: 95 }, (_, n) => 32 + n))
    expect(() => generate({ excludeCharacters: everything })).toThrow('excludes every character')
  })

  test('has the entropy of the values that its recipe allows', () => {
    expect(generate({ length: 20, characterSets: ['DIGITS'] }).entropy).toBeCloseTo(66.4386, 3)
    // 2 characters of letters and digits, one of each: 2 · 52 · 10 values.
    const two = generate({ length: 2, characterSets: ['LETTERS', 'DIGITS'] })
    expect(two.entropy).toBeCloseTo(Math.log2(2 * 52 * 10), 3)
  })
})

describe('the entropy of a chosen value', () => {
  test.each([
    ['', 0],
    ['aaaa', 4 * Math.log2(26)],
    ['aA1', 3 * Math.log2(62)],
    ['aA1!', 4 * Math.log2(95)],
  ])('of %j counts the kinds of its characters', (value, bits) => {
    expect(estimateEntropy(value)).toBeCloseTo(bits, 3)
  })
})
