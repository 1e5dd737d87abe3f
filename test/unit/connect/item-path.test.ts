import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatItemPath, parseItemPath } from '../../../src/connect/item-path.ts'
import { isKeyferryError, type KeyferryError } from '../../../src/errors.ts'

function refusal(path: string): KeyferryError {
  try {
    parseItemPath(path)
  } catch (error) {
    return error as KeyferryError
  }
  throw new Error('it was accepted')
}

test.each([
  ['vaults/Production/items/Database', 'Production', 'Database'],
  ['op://Production/Database', 'Production', 'Database'],
  ['vaults/items/items/vaults', 'items', 'vaults'],
  ['op://My Vault / My Item ', 'My Vault ', ' My Item '],
  ['vaults/Ünïcode/items/名前 🔑', 'Ünïcode', '名前 🔑'],
  ['op://../..', '..', '..'],
  ['op://a/b?attribute=otp', 'a', 'b?attribute=otp'],
  ['vaults/%2e%2e/items/a%2Fb', '%2e%2e', 'a%2Fb'],
])('%s names a vault and an item', (path, vault, item) => {
  expect(parseItemPath(path)).toEqual({ vault, item })
})

test.each([
  '',
  '/',
  'Database',
  'op://',
  'op://Production',
  'op://Production/',
  'op:///Database',
  'op://Production/Database/password',
  'OP://Production/Database',
  'vaults/Production/Database',
  'vaults//items/Database',
  'vaults/Production/items/',
  'vaults/Production/items/Database/',
  'vaults/Production/items/a/b',
  '/vaults/Production/items/Database',
  'Vaults/Production/items/Database',
  'items/Database/vaults/Production',
])('"%s" is refused with the way to write it', (path) => {
  const error = refusal(path)
  expect(error).toMatchObject({ code: 'PATH_INVALID', retry: 'on-change' })
  expect(error.remedy).toContain('vaults/<vault>/items/<item>')
})

test('a path of more than 2048 characters is refused and quoted in part', () => {
  const prefix = 'op://a/'
  expect(parseItemPath(prefix + 'x'.repeat(2_041)).item).toHaveLength(2_041)
  const { message } = refusal(prefix + 'x'.repeat(2_042))
  expect(message).toContain('too long')
  expect(message.length).toBeLessThan(150)
})

test('a path that is quoted in part is cut between characters', () => {
  const { message } = refusal('🔑'.repeat(2_000) + 'x')
  expect(message.isWellFormed()).toBe(true)
  expect(refusal('x' + '🔑'.repeat(2_000)).message.isWellFormed()).toBe(true)
})

test.each([
  '\n',
  '\u0000',
  '\u001b[2J',
  '\u007f',
  '\u0085',
  '\u202e',
  '\u2028',
  '\u2066',
  '\u061c',
])('a path with %j is refused and not quoted, however long', (control) => {
  for (const path of [`op://a/${control}b`, `op://${control}${'x'.repeat(3_000)}`]) {
    const error = refusal(path)
    expect(error.code).toBe('PATH_INVALID')
    expect(error.message).not.toContain(control)
  }
})

const pieces = fc.oneof(
  fc.constantFrom('vaults', 'items', 'op:', '', '/', '//', 'op://', '..', '\u0000', '\u202e', ' '),
  fc.string({ unit: 'binary' }),
)

test('any text is either two names without slashes, or refused', () => {
  const text = fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join('/'))
  fc.assert(
    fc.property(fc.oneof(text, fc.string({ unit: 'binary' })), (path) => {
      let outcome: unknown
      try {
        const { vault, item } = parseItemPath(path)
        outcome = [vault, item].every((name) => name !== '' && !name.includes('/'))
      } catch (error) {
        outcome = isKeyferryError(error, 'PATH_INVALID')
      }
      expect(outcome).toBe(true)
    }),
    { numRuns: 1_000 },
  )
})

test('names that are written in either form are read again as they are', () => {
  const name = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
    .filter((text) => !/[/\p{Cc}\p{Cf}\u2028\u2029]/u.test(text))
  fc.assert(
    fc.property(name, name, (vault, item) => {
      expect(parseItemPath(formatItemPath(vault, item))).toEqual({ vault, item })
      expect(parseItemPath(`op://${vault}/${item}`)).toEqual({ vault, item })
    }),
  )
})
