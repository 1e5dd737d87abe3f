import { expect, test } from 'vitest'
import { KeyferryError } from '../../../../src/errors.ts'
import type { Catalog } from '../../../../src/operator/intake/catalog.ts'
import { runPoll } from '../../../../src/operator/intake/poll.ts'
import { createVirtualClock } from '../../../support/virtual-clock.ts'

const INTERVAL_MS = 30_000

/** Polls within `ms` of a Connect server that fails and asks to be asked again after `retryAfterMs`. */
async function pollsIn(ms: number, retryAfterMs: number | undefined): Promise<number> {
  const clock = createVirtualClock()
  const ended = new AbortController()
  let polls = 0
  const error = new KeyferryError('CONNECT_BAD_ANSWER', {
    message: 'no Connect server',
    remedy: 'None.',
    retry: 'soon',
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })
  const catalog: Catalog = {
    resolve: () => Promise.reject(error),
    peek: () => undefined,
    refresh: () => {
      polls += 1
      return Promise.reject(error)
    },
    outage: () => undefined,
    outages: () => new Map(),
  }
  const running = runPoll(
    {
      catalog,
      lanes: [],
      clock,
      random: () => 0.5,
      intervalMs: INTERVAL_MS,
      staleMs: [],
      onPoll: () => {},
      onCrash: (cause) => expect.fail(String(cause)),
    },
    ended.signal,
  )
  await clock.advance(ms)
  ended.abort()
  await running
  return polls
}

test.each([
  ['none', undefined, 3],
  ['one that has come', 0, 61],
  ['one within the interval', 5_000, 13],
  ['one beyond the interval', 300_000, 3],
])(
  'a Connect server that fails and names a time, %s, is polled then, once a second at most',
  async (_what, asked, polls) => {
    expect(await pollsIn(60_000, asked)).toBe(polls)
  },
)
