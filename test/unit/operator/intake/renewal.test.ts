/** That work begins on resources as they are, however long a process has waited for its turn. */
import { expect, test } from 'vitest'
import { createRenewal } from '../../../../src/operator/intake/renewal.ts'
import type { WatchEvent } from '../../../../src/kube/watch.ts'
import { createVirtualClock, settled } from '../../../support/virtual-clock.ts'

const SYNCED: WatchEvent<never> = { kind: 'synced', resourceVersion: '1' }

/** A collection that is watched; `answer` completes the list that was begun last. */
function aWatch() {
  const clock = createVirtualClock()
  const renewal = createRenewal(clock)
  const stop = new AbortController()
  let lists = 0
  let answer = () => {}
  const ended = renewal.run<never>(
    (onEvent, signal) => {
      lists += 1
      onEvent({ kind: 'listing' })
      answer = () => onEvent(SYNCED)
      return new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve())
      })
    },
    () => {},
    stop.signal,
  )
  return { clock, renewal, stop, ended, lists: () => lists, answer: () => answer() }
}

/** Whether a renewal has ended by now. */
function watched(renewed: Promise<void>): () => boolean {
  let over = false
  void renewed.then(() => (over = true))
  return () => over
}

const LIVE = new AbortController().signal

test('a process that has just listed everything begins at once', async () => {
  const { renewal, answer, lists } = aWatch()
  answer()
  await renewal.renew(LIVE)
  expect(lists()).toBe(1)
})

test('one that has waited lists again first, once for all who ask', async () => {
  const { clock, renewal, answer, lists } = aWatch()
  answer()
  await clock.advance(60_000)
  const both = [watched(renewal.renew(LIVE)), watched(renewal.renew(LIVE))]
  await settled()
  expect([lists(), ...both.map((isOver) => isOver())]).toEqual([2, false, false])
  answer()
  await settled()
  expect(both.map((isOver) => isOver())).toEqual([true, true])
})

test('what cannot be listed holds up everything else for fifteen seconds and no longer', async () => {
  const { clock, renewal } = aWatch()
  const isOver = watched(renewal.renew(LIVE))
  await clock.advance(14_000)
  expect(isOver()).toBe(false)
  await clock.advance(1_000)
  expect(isOver()).toBe(true)
})

test('ends with its signal', async () => {
  const { stop, ended, lists } = aWatch()
  stop.abort()
  await ended
  expect(lists()).toBe(1)
})
