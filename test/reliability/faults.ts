/**
 * What an API server, or whatever stands between it and the operator, does to a request or a watch
 * when it is not well.
 */
import { pause } from '../support/eventually.ts'
import type { Answer, Call, Fate } from '../support/kube-proxy.ts'

/** One kind of fault. */
export interface Fault {
  /** How many requests of each class (watches, reads, writes) in a row it befalls. */
  readonly times: number
  readonly fateOf: (call: Call) => Fate | undefined
}

const REASONS: Readonly<Record<number, string>> = {
  401: 'Unauthorized',
  403: 'Forbidden',
  409: 'Conflict',
  410: 'Expired',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
}

const statusOf = (code: number) => ({
  kind: 'Status',
  apiVersion: 'v1',
  status: 'Failure',
  reason: REASONS[code],
  message: `the server says ${code}`,
  code,
})

const refusal = (status: number, headers = {}): Answer => ({
  status,
  headers,
  body: statusOf(status),
})
const HTML = { 'content-type': 'text/html' }
const page = (status: number): Answer => ({
  status,
  headers: HTML,
  text: `<html><body>${status}: sign in to go on</body></html>`,
})

const before = (instead: Answer | 'drop' | 'reset', times = 2): Fault => ({
  times,
  fateOf: () => ({ before: () => instead }),
})
const committed = (instead: Answer | 'drop' | 'reset', times = 2): Fault => ({
  times,
  fateOf: () => ({ committed: () => instead }),
})
const isWrite = ({ method }: Call) => method !== 'GET'

/** Milliseconds that a slow answer takes: less than anybody waits for one. */
const SLOW_MS = 3_000

/** What befalls single requests, by name. */
export const REQUEST_FAULTS: Readonly<Record<string, Fault>> = {
  '429 with Retry-After': before(refusal(429, { 'retry-after': '2' })),
  '429': before(refusal(429)),
  '500': before(refusal(500)),
  '500 after the commit': committed(refusal(500)),
  '503': before(refusal(503, { 'retry-after': '1' })),
  '503 after the commit': committed(refusal(503)),
  '504': before(refusal(504)),
  '504 after the commit': committed(refusal(504)),
  '409 again and again': {
    times: 5,
    fateOf: (call) => (isWrite(call) ? { before: () => refusal(409) } : undefined),
  },
  '403 for a while': before(refusal(403)),
  '401 for a while': before(refusal(401), 3),
  'a slow answer': {
    times: 2,
    fateOf: () => ({ before: () => pause(SLOW_MS).then(() => undefined) }),
  },
  'a black hole': before('drop', 1),
  'a lost answer': committed('drop', 1),
  'a reset': before('reset'),
  'a reset after the commit': committed('reset'),
  'half an answer': {
    times: 2,
    fateOf: () => ({
      committed: (text) => ({
        status: 200,
        text: text || '{}{}',
        cutAt: Math.max(1, text.length >> 1),
      }),
    }),
  },
  'half of some JSON': committed({ status: 200, text: '{"kind":"List","items":[' }),
  'a page of HTML': committed(page(200)),
  'a page of HTML with 502': before(page(502)),
}

/** What a watch says when its server fails. */
const errorLine = (code: number) => `${JSON.stringify({ type: 'ERROR', object: statusOf(code) })}\n`

/** What a watch says when the version that it was asked for is no longer kept. */
export const gone = () => errorLine(410)

/** What befalls watches: the text with which they are cut, and what befalls the next requests. */
export const STREAM_FAULTS: Readonly<
  Record<string, { readonly text: string; readonly next?: Fault }>
> = {
  'a version that is gone': { text: gone() },
  'a cut in the middle of a line': { text: '{"type":"MODIFIED","obj' },
  'a line that makes no sense': { text: 'what?\n' },
  'an error of the server': { text: errorLine(500) },
  'a continue token that expires': { text: gone(), next: expiringToken() },
}

/** A server that has pages only, and forgets the first one before the second is asked for. */
function expiringToken(): Fault {
  return {
    times: 4,
    fateOf({ isWatch, query }) {
      if (isWatch) {
        const streams = query.get('sendInitialEvents') === 'true'
        return streams ? { before: () => refusal(422) } : undefined
      }
      if (query.get('limit') === null) return undefined
      if (query.get('continue') !== null) return { before: () => refusal(410) }
      return {
        committed(text) {
          const list = JSON.parse(text) as { metadata: object }
          const metadata = { ...list.metadata, continue: 'expires' }
          return { status: 200, body: { ...list, metadata } }
        },
      }
    },
  }
}

/** A fault that comes over one resource of a namespace, once it is cast. */
export interface Spell {
  cast(): void
  fateOf(call: Call): Fate | undefined
  /** The requests that it has befallen. */
  readonly befell: ReadonlySet<Call>
}

/** @param total of all requests together, however many of each class the fault befalls */
export function spellOf({ fateOf, times }: Fault, total = Number.POSITIVE_INFINITY): Spell {
  const counts = new Map<string, number>()
  const befell = new Set<Call>()
  let isCast = false
  return {
    befell,
    cast() {
      isCast = true
    },
    fateOf(call) {
      const sort = call.isWatch ? 'watch' : call.method === 'GET' ? 'read' : 'write'
      const count = counts.get(sort) ?? 0
      if (!isCast || count >= times || befell.size >= total) return undefined
      const fate = fateOf(call)
      if (fate === undefined) return undefined
      counts.set(sort, count + 1)
      befell.add(call)
      return fate
    },
  }
}
