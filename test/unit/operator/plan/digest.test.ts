import { describe, expect, test } from 'vitest'
import {
  contentDigest,
  digestKey,
  keyIdOf,
  ownerMark,
  verifiedOwner,
} from '../../../../src/operator/plan/digest.ts'
import { aData } from '../../../builders/snapshot.ts'

const key = digestKey(Buffer.alloc(32, 7))
const other = digestKey(Buffer.alloc(32, 8))
const input = { namespace: 'ns', name: 'secret', type: 'Opaque', data: aData({ a: '1', b: '2' }) }

describe('contentDigest', () => {
  test('is the same for the same content in another order', () => {
    const data = aData({ b: '2', a: '1' })
    expect(contentDigest(key, { ...input, data })).toBe(contentDigest(key, input))
  })

  test.each([
    ['namespace', { namespace: 'other' }],
    ['name', { name: 'other' }],
    ['type', { type: 'kubernetes.io/tls' }],
    ['value', { data: aData({ a: '1', b: '3' }) }],
    ['key', { data: aData({ a: '1', c: '2' }) }],
    ['moved boundary', { data: aData({ a: '1b', '': '2' }) }],
    ['missing key', { data: aData({ a: '1' }) }],
  ])('differs with another %s', (_what, change) => {
    expect(contentDigest(key, { ...input, ...change })).not.toBe(contentDigest(key, input))
  })

  test('differs under another key, and names the key', () => {
    expect(keyIdOf(contentDigest(key, input))).toBe(key.id)
    expect(keyIdOf(contentDigest(other, input))).toBe(other.id)
    expect(keyIdOf(undefined)).toBeUndefined()
  })

  test('cannot be computed from the content and the name of the key', () => {
    const namesake = { ...other, id: key.id }
    expect(contentDigest(namesake, input)).not.toBe(contentDigest(key, input))
  })
})

describe('ownerMark', () => {
  test('proves the owner of that Secret in that namespace under that key', () => {
    const mark = ownerMark(key, 'ns', 'secret', 'OnePasswordItem/a')
    expect(verifiedOwner(key, 'ns', 'secret', mark)).toBe('OnePasswordItem/a')
    expect(verifiedOwner(other, 'ns', 'secret', mark)).toBeUndefined()
    expect(verifiedOwner(key, 'ns2', 'secret', mark)).toBeUndefined()
    expect(verifiedOwner(key, 'ns', 'secret2', mark)).toBeUndefined()
  })

  test.each([undefined, '', 'OnePasswordItem/a', 'OnePasswordItem/a x', 'a b c'])(
    '%j proves nothing',
    (mark) => {
      expect(verifiedOwner(key, 'ns', 'secret', mark)).toBeUndefined()
    },
  )
})
