import { expect, test } from 'vitest'
import { createViews } from '../../../src/operator/intake/views.ts'
import { parseNamespace, parseSecretMeta } from '../../../src/operator/objects.ts'
import { parseWorkload } from '../../../src/operator/plan/workload.ts'
import { createFeed } from '../../../src/status/feed.ts'
import { createJournal } from '../../../src/status/journal.ts'
import type { Change, Health, Snapshot } from '../../../src/status/model.ts'
import { aClaim } from '../../builders/snapshot.ts'
import { createVirtualClock } from '../../support/virtual-clock.ts'

const HEALTH: Health = {
  version: '1.2.3',
  installation: 'keyferry/keyferry',
  shadow: false,
  phase: 'working',
  poll: { everyMs: 30_000 },
  waiting: {},
  now: 0,
}
const LONG_MS = 5_000
const GATHER_MS = 250

type Told =
  | { readonly event: 'snapshot'; readonly data: Snapshot }
  | { readonly event: 'change'; readonly data: Change }

function parse(text: string): Told {
  const [, event, data = ''] = /^event: (\w+)\ndata: (.*)\n\n$/.exec(text) ?? []
  return { event, data: JSON.parse(data) } as Told
}

function setUp() {
  const clock = createVirtualClock()
  const views = createViews()
  const journal = createJournal(clock)
  let version = 10
  const claim = (name: string, more: { deleted?: true } = {}) => {
    version += 1
    const object = aClaim({ metadata: { name, uid: name, resourceVersion: String(version) } })
    if (more.deleted) views.claims.forget(object, name)
    else views.claims.observe(object)
  }
  const advice = { Synced: { meaning: 'good', remedy: 'Nothing to do.' } }
  const feed = createFeed({ views, journal, clock, health: () => HEALTH, advice })
  const join = (accept = () => true) => {
    const told: Told[] = []
    const reader = feed.join((event) => {
      told.push(parse(event))
      return accept()
    })
    return { told, reader, last: () => told.at(-1) }
  }
  return { clock, views, journal, claim, feed, join }
}

const names = (told: Told | undefined) => told?.data.rows.map(({ name }) => name)

test('who joins gets the whole table, then what changes, gathered', async () => {
  const { clock, claim, join } = setUp()
  claim('one')
  claim('two')
  const { told } = join()
  expect(told).toMatchObject([{ event: 'snapshot', data: { health: HEALTH } }])
  expect(names(told[0])).toEqual(['one', 'two'])
  for (let n = 0; n < 10; n += 1) claim('one')
  claim('three')
  claim('two', { deleted: true })
  await clock.advance(GATHER_MS)
  expect(told).toHaveLength(2)
  expect(told[1]).toMatchObject({ event: 'change', data: { gone: ['shop/two'] } })
  expect(names(told[1])).toEqual(['one', 'three'])
})

test('a change of the Secret, of its users, of its namespace or of the history tells the row anew', async () => {
  const { clock, views, journal, claim, join } = setUp()
  claim('one')
  claim('other')
  const namespace = (name: string, resourceVersion: string, level?: string) => {
    const annotations = level ? { 'operator.1password.io/auto-restart': level } : {}
    const metadata = { name, uid: name, resourceVersion, annotations }
    views.namespaces.observe(parseNamespace({ metadata }))
  }
  namespace('shop', '1')
  const { told, last } = join()
  const object = { namespace: 'shop', uid: 'u' }
  const uses = { spec: { containers: [{ envFrom: [{ secretRef: { name: 'one' } }] }] } }
  const pulls = { spec: { imagePullSecrets: [{ name: 'one' }] } }
  const deployment = (resourceVersion: string, template: object) =>
    parseWorkload('Deployment', {
      metadata: { ...object, name: 'web', resourceVersion },
      spec: { template },
    })
  const causes = [
    () =>
      views.secrets.observe(
        parseSecretMeta({ metadata: { ...object, name: 'one', resourceVersion: '1' } }),
      ),
    () => views.workloads.Deployment.observe(deployment('1', uses)),
    () => views.workloads.Deployment.observe(deployment('2', pulls)),
    () => views.workloads.Deployment.observe(deployment('3', {})),
    () => journal.witness.restart(deployment('1', uses), ['one']),
  ]
  for (const [n, cause] of causes.entries()) {
    cause()
    await clock.advance(GATHER_MS)
    expect(told, `cause ${n}`).toHaveLength(n + 2)
    expect(names(last())).toEqual(['one'])
  }
  namespace('shop', '2')
  namespace('elsewhere', '3', 'true')
  await clock.advance(GATHER_MS)
  expect(told).toHaveLength(causes.length + 1)
  namespace('shop', '4', 'true')
  await clock.advance(GATHER_MS)
  expect(names(last())).toEqual(['one', 'other'])
})

test('who is behind gets nothing until it has caught up, and then each row once', async () => {
  const { clock, claim, join } = setUp()
  let isFast = false
  const { told, reader } = join(() => isFast)
  claim('one')
  await clock.advance(GATHER_MS)
  claim('one')
  await clock.advance(LONG_MS)
  expect(told).toHaveLength(1)
  isFast = true
  reader.resume()
  expect(told).toHaveLength(2)
  expect(names(told[1])).toEqual(['one'])
})

test('a beat tells the health while nothing changes', async () => {
  const { clock, join } = setUp()
  const { told } = join()
  await clock.advance(3 * LONG_MS)
  expect(told.slice(1)).toEqual(
    Array.from({ length: 3 }, () => ({
      event: 'change',
      data: { health: HEALTH, rows: [], gone: [] },
    })),
  )
})

test('while nobody looks nothing is done, and who comes later sees all', async () => {
  const { clock, claim, join } = setUp()
  const first = join()
  const second = join()
  first.reader.leave()
  claim('one')
  await clock.advance(GATHER_MS)
  expect(first.told).toHaveLength(1)
  expect(second.told).toHaveLength(2)
  second.reader.leave()
  claim('two')
  expect(clock.timers).toEqual([])
  expect(names(join().told[0])).toEqual(['one', 'two'])
})
