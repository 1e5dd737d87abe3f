import { afterEach, expect, test } from 'vitest'
import { KeyferryError } from '../../../src/errors.ts'
import { statusError } from '../../../src/kube/status.ts'
import { listWatch, type WatchEvent, type WatchOptions } from '../../../src/kube/watch.ts'
import { createScriptedKube, type ScriptedKube } from '../../support/scripted-kube.ts'
import { createVirtualClock, settled } from '../../support/virtual-clock.ts'

const RESOURCE = { group: '', version: 'v1', plural: 'configmaps', kind: 'ConfigMap' }
const INITIAL_END = { 'k8s.io/initial-events-end': 'true' }

const object = (name: string, resourceVersion: number | string) => ({
  metadata: { name, resourceVersion: `${resourceVersion}` },
})
const bookmark = (resourceVersion: number, annotations = {}) => ({
  metadata: { resourceVersion: `${resourceVersion}`, annotations },
})

/** `a@1` of an object. */
function reduce(raw: unknown): string | undefined {
  const { metadata } = raw as ReturnType<typeof object>
  if (metadata.name === 'poison') throw new Error('poison')
  return metadata.name === 'unwanted' ? undefined : `${metadata.name}@${metadata.resourceVersion}`
}

function textOf(event: WatchEvent<string>): string {
  if ('object' in event) return `${event.kind} ${event.object}`
  return 'resourceVersion' in event ? `${event.kind} ${event.resourceVersion}` : event.kind
}

const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

/** A watch whose server is played by the test. */
function aWatch(more: Partial<WatchOptions<string>> = {}) {
  const kube = createScriptedKube()
  const clock = createVirtualClock()
  const stop = new AbortController()
  const events: string[] = []
  const failures: string[] = []
  const options: WatchOptions<string> = {
    rest: kube,
    clock,
    random: () => 0,
    resource: RESOURCE,
    reduce,
    onEvent: (event) => void events.push(textOf(event)),
    onFailure: (error, waitMs) => void failures.push(`${(error as Error).message} (${waitMs} ms)`),
    ...more,
  }
  const ended = listWatch(options, stop.signal)
  stops.push(async () => {
    stop.abort(new Error('the test is over'))
    await ended
    expect(clock.timers).toEqual([])
  })
  return { kube, clock, stop, events, failures, ended }
}

/** A watch that has its first list: nothing, as of version 10. */
async function aSyncedWatch(more: Partial<WatchOptions<string>> = {}) {
  const watch = aWatch(more)
  const stream = watch.kube.call().open()
  stream.event('BOOKMARK', bookmark(10, INITIAL_END))
  await settled()
  watch.events.length = 0
  return { ...watch, stream }
}

const queryOf = (kube: ScriptedKube) => kube.requests.at(-1)?.query ?? {}
const isStreamingList = (kube: ScriptedKube) => queryOf(kube)['sendInitialEvents'] === true
const resumesFrom = (kube: ScriptedKube) => queryOf(kube)['resourceVersion']
/** Answers what a watch asks after its server was away: how far that has come. */
async function answerHowFar(kube: ScriptedKube, resourceVersion = '40'): Promise<void> {
  const probe = kube.call()
  expect(probe.request).toMatchObject({ query: { limit: 1 } })
  probe.answer({ metadata: { resourceVersion }, items: [] })
  await settled()
}
const status = (code: number, more = {}) =>
  statusError('GET', code, JSON.stringify({ kind: 'Status', ...more }))

test('a streaming list becomes a watch', async () => {
  const { kube, events, failures } = aWatch({ namespace: 'team', labelSelector: 'a=b' })
  const call = kube.call()
  expect(call.request).toEqual({
    method: 'GET',
    path: '/api/v1/namespaces/team/configmaps',
    query: {
      watch: true,
      allowWatchBookmarks: true,
      timeoutSeconds: 300,
      labelSelector: 'a=b',
      sendInitialEvents: true,
      resourceVersionMatch: 'NotOlderThan',
    },
  })
  const stream = call.open()
  stream.event('ADDED', object('b', 7))
  stream.event('ADDED', object('a', 3))
  stream.event('BOOKMARK', bookmark(9, INITIAL_END))
  stream.event('MODIFIED', object('a', 10))
  stream.event('ADDED', object('unwanted', 11))
  stream.event('DELETED', object('b', 12))
  stream.event('DELETED', object('unwanted', 13))
  stream.event('BOOKMARK', bookmark(20))
  await settled()
  expect(events).toEqual([
    'listing',
    'applied b@7',
    'applied a@3',
    'synced 9',
    'applied a@10',
    'deleted b@12',
    'bookmark 20',
  ])
  expect(failures).toEqual([])
})

test('an ordinary bookmark does not complete a list', async () => {
  const { kube, events } = aWatch()
  const stream = kube.call().open()
  stream.event('ADDED', object('a', 3))
  stream.event('BOOKMARK', bookmark(5))
  await settled()
  expect(events).toEqual(['listing', 'applied a@3'])
})

test.each([400, 422])(
  'a server that answers %i to a streaming list is listed in pages',
  async (code) => {
    const { kube, events, failures } = aWatch({ metadataOnly: true, labelSelector: 'a=b' })
    kube.call().fail(status(code))
    await settled()
    const first = kube.call()
    expect(first.request).toMatchObject({
      path: '/api/v1/configmaps',
      query: { limit: 500, labelSelector: 'a=b', continue: undefined },
      metadataOnly: 'list',
    })
    first.answer({ metadata: { resourceVersion: '5', continue: 'more' }, items: [object('a', 1)] })
    await settled()
    const second = kube.call()
    expect(second.request.query).toMatchObject({
      limit: 500,
      labelSelector: 'a=b',
      continue: 'more',
    })
    second.answer({ metadata: { resourceVersion: '5', continue: '' }, items: [object('b', 2)] })
    await settled()
    expect(events).toEqual(['listing', 'listing', 'applied a@1', 'applied b@2', 'synced 5'])
    expect(kube.call().request).toMatchObject({ query: { watch: true, resourceVersion: '5' } })
    expect(failures).toEqual([])
  },
)

test('a streaming list that is silent for 15 s is given up for pages', async () => {
  const { kube, clock, failures } = aWatch()
  const stream = kube.call().open()
  await clock.advance(14_000)
  stream.event('ADDED', object('a', 1))
  await clock.advance(14_999)
  expect(kube.requests).toHaveLength(1)
  await clock.advance(1)
  expect(queryOf(kube)).toMatchObject({ limit: 500 })
  expect(failures).toEqual([])
})

test('a streaming list that ends before it is complete is given up for pages', async () => {
  const { kube, clock, failures } = aWatch()
  const stream = kube.call().open()
  stream.event('ADDED', object('a', 1))
  stream.end()
  await clock.advance(249)
  expect(kube.requests).toHaveLength(1)
  await clock.advance(1)
  expect(queryOf(kube)).toMatchObject({ limit: 500 })
  expect(failures).toEqual(['the streaming list ended before it was complete (250 ms)'])
})

test('pages that cannot be read on are read again from the first, later each time', async () => {
  const { kube, clock, events, failures } = aWatch()
  kube.call().fail(status(422))
  await settled()
  kube.call().answer({ metadata: { resourceVersion: '5', continue: 'x' }, items: [object('a', 1)] })
  await settled()
  kube.call().fail(status(410, { message: 'The provided continue parameter is too old' }))
  await clock.advance(250)
  expect(queryOf(kube)).toMatchObject({ continue: undefined })
  kube.call().answer({ items: [] })
  await clock.advance(499)
  expect(kube.waiting).toBe(0)
  await clock.advance(1)
  kube.call().answer({ metadata: { resourceVersion: '6' }, items: null })
  await settled()
  expect(events.slice(1)).toEqual(['listing', 'applied a@1', 'listing', 'listing', 'synced 6'])
  expect(failures).toEqual([
    'GET: 410 The provided continue parameter is too old (250 ms)',
    'the server sent a list without a version (500 ms)',
  ])
})

test('a watch that ends in the ordinary way goes on at once from its last version', async () => {
  const { kube, clock, stream, failures } = await aSyncedWatch()
  stream.event('ADDED', object('a', 11))
  await clock.advance(5_000)
  stream.end()
  await settled()
  expect(resumesFrom(kube)).toBe('11')
  const next = kube.call().open()
  await clock.advance(5_000)
  next.event('BOOKMARK', bookmark(15))
  next.end()
  await settled()
  expect(resumesFrom(kube)).toBe('15')
  expect(failures).toEqual([])
})

test('a connection that breaks, even in the middle of a line, loses and repeats nothing', async () => {
  const { kube, clock, stream, events, failures } = await aSyncedWatch()
  stream.event('ADDED', object('a', 11))
  stream.raw(JSON.stringify({ type: 'ADDED', object: object('b', 12) }).slice(0, 30))
  await settled()
  stream.fail(new Error('other side closed'))
  await clock.advance(250)
  await answerHowFar(kube)
  expect(resumesFrom(kube)).toBe('11')
  kube.call().open().event('ADDED', object('b', 12))
  await settled()
  expect(events).toEqual(['applied a@11', 'applied b@12'])
  expect(failures).toEqual(['other side closed (250 ms)'])
})

test.each([
  ['no JSON', '{"type":"ADDED","object":{"metadata":{"resourceVer\n'],
  ['null', 'null\n'],
  ['a number', '5\n'],
  ['an empty line', '\n'],
  ['an unknown type', `${JSON.stringify({ type: 'RENAMED', object: object('a', 11) })}\n`],
  ['no object', '{"type":"ADDED"}\n'],
  ['an object without a version', '{"type":"ADDED","object":{"metadata":{}}}\n'],
  ['an empty version', '{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":""}}}\n'],
])('a line that makes no sense (%s) leads to a new list', async (_what, text) => {
  const { kube, clock, stream, events, failures } = await aSyncedWatch()
  stream.raw(text)
  await clock.advance(250)
  expect(isStreamingList(kube)).toBe(true)
  expect(events).toEqual(['listing'])
  expect(failures).toEqual(['the watch sent a line that is no event (250 ms)'])
})

test('a version that is gone leads to a new list: as an event', async () => {
  const { kube, clock, stream, failures } = await aSyncedWatch()
  stream.event('ERROR', { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' })
  await clock.advance(250)
  expect(isStreamingList(kube)).toBe(true)
  expect(failures).toEqual(['watch: 410 too old (250 ms)'])
})

test.each([
  ['gone', status(410)],
  ['forbidden', status(403)],
  ['unknown to the server', status(404)],
  ['refused', status(400)],
  ['of the future', status(504, { message: 'Timeout: Too large resource version: 9, current: 5' })],
])('a version that is %s leads to a new list: as an answer', async (_what, error) => {
  const { kube, clock, stream } = await aSyncedWatch()
  await clock.advance(5_000)
  stream.end()
  await settled()
  kube.call().fail(error)
  await clock.advance(250)
  expect(isStreamingList(kube)).toBe(true)
})

test.each([
  ['an ERROR event without a code', { kind: 'Status', message: 'odd' }, true],
  ['an ERROR event with 429', { kind: 'Status', code: 429 }, false],
  ['an ERROR event without anything', undefined, true],
])('%s does not spoil the version', async (_what, error, asks) => {
  const { kube, clock, stream } = await aSyncedWatch()
  stream.event('ERROR', error)
  await clock.advance(250)
  if (asks) await answerHowFar(kube)
  expect(resumesFrom(kube)).toBe('10')
})

test.each(['a connection that breaks', 'a server that is not there', 'a 503'])(
  '%s makes the watch ask whether versions went back, until that is answered',
  async (what) => {
    const { kube, clock, stream } = await aSyncedWatch()
    await clock.advance(5_000)
    if (what === 'a connection that breaks') stream.fail(new Error('gone'))
    else {
      stream.end()
      await settled()
      kube.call().fail(what === 'a 503' ? status(503) : new Error('refused'))
    }
    await clock.advance(250)
    kube.call().fail(status(429))
    await clock.advance(30_000)
    await answerHowFar(kube, '9')
    expect(isStreamingList(kube)).toBe(true)
  },
)

test('a missing right, or a missing kind, is waited for and says nothing of the objects', async () => {
  const { kube, clock, events, failures } = aWatch()
  for (const [code, waitMs] of [
    [403, 250],
    [403, 500],
    [404, 1_000],
  ] as const) {
    kube.call().fail(status(code))
    await clock.advance(waitMs)
  }
  const stream = kube.call().open()
  stream.event('ADDED', object('a', 1))
  stream.event('BOOKMARK', bookmark(9, INITIAL_END))
  await settled()
  expect(events.filter((event) => event !== 'listing')).toEqual(['applied a@1', 'synced 9'])
  expect(failures).toEqual(['GET: 403 (250 ms)', 'GET: 403 (500 ms)', 'GET: 404 (1000 ms)'])
})

test('a server that is overloaded is left alone for as long as it asks', async () => {
  const { kube, clock, stream, failures } = await aSyncedWatch()
  await clock.advance(5_000)
  stream.end()
  await settled()
  kube.call().fail(statusError('GET', 429, '', '20'))
  await clock.advance(19_999)
  expect(kube.waiting).toBe(0)
  await clock.advance(1)
  expect(resumesFrom(kube)).toBe('10')
  expect(failures).toEqual(['GET: 429 (20000 ms)'])
})

test('waits grow up to half a minute while a server stays away, and shrink when it is back', async () => {
  const { kube, clock, stream, failures } = await aSyncedWatch()
  stream.fail(new Error('gone'))
  for (let n = 0; n < 8; n += 1) {
    await clock.advance(30_000)
    kube.call().fail(new Error('refused'))
  }
  await clock.advance(30_000)
  await answerHowFar(kube)
  const next = kube.call().open()
  await clock.advance(5_000)
  next.fail(new Error('gone again'))
  await settled()
  const waits = failures.map((text) => /\((\d+) ms\)/.exec(text)?.[1])
  expect(waits.map(Number)).toEqual([
    250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000, 250,
  ])
})

test.each([
  ['nothing', () => {}],
  ['a bookmark', bookmark],
])('streams that end at once after %s make no storm', async (_what, first) => {
  const { kube, clock, stream, failures } = await aSyncedWatch()
  stream.end()
  for (let second = 0; second < 600; second += 1) {
    await clock.advance(1_000)
    if (kube.waiting === 0) continue
    const next = kube.call().open()
    const object = first(10 + second)
    if (object !== undefined) next.event('BOOKMARK', object)
    next.end()
  }
  // Half a minute apart at most, a quarter at least: with no luck at all some 45 in 10 min.
  expect(kube.requests.length).toBeLessThan(50)
  expect(failures[0]).toBe('the watch was ended as soon as it had begun (250 ms)')
})

test('lists that complete and watches that fail at once make no storm', async () => {
  const { kube, clock } = aWatch()
  for (let second = 0; second < 600; second += 1) {
    await clock.advance(1_000)
    while (kube.waiting > 0) {
      const call = kube.call()
      const { query = {} } = call.request
      if (query['limit'] === 500) call.answer({ metadata: { resourceVersion: '5' } })
      else call.fail(status(query['resourceVersion'] === '5' ? 410 : 422))
      await settled()
    }
  }
  expect(kube.requests.filter(({ query }) => query?.['limit']).length).toBeLessThan(50)
})

test('a silent watch of a quiet collection goes on where it was, without a word', async () => {
  const { kube, clock, stream, failures, events } = await aSyncedWatch({ labelSelector: 'a=b' })
  await clock.advance(80_000)
  stream.event('BOOKMARK', bookmark(12))
  await clock.advance(89_999)
  expect(kube.requests).toHaveLength(1)
  await clock.advance(1)
  const probe = kube.call()
  expect(probe.request).toMatchObject({ query: { limit: 1, labelSelector: 'a=b' } })
  probe.answer({ metadata: { resourceVersion: '40', continue: 'x' }, items: [object('a', 1)] })
  await settled()
  expect(resumesFrom(kube)).toBe('12')
  expect([failures, events]).toEqual([[], ['bookmark 12']])
})

test('a silent watch whose server has gone back in time lists again', async () => {
  const { kube, clock, failures } = await aSyncedWatch()
  await clock.advance(90_000)
  kube.call().answer({ metadata: { resourceVersion: '9' }, items: [] })
  await settled()
  expect(isStreamingList(kube)).toBe(true)
  expect(failures).toEqual([])
})

test('a silent watch whose server is away is told and opened again', async () => {
  const { kube, clock, failures } = await aSyncedWatch()
  await clock.advance(90_000)
  kube
    .call()
    .fail(new KeyferryError('KUBE_TIMEOUT', { message: 'late', remedy: '', retry: 'soon' }))
  await clock.advance(250)
  await answerHowFar(kube)
  expect(resumesFrom(kube)).toBe('10')
  expect(failures).toEqual(['late (250 ms)'])
})

test('an object that cannot be read is told and hides no other', async () => {
  const { kube, events, failures } = aWatch()
  const stream = kube.call().open()
  stream.event('ADDED', object('poison', 1))
  stream.event('ADDED', object('a', 2))
  stream.event('BOOKMARK', bookmark(9, INITIAL_END))
  stream.event('DELETED', object('poison', 10))
  stream.event('ADDED', object('b', 11))
  await settled()
  expect(events).toEqual(['listing', 'applied a@2', 'synced 9', 'applied b@11'])
  expect(failures).toEqual(['poison (0 ms)', 'poison (0 ms)'])
})

test('an event that its taker refuses comes again', async () => {
  const seen: string[] = []
  const { kube, clock, stream, failures } = await aSyncedWatch({
    onEvent: (event) => {
      seen.push(textOf(event))
      if (
        seen.filter((text) => text === 'applied a@11').length === 1 &&
        seen.at(-1) === 'applied a@11'
      )
        throw new Error('not now')
    },
  })
  stream.event('ADDED', object('a', 11))
  await clock.advance(250)
  await answerHowFar(kube)
  expect(resumesFrom(kube)).toBe('10')
  kube.call().open().event('ADDED', object('a', 11))
  await settled()
  expect(seen).toEqual(['listing', 'synced 10', 'applied a@11', 'applied a@11'])
  expect(failures).toEqual(['not now (250 ms)'])
})

test.each(['stream', 'pages'] as const)(
  'a taker that refuses every list by %s makes no storm',
  async (by) => {
    const { kube, clock } = aWatch({
      onEvent: (event) => {
        if (event.kind === 'synced') throw new Error('never')
      },
    })
    for (let second = 0; second < 600; second += 1) {
      await clock.advance(1_000)
      while (kube.waiting > 0) {
        const call = kube.call()
        if (call.request.query?.['limit']) call.answer({ metadata: { resourceVersion: '9' } })
        else if (by === 'pages') call.fail(status(422))
        else call.open().event('BOOKMARK', bookmark(9, INITIAL_END))
        await settled()
      }
    }
    expect(kube.requests.length).toBeLessThan(55)
  },
)

test.each<[string, (watch: ReturnType<typeof aWatch>) => Promise<void>]>([
  ['the answer', () => settled()],
  [
    'a list to be complete',
    async ({ kube }) => {
      kube.call().open().event('ADDED', object('a', 1))
      await settled()
    },
  ],
  [
    'a page',
    async ({ kube }) => {
      kube.call().fail(status(422))
      await settled()
    },
  ],
  [
    'events',
    async ({ kube }) => {
      kube.call().open().event('BOOKMARK', bookmark(9, INITIAL_END))
      await settled()
    },
  ],
  [
    'a repetition',
    async ({ kube }) => {
      kube.call().fail(status(500))
      await settled()
    },
  ],
  [
    'the answer after a silence',
    async ({ kube, clock }) => {
      kube.call().open().event('BOOKMARK', bookmark(9, INITIAL_END))
      await clock.advance(90_000)
    },
  ],
])('a watch that waits for %s ends with its signal, quietly', async (_what, prepare) => {
  const watch = aWatch()
  await prepare(watch)
  const [told, asked] = [watch.failures.length, watch.kube.requests.length]
  watch.stop.abort(new Error('enough'))
  await watch.ended
  await watch.clock.advance(1_000_000)
  expect([watch.failures.length, watch.kube.requests.length]).toEqual([told, asked])
  expect(watch.clock.timers).toEqual([])
})

test('a watch under an aborted signal asks for nothing', async () => {
  const kube = createScriptedKube()
  const options = { rest: kube, clock: createVirtualClock(), random: () => 0, resource: RESOURCE }
  await listWatch({ ...options, reduce, onEvent: () => {} }, AbortSignal.abort())
  expect(kube.requests).toEqual([])
})
