/**
 * Histories of many clients that write and read one item, some of them across a kill of the server.
 * Chance decides what each call is and when the kill comes: `KEYFERRY_SEED=… npm run test:contract --
 * linearizable` draws the same again.
 */
import { rm } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createRandom } from '../simulation/random.ts'
import { isFull, SEED, tally } from '../support/gates.ts'
import { call } from '../support/http.ts'
import { keyferry, type ServerProcess, startProgram } from '../support/program.ts'
import { tempDir } from '../support/server.ts'
import { tell } from '../support/skip.ts'

const HISTORIES = isFull ? 200 : 24
const CLIENTS = 8
const OPERATIONS = 50
/** In each history of so many the server is killed once and started again. */
const KILL_EVERY = isFull ? 4 : 2

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

/** A write without an answer: it happened after its start, or not at all. */
interface OpenWrite {
  readonly start: number
  readonly text: string
}

/**
 * What is wrong with a history. Every write raises the version by one and answers the version
 * it replaced, so the versions order the writes; what is left to check is that this order
 * agrees with time and that reads show what it says. A version that no answered write made is that
 * of an open one.
 */
function faults(
  answered: readonly Event[],
  first: string,
  open: readonly OpenWrite[] = [],
): string[] {
  const texts = new Map([[1, first]])
  const found: string[] = []
  for (const { version, text } of answered.filter(({ kind }) => kind === 'write')) {
    if (texts.has(version + 1)) found.push(`two writes replaced version ${version}`)
    texts.set(version + 1, text)
  }
  const { events, unseen } = withOpen(answered, texts, open)
  const last = Math.max(...texts.keys(), ...events.map(({ version }) => version))
  const missing = Array.from({ length: last }, (_, n) => n + 1).filter((one) => !texts.has(one))
  if (missing.length > unseen) found.push(`no write made version ${missing[0]}`)
  for (const event of events) {
    const after = versionAfter(event)
    if (texts.get(after) !== event.text) found.push(`version ${after} was read as another text`)
    const least = event.kind === 'write' ? event.version : after
    for (const other of events) {
      if (other.end >= event.start) continue
      const before = versionAfter(other)
      if (before > least) found.push(`version ${least} was seen after version ${before}`)
    }
  }
  return found
}

const versionAfter = ({ kind, version }: Event) => (kind === 'write' ? version + 1 : version)

/** Open writes that a read saw become events; `unseen` is how many may have happened besides. */
function withOpen(
  events: readonly Event[],
  texts: Map<number, string>,
  open: readonly OpenWrite[],
): { readonly events: readonly Event[]; readonly unseen: number } {
  const left = new Map(open.map((write) => [write.text, write]))
  const seen: Event[] = []
  for (const { version, text } of events.filter(({ kind }) => kind === 'read')) {
    const write = left.get(text)
    if (write === undefined || texts.has(version)) continue
    left.delete(text)
    texts.set(version, text)
    const end = Number.POSITIVE_INFINITY
    seen.push({ kind: 'write', start: write.start, end, version: version - 1, text })
  }
  return { events: [...events, ...seen], unseen: left.size }
}

describe('writes of many clients to one item', () => {
  const random = createRandom(SEED)
  let dir: string
  let server: ServerProcess
  let token: string
  let items: string

  beforeAll(async () => {
    dir = await tempDir()
    const vault = (await keyferry(['connect', 'vault', 'create', '--data', dir, 'V'])).out.trim()
    const made = await keyferry(['connect', 'token', 'create', '--data', dir, '--vault', 'V=rw'])
    token = made.out.trim()
    items = `/v1/vaults/${vault}/items`
    server = await startProgram(['--data', dir])
  })
  afterAll(async () => {
    await server.stop()
    await rm(dir, { recursive: true, force: true })
  })

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
    const open = [{ text: 'b', start: 10 }]
    expect(faults([read(2, 'b', 20), write(2, 'c', 30), read(3, 'c', 40)], 'a', open)).toEqual([])
    expect(faults([write(2, 'c', 30)], 'a', open)).toEqual([])
    expect(faults([read(1, 'a', 20)], 'a', open)).toEqual([])
    expect(faults([write(2, 'c', 30)], 'a')).not.toEqual([])
    expect(faults([read(2, 'x', 20)], 'a', open)).not.toEqual([])
    expect(faults([read(2, 'b', 5)], 'a', [{ text: 'b', start: 10 }])).not.toEqual([])
    expect(faults([read(2, 'b', 20), read(1, 'a', 30)], 'a', open)).not.toEqual([])
  })

  /** One history: what was answered, and what was not. */
  async function record(history: number, isKilled: boolean) {
    const body = { title: 'first', category: 'SERVER' }
    const made = await call(server.url, 'POST', items, { token, body })
    const path = `${items}/${made.json<{ id: string }>().id}`
    const events: Event[] = []
    const open: OpenWrite[] = []
    let begun = 0
    const killAt = isKilled ? random.between(5, OPERATIONS - 5) : Number.POSITIVE_INFINITY
    let up: Promise<void> = Promise.resolve()
    const restart = async () => {
      await server.stop('SIGKILL')
      server = await startProgram(['--data', dir])
    }
    const oneCall = async (n: number) => {
      const text = `${history}.${n}`
      const kind = random.chance(0.6) ? 'write' : 'read'
      const start = performance.now()
      try {
        events.push({ kind, start, ...(await ask(path, kind, text)) })
      } catch (error) {
        if (!(error instanceof Error && 'code' in error)) throw error
        if (kind === 'write') open.push({ start, text })
        await up
      }
    }
    const clients = Array.from({ length: CLIENTS }, async () => {
      while (begun < OPERATIONS) {
        begun += 1
        if (begun === killAt) up = restart()
        await oneCall(begun)
      }
    })
    await Promise.all(clients)
    await up
    const start = performance.now()
    events.push({ kind: 'read', start, ...(await ask(path, 'read', '')) })
    return { events, open, calls: begun }
  }

  /** Reads the item, or writes its title in one of the two ways. */
  async function ask(path: string, kind: Event['kind'], text: string) {
    const patch = [{ op: 'replace', path: '/title', value: text }]
    const put = { title: text, category: 'SERVER' }
    const answer = await (kind === 'read'
      ? call(server.url, 'GET', path, { token })
      : random.chance(0.5)
        ? call(server.url, 'PUT', path, { token, body: put })
        : call(server.url, 'PATCH', path, { token, body: patch }))
    expect(answer.status).toBe(200)
    const { version, title } = answer.json<{ version: number; title: string }>()
    return { end: performance.now(), version, text: title }
  }

  test(`are linearizable (${HISTORIES} histories of ${OPERATIONS} calls by ${CLIENTS} clients)`, {
    timeout: 600_000,
  }, async () => {
    const wrong: string[] = []
    const sum = { trials: 0, calls: 0, kills: 0, open: 0 }
    for (let history = 0; history < HISTORIES; history += 1) {
      const isKilled = history % KILL_EVERY === 0
      const { events, open, calls } = await record(history, isKilled)
      wrong.push(...faults(events, 'first', open).map((fault) => `history ${history}: ${fault}`))
      sum.trials += 1
      sum.calls += calls
      sum.kills += isKilled ? 1 : 0
      sum.open += open.length
    }
    tell(`${sum.trials} histories, ${sum.calls} calls, ${sum.kills} kills, ${sum.open} writes open`)
    const violations = wrong.length
    await tally({ gate: 16, what: 'histories', trials: sum.trials, violations, seed: SEED })
    expect(wrong, `KEYFERRY_SEED=${SEED}`).toEqual([])
    // Kills that no call noticed would try nothing.
    expect(sum.open).toBeGreaterThan(sum.kills / 4)
  })
})
