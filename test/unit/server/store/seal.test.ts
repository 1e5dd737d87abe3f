import { createCipheriv } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SecretValue } from '../../../../src/connect/secret-value.ts'
import { keyDeriver, SEAL_OVERHEAD, sealedBy, sealKey } from '../../../../src/server/store/seal.ts'

const aKey = (byte: number) => sealKey(SecretValue.fromBytes(Buffer.alloc(32, byte)))
const key = aKey(1)
const bytes = fc.uint8Array({ maxLength: 300 })

describe('the derivation of record keys', () => {
  // Source: C2SP, XAES-256-GCM, test vectors
  test.each([
    [1, '', 'ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271'],
    [3, 'c2sp.org/XAES-256-GCM', '986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d'],
  ])('is that of XAES-256-GCM for a key of bytes %i', (byte, context, expected) => {
    const nonce = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWX')
    const derived = keyDeriver(Buffer.alloc(32, byte))(nonce)
    const cipher = createCipheriv('aes-256-gcm', derived, nonce.subarray(12))
    cipher.setAAD(Buffer.from(context))
    const body = Buffer.concat([cipher.update('XAES-256-GCM'), cipher.final()])
    expect(Buffer.concat([body, cipher.getAuthTag()]).toString('hex')).toBe(expected)
  })
})

describe('a sealed record', () => {
  test('opens under the same key and context', () => {
    fc.assert(
      fc.property(bytes, fc.string(), (plain, context) => {
        const sealed = key.seal(plain, context)
        expect(sealed.length).toBe(plain.length + SEAL_OVERHEAD)
        expect(sealedBy(sealed)).toBe(key.id)
        expect(key.open(sealed, context)).toEqual(Buffer.from(plain))
      }),
    )
  })

  test('opens under no other key and no other context', () => {
    const sealed = key.seal(Buffer.from('secret'), 'item\0v\0i\x001')
    expect(aKey(2).open(sealed, 'item\0v\0i\x001')).toBeUndefined()
    for (const context of ['item\0v\0i\x002', 'item\0w\0i\x001', 'item\0v\0j\x001', '']) {
      expect(key.open(sealed, context)).toBeUndefined()
    }
  })

  test('opens after no change of any bit', () => {
    const sealed = key.seal(Buffer.from('a secret of some length'), 'c')
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = Buffer.from(sealed)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(key.open(changed, 'c')).toBeUndefined()
    }
  })

  test('opens at no other length', () => {
    const sealed = key.seal(Buffer.from('secret'), 'c')
    for (let length = 0; length < sealed.length; length++) {
      expect(key.open(sealed.subarray(0, length), 'c')).toBeUndefined()
    }
    expect(key.open(Buffer.concat([sealed, Buffer.alloc(1)]), 'c')).toBeUndefined()
  })

  test('is different every time, and so is its fingerprint', () => {
    const [one, two] = [key.seal(Buffer.from('x'), 'c'), key.seal(Buffer.from('x'), 'c')]
    expect(one).not.toEqual(two)
    expect(key.fingerprint(one, 'c')).not.toEqual(key.fingerprint(two, 'c'))
    expect(key.fingerprint(one, 'c')).toEqual(key.fingerprint(one, 'c'))
    expect(key.fingerprint(one, 'd')).not.toEqual(key.fingerprint(one, 'c'))
    expect(aKey(2).fingerprint(one, 'c')).not.toEqual(key.fingerprint(one, 'c'))
  })

  test('shows nothing of its content', () => {
    const sealed = key.seal(Buffer.from('canary '.repeat(50)), 'c')
    expect(sealed.includes('canary')).toBe(false)
  })
})
