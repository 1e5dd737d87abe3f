/**
 * What holds of any path of an item and of any list that it is looked up in: the grammar is exact,
 * nothing of a path becomes part of a URL, and no order of a list decides.
 */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatItemPath, parseItemPath } from '../../../src/connect/item-path.ts'
import { findItem, findVault } from '../../../src/connect/lookup.ts'
import { isId } from '../../../src/connect/model.ts'
import { isKeyferryError } from '../../../src/errors.ts'
import { tally } from '../../support/gates.ts'
import { property } from '../../support/property.ts'

const CONTROLS = [
  '\u0000',
  '\n',
  '\u007f',
  '\u0085',
  '\u061c',
  '\u200e',
  '\u2028',
  '\u202e',
  '\u2066',
]
const ID = 'abcdefghijklmnopqrstuvwxyz'

/** Names of vaults and items as people, tools and attackers write them. */
const NAMES = [
  'Production',
  'Argo CD',
  ' padded ',
  'a.b-c_d',
  'ÄÖÜ',
  'Ａrgo',
  '密码',
  '\u{1F511}',
  '\ud800',
  'e\u0301',
  ID,
  ID.toUpperCase(),
  ID.slice(1),
  '.',
  '..',
  '...',
  '%2e%2e',
  '%2F',
  '%00',
  '\\..\\',
  '?x=1',
  '#x',
  '*',
  '"',
  '" or title eq "',
  "' OR 1=1 --",
  '{{x}}',
  'op:',
  'vaults',
  'items',
  '__proto__',
  'constructor',
  'x'.repeat(300),
  '',
  ...CONTROLS.map((one) => `a${one}b`),
]
/** Ways to write a vault and an item as a path, most of them wrong. */
const FORMS: readonly ((vault: string, item: string) => string)[] = [
  (vault, item) => `vaults/${vault}/items/${item}`,
  (vault, item) => `op://${vault}/${item}`,
  (vault, item) => `${vault}/${item}`,
  (vault, item) => `/vaults/${vault}/items/${item}`,
  (vault, item) => `vaults/${vault}/items/${item}/`,
  (vault, item) => `OP://${vault}/${item}`,
  (vault, item) => `op://${vault}/${item}/field`,
  (vault, item) => `vaults//${vault}/items/${item}`,
]

/** Slowly and plainly what a path means; undefined: it is refused. */
function meaning(path: string): { vault: string; item: string } | undefined {
  if (path.length > 2_048 || CONTROLS.some((one) => path.includes(one))) return undefined
  const parts = path.startsWith('op://')
    ? path.slice(5).split('/')
    : path.startsWith('vaults/') && path.split('/')[2] === 'items'
      ? [path.split('/')[1] ?? '', ...path.split('/').slice(3)]
      : []
  const [vault, item] = parts
  return parts.length === 2 && vault && item ? { vault, item } : undefined
}

/** What the reader makes of a path. */
function read(path: string): { vault: string; item: string } | undefined {
  try {
    return parseItemPath(path)
  } catch (error) {
    if (isKeyferryError(error, 'PATH_INVALID')) return undefined
    throw error
  }
}

test('each of thousands of odd paths means what the grammar says, or is refused', async () => {
  const paths = FORMS.flatMap((form) =>
    NAMES.flatMap((vault) => NAMES.map((item) => form(vault, item))),
  )
  // A third of all pairs, the same ones each time, and each name with each form.
  const corpus = [...new Set(paths.filter((_, n) => n % 4 === 0 || n % NAMES.length === 0))]
  expect(corpus.length).toBeGreaterThanOrEqual(3_000)
  const wrong = corpus.filter((path) => {
    const [found, wanted] = [read(path), meaning(path)]
    return found?.vault !== wanted?.vault || found?.item !== wanted?.item
  })
  expect(corpus.filter((path) => read(path)).length).toBeGreaterThan(300)
  await tally({
    gate: 10,
    what: 'odd paths of items',
    trials: corpus.length,
    violations: wrong.length,
  })
  expect(wrong).toEqual([])
})

const anyName = fc.oneof(
  fc.constantFrom(...NAMES),
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.string({ unit: fc.constantFrom('a', '/', '.', '%', ':', ' '), maxLength: 8 }),
)
const anyPath = fc.oneof(
  fc.tuple(fc.constantFrom(...FORMS), anyName, anyName).map(([form, a, b]) => form(a, b)),
  fc.string({ unit: fc.constantFrom('op://', 'vaults/', 'items/', '/', 'a', ' '), maxLength: 12 }),
)

describe('any path', () => {
  property(
    'means what the grammar says, or is refused with a code of ours',
    fc.property(anyPath, (path) => {
      // Of the controls, the table here has one of each kind.
      // oxlint-disable-next-line no-control-regex
      fc.pre(!/[\u0001-\u001f\u007f-\u009f\u200f\u2029-\u202d\u2067-\u2069]/.test(path))
      expect(read(path)).toEqual(meaning(path))
    }),
  )

  property(
    'that is refused is told without what could harm a terminal',
    fc.property(anyPath, (path) => {
      try {
        parseItemPath(path)
      } catch (error) {
        const { message } = error as Error
        for (const one of CONTROLS) expect(message).not.toContain(one)
        expect(message.isWellFormed()).toBe(true)
      }
    }),
  )

  property(
    'of ids is read back as it was written',
    fc.property(anyId(), anyId(), (vault, item) => {
      expect(parseItemPath(formatItemPath(vault, item))).toEqual({ vault, item })
      expect(parseItemPath(`op://${vault}/${item}`)).toEqual({ vault, item })
    }),
  )
})

function anyId(): fc.Arbitrary<string> {
  const letters = 'abcdefghijklmnopqrstuvwxyz0123456789'
  return fc.string({ unit: fc.constantFrom(...letters.split('')), minLength: 26, maxLength: 26 })
}

const ids = [ID, `z${ID.slice(1)}`, '0'.repeat(26)]
const titles = ['a', 'A', 'b', ...ids]
const anyThing = fc.record({
  id: fc.oneof(fc.constantFrom(...ids), anyId()),
  title: fc.constantFrom(...titles),
  createdAt: fc.constantFrom(
    '2024-01-01T00:00:00Z',
    '2024-01-01T00:00:00.5Z',
    '2023-06-01T00:00:00Z',
    'never',
  ),
  state: fc.constantFrom(undefined, undefined, undefined, 'ARCHIVED'),
})
const anyList = fc.uniqueArray(anyThing, { selector: ({ id }) => id, maxLength: 7 })
const anyWish = fc.constantFrom(...titles)

describe('any list of items', () => {
  property(
    'gives the same item in whatever order it comes',
    fc.property(
      anyList,
      anyWish,
      fc.constantFrom(undefined, ...ids),
      fc.infiniteStream(fc.nat()),
      (list, title, bound, order) => {
        const keys = new Map(list.map((one) => [one, order.next().value as number]))
        const shuffled = list.toSorted((a, b) => (keys.get(a) ?? 0) - (keys.get(b) ?? 0))
        expect(findItem(shuffled, title, bound)).toBe(findItem(list, title, bound))
      },
    ),
  )

  property(
    'gives what bears the name or the id, and nothing that is archived',
    fc.property(anyList, anyWish, (list, title) => {
      const found = findItem(list, title)
      const possible = list.filter(
        ({ state, ...one }) => !state && (one.id === title || one.title === title),
      )
      expect(found === undefined).toBe(possible.length === 0)
      if (found) expect(possible).toContain(found)
    }),
  )

  property(
    'gives an id before whoever has that id for a title',
    fc.property(anyList, fc.constantFrom(...ids), (list, id) => {
      const own = list.find((one) => one.id === id && one.state === undefined)
      fc.pre(own !== undefined)
      expect(isId(id)).toBe(true)
      expect(findItem(list, id, list.find((one) => one.title === id)?.id)).toBe(own)
    }),
  )

  property(
    'keeps to the item that was meant before for as long as it bears the title',
    fc.property(anyList, fc.constantFrom('a', 'A', 'b'), (list, title) => {
      for (const one of list) {
        if (one.state !== undefined || one.title !== title) continue
        expect(findItem(list, title, one.id)).toBe(one)
      }
    }),
  )

  property(
    'gives the oldest of those that bear the title',
    fc.property(anyList, fc.constantFrom('a', 'A', 'b'), (list, title) => {
      const found = findItem(list, title)
      const age = (one: { createdAt: string }) =>
        Date.parse(one.createdAt) || Number.NEGATIVE_INFINITY
      for (const one of list) {
        if (!found || one.state !== undefined || one.title !== title) continue
        expect(age(found)).toBeLessThanOrEqual(age(one))
      }
    }),
  )
})

describe('any list of vaults', () => {
  const anyVaults = anyList.map((list) =>
    list.map(({ title, ...one }) => ({ ...one, name: title })),
  )

  property(
    'gives the same vault for a name in capitals and not, in whatever order it comes',
    fc.property(anyVaults, fc.constantFrom('a', 'b', 'c'), (list, name) => {
      const found = findVault(list, name)
      expect(findVault(list.toReversed(), name.toUpperCase())).toBe(found)
      if (found) expect(found.name.toLowerCase()).toBe(name)
    }),
  )
})
