import { describe, expect, test } from 'vitest'
import { contentOfItem, fits } from '../../../../src/operator/plan/content.ts'
import { aContent, anItem, textsOf } from '../../../builders/snapshot.ts'

const fileId = (n: number) => `f${n}`.padEnd(26, '0')

function contentOf(
  more: Record<string, unknown>,
  files: Record<string, string> = {},
  empty = false,
) {
  return contentOfItem(aContent(anItem(more), files), empty)
}

describe('contentOfItem', () => {
  test('fields, URLs and files become keys', () => {
    const content = contentOf(
      {
        fields: [{ label: 'a b', value: '1' }],
        urls: [{ href: 'https://x', label: 'site' }],
        files: [{ id: fileId(1), name: 'key.pem', size: 3 }],
      },
      { 'key.pem': 'pem' },
    )
    expect(textsOf(content.data)).toEqual({ 'a-b': '1', site: 'https://x', 'key.pem': 'pem' })
  })

  test('fields win over URLs, URLs over files', () => {
    const content = contentOf(
      {
        fields: [{ label: 'a', value: 'field' }],
        urls: [
          { href: 'url', label: 'a' },
          { href: 'url', label: 'b' },
        ],
        files: ['a', 'b', 'c'].map((name, n) => ({ id: fileId(n), name, size: 4 })),
      },
      { a: 'file', b: 'file', c: 'file' },
    )
    expect(textsOf(content.data)).toEqual({ a: 'field', b: 'url', c: 'file' })
    expect(content.overruled).toEqual(['a', 'b'])
  })

  test('among fields the last that is not empty wins, among files the first', () => {
    const content = contentOf(
      {
        fields: [
          { label: 'x y', value: '1' },
          { label: 'x-y', value: '2' },
          { label: 'x-y', value: '' },
        ],
        files: [
          { id: fileId(1), name: 'f!', size: 5 },
          { id: fileId(2), name: 'f', size: 6 },
        ],
      },
      { 'f!': 'first', f: 'second' },
    )
    expect(textsOf(content.data)).toEqual({ 'x-y': '2', f: 'first' })
    expect(content.overruled).toEqual(['f', 'x y'])
  })

  test.each([
    [[{ href: '1' }, { href: '2' }], '2'],
    [[{ href: '1', primary: true }, { href: '2' }], '1'],
    [
      [
        { href: '1', primary: true },
        { href: '2', primary: true },
      ],
      '2',
    ],
    [[{ href: '1', primary: true }, { href: '2' }, { href: '3' }], '1'],
  ])('among URLs %j the value is %j', (urls, value) => {
    const content = contentOf({ fields: [], urls: urls.map((url) => ({ label: 'u', ...url })) })
    expect(textsOf(content.data)).toEqual({ u: value })
  })

  test('the choice among URLs of a label is made before empty ones are left out', () => {
    const urls = [
      { href: 'https://x', label: 'u' },
      { href: '', label: 'u' },
    ]
    expect(contentOf({ fields: [], urls }).data.size).toBe(0)
  })

  test('empty values are left out, or become keys when told so', () => {
    const more = { fields: [{ label: 'a', value: '' }, { label: 'b' }, { label: 'c', value: 'x' }] }
    expect(textsOf(contentOf(more).data)).toEqual({ c: 'x' })
    expect(textsOf(contentOf(more, {}, true).data)).toEqual({ a: '', b: '', c: 'x' })
  })

  test('labels that give no key are reported, the others are kept', () => {
    const content = contentOf({
      fields: ['.', '..x', '', '..', 'ok'].map((label) => ({ label, value: 'v' })),
    })
    expect([...content.data.keys()]).toEqual(['ok'])
    expect(content.skipped).toEqual(['', '.', '..', '..x'])
  })

  test('labels that objects have by nature are ordinary keys', () => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty']
    const content = contentOf({ fields: names.map((label) => ({ label, value: label })) })
    expect([...content.data.keys()].toSorted()).toEqual(names.toSorted())
  })

  test('bytes stay as they are', () => {
    const value = 'line\r\nline\n\u0000\ud83d\ude00 '
    const content = contentOf({ fields: [{ label: 'a', value }] })
    expect(textsOf(content.data)).toEqual({ a: value })
  })

  test('a file that was not fetched counts with its size', () => {
    const files = [{ id: fileId(1), name: 'huge', size: 5_000_000 }]
    const content = contentOf({ fields: [], files })
    expect(content.data.size).toBe(0)
    expect(content.sizes.get('huge')).toBe(5_000_000)
    expect(fits(content)).toBe(false)
  })

  test('a file that was not fetched makes the content too large, however small it says it is', () => {
    const files = [{ id: fileId(1), name: 'small', size: 10 }]
    expect(fits(contentOf({ files }))).toBe(false)
    expect(fits(contentOf({ files: [{ id: fileId(1), name: 'small', size: 0 }] }))).toBe(true)
  })

  test('a large file that takes no key harms nobody, and is told', () => {
    const content = contentOf({
      fields: [{ label: 'a', value: 'field' }],
      urls: [{ href: 'https://b', label: 'b' }],
      files: ['a', 'b', '\u65e5\u672c', '..x'].map((name, n) => ({
        id: fileId(n),
        name,
        size: 5_000_000,
      })),
    })
    expect(textsOf(content.data)).toEqual({ a: 'field', b: 'https://b' })
    expect(content.overruled).toEqual(['a', 'b'])
    expect(content.skipped).toEqual(['..x', '\u65e5\u672c'])
    expect(fits(content)).toBe(true)
  })

  test('among files the first wins, also when it was not fetched', () => {
    const files = [
      { id: fileId(1), name: 'a', size: 5_000_000 },
      { id: fileId(2), name: 'a!', size: 1 },
    ]
    const content = contentOf({ fields: [], files }, { 'a!': 'x' })
    expect(content.data.size).toBe(0)
    expect(content.overruled).toEqual(['a!'])
    expect(fits(content)).toBe(false)
  })

  test.each([
    [[1_048_576], true],
    [[1_048_577], false],
    [[600_000, 448_576], true],
    [[600_000, 448_577], false],
  ])('values of %j bytes fit: %s', (sizes, expected) => {
    const fields = sizes.map((size, n) => ({ label: `f${n}`, value: 'x'.repeat(size) }))
    expect(fits(contentOf({ fields }))).toBe(expected)
  })

  test('bytes are counted, not characters', () => {
    expect(fits(contentOf({ fields: [{ label: 'a', value: '\u00e9'.repeat(600_000) }] }))).toBe(
      false,
    )
  })
})
