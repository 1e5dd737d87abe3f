import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { rowAfter, scrollTo, spanOf } from '../../../../src/status/page/rows.ts'

const sights = fc.record({
  count: fc.nat(10_000),
  height: fc.integer({ min: 10, max: 100 }),
  top: fc.nat(1_000_000),
  visible: fc.integer({ min: 1, max: 2_000 }),
})

test('all that is in sight is there, little else, and the table is as high as with all', () => {
  fc.assert(
    fc.property(sights, (sight) => {
      const { count, height, visible } = sight
      // A browser scrolls no further.
      const top = Math.min(sight.top, Math.max(0, count * height - visible))
      const { first, end, above, below } = spanOf({ ...sight, top })
      expect(first * height).toBeLessThanOrEqual(top)
      expect(end).toBe(Math.min(count, end))
      expect(end * height).toBeGreaterThanOrEqual(Math.min(top + visible, count * height))
      expect(above + (end - first) * height + below).toBe(count * height)
      expect(end - first).toBeLessThanOrEqual(Math.ceil(visible / height) + 18)
    }),
  )
})

test('a table that shrank while it was scrolled is shown to its end', () => {
  const { first, end, above, below } = spanOf({ count: 3, height: 40, top: 4_000, visible: 400 })
  expect({ first, end, above, below }).toEqual({ first: 3, end: 3, above: 120, below: 0 })
})

test.each([
  ['ArrowDown', 5, 6],
  ['ArrowDown', 99, 99],
  ['ArrowUp', 0, 0],
  ['PageDown', 95, 99],
  ['PageUp', 30, 20],
  ['Home', 50, 0],
  ['End', 50, 99],
  ['x', 50, undefined],
])('%s leads from row %i to %s of 100', (key, at, wanted) => {
  expect(rowAfter(key, at, { count: 100, page: 10 })).toBe(wanted)
})

test.each([
  [0, 200, 0],
  [10, 200, 300],
  [6, 200, 200],
])('row %i is in sight when scrolled from %i to %i', (row, top, wanted) => {
  expect(scrollTo(row, { height: 50, top, visible: 250 })).toBe(wanted)
})
