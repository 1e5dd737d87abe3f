import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isLegalKey, keyOfLabel } from '../../../../src/operator/plan/names.ts'

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

  test('any label gives a legal key or none', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (label) => {
        const key = keyOfLabel(label)
        return key === undefined || isLegalKey(key)
      }),
      { numRuns: 2_000 },
    )
  })

  test('a legal key stays as it is', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[-._a-zA-Z0-9]{1,40}$/), (label) => {
        return !isLegalKey(label) || keyOfLabel(label) === label
      }),
    )
  })
})
