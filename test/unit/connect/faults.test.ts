/**
 * The client over the real transport against a real server that answers every way but the right
 * one: each call fails with an error of its own, and the next one works.
 */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type ConnectClient, createConnectClient } from '../../../src/connect/client.ts'
import { isKeyferryError } from '../../../src/errors.ts'
import {
  BROKEN,
  type Fault,
  MALFORMED,
  NO_ITEM,
  REFUSALS,
  says,
  SLOW,
} from '../../support/connect-faults.ts'
import { type Loopback, startHttp } from '../../support/loopback.ts'

const CANARY = 'canary-77e0c2'
const VAULT = 'v'.repeat(26)
const ID = { vaultId: VAULT, itemId: 'i'.repeat(26) }
const FILE = 'f'.repeat(26)

const item = {
  id: ID.itemId,
  title: CANARY,
  vault: { id: VAULT },
  version: 3,
  fields: [{ id: 'p', label: 'password', value: CANARY }],
}
const file = { id: FILE, name: 'key.pem', size: 3 }

interface Operation {
  readonly call: (client: ConnectClient) => Promise<unknown>
  readonly good: unknown
}

const LISTS: Readonly<Record<string, Operation>> = {
  vaults: { call: (client) => client.vaults(), good: [{ id: VAULT, name: CANARY }] },
  items: { call: (client) => client.items(VAULT), good: [item] },
  files: { call: (client) => client.files(ID), good: [file] },
}
const OBJECTS: Readonly<Record<string, Operation>> = {
  item: { call: (client) => client.item(ID), good: item },
  file: { call: (client) => client.file(ID, FILE), good: file },
}
const CONTENT: Readonly<Record<string, Operation>> = {
  content: { call: (client) => client.fileContent(ID, FILE), good: CANARY },
}

let server: Loopback
/** What is answered below each path of its own. */
const answers = new Map<string, { good: unknown; fault: Fault | undefined }>()

beforeAll(async () => {
  // The shortest pauses between repetitions.
  vi.spyOn(Math, 'random').mockReturnValue(0)
  server = await startHttp((request, response) => {
    const { good, fault = says((body) => body) } =
      answers.get(request.url?.split('/')[1] ?? '') ?? {}
    fault(response, JSON.stringify(good))
  })
})
afterAll(async () => {
  await server.close()
  vi.restoreAllMocks()
})

/**
 * How an operation ends to which the server gives that fault; the same client must then get the good
 * answer.
 */
async function failureOf({ call, good }: Operation, fault: Fault, deadlineMs = 30_000) {
  const answer = { good, fault: fault as Fault | undefined }
  const place = `at${answers.size}`
  answers.set(place, answer)
  const host = `${server.url}/${place}`
  const options = { host, token: () => CANARY, userAgent: 'tests/1' }
  const impatient = createConnectClient({ ...options, deadlineMs })
  const error = await call(impatient).then(
    () => 'it succeeded',
    (reason: unknown) => reason,
  )
  answer.fault = undefined
  expect(JSON.stringify(error) + String(error)).not.toContain(CANARY)
  const client = deadlineMs < 30_000 ? createConnectClient(options) : impatient
  expect(await call(client)).toBeDefined()
  await Promise.all([impatient.close(), client.close()])
  return error
}

function table(
  operations: Readonly<Record<string, Operation>>,
  faults: Readonly<Record<string, Fault>>,
): [string, string, Operation, Fault][] {
  return Object.entries(operations).flatMap(([name, operation]) =>
    Object.entries(faults).map(([what, one]): [string, string, Operation, Fault] => [
      name,
      what,
      operation,
      one,
    ]),
  )
}

const bodies = (all: typeof MALFORMED) =>
  Object.fromEntries(Object.entries(all).map(([what, body]) => [what, says(body)]))

test.concurrent.each([
  ...table({ ...LISTS, ...OBJECTS }, bodies(MALFORMED)),
  ...table({ item: OBJECTS['item'] as Operation }, bodies(NO_ITEM)),
])('%s: an answer that is %s is refused unquoted', async (_name, _what, operation, fault) => {
  const error = await failureOf(operation, fault)
  expect(isKeyferryError(error, 'CONNECT_BAD_ANSWER')).toBe(true)
})

const ALL = { ...LISTS, ...OBJECTS, ...CONTENT }

test.concurrent.each(table(ALL, { ...BROKEN, ...REFUSALS }))(
  '%s: %s is an error, and leaves the way free for the next',
  async (_name, what, operation, fault) => {
    const error = await failureOf(operation, fault, what === 'a body without an end' ? 500 : 30_000)
    expect(isKeyferryError(error)).toBe(true)
    expect((error as { code: string }).code).toMatch(/^CONNECT_/)
  },
  30_000,
)

test.concurrent.each(table(ALL, SLOW))(
  '%s: %s is given up at the deadline',
  async (_name, _what, operation, fault) => {
    expect(await failureOf(operation, fault, 200)).toMatchObject({ code: 'CONNECT_TIMEOUT' })
  },
)

test('a list of another kind of thing, or of one broken thing among good ones, is refused', async () => {
  const items = LISTS['items'] as Operation
  const strange = { ...item, vault: { id: 'w'.repeat(26) } }
  for (const one of [{ ...item, id: 'no id' }, null, 'text', strange, file]) {
    const fault = says(() => JSON.stringify([item, one]))
    expect(isKeyferryError(await failureOf(items, fault), 'CONNECT_BAD_ANSWER')).toBe(true)
  }
})
