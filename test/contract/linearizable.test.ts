import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type TestServer, testServer } from '../support/server.ts'
import { rounds, tell } from '../support/skip.ts'

const HISTORIES = rounds('KEYFERRY_HISTORIES', 200)
const CLIENTS = 8
const OPERATIONS = 50

/** One call and what it saw; `start` and `end` order calls that did not overlap. */
interface Event {
  readonly kind: 'read' | 'write'
  readonly start: number
  readonly end: number
  /** The version the item had: before a write, at a read. */
  readonly version: number
  /** The text written or read. */
  readonly text: string
}

/**
 * What is wrong with a history. Every write raises the version by one and answers the version
 * it replaced, so the versions order the writes; what is left to check is that this order
 * agrees with time and that reads show what it says.
 */
function faults(events: readonly Event[], first: string): string[] {
  const writes = events.filter(({ kind }) => kind === 'write')
  const texts = new Map([[1, first]])
  const found: string[] = []
  for (const { version, text } of writes) {
    if (texts.has(version + 1)) found.push(`two writes replaced version ${version}`)
    texts.set(version + 1, text)
  }
  for (let version = 1; version <= writes.length + 1; version++) {
    if (!texts.has(version)) found.push(`no write made version ${version}`)
  }
  for (const event of events) {
    const after = event.kind === 'write' ? event.version + 1 : event.version
    if (texts.get(after) !== event.text) found.push(`version ${after} was read as another text`)
    for (const other of events) {
      if (other.end >= event.start) continue
      const before = other.kind === 'write' ? other.version + 1 : other.version
      const least = event.kind === 'write' ? event.version : after
      if (before > least) found.push(`version ${least} was seen after version ${before}`)
    }
  }
  return found
}

describe('writes of many clients to one item', () => {
  let server: TestServer
  let token: string
  let items: string

  beforeAll(async () => {
    server = await testServer({ logLevel: 'error' })
    const { id } = await server.admin.createVault('V')
    token = await server.token({ V: 'rw' })
    items = `/v1/vaults/${id}/items`
  })
  afterAll(() => server[Symbol.asyncDispose]())

  test('the checker finds a lost update, a stale read and a version seen backwards', () => {
    const write = (version: number, text: string, at: number): Event => ({
      kind: 'write',
      version,
      text,
      start: at,
      end: at + 1,
    })
    const read = (version: number, text: string, at: number): Event => ({
      ...write(version, text, at),
      kind: 'read',
    })
    const good = [write(1, 'b', 10), read(2, 'b', 20), write(2, 'c', 30), read(3, 'c', 40)]
    expect(faults(good, 'a')).toEqual([])
    expect(faults([write(1, 'b', 10), write(1, 'c', 10)], 'a')).not.toEqual([])
    expect(faults([write(1, 'b', 10), read(1, 'a', 20)], 'a')).not.toEqual([])
    expect(faults([write(1, 'b', 10), read(2, 'a', 20)], 'a')).not.toEqual([])
  })

  test(`are linearizable (${HISTORIES} histories of ${OPERATIONS} calls by ${CLIENTS} clients)`, {
    timeout: 300_000,
  }, async () => {
    let calls = 0
    for (let history = 0; history < HISTORIES; history++) {
      const body = { title: 'first', category: 'SERVER' }
      const made = await server.call('POST', items, { token, body })
      const path = `${items}/${made.json<{ id: string }>().id}`
      const events: Event[] = []
      const oneCall = async (client: number, n: number) => {
        const text = `${history}.${client}.${n}`
        const start = performance.now()
        const kind = Math.random() < 0.6 ? 'write' : 'read'
        const patch = [{ op: 'replace', path: '/title', value: text }]
        const answer =
          kind === 'read'
            ? await server.call('GET', path, { token })
            : Math.random() < 0.5
              ? await server.call('PUT', path, { token, body: { ...body, title: text } })
              : await server.call('PATCH', path, { token, body: patch })
        expect(answer.status).toBe(200)
        const { version, title } = answer.json<{ version: number; title: string }>()
        events.push({ kind, start, end: performance.now(), version, text: title })
      }
      const clients = Array.from({ length: CLIENTS }, async (_, client) => {
        for (let n = 0; n < OPERATIONS / CLIENTS; n++) await oneCall(client, n)
      })
      await Promise.all(clients)
      calls += events.length
      expect(faults(events, 'first')).toEqual([])
    }
    tell(`${HISTORIES} histories, ${calls} calls`)
  })
})
