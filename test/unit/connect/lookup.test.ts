import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { findItem, findVault } from '../../../src/connect/lookup.ts'

const id = (letter: string) => letter.repeat(26)

function vault(letter: string, name: string, createdAt = '2024-01-01T00:00:00Z') {
  return { id: id(letter), name, createdAt }
}

function item(letter: string, title: string, createdAt = '2024-01-01T00:00:00Z', state?: string) {
  return { id: id(letter), title, createdAt, state }
}

test('a vault is found by its id or by its name, whatever its case', () => {
  const vaults = [vault('a', 'Production'), vault('b', 'Test')]
  expect(findVault(vaults, id('b'))?.name).toBe('Test')
  expect(findVault(vaults, 'PRODUCTION')?.id).toBe(id('a'))
  expect(findVault(vaults, 'prod')).toBeUndefined()
})

test('an item is found by its id or by its exact title', () => {
  const items = [item('a', 'Database'), item('b', 'Mail')]
  expect(findItem(items, id('b'))?.title).toBe('Mail')
  expect(findItem(items, 'Database')?.id).toBe(id('a'))
  expect(findItem(items, 'database')).toBeUndefined()
})

test('a thing that is named like the id of another does not shadow it', () => {
  expect(findVault([vault('a', id('b')), vault('b', 'Real')], id('b'))?.name).toBe('Real')
  expect(findItem([item('a', id('b')), item('b', 'Real')], id('b'))?.title).toBe('Real')
})

test('a name that looks like an id is a name when no id is meant', () => {
  expect(findItem([item('a', id('z'))], id('z'))?.id).toBe(id('a'))
})

test('of several with one name the oldest is meant', () => {
  const items = [
    item('c', 'Same', '2024-01-01T00:00:00.5Z'),
    item('b', 'Same', '2024-01-01T00:00:00Z'),
    item('a', 'Same', '2025-01-01T00:00:00Z'),
  ]
  expect(findItem(items, 'Same')?.id).toBe(id('b'))
})

test('of several with one name and one age the smallest id is meant', () => {
  expect(findItem([item('b', 'Same'), item('a', 'Same'), item('c', 'Same')], 'Same')?.id).toBe(
    id('a'),
  )
})

test('a thing without a date counts as the oldest', () => {
  expect(findItem([item('a', 'Same'), item('b', 'Same', '')], 'Same')?.id).toBe(id('b'))
})

test('the item that was meant before stays meant while it bears the title', () => {
  const items = [item('a', 'Same', '2020-01-01T00:00:00Z'), item('b', 'Same')]
  expect(findItem(items, 'Same', id('b'))?.id).toBe(id('b'))
  expect(findItem([item('a', 'Same'), item('b', 'Renamed')], 'Same', id('b'))?.id).toBe(id('a'))
  expect(findItem([item('b', 'Renamed')], 'Same', id('b'))).toBeUndefined()
})

test('an archived or deleted item is never meant, not even by its id or as the bound one', () => {
  const items = [item('a', 'Same', '2020-01-01T00:00:00Z', 'ARCHIVED'), item('b', 'Same')]
  expect(findItem(items, 'Same', id('a'))?.id).toBe(id('b'))
  expect(findItem(items, id('a'))).toBeUndefined()
})

test('the order in which things are listed never decides', () => {
  const one = fc.record({
    id: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f').map(id),
    title: fc.constantFrom('Same', 'same', 'Other', id('a')),
    createdAt: fc.constantFrom(
      '2024-01-01T00:00:00Z',
      '2024-01-01T00:00:00.000Z',
      '2023-06-01T12:00:00+02:00',
      'yesterday',
      '',
    ),
    state: fc.constantFrom(undefined, undefined, 'DELETED'),
  })
  const listed = fc.uniqueArray(one, { selector: (thing) => thing.id, maxLength: 6 })
  const orders = listed.chain((items) =>
    fc.tuple(fc.constant(items), fc.shuffledSubarray(items, { minLength: items.length })),
  )
  fc.assert(
    fc.property(
      orders,
      fc.constantFrom('Same', 'same', id('a')),
      fc.option(fc.constantFrom('a', 'c').map(id), { nil: undefined }),
      ([items, shuffled], title, bound) => {
        expect(findItem(shuffled, title, bound)).toBe(findItem(items, title, bound))
        const asVault = (thing: (typeof items)[number]) => ({ ...thing, name: thing.title })
        const [found, other] = [items, shuffled].map((all) => findVault(all.map(asVault), title))
        expect(found?.id).toBe(other?.id)
      },
    ),
    { numRuns: 500 },
  )
})
