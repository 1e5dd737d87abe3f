import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createDelays } from '../../../src/kube/delays.ts'
import { createVirtualClock } from '../../support/virtual-clock.ts'

test('things come out when they are due, the earliest first', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(1_000), { maxLength: 50 }), async (dues) => {
      const clock = createVirtualClock()
      const out: number[] = []
      const delays = createDelays<number>(clock, (thing, due) => {
        expect(clock.now()).toBe(thing)
        expect(due).toBe(thing)
        out.push(thing)
      })
      for (const due of dues) delays.add(due, due)
      await clock.advance(1_000)
      expect(out).toEqual(dues.toSorted((a, b) => a - b))
    }),
  )
})

test('a thing added while another comes out has its own time', async () => {
  const clock = createVirtualClock()
  const out: string[] = []
  const delays = createDelays<string>(clock, (thing) => {
    out.push(`${thing} at ${clock.now()}`)
    if (thing === 'first') {
      delays.add('at once', clock.now())
      delays.add('later', 250)
    }
  })
  delays.add('first', 100)
  delays.add('last', 300)
  await clock.advance(300)
  expect(out).toEqual(['first at 100', 'at once at 100', 'later at 250', 'last at 300'])
})

test('however many things wait, one timer is set', () => {
  const clock = createVirtualClock()
  const delays = createDelays<number>(clock, () => {})
  for (const due of [300, 200, 100, 400]) delays.add(due, due)
  expect(clock.timers).toEqual([100])
})

test('a timer that fires too early loses nothing', () => {
  let now = 0
  const armed: { ms: number; run: () => void }[] = []
  const out: string[] = []
  const clock = {
    now: () => now,
    wall: () => now,
    timer: (ms: number, run: () => void) => {
      armed.push({ ms, run })
      return () => {}
    },
  }
  createDelays<string>(clock, (thing) => out.push(thing)).add('thing', 100)
  now = 99.5
  armed[0]?.run()
  expect(out).toEqual([])
  now = 100
  armed[1]?.run()
  expect(out).toEqual(['thing'])
})
