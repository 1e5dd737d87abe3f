import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isLegalKey, keyOfLabel, secretNameOf } from '../../../../src/operator/plan/names.ts'
import { property } from '../../../support/property.ts'

describe('keyOfLabel', () => {
  test.each([
    ['password', 'password'],
    ['MY_KEY-1.txt', 'MY_KEY-1.txt'],
    ['-._', '-._'],
    ['my key', 'my-key'],
    ['  spaced  out  ', 'spaced-out'],
    ['a!!!b', 'a-b'],
    ['!a!', 'a'],
    ['--a b--', '--a-b--'],
    ['größe', 'gr-e'],
    ['日本語', undefined],
    ['日本a語', 'a'],
    ['👩‍👩‍👧 family', 'family'],
    ['a\u0000b', 'a-b'],
    ['a\nb', 'a-b'],
    ['', undefined],
    ['.', undefined],
    ['..', undefined],
    ['..x', undefined],
    ['é..x', undefined],
    ['. .', '.-.'],
    ['__proto__', '__proto__'],
    ['x'.repeat(253), 'x'.repeat(253)],
    ['x'.repeat(254), 'x'.repeat(253)],
    [`${'x'.repeat(252)} y`, `${'x'.repeat(252)}-`],
  ])('%j becomes %j', (label, key) => {
    expect(keyOfLabel(label)).toBe(key)
  })

  test('a label of a megabyte takes no time', () => {
    expect(keyOfLabel(`a${' '.repeat(1_000_000)}b`)).toBe('a-b')
    expect(keyOfLabel(`a${' !'.repeat(500_000)}`)).toBe('a')
    expect(keyOfLabel('\u{1F600}'.repeat(500_000))).toBeUndefined()
  })

  property(
    'any label gives a legal key or none',
    fc.property(fc.string({ unit: 'binary' }), (label) => {
      const key = keyOfLabel(label)
      return key === undefined || isLegalKey(key)
    }),
  )

  property(
    'a legal key stays as it is, and a key that was made is made again',
    fc.property(
      fc.string({ unit: fc.constantFrom('a', 'Z', '0', '-', '.', '_', ' ', 'é') }),
      (label) => {
        const key = keyOfLabel(label)
        expect(key).toBe(key === undefined ? undefined : keyOfLabel(key))
        if (isLegalKey(label)) expect(key).toBe(label)
      },
    ),
  )

  property(
    'no legal character is lost, but by the cut',
    fc.property(
      fc.string({ unit: fc.constantFrom('a', 'b', '.', ' ', '!'), maxLength: 40 }),
      (label) => {
        const key = keyOfLabel(label)
        fc.pre(key !== undefined)
        expect(key?.replaceAll('-', '')).toBe(label.replaceAll(/[ !]/g, ''))
      },
    ),
  )
})

describe('secretNameOf', () => {
  test.each([
    ['plain', 'plain'],
    ['a.b-c', 'a.b-c'],
    ['With Capitals_and.dots', 'with-capitals-and.dots'],
    ['-ends.', 'ends'],
    ['ünïcode', 'n-code'],
    ['x'.repeat(254), 'x'.repeat(253)],
    ['a..b', 'a..b'],
    ['日本', ''],
    ['', ''],
  ])('%j becomes %j', (text, name) => {
    expect(secretNameOf(text)).toBe(name)
  })
})
