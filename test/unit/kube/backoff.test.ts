import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { backoffMs } from '../../../src/kube/backoff.ts'

const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

test('the wait doubles, half of it fixed and half random', () => {
  const bounds = { firstMs: 100, maxMs: 10_000 }
  const least = [1, 2, 3, 4].map((n) => backoffMs(n, bounds, () => 0))
  const most = [1, 2, 3, 4].map((n) => backoffMs(n, bounds, () => 0.999_999))
  expect(least).toEqual([50, 100, 200, 400])
  expect(most.map(Math.round)).toEqual([100, 200, 400, 800])
})

test('no wait is longer than the maximum or shorter than half of the first', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.integer({ min: 1, max: 10_000 }),
      fc.integer({ min: 10_000, max: 10_000_000 }),
      random,
      (n, firstMs, maxMs, r) => {
        const wait = backoffMs(n, { firstMs, maxMs }, () => r)
        expect(wait).toBeGreaterThanOrEqual(firstMs / 2)
        expect(wait).toBeLessThanOrEqual(maxMs)
      },
    ),
  )
})

test('with equal luck a later wait is never shorter', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), random, (n, r) => {
      const bounds = { firstMs: 500, maxMs: 300_000 }
      const [one, two] = [n, n + 1].map((k) => backoffMs(k, bounds, () => r))
      expect(two).toBeGreaterThanOrEqual(one ?? 0)
    }),
  )
})
