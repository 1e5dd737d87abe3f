import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isKeyferryError, KeyferryError } from '../../../../src/errors.ts'
import type { PatchOperation } from '../../../../src/server/api.ts'
import type { Item } from '../../../../src/server/items/model.ts'
import { applyPatch } from '../../../../src/server/items/patch.ts'

const item: Item = {
  id: 'i',
  vault: 'v',
  version: 3,
  title: 'T',
  category: 'SERVER',
  favorite: false,
  tags: ['a', 'b'],
  urls: [{ href: 'https://a' }],
  sections: [{ id: 's', label: 'S' }],
  fields: [
    { id: 'f', type: 'DATE', label: 'F', value: '1714564860', section: 's' },
    { id: 'a/b~c', type: 'STRING', label: 'odd', value: 'x' },
  ],
  files: [],
  createdAt: '',
  updatedAt: '',
  lastEditedBy: '',
}

type Document = Record<string, unknown> & { fields: Record<string, unknown>[] }
const patched = (...patch: PatchOperation[]) => applyPatch(item, patch, 'sighted') as Document
const blind = (...patch: PatchOperation[]) => applyPatch(item, patch, 'blind') as Document
const fieldOf = (document: Document, id: string) => document.fields.find((f) => f['id'] === id)

describe('a patch', () => {
  test('without operations leaves the item as it is', () => {
    expect(patched()).toEqual({
      title: 'T',
      category: 'SERVER',
      favorite: false,
      tags: ['a', 'b'],
      urls: [{ href: 'https://a' }],
      sections: [{ id: 's', label: 'S' }],
      fields: [
        { id: 'f', type: 'DATE', label: 'F', value: '1714564860', section: { id: 's' } },
        { id: 'a/b~c', type: 'STRING', label: 'odd', value: 'x' },
      ],
    })
  })

  test.each(['', '/'])('at %j replaces the whole item, keeping the category', (path) => {
    expect(patched({ op: 'replace', path, value: { title: 'N' } })).toEqual({
      title: 'N',
      category: 'SERVER',
      fields: [],
    })
  })

  test('sets and removes members', () => {
    expect(patched({ op: 'replace', path: '/title', value: 'N' })['title']).toBe('N')
    expect(patched({ op: 'add', path: '/favorite', value: true })['favorite']).toBe(true)
    expect(patched({ op: 'remove', path: '/tags' })).not.toHaveProperty('tags')
    expect(patched({ op: 'remove', path: '/fields' }).fields).toEqual([])
    for (const op of ['add', 'replace'] as const) {
      expect(patched({ op, path: '/fields', value: [{ id: 'n' }] }).fields).toEqual([{ id: 'n' }])
    }
  })

  test('changes lists by position', () => {
    expect(patched({ op: 'remove', path: '/tags/1' })['tags']).toEqual(['a'])
    expect(patched({ op: 'add', path: '/tags/0', value: 'z' })['tags']).toEqual(['z', 'a', 'b'])
    expect(patched({ op: 'add', path: '/tags/-', value: 'z' })['tags']).toEqual(['a', 'b', 'z'])
    expect(patched({ op: 'replace', path: '/tags/1', value: 'z' })['tags']).toEqual(['a', 'z'])
    expect(patched({ op: 'remove', path: '/urls/0' })['urls']).toEqual([])
  })

  test('changes members of URLs and sections, which also their ids find', () => {
    const url = patched({ op: 'add', path: '/urls/0/primary', value: true })
    expect(url['urls']).toEqual([{ href: 'https://a', primary: true }])
    for (const path of ['/sections/0/label', '/sections/s/label']) {
      const renamed = patched({ op: 'replace', path, value: 'N' })
      expect(renamed['sections']).toEqual([{ id: 's', label: 'N' }])
      expect(patched({ op: 'remove', path })['sections']).toEqual([{ id: 's' }])
    }
    expect(patched({ op: 'remove', path: '/sections/s' })['sections']).toEqual([])
  })

  test('changes fields by id, escaped as RFC 6901 says', () => {
    const path = '/fields/a~1b~0c/value'
    expect(fieldOf(patched({ op: 'replace', path, value: 'y' }), 'a/b~c')?.['value']).toBe('y')
    expect(fieldOf(patched({ op: 'remove', path }), 'a/b~c')).not.toHaveProperty('value')
    expect(fieldOf(patched({ op: 'add', path, value: 'z' }), 'a/b~c')?.['value']).toBe('z')
  })

  test('adds, replaces and removes fields', () => {
    for (const path of ['/fields', '/fields/-']) {
      expect(patched({ op: 'add', path, value: { label: 'n' } }).fields[2]).toEqual({ label: 'n' })
    }
    expect(
      fieldOf(patched({ op: 'replace', path: '/fields/f', value: { label: 'n' } }), 'f'),
    ).toEqual({
      id: 'f',
      label: 'n',
    })
    expect(patched({ op: 'remove', path: '/fields/f' }).fields).toHaveLength(1)
    const added = patched({ op: 'add', path: '/fields/new', value: { label: 'n' } })
    expect(fieldOf(added, 'new')).toEqual({ id: 'new', label: 'n' })
  })

  test('applies its operations in order', () => {
    const document = patched(
      { op: 'add', path: '/fields/x', value: { label: 'n' } },
      { op: 'add', path: '/fields/x/value', value: 'v' },
      { op: 'remove', path: '/tags/0' },
      { op: 'replace', path: '/tags/0', value: 'last' },
    )
    expect(fieldOf(document, 'x')).toEqual({ id: 'x', label: 'n', value: 'v' })
    expect(document['tags']).toEqual(['last'])
  })

  test.each<PatchOperation>([
    { op: 'replace', path: '/fields/none/value', value: 'x' },
    { op: 'remove', path: '/fields/none' },
    { op: 'replace', path: '/fields/none', value: {} },
    { op: 'add', path: '/fields/f/id', value: 'x' },
    { op: 'add', path: '/fields/f/value/x', value: 'x' },
    { op: 'add', path: '/fields', value: 'x' },
    { op: 'remove', path: '/tags/2' },
    { op: 'remove', path: '/tags/-' },
    { op: 'remove', path: '/tags/01' },
    { op: 'remove', path: '/tags/0/x' },
    { op: 'replace', path: '/id', value: 'x' },
    { op: 'replace', path: '/version', value: 1 },
    { op: 'replace', path: '/__proto__', value: {} },
    { op: 'add', path: '/fields/__proto__/polluted', value: 'x' },
    { op: 'add', path: '/constructor/prototype/polluted', value: 'x' },
    { op: 'remove', path: '/' },
    { op: 'replace', path: '/', value: 'x' },
    { op: 'replace', path: 'title', value: 'x' },
    { op: 'replace', path: '/title' },
    { op: 'add', path: '/fields/f/value' },
    { op: 'replace', path: '/urls/0/none', value: 'x' },
    { op: 'replace', path: '/urls/0/__proto__', value: {} },
    { op: 'replace', path: '/sections/s/id', value: 'x' },
    { op: 'replace', path: '/sections/none/label', value: 'x' },
  ])('%j is refused', (operation) => {
    expect(() => patched(operation)).toThrow(KeyferryError)
  })

  test('never changes the item it is applied to, nor anything else', () => {
    const before = structuredClone(item)
    const paths = fc.constantFrom(
      '/',
      '/title',
      '/tags/0',
      '/fields/f',
      '/fields/f/value',
      '/urls/0',
      '/__proto__/x',
    )
    const operation = fc.record({
      op: fc.constantFrom('add' as const, 'remove' as const, 'replace' as const),
      path: fc.oneof(
        paths,
        fc.string().map((text) => `/${text}`),
      ),
      value: fc.jsonValue(),
    })
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 5 }), (patch) => {
        try {
          applyPatch(item, patch, 'sighted')
        } catch (error) {
          if (!isKeyferryError(error, 'REQUEST_REFUSED')) throw error
        }
        expect(item).toEqual(before)
        expect({}).not.toHaveProperty('x')
      }),
    )
  })
})

describe('a blind patch', () => {
  test('changes labels and values, and replaces fields as a whole', () => {
    expect(
      fieldOf(blind({ op: 'replace', path: '/fields/f/label', value: 'n' }), 'f')?.['label'],
    ).toBe('n')
    expect(
      fieldOf(blind({ op: 'replace', path: '/fields/f', value: { value: 'n' } }), 'f'),
    ).toEqual({
      id: 'f',
      value: 'n',
    })
  })

  test('says nothing about which fields there are', () => {
    expect(
      fieldOf(blind({ op: 'replace', path: '/fields/none/value', value: 'x' }), 'none'),
    ).toEqual({
      id: 'none',
      value: 'x',
    })
    expect(() => blind({ op: 'remove', path: '/fields/none' })).not.toThrow()
  })

  test.each<PatchOperation>([
    { op: 'replace', path: '/fields/f/type', value: 'DATE' },
    { op: 'replace', path: '/fields/f/purpose', value: 'NOTES' },
    { op: 'add', path: '/fields', value: { purpose: 'PASSWORD', value: 'x' } },
    { op: 'remove', path: '/tags/1' },
    { op: 'replace', path: '/urls/0', value: { href: 'x' } },
    { op: 'replace', path: '/sections/s/label', value: 'x' },
  ])('%j is refused: its outcome would tell', (operation) => {
    expect(() => blind(operation)).toThrow('Authorization:')
  })
})
