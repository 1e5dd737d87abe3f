import { expect, test } from 'vitest'
import { pooled } from '../../../src/operator/pool.ts'

test('a text is given back as it is, however many there are', () => {
  for (let n = 0; n < 25_000; n += 1) expect(pooled(`text ${n}`)).toBe(`text ${n}`)
  expect(pooled('')).toBe('')
  expect(pooled(undefined)).toBeUndefined()
})
