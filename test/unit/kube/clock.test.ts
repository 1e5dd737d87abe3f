import { expect, test } from 'vitest'
import { sleep, systemClock } from '../../../src/kube/clock.ts'
import { createVirtualClock } from '../../support/virtual-clock.ts'

test('a sleep ends after its time', async () => {
  const clock = createVirtualClock()
  let awake = false
  const asleep = sleep(clock, 1_000, new AbortController().signal).then(() => (awake = true))
  await clock.advance(999)
  expect(awake).toBe(false)
  await clock.advance(1)
  await asleep
  expect(clock.timers).toEqual([])
})

test('a sleep ends at once, and leaves no timer, when its signal aborts', async () => {
  const clock = createVirtualClock()
  const stop = new AbortController()
  const asleep = sleep(clock, 1_000, stop.signal)
  stop.abort()
  await asleep
  expect(clock.timers).toEqual([])
})

test('a sleep under an aborted signal does not begin', async () => {
  const clock = createVirtualClock()
  await sleep(clock, 1_000, AbortSignal.abort())
  expect(clock.timers).toEqual([])
})

test('the clock of the machine runs timers, forwards on both scales', async () => {
  const [now, wall] = [systemClock.now(), systemClock.wall()]
  await new Promise<void>((resolve) => void systemClock.timer(2, resolve))
  expect(systemClock.now()).toBeGreaterThan(now)
  expect(systemClock.wall()).toBeGreaterThanOrEqual(wall)
})

test('a timer that is taken back does not run', async () => {
  let ran = false
  systemClock.timer(0, () => (ran = true))()
  await new Promise<void>((resolve) => void systemClock.timer(5, resolve))
  expect(ran).toBe(false)
})

test('a timer further away than the machine can count does not run at once', async () => {
  let ran = false
  const cancel = systemClock.timer(Number.POSITIVE_INFINITY, () => (ran = true))
  await new Promise<void>((resolve) => void systemClock.timer(10, resolve))
  cancel()
  expect(ran).toBe(false)
})
