import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { assertFlat, parseQuery } from '../../../../src/server/http/json.ts'

describe('a query', () => {
  test.each([
    ['filter=title+eq+%22a%20b%22', { filter: 'title eq "a b"' }],
    ['filter=%2250%%20off%22', { filter: '"50% off"' }],
    ['filter=a&filter=b', { filter: 'a' }],
    ['limit=10&offset=2', { limit: 10, offset: 2 }],
    ['limit=-1&offset=1.5', { limit: '-1', offset: '1.5' }],
    ['inline_files=true', { inline_files: true }],
    ['inline_files=FALSE', { inline_files: false }],
    ['inline_files=maybe', { inline_files: 'maybe' }],
    ['__proto__=x&constructor=y&other=z', {}],
    ['', {}],
  ])('%s is read as a form', (query, expected) => {
    expect(parseQuery(query)).toEqual(expected)
  })

  test('of any text is read', () => {
    const members = new Set(['filter', 'limit', 'offset', 'inline_files'])
    const any = fc.property(fc.string(), (text) =>
      Object.keys(parseQuery(text)).every((name) => members.has(name)),
    )
    expect(() => fc.assert(any)).not.toThrow()
  })
})

describe('the depth of a body', () => {
  test('counts what nests, outside of texts', () => {
    expect(() => assertFlat('['.repeat(64))).not.toThrow()
    expect(() => assertFlat('['.repeat(65))).toThrow('nested too deeply')
    expect(() => assertFlat('[{"a":'.repeat(33))).toThrow('nested too deeply')
    expect(() => assertFlat('[]'.repeat(1_000))).not.toThrow()
    expect(() => assertFlat(`"${'['.repeat(1_000)}"`)).not.toThrow()
    expect(() => assertFlat(`"\\"${'['.repeat(1_000)}"`)).not.toThrow()
    expect(() => assertFlat(`"\\\\"${'['.repeat(65)}`)).toThrow('nested too deeply')
  })

  test('of a document that JSON takes is the depth of its value', () => {
    const wrap = (value: unknown, kinds: readonly boolean[]): unknown =>
      kinds.reduce((inner, isList) => (isList ? ['[', inner] : { '{"': inner }), value)
    const kinds = fc.array(fc.boolean(), { minLength: 55, maxLength: 75 })
    const agrees = fc.property(kinds, fc.string(), (levels, text) => {
      const body = JSON.stringify(wrap(text, levels))
      const check = () => {
        try {
          return assertFlat(body) ?? true
        } catch {
          return false
        }
      }
      return check() === levels.length <= 64
    })
    expect(() => fc.assert(agrees)).not.toThrow()
  })
})
