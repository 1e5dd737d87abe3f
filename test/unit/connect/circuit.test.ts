import { expect, test } from 'vitest'
import { withCircuit } from '../../../src/connect/circuit.ts'
import type { ConnectAnswer, ConnectRequest } from '../../../src/connect/transport.ts'
import { type ErrorCode, KeyferryError } from '../../../src/errors.ts'
import { failureOf } from '../../support/failure.ts'

const SIGNAL = new AbortController().signal
const VAULTS: ConnectRequest = { operation: 'vaults', method: 'GET', path: '/v1/vaults' }
const item = (name = 'a'): ConnectRequest => ({
  operation: 'item',
  method: 'GET',
  path: `/v1/vaults/v/items/${name}`,
})

const failure = (code: ErrorCode, retryAfterMs?: number) =>
  new KeyferryError(code, {
    message: `it was ${code}`,
    remedy: 'Wait.',
    retry: 'soon',
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })

type Verdict = ErrorCode | KeyferryError | 'ok' | 'waits'

/** A circuit over a server that answers as `answers` says: by path, or for all. */
function aCircuit(random = 0.5) {
  const server = {
    time: 0,
    token: 'one',
    answers: (_path: string): Verdict => 'ok',
    asked: [] as string[],
    closed: false,
  }
  const waiting: { answer: () => void; fail: (code: ErrorCode) => void }[] = []
  const good: ConnectAnswer = { status: 200, headers: {}, body: Buffer.from('[]') }
  const transport = withCircuit(
    {
      send({ path }, signal) {
        server.asked.push(path)
        const verdict = server.answers(path)
        if (verdict === 'ok') return Promise.resolve(good)
        if (verdict === 'waits') {
          return new Promise((resolve, reject) => {
            waiting.push({ answer: () => resolve(good), fail: (code) => reject(failure(code)) })
            signal.addEventListener('abort', () => reject(signal.reason))
          })
        }
        return Promise.reject(typeof verdict === 'string' ? failure(verdict) : verdict)
      },
      close: () => {
        server.closed = true
        return Promise.resolve()
      },
    },
    { now: () => server.time, random: () => random, token: () => server.token },
  )
  const send = (request = item(), signal = SIGNAL) => transport.send(request, signal)
  return { server, waiting, transport, send, fails: (request = item()) => failureOf(send(request)) }
}

/** Lets what happens behind a caller's back happen. */
const settled = () => new Promise((resolve) => setImmediate(resolve))

test('a refused token is looked at once more, then nobody asks with it', async () => {
  const { server, fails } = aCircuit()
  server.answers = () => 'CONNECT_UNAUTHORIZED'
  await fails()
  await settled()
  expect(server.asked).toEqual([item().path, VAULTS.path])
  for (const name of ['a', 'b', 'c']) {
    expect(await fails(item(name))).toMatchObject({
      code: 'CONNECT_UNAUTHORIZED',
      message: 'it was CONNECT_UNAUTHORIZED',
      retryAfterMs: 5_000,
    })
  }
  expect(server.asked).toHaveLength(2)
})

test('a token that is refused for good costs twelve requests an hour at most', async () => {
  const { server, fails } = aCircuit()
  server.answers = () => 'CONNECT_UNAUTHORIZED'
  const hour = 3_600_000
  for (; server.time < hour; server.time += 1_000) await fails()
  server.asked.length = 0
  for (; server.time < 2 * hour; server.time += 1_000) await fails()
  expect(server.asked.length).toBeLessThanOrEqual(12)
  expect(new Set(server.asked)).toEqual(new Set([VAULTS.path]))
})

test('a 401 that passes at once, as of a server that starts, stops nobody', async () => {
  const { server, send, fails } = aCircuit()
  server.answers = (path) => (path === VAULTS.path ? 'ok' : 'CONNECT_UNAUTHORIZED')
  await fails()
  await settled()
  server.answers = () => 'ok'
  expect(await send()).toMatchObject({ status: 200 })
})

test('with another token everything starts anew', async () => {
  const { server, send, fails } = aCircuit()
  server.answers = () => 'CONNECT_UNAUTHORIZED'
  await fails(VAULTS)
  await fails()
  server.answers = () => 'ok'
  server.token = 'two'
  expect(await send()).toMatchObject({ status: 200 })
})

test('a late answer to the old token does not stop the new one', async () => {
  const { server, waiting, send } = aCircuit()
  server.answers = () => 'waits'
  const late = failureOf(send())
  await settled()
  server.token = 'two'
  server.answers = () => 'ok'
  await send()
  waiting[0]?.fail('CONNECT_UNAUTHORIZED')
  await late
  await settled()
  expect(server.asked).toHaveLength(2)
  expect(await send()).toMatchObject({ status: 200 })
})

test('a server that asks for a pause gets it from everybody, with some time more', async () => {
  const { server, send, fails } = aCircuit(1)
  server.answers = () => failure('CONNECT_RATE_LIMITED', 60_000)
  await fails()
  server.answers = () => 'ok'
  server.time = 60_000
  expect((await fails(item('b'))).retryAfterMs).toBe(6_000)
  expect(server.asked).toHaveLength(1)
  server.time = 66_000
  await send(item('b'))
  expect(server.asked.slice(1)).toEqual([VAULTS.path, item('b').path])
})

test.each([
  [3_000, [0, 3_150, 6_300, 9_450]],
  [0, [0, 5_000, 15_000, 35_000]],
])('a server that asks for a pause of %i ms each time is asked at %j', async (pause, times) => {
  const { server, fails } = aCircuit()
  server.answers = () => failure('CONNECT_RATE_LIMITED', pause)
  const asked: number[] = []
  for (; server.time <= 36_000; server.time += 50) {
    const before = server.asked.length
    await fails()
    if (server.asked.length > before) asked.push(server.time)
  }
  expect(asked.slice(0, 4)).toEqual(times)
})

test('a good answer that was under way does not end the pause', async () => {
  const { server, waiting, send, fails } = aCircuit()
  server.answers = () => 'waits'
  const early = send()
  await settled()
  server.answers = () => failure('CONNECT_RATE_LIMITED', 60_000)
  await fails(item('b'))
  waiting[0]?.answer()
  await early
  expect((await fails(item('c'))).code).toBe('CONNECT_RATE_LIMITED')
  expect(server.asked).toHaveLength(2)
})

test('a server that is down is probed, twice as late each time, but every 40 s at least', async () => {
  const { server, send, fails } = aCircuit()
  server.answers = () => 'CONNECT_UNREACHABLE'
  for (let n = 0; n < 5; n += 1) await fails(item(`${n}`))
  await settled()
  expect(server.asked).toHaveLength(6)
  const probes: number[] = []
  for (; server.time < 200_000; server.time += 1_000) {
    const before = server.asked.length
    await fails()
    if (server.asked.length > before) probes.push(server.time)
  }
  expect(probes).toEqual([5_000, 15_000, 35_000, 65_000, 95_000, 125_000, 155_000, 185_000])
  expect(new Set(server.asked.slice(5))).toEqual(new Set([VAULTS.path]))
  server.answers = () => 'ok'
  server.time += 40_000
  expect(await send()).toMatchObject({ status: 200 })
})

test('many failures that were under way together count as one', async () => {
  const { server, waiting, send, fails } = aCircuit()
  server.answers = (path) => (path === VAULTS.path ? 'CONNECT_TIMEOUT' : 'waits')
  const all = Array.from({ length: 32 }, (_, n) => failureOf(send(item(`${n}`))))
  await settled()
  for (const { fail } of waiting) fail('CONNECT_TIMEOUT')
  await Promise.all(all)
  await settled()
  expect((await fails()).retryAfterMs).toBe(5_000)
})

test.each<ErrorCode>([
  'CONNECT_UNAVAILABLE',
  'CONNECT_TIMEOUT',
  'CONNECT_FORBIDDEN',
  'CONNECT_UNAUTHORIZED',
])(
  'one thing that fails with %s again and again stops nobody who asks for others',
  async (code) => {
    const { server, send, fails } = aCircuit()
    server.answers = (path) => (path === item('bad').path ? code : 'ok')
    for (let n = 0; n < 1_000; n += 1) {
      server.time += 10
      await fails(item('bad'))
    }
    await settled()
    expect(await send(item('good'))).toMatchObject({ status: 200 })
    // Asking whether the rest is well costs a request in five seconds.
    expect(server.asked.filter((path) => path === VAULTS.path).length).toBeLessThanOrEqual(3)
  },
)

test.each<ErrorCode>(['CONNECT_NOT_FOUND', 'CONNECT_BAD_ANSWER', 'CONNECT_ANSWER_TOO_LARGE'])(
  '%s is an answer, however often it comes',
  async (code) => {
    const { server, send, fails } = aCircuit()
    server.answers = () => code
    for (let n = 0; n < 100; n += 1) await fails(n % 2 ? VAULTS : item())
    server.answers = () => 'ok'
    expect(await send()).toMatchObject({ status: 200 })
    expect(server.asked).toHaveLength(101)
  },
)

test('only one probes, the others are told to come again', async () => {
  const { server, waiting, send, fails } = aCircuit()
  server.answers = () => 'CONNECT_UNAUTHORIZED'
  await fails(VAULTS)
  server.answers = (path) => (path === VAULTS.path ? 'waits' : 'ok')
  server.time = 10_000
  const prober = send(item('first'))
  await settled()
  expect(await fails(item('second'))).toMatchObject({ retryAfterMs: 1_000 })
  waiting[0]?.answer()
  expect(await prober).toMatchObject({ status: 200 })
  expect(server.asked.slice(1)).toEqual([VAULTS.path, item('first').path])
})

test('a prober who is called back leaves the probe to the next', async () => {
  const { server, send, fails } = aCircuit()
  server.answers = () => 'CONNECT_UNAUTHORIZED'
  await fails(VAULTS)
  server.answers = () => 'waits'
  server.time = 10_000
  const stop = new AbortController()
  const reason = new Error('not wanted any more')
  const prober = failureOf(send(item(), stop.signal))
  await settled()
  stop.abort(reason)
  expect(await prober).toBe(reason)
  server.answers = () => 'ok'
  expect(await send()).toMatchObject({ status: 200 })
})

test('closing ends what the circuit asks on its own account', async () => {
  const { server, transport, fails } = aCircuit()
  server.answers = (path) => (path === VAULTS.path ? 'waits' : 'CONNECT_UNAUTHORIZED')
  await fails()
  await transport.close()
  await settled()
  expect(server.closed).toBe(true)
})
