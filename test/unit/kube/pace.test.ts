import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createPace } from '../../../src/kube/pace.ts'
import { createVirtualClock } from '../../support/virtual-clock.ts'

test('no minute holds more turns than allowed, whoever asks and how often', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 100 }),
      fc.array(fc.nat(5_000), { minLength: 1, maxLength: 200 }),
      async (perMinute, gaps) => {
        const clock = createVirtualClock()
        const pace = createPace(clock, perMinute)
        const taken: number[] = []
        for (const gap of gaps) {
          await clock.advance(gap)
          if (pace.take() === 0) taken.push(clock.now())
        }
        for (const from of taken) {
          const inMinute = taken.filter((at) => at >= from && at < from + 60_000)
          expect(inMinute.length).toBeLessThanOrEqual(perMinute)
        }
      },
    ),
    { numRuns: 30 },
  )
})

test('a refused turn says how long to wait, and that is enough', async () => {
  const clock = createVirtualClock()
  const pace = createPace(clock, 60)
  expect(pace.take()).toBe(0)
  await clock.advance(300)
  const wait = pace.take()
  expect(wait).toBe(700)
  await clock.advance(wait)
  expect(pace.take()).toBe(0)
})

test('without a limit every turn is free', () => {
  const pace = createPace(createVirtualClock(), Number.POSITIVE_INFINITY)
  expect([pace.take(), pace.take(), pace.take()]).toEqual([0, 0, 0])
})
