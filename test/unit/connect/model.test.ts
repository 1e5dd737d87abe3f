import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  fileSchema,
  isId,
  itemSchema,
  itemSummarySchema,
  parse,
  vaultSchema,
} from '../../../src/connect/model.ts'
import { SecretValue } from '../../../src/connect/secret-value.ts'

const ID = 'abcdefghijklmnopqrstuvwxy1'
const VAULT = { id: 'v'.repeat(26) }

const ITEM = {
  id: ID,
  title: 'Database',
  vault: VAULT,
  version: 7,
  createdAt: '2024-01-01T00:00:00Z',
  tags: ['one'],
  category: 'LOGIN',
  sections: [{ id: 's1', label: 'More' }],
  fields: [
    { id: 'f1', type: 'CONCEALED', purpose: 'PASSWORD', label: 'password', value: 'secret' },
    { id: 'f2', label: 'empty', section: { id: 's1' } },
  ],
  files: [{ id: 'f'.repeat(26), name: 'key.pem', size: 12 }],
  urls: [{ href: 'https://example.com', label: 'site', primary: true }],
}

const textOf = (value: SecretValue | undefined) => value && Buffer.from(value.reveal()).toString()

test('a whole item is read, its values wrapped', () => {
  const item = parse(itemSchema, ITEM)
  expect(item).toMatchObject({
    id: ID,
    title: 'Database',
    vault: VAULT,
    version: 7,
    category: 'LOGIN',
    tags: ['one'],
    sections: [{ id: 's1', label: 'More' }],
    fields: [
      { type: 'CONCEALED', purpose: 'PASSWORD', label: 'password' },
      { type: 'STRING', label: 'empty', section: { id: 's1' } },
    ],
    files: [{ name: 'key.pem', size: 12 }],
    urls: [{ label: 'site', primary: true }],
  })
  expect(textOf(item?.fields[0]?.value)).toBe('secret')
  expect(textOf(item?.urls[0]?.href)).toBe('https://example.com')
  expect(JSON.stringify(item)).not.toContain('secret')
})

test('what is absent, or null, has a plain default', () => {
  const least = { id: ID, vault: VAULT }
  const nothing = {
    title: '',
    version: 0,
    createdAt: '',
    category: '',
    favorite: false,
    tags: [],
    state: undefined,
    fields: [],
    files: [],
    urls: [],
    sections: [],
  }
  expect(parse(itemSchema, least)).toEqual({ ...least, ...nothing })
  const nulls = Object.fromEntries(Object.keys(nothing).map((name) => [name, null]))
  expect(parse(itemSchema, { ...least, ...nulls })).toEqual({ ...least, ...nothing })
  const field = { id: null, type: null, purpose: null, label: null, section: null, value: null }
  expect(parse(itemSchema, { ...least, fields: [field] })?.fields).toEqual([
    { id: '', type: 'STRING', label: '' },
  ])
  expect(parse(vaultSchema, VAULT)).toEqual({
    ...VAULT,
    name: '',
    contentVersion: 0,
    attributeVersion: 0,
    createdAt: '',
  })
})

test('members and types that are not known are no reason to refuse', () => {
  const item = parse(itemSchema, {
    ...ITEM,
    sparkle: true,
    category: 'QUANTUM_KEY',
    fields: [{ id: 'f', type: 'HOLOGRAM', label: 'new', value: 'x', strength: 1 }],
  })
  expect(item?.fields[0]).toMatchObject({ type: 'HOLOGRAM', label: 'new' })
  expect(item).not.toHaveProperty('sparkle')
})

test('an archived item says so in lists', () => {
  expect(parse(itemSummarySchema, { ...ITEM, state: 'ARCHIVED' })?.state).toBe('ARCHIVED')
})

test('a label of any text survives, names of prototypes included', () => {
  const labels = ['__proto__', 'constructor', 'toString', '', ' ', '\u0000', '🔑']
  const body = JSON.stringify({ ...ITEM, fields: labels.map((label) => ({ label, value: label })) })
  const item = parse(itemSchema, JSON.parse(body))
  expect(item?.fields.map(({ label }) => label)).toEqual(labels)
  expect(item?.fields.map(({ value }) => textOf(value))).toEqual(labels)
})

test.each([
  ['no id', { id: undefined }],
  ['an id that is too short', { id: 'abc' }],
  ['an id with capitals', { id: 'A'.repeat(26) }],
  ['an id with a line break at its end', { id: `${ID.slice(1)}\n` }],
  ['an id that is a path', { id: '../'.repeat(9) }],
  ['no vault', { vault: undefined }],
  ['a vault without an id', { vault: {} }],
  ['a version that is negative', { version: -1 }],
  ['a version that is a fraction', { version: 1.5 }],
  ['a version that is text', { version: '7' }],
  ['a version that is too large to count', { version: 2 ** 60 }],
  ['fields that are no list', { fields: {} }],
  ['a field that is null', { fields: [null] }],
  ['a value that is a number', { fields: [{ label: 'a', value: 5 }] }],
  ['a value that is a list', { fields: [{ label: 'a', value: ['x'] }] }],
  ['a file without an id', { files: [{ name: 'x' }] }],
  ['a URL without an address', { urls: [{ label: 'x' }] }],
  ['a title that is an object', { title: {} }],
])('an item with %s is refused', (_what, change) => {
  expect(parse(itemSchema, { ...ITEM, ...change })).toBeUndefined()
})

test('ids are 26 lower-case letters and digits', () => {
  expect([ID, '0'.repeat(26)].map(isId)).toEqual([true, true])
  const others = ['', 'a'.repeat(25), 'a'.repeat(27), `${'a'.repeat(25)}-`, `${'a'.repeat(26)}\n`]
  expect(others.map(isId)).toEqual([false, false, false, false, false])
})

test('no JSON can make a reader fail, or show a value', () => {
  const schemas = { vaultSchema, itemSummarySchema, itemSchema, fileSchema }
  const members = Object.keys(ITEM)
  const spoiled = fc
    .tuple(fc.constantFrom(...members), fc.jsonValue())
    .map(([member, value]) => ({ ...ITEM, [member]: value }))
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), spoiled), (value) => {
      for (const schema of Object.values(schemas)) {
        const parsed = parse(schema, value)
        expect(parsed === undefined || isId(parsed.id)).toBe(true)
      }
      const { fields = [] } = parse(itemSchema, value) ?? {}
      expect(fields.every((one) => !one.value || one.value instanceof SecretValue)).toBe(true)
    }),
    { numRuns: 500 },
  )
})
