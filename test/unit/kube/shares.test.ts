import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createShares, type Share } from '../../../src/kube/shares.ts'

/** Starts as many runs as are let. */
function grab(shares: ReturnType<typeof createShares>, name: string): Share[] {
  const held: Share[] = []
  while (shares.mayStart(name)) held.push(shares.start(name))
  return held
}

test('whoever is alone takes half of the workers, the next half of the rest', () => {
  const shares = createShares(32)
  const taken = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => grab(shares, name).length)
  expect(taken).toEqual([16, 8, 4, 2, 1, 1])
  expect(shares.mayStart('g')).toBe(false)
})

test('one worker is for everybody', () => {
  const shares = createShares(1)
  const [share] = grab(shares, 'a')
  expect(shares.mayStart('b')).toBe(false)
  if (share) shares.end(share)
  expect(shares.mayStart('b')).toBe(true)
})

test('never do more run than there are workers, and in the end all are free again', () => {
  const names = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 100 })
  fc.assert(
    fc.property(names, fc.integer({ min: 1, max: 40 }), (wishes, workers) => {
      const shares = createShares(workers)
      const running: Share[] = []
      for (const name of wishes) {
        if (shares.mayStart(name)) running.push(shares.start(name))
        else if (running.length > 0) shares.end(running.shift() as Share)
        expect(running.length).toBeLessThanOrEqual(workers)
      }
      for (const share of running) shares.end(share)
      expect(grab(shares, 'z')).toHaveLength(Math.ceil(workers / 2))
    }),
  )
})
