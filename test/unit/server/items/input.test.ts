import { describe, expect, test } from 'vitest'
import type { FieldInput, ItemInput } from '../../../../src/server/api.ts'
import { assertItemInput } from '../../../../src/server/items/check.ts'
import { assertCreatable, assertVault, readItem } from '../../../../src/server/items/input.ts'
import document from '../../../../src/server/openapi.json' with { type: 'json' }

const read = (item: Partial<ItemInput>) => readItem({ category: 'SERVER', ...item })
const field = (input: FieldInput) => read({ fields: [input] }).fields[0]

describe('an item of a request', () => {
  test('is filled with what every item has', () => {
    expect(read({})).toEqual({
      title: '',
      category: 'SERVER',
      favorite: false,
      tags: [],
      urls: [],
      sections: [],
      fields: [],
    })
  })

  test('loses empty and null members', () => {
    const item = read({
      title: null,
      tags: ['a', '', 'a'],
      urls: [{ href: '' }, { href: 'https://a', label: '', primary: false }],
      sections: [{}, { id: '', label: null }],
      fields: [{ label: 'x', value: null, section: { id: '' }, recipe: null, purpose: '' }],
    })
    expect(item).toMatchObject({
      title: '',
      tags: ['a'],
      urls: [{ href: 'https://a' }],
      sections: [],
    })
    expect(item.urls[0]).toEqual({ href: 'https://a' })
    expect(item.fields[0]).toEqual({ id: expect.any(String), type: 'STRING', label: 'x' })
  })

  test.each(document.components.schemas.Item.properties.category.enum)(
    'of category %s is read',
    (category) => {
      const input: unknown = { category, title: 'x' }
      assertItemInput(input)
      expect(readItem(input).category).toBe(category)
    },
  )

  test.each(['CUSTOM', 'DOCUMENT'])('of category %s cannot be created', (category) => {
    expect(() => assertCreatable(category)).toThrow('Invalid item category')
  })

  test('of another vault than that of the path is refused', () => {
    const input: ItemInput = { category: 'LOGIN', vault: { id: 'b' } }
    expect(() => assertVault(input, 'a')).toThrow('vault of the path')
    expect(() => assertVault({ category: 'LOGIN', vault: { id: '' } }, 'a')).not.toThrow()
  })

  test('of category LOGIN has its three built-in fields, PASSWORD two, others none', () => {
    const builtIn = (category: ItemInput['category']) =>
      readItem({ category }).fields.map(({ id, purpose, type }) => [id, purpose, type])
    const password = ['password', 'PASSWORD', 'CONCEALED']
    const notes = ['notesPlain', 'NOTES', 'STRING']
    expect(builtIn('LOGIN')).toEqual([['username', 'USERNAME', 'STRING'], password, notes])
    expect(builtIn('PASSWORD')).toEqual([password, notes])
    expect(builtIn('DATABASE')).toEqual([])
  })

  test('keeps a labelled password beside the empty built-in one', () => {
    const { fields } = read({
      category: 'LOGIN',
      fields: [{ id: 'password', label: 'password', type: 'CONCEALED', value: 'mine' }],
    })
    const passwords = fields.filter(({ label }) => label === 'password')
    expect(passwords).toHaveLength(2)
    expect(passwords[0]).toMatchObject({ id: 'password', value: 'mine' })
    expect(passwords[1]).toMatchObject({ purpose: 'PASSWORD' })
    expect(passwords[1]?.id).not.toBe('password')
    expect(passwords[1]).not.toHaveProperty('value')
  })

  test('gets the sections that only its fields name', () => {
    const { sections } = read({
      sections: [{ id: 'a', label: 'A' }, { label: 'B' }],
      fields: [
        { section: { id: 'a' }, label: 'x' },
        { section: { id: 'c', label: 'C' }, label: 'y' },
      ],
    })
    expect(sections).toEqual([
      { id: 'a', label: 'A' },
      { id: expect.stringMatching(/^[a-z2-7]{26}$/), label: 'B' },
      { id: 'c', label: 'C' },
    ])
  })

  test('with two fields of one id, or of one purpose, is refused', () => {
    expect(() => read({ fields: [{ id: 'a' }, { id: 'a' }] })).toThrow('same id')
    const notes = { purpose: 'NOTES' as const }
    expect(() =>
      read({
        fields: [
          { ...notes, id: 'a' },
          { ...notes, id: 'b' },
        ],
      }),
    ).toThrow('too many "notesPlain" fields')
  })
})

describe('a field of a request', () => {
  const types = document.components.schemas.Field.properties.type.enum
  test.each(types.filter((type) => type !== 'TOTP'))('of type %s keeps it, in any case', (type) => {
    expect(field({ type: type.toLowerCase() })?.type).toBe(type)
  })

  test('of type TOTP is an OTP', () => {
    expect(field({ type: 'TOTP' })?.type).toBe('OTP')
  })

  test('of an unknown type is refused', () => {
    expect(() => field({ type: 'NOVEL' })).toThrow('Invalid field type')
  })

  test.each([
    ['USERNAME', 'username', 'STRING'],
    ['PASSWORD', 'password', 'CONCEALED'],
    ['NOTES', 'notesPlain', 'STRING'],
  ] as const)('with purpose %s is called %s', (purpose, name, type) => {
    expect(field({ purpose, value: 'x' })).toMatchObject({ id: name, label: name, type, purpose })
  })

  test('keeps its id and gets one when it has none', () => {
    expect(field({ id: 'host name/~1' })?.id).toBe('host name/~1')
    expect(field({ id: '' })?.id).toMatch(/^[a-z2-7]{26}$/)
  })

  test('has entropy only for passwords', () => {
    expect(field({ purpose: 'PASSWORD', value: 'abc' })?.entropy).toBeGreaterThan(0)
    expect(field({ value: 'abc' })).not.toHaveProperty('entropy')
    expect(field({ purpose: 'PASSWORD' })).not.toHaveProperty('entropy')
  })

  test('is generated only when its value is empty', () => {
    expect(field({ generate: true, value: 'given' })?.value).toBe('given')
    expect(field({ generate: true, value: '' })?.value).toHaveLength(32)
    expect(field({ generate: true, recipe: { length: 5 } })?.value).toHaveLength(5)
    expect(field({ recipe: { length: 5 } })).not.toHaveProperty('value')
  })
})

describe('the shape of a request', () => {
  test.each([
    [{}, 'Invalid item category'],
    [{ category: 'FOO' }, 'Invalid item category'],
    [{ category: 'LOGIN', title: 1 }, '/title must be string'],
    [{ category: 'LOGIN', fields: [{ value: 1 }] }, '/fields/0/value must be string'],
    [{ category: 'LOGIN', fields: 'x' }, '/fields must be array'],
    [{ category: 'LOGIN', urls: [{}] }, "must have required property 'href'"],
    [{ category: 'LOGIN', fields: [{ purpose: 'X' }] }, '/fields/0/purpose'],
    [{ category: 'LOGIN', fields: [{ recipe: { length: 65 } }] }, '/fields/0/recipe/length'],
    [{ category: 'LOGIN', fields: [{ recipe: { characterSets: ['X'] } }] }, 'characterSets/0'],
    [[], 'must be object'],
    ['x', 'must be object'],
  ])('%j is refused: %s', (input, message) => {
    expect(() => assertItemInput(input)).toThrow(message)
  })

  test('is refused without quoting what was sent', () => {
    const secret = { category: 'LOGIN', fields: [{ value: ['hunter2'] }] }
    const message = () => {
      try {
        return assertItemInput(secret)
      } catch (error) {
        return (error as Error).message
      }
    }
    expect(message()).toContain('/fields/0/value must be string')
    expect(message()).not.toContain('hunter2')
  })
})
