/** What the status page costs: bytes for who looks, memory for the operator. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { bundlePage } from '../../../.ci/bundle.mjs'
import { createViews } from '../../../src/operator/intake/views.ts'
import type { SecretWrite } from '../../../src/operator/plan/types.ts'
import { createFeed } from '../../../src/status/feed.ts'
import { createJournal } from '../../../src/status/journal.ts'
import type { Health } from '../../../src/status/model.ts'
import { aClaim, aSnapshot } from '../../builders/snapshot.ts'
import { createVirtualClock } from '../../support/virtual-clock.ts'

const MOST_BYTES = 100 * 1024
const MOST_MEMORY = 5 * 1024 * 1024
const RESOURCES = 5_000

test('the page weighs less than 100 KB, compressed, and names no other origin', async () => {
  const { assets } = await bundlePage()
  const texts = Object.values(assets).map(({ text }) => text)
  const bytes = texts.reduce((sum, text) => sum + gzipSync(text).length, 0)
  expect(bytes).toBeLessThan(MOST_BYTES)
  expect(bytes).toBeGreaterThan(5_000)
  const named = texts.flatMap((text) => [...text.matchAll(/(?:https?:)?\/\/[\w.]+/g)])
  // Names of XML, which nobody asks for.
  expect(named.map(([url]) => url).filter((url) => url !== 'http://www.w3.org')).toEqual([])
  // Nothing that the policy of the page would forbid.
  expect(assets['/']?.text).not.toMatch(/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=/)
})

/** Bytes of the heap that are in use. */
function heap(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  collect()
  return process.memoryUsage().heapUsed
}

test('full histories and three readers of 5,000 resources take less than 5 MB', () => {
  const views = createViews()
  const claims = Array.from({ length: RESOURCES }, (_, n) =>
    aClaim({ metadata: { name: `resource-${n}`, uid: `u${n}`, resourceVersion: `${n + 1}` } }),
  )
  for (const claim of claims) views.claims.observe(claim)
  const before = heap()
  const clock = createVirtualClock()
  const journal = createJournal(clock)
  const feed = createFeed({ views, journal, clock, health: () => ({}) as Health, advice: {} })
  const readers = [1, 2, 3].map(() => feed.join(() => true))
  const secret = { kind: 'replace' } as SecretWrite
  const plan = { secret, events: [], repair: false, outcome: { kind: 'settled' } } as const
  // More than is kept, so that it is full.
  for (const claim of [...claims, ...claims]) journal.witness.outcome(aSnapshot({ claim }), plan)
  const taken = heap() - before
  expect(taken).toBeGreaterThan(0)
  expect(taken).toBeLessThan(MOST_MEMORY)
  for (const reader of readers) reader.leave()
})
