import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isKeyferryError } from '../../../../src/errors.ts'
import { applyPipe, isPipe, type Pipe, PIPES } from '../../../../src/operator/plan/pipes.ts'
import { property } from '../../../support/property.ts'

const through = (pipe: Pipe, bytes: Uint8Array | string) =>
  Buffer.from(applyPipe(pipe, Buffer.from(bytes)))

test.each([
  ['base64', 'app', 'YXBw'],
  ['base64', '', ''],
  ['base64decode', 'YXBw', 'app'],
  ['base64decode', ' YX\nBw== ', 'app'],
  ['base64decode', '_-8', Buffer.from([0xff, 0xef])],
  ['urlencode', 'p@ss/w rd"', 'p%40ss%2Fw%20rd%22'],
  ['urlencode', 'aZ09-._~', 'aZ09-._~'],
  ['urlencode', 'ü', '%C3%BC'],
  ['json', 'a"b\n', '"a\\"b\\n"'],
  ['json', '', '""'],
  ['trim', ' \t\r\n\v\fa b\n', 'a b'],
  ['trim', '\u00a0a', '\u00a0a'],
  ['trim', ' \n', ''],
] as const)('%s makes of %j %j', (pipe, value, expected) => {
  expect(through(pipe, value)).toEqual(Buffer.from(expected))
})

test.each([
  ['base64decode', 'not base64!'],
  ['base64decode', 'a=b'],
  ['json', Buffer.from([0xff])],
] as const)('%s refuses %j without quoting it', (pipe, value) => {
  let thrown: unknown
  try {
    through(pipe, value)
  } catch (error) {
    thrown = error
  }
  expect(isKeyferryError(thrown, 'VALUE_UNFIT')).toBe(true)
  expect(String(thrown)).not.toContain('not base64!')
})

test('the list of pipes is closed', () => {
  expect(PIPES).toEqual(['base64', 'base64decode', 'urlencode', 'json', 'trim'])
  expect(['toString', 'constructor', '', 'Trim'].some(isPipe)).toBe(false)
})

describe('any bytes', () => {
  const bytes = fc.uint8Array({ maxLength: 40 })

  property(
    'come back from base64',
    fc.property(bytes, (given) => {
      expect(through('base64decode', through('base64', given))).toEqual(Buffer.from(given))
    }),
  )

  property(
    'are read back from a URL',
    fc.property(bytes, (given) => {
      const text = through('urlencode', given).toString('latin1')
      expect(text).toMatch(/^(?:[\w.~-]|%[0-9A-F]{2})*$/)
      const read = text.replaceAll(/%(..)/g, (_all, hex) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      )
      expect(Buffer.from(read, 'latin1')).toEqual(Buffer.from(given))
    }),
  )

  property(
    'that are a text come back from JSON',
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      expect(JSON.parse(through('json', text).toString())).toBe(text)
    }),
  )

  property(
    'lose nothing but space at their ends',
    fc.property(bytes, (given) => {
      const trimmed = through('trim', given)
      expect(Buffer.from(given).includes(trimmed)).toBe(true)
      expect(through('trim', trimmed)).toEqual(trimmed)
    }),
  )
})
