import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isKeyferryError, type KeyferryError } from '../../../../src/errors.ts'
import { PIPES } from '../../../../src/operator/plan/pipes.ts'
import { parseReference, parseText } from '../../../../src/operator/plan/reference.ts'
import { property } from '../../../support/property.ts'

function refusal(text: string): KeyferryError {
  try {
    parseText(text)
  } catch (error) {
    return error as KeyferryError
  }
  throw new Error('it was accepted')
}

const reference = { vault: 'v', item: 'i', section: undefined, field: 'f' }
const plain = { attribute: undefined, openSsh: false }

describe('a reference', () => {
  test.each([
    ['op://v/i/f', { ...reference, ...plain }],
    ['op://v/i/s/f', { ...reference, section: 's', ...plain }],
    ['op://v/i/f?attribute=content', { ...reference, attribute: 'content', openSsh: false }],
    ['op://v/i/f?attribute=type', { ...reference, attribute: 'type', openSsh: false }],
    ['op://v/i/f?ssh-format=openssh', { ...reference, attribute: undefined, openSsh: true }],
    ['op://v/i/is it?', { ...reference, field: 'is it?', ...plain }],
    ['op://v/i/a?b=c', { ...reference, field: 'a?b=c', ...plain }],
    ['op://My Vault/My Item/My Field', { vault: 'My Vault', item: 'My Item', field: 'My Field' }],
    ['op://v/i/constructor', { ...reference, field: 'constructor', ...plain }],
  ])('%s names a value', (text, expected) => {
    expect(parseReference(text)).toMatchObject(expected)
    expect(parseText(text)).toMatchObject([{ kind: 'reference', reference: expected, pipes: [] }])
  })

  test.each([
    'op://v/i',
    'op://v/i/',
    'op://v//f',
    'op:///i/f',
    'op://v/i/s/f/more',
    'op://v/i/f?attribute=color',
    'op://v/i/f?attribute=',
    'op://v/i/f?ssh-format=pem',
    'op://v/i/f?attribute=value&more=x',
    '{{ }}',
    '{{ v/i/f }}',
    '{{ op://v/i/f',
    '{{ op://v/i/f | }}',
    '{{ op://v/i/f | upper }}',
    '{{ op://v/i/f | toString }}',
    '{{ if true }}',
  ])('%s is refused with the way to write it', (text) => {
    const error = refusal(text)
    expect(error).toMatchObject({ code: 'REFERENCE_INVALID', retry: 'on-change' })
    expect(error.remedy).toContain('op://vault/item/field')
  })

  test.each(['op://v/i/f?attribute=otp', 'a{{ op://v/i/f?attribute=otp }}b'])(
    '%s would change all the time and is refused',
    (text) => expect(refusal(text).code).toBe('REFERENCE_VOLATILE'),
  )

  test('that is long is quoted in part, because it may be a value that was mistaken for one', () => {
    expect(refusal(`{{ ${'x'.repeat(5_000)} }}`).message.length).toBeLessThan(250)
  })
})

describe('a text', () => {
  const value = { kind: 'reference', reference: { ...reference, ...plain } } as const

  test.each([
    ['', [{ kind: 'literal', text: '' }]],
    ['git', [{ kind: 'literal', text: 'git' }]],
    [' op://v/i/f', [{ kind: 'literal', text: ' op://v/i/f' }]],
    ['{{op://v/i/f}}', [{ ...value, pipes: [] }]],
    [
      'a{{ op://v/i/f | trim|base64 }}b',
      [
        { kind: 'literal', text: 'a' },
        { ...value, pipes: ['trim', 'base64'] },
        { kind: 'literal', text: 'b' },
      ],
    ],
    ['\\{{ x }}', [{ kind: 'literal', text: '{{ x }}' }]],
    ['}} { \\ \\{', [{ kind: 'literal', text: '}} { \\ \\{' }]],
    ['\\\\{{ x }}', [{ kind: 'literal', text: '\\{{ x }}' }]],
  ])('%j has these parts', (text, parts) => {
    expect(parseText(text)).toEqual(parts)
  })

  property(
    'without braces that does not begin with op:// is taken as it is',
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      fc.pre(!text.includes('{{') && !text.startsWith('op://'))
      expect(parseText(text)).toEqual([{ kind: 'literal', text }])
    }),
  )

  property(
    'may hold any literal, when its braces are marked',
    fc.property(fc.string({ unit: fc.constantFrom('{', '}', 'a', ' ', '|') }), (text) => {
      const marked = text.replaceAll('{{', '\\{{')
      fc.pre(!marked.startsWith('op://'))
      expect(parseText(marked)).toEqual([{ kind: 'literal', text }])
    }),
  )

  const piece = fc.oneof(
    fc.constantFrom('{{', '}}', '\\{{', 'op://', 'v/i/f', ' | ', '?attribute=', '?ssh-format='),
    fc.constantFrom(...PIPES, 'otp', 'openssh', '/', '', '&'),
    fc.string({ unit: 'binary', maxLength: 4 }),
  )

  property(
    'of any kind either has parts or is refused with a code of ours',
    fc.property(fc.array(piece, { maxLength: 10 }), (pieces) => {
      try {
        expect(parseText(pieces.join('')).length).toBeGreaterThan(0)
      } catch (error) {
        expect(
          isKeyferryError(error, 'REFERENCE_INVALID') ||
            isKeyferryError(error, 'REFERENCE_VOLATILE'),
        ).toBe(true)
      }
    }),
  )
})
