import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { filterItems, filterVaults, parseFilter } from '../../../../src/server/items/filter.ts'
import type { Vault } from '../../../../src/server/items/model.ts'
import { isKeyferryError } from '../../../../src/errors.ts'

const aVault = (name: string): Vault => ({
  id: name,
  name,
  type: 'USER_CREATED',
  createdAt: '',
  updatedAt: '',
  attributeVersion: 1,
  contentVersion: 1,
  active: 0,
})
const anItem = (title: string, ...tags: string[]) => ({ title, tags })

describe('a filter', () => {
  test.each([
    ['title eq "a"', 'title', 'eq', 'a'],
    ['  NAME   EQ "a b"  ', 'name', 'eq', 'a b'],
    ['title co ""', 'title', 'co', ''],
    ['title eq "a "quoted" word"', 'title', 'eq', 'a "quoted" word'],
    ['title eq "C:\\dir"', 'title', 'eq', 'C:\\dir'],
    ['title eq "a" or title eq "b"', 'title', 'eq', 'a" or title eq "b'],
  ])('%s is read from its first to its last quote', (text, attribute, operator, value) => {
    expect(parseFilter(text)).toEqual({ attribute, operator, value })
  })

  test.each([
    '',
    "'",
    '"',
    'title',
    'title eq',
    'title eq a',
    'title eq "a',
    'title eq"a"',
    'title eq "a" x',
    'not title eq "a"',
    '"a"',
  ])('%s is refused', (text) => {
    expect(() => parseFilter(text)).toThrow('Invalid filter')
  })

  // A megabyte in square time takes longer than any test may.
  test('is read in linear time, whatever the text', () => {
    for (const part of ['"', ' ', 'title eq "', '" "', '\\"', '(', 'a']) {
      const text = part.repeat(Math.ceil(1_048_576 / part.length))
      try {
        expect(parseFilter(text)).toBeDefined()
      } catch (error) {
        expect(isKeyferryError(error, 'REQUEST_REFUSED')).toBe(true)
      }
    }
  })

  test('of any text either reads or is refused with 400', { timeout: 60_000 }, () => {
    const attempt = (text: string) => {
      try {
        const filter = parseFilter(text)
        filterItems(filter, [anItem('a', 'b')])
        filterVaults(filter, [aVault('a')])
        return true
      } catch (error) {
        return isKeyferryError(error) && error.status === 400
      }
    }
    const any = fc.property(fc.string({ unit: 'binary' }), attempt)
    const same = (value: string) => parseFilter(`title eq "${value}"`).value === value
    expect(() => fc.assert(any, { numRuns: 2_000 })).not.toThrow()
    expect(() => fc.assert(fc.property(fc.string(), same))).not.toThrow()
  })
})

describe('vaults', () => {
  const vaults = [aVault('Production'), aVault('PRODUCTION 2'), aVault('Straße')]

  test.each([
    ['name eq "production"', ['Production']],
    ['title eq "PRODUCTION"', ['Production']],
    ['name co "duct"', ['Production', 'PRODUCTION 2']],
    ['name eq "nothing"', []],
    ['name eq "stra\u00dfe"', ['Straße']],
  ])('are found without regard to case by %s', (text, names) => {
    expect(filterVaults(parseFilter(text), vaults).map(({ name }) => name)).toEqual(names)
  })

  test.each(['tag eq "a"', 'name ne "a"', 'id eq "a"'])('are not filtered by %s', (text) => {
    expect(() => filterVaults(parseFilter(text), vaults)).toThrow('Invalid filter')
  })
})

describe('items', () => {
  const items = [anItem('Db', 'prod', 'Team A'), anItem('DB', 'dev'), anItem('db replica')]

  test.each([
    ['title eq "Db"', ['Db']],
    ['title eq "DB"', ['DB']],
    ['title eq "dB"', ['Db', 'DB']],
    ['title co "repl"', ['db replica']],
    ['tag eq "team a"', ['Db']],
    ['tag eq "nothing"', []],
  ])('are found by %s: exact titles before others', (text, titles) => {
    expect(filterItems(parseFilter(text), items).map(({ title }) => title)).toEqual(titles)
  })

  test('are found by a title with quotes, as clients send it and as SCIM escapes it', () => {
    const odd = [anItem('a "b" c'), anItem('C:\\dir'), anItem('tab\there')]
    const found = (text: string) =>
      filterItems(parseFilter(`title eq "${text}"`), odd).map(({ title }) => title)
    expect(found('a "b" c')).toEqual(['a "b" c'])
    expect(found('a \\"b\\" c')).toEqual(['a "b" c'])
    expect(found('C:\\dir')).toEqual(['C:\\dir'])
    expect(found('C:\\\\dir')).toEqual(['C:\\dir'])
    expect(found('tab\\there')).toEqual(['tab\there'])
    expect(found('a \\x')).toEqual([])
  })

  test.each(['tag co "a"', 'title sw "a"', 'category eq "LOGIN"'])(
    'are not filtered by %s',
    (text) => {
      expect(() => filterItems(parseFilter(text), items)).toThrow('Invalid filter')
    },
  )
})
