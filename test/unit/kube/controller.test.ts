import { expect, test } from 'vitest'
import { type Reconcile, runController } from '../../../src/kube/controller.ts'
import { createQueue } from '../../../src/kube/queue.ts'
import { createVirtualClock, settled } from '../../support/virtual-clock.ts'

function aController(reconcile: Reconcile, workers = 2) {
  const clock = createVirtualClock()
  const backoff = { firstMs: 1_000, maxMs: 8_000 }
  // Each key is a group of its own.
  const groupOf = (key: string) => key
  const queue = createQueue({ clock, random: () => 0, priorities: 1, backoff, groupOf, workers })
  const stop = new AbortController()
  const crashes: string[] = []
  const onCrash = (key: string, error: unknown) => crashes.push(`${key}: ${String(error)}`)
  const ended = runController({ queue, reconcile, onCrash }, stop.signal)
  return { clock, queue, stop, crashes, ended }
}

test('a controller works at most so many keys at the same time', async () => {
  let running = 0
  let most = 0
  const finish: (() => void)[] = []
  const { queue, stop, ended } = aController(async () => {
    running += 1
    most = Math.max(most, running)
    await new Promise<void>((resolve) => finish.push(resolve))
    running -= 1
    return { kind: 'forget' }
  })
  for (const key of ['a', 'b', 'c']) queue.add(key)
  await settled()
  expect([running, most, queue.waiting]).toEqual([2, 2, 1])
  finish.shift()?.()
  await settled()
  expect([running, most, queue.waiting]).toEqual([2, 2, 0])
  stop.abort()
  for (const one of finish) one()
  await ended
})

test('a run that throws is told, and repeated with a back-off', async () => {
  let runs = 0
  const { clock, queue, crashes } = aController(() => {
    runs += 1
    throw new Error('defect')
  })
  queue.add('a')
  await clock.advance(0)
  expect([runs, crashes]).toEqual([1, ['a: Error: defect']])
  await clock.advance(500)
  expect(runs).toBe(2)
  await clock.advance(999)
  expect(runs).toBe(2)
  await clock.advance(1)
  expect([runs, queue.failures('a')]).toEqual([3, 3])
})

test('a stopped controller lets runs end, starts no others and tells no crash', async () => {
  let fail: ((error: Error) => void) | undefined
  const { queue, stop, ended, crashes } = aController(
    () => new Promise((_resolve, reject) => (fail = reject)),
    1,
  )
  queue.add('a')
  queue.add('b')
  await settled()
  stop.abort()
  let over = false
  void ended.then(() => (over = true))
  await settled()
  expect(over).toBe(false)
  fail?.(new Error('aborted'))
  await ended
  expect([crashes, queue.waiting]).toEqual([[], 1])
})
