import { randomInt } from 'node:crypto'
import type { RecipeInput } from '../api.ts'
import { badInput } from '../refusals.ts'

const SETS = {
  LETTERS: 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ',
  DIGITS: '0123456789',
  SYMBOLS: '!@#$%^&*()-_=+[]{};:,.?/~',
} as const
const DEFAULT_LENGTH = 32

/** A generated value and its entropy in bits. */
export interface Generated {
  readonly value: string
  readonly entropy: number
}

/**
 * A random value by a recipe: every character is drawn alike, and every set of the recipe
 * occurs at least once where the length allows. Values that lack a set are drawn anew as a
 * whole, so that all values which are left are equally likely.
 * @throws KeyferryError REQUEST_REFUSED 400 when the exclusions leave a set empty that the recipe
 * names, or nothing at all
 */
export function generate(recipe: RecipeInput | undefined): Generated {
  const length = recipe?.length || DEFAULT_LENGTH
  const named = recipe?.characterSets?.length ? recipe.characterSets : undefined
  const excluded = new Set(recipe?.excludeCharacters ?? '')
  const left = (named ?? keysOf(SETS)).map((name) =>
    SETS[name].split('').filter((char) => !excluded.has(char)),
  )
  const sets = named ? left : left.filter((set) => set.length > 0)
  if (sets.length === 0 || sets.some((set) => set.length === 0)) {
    throw badInput('The recipe excludes every character of a character set')
  }
  const alphabet = sets.flat()
  const required = sets.length <= length ? sets : []
  for (;;) {
    const value = Array.from({ length }, () => alphabet[randomInt(alphabet.length)])
    if (required.every((set) => value.some((char) => char !== undefined && set.includes(char)))) {
      return { value: value.join(''), entropy: bits(length, alphabet.length, required) }
    }
  }
}

/**
 * log2 of the number of values that can come out: all of them, less those that lack a set, by
 * inclusion and exclusion over the sets.
 */
function bits(length: number, size: number, required: readonly (readonly string[])[]): number {
  let share = 0
  for (let subset = 0; subset < 1 << required.length; subset++) {
    const missing = required.filter((_, i) => subset & (1 << i))
    const rest = size - missing.reduce((sum, set) => sum + set.length, 0)
    share += (missing.length % 2 === 0 ? 1 : -1) * (rest / size) ** length
  }
  return round(length * Math.log2(size) + Math.log2(share))
}

/**
 * Bits of a value that someone chose: its length times the bits of the kinds of characters it
 * uses. An upper bound; Connect does not document its own estimate.
 */
export function estimateEntropy(value: string): number {
  const kinds: [RegExp, number][] = [
    [/[a-z]/, 26],
    [/[A-Z]/, 26],
    [/[0-9]/, 10],
    [/[!-/:-@[-`{-~ ]/, 33],
    [/[^ -~]/, 100],
  ]
  const size = kinds.reduce((sum, [kind, count]) => sum + (kind.test(value) ? count : 0), 0)
  return size === 0 ? 0 : round(Array.from(value).length * Math.log2(size))
}

const round = (value: number): number => Math.round(value * 10_000) / 10_000

function keysOf<K extends string>(record: Readonly<Record<K, unknown>>): K[] {
  return Object.keys(record) as K[]
}
