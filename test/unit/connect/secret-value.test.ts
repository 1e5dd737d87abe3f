import * as fc from 'fast-check'
import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { SecretValue } from '../../../src/connect/secret-value.ts'

const CANARY = 'canary-0c4e77'

test('a value gives its bytes to the one who asks for them', () => {
  const value = SecretValue.fromText('pässword')
  expect(Buffer.from(value.reveal()).toString()).toBe('pässword')
  expect(value.byteLength).toBe(9)
})

test('bytes stay as they are', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const value = SecretValue.fromBytes(bytes)
      expect([value.reveal(), value.byteLength]).toEqual([bytes, bytes.length])
    }),
  )
})

test('half a character becomes the replacement character', () => {
  expect(Buffer.from(SecretValue.fromText('a\ud83d').reveal()).toString()).toBe('a\ufffd')
})

test.each([
  ['a template', (value: unknown) => `value: ${String(value)}`],
  ['JSON', (value: unknown) => JSON.stringify({ a: [value] })],
  ['inspection', (value: unknown) => inspect({ a: [value] }, { depth: 9, showHidden: true })],
  [
    'inspection of everything',
    (value: unknown) => inspect(value, { customInspect: false, showHidden: true, getters: true }),
  ],
  ['addition', (value: unknown) => 'a' + String(value)],
  ['a copy', (value: unknown) => JSON.stringify(structuredClone({ ...(value as object) }))],
  ['its members', (value: unknown) => Reflect.ownKeys(value as object).join(',')],
  ['an error', (value: unknown) => inspect(new Error('failed', { cause: value }))],
])('a value does not show in %s', (_what, print) => {
  const bytes = Buffer.from(CANARY)
  for (const value of [SecretValue.fromText(CANARY), SecretValue.fromBytes(bytes)]) {
    const text = print(value)
    expect(text).not.toContain(CANARY)
    expect(text).not.toContain(bytes.toString('base64'))
    expect(text).not.toContain(bytes.toString('hex'))
    expect(text).not.toContain([...bytes].join(', '))
  }
})
