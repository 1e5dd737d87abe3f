import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type ConnectClient,
  connectClient,
  createConnectClient,
} from '../../../src/connect/client.ts'
import type { ConnectRequest } from '../../../src/connect/transport.ts'
import { isKeyferryError } from '../../../src/errors.ts'
import { failureOf } from '../../support/failure.ts'

const VAULT = 'v'.repeat(26)
const ITEM = 'i'.repeat(26)
const FILE = 'f'.repeat(26)
const ID = { vaultId: VAULT, itemId: ITEM }
const SIGNAL = new AbortController().signal

/** A client whose server answers `body` to everything. */
function aClient(body: string | Uint8Array | object) {
  const requests: ConnectRequest[] = []
  const bytes = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
  let closed = false
  const client = connectClient({
    send: (request) => {
      requests.push(request)
      return Promise.resolve({ status: 200, headers: {}, body: Buffer.from(bytes) })
    },
    close: () => {
      closed = true
      return Promise.resolve()
    },
  })
  return { client, requests, isClosed: () => closed }
}

const summary = { id: ITEM, title: 'Database', vault: { id: VAULT }, version: 3 }

test('vaults are read with a limit for long lists', async () => {
  const { client, requests } = aClient([{ id: VAULT, name: 'Production', contentVersion: 4 }])
  expect(await client.vaults({ signal: SIGNAL })).toMatchObject([
    { name: 'Production', contentVersion: 4 },
  ])
  expect(requests).toEqual([
    { operation: 'vaults', method: 'GET', path: '/v1/vaults', limit: 64 * 2 ** 20 },
  ])
})

test('items are read from their vault', async () => {
  const { client, requests } = aClient([summary])
  expect(await client.items(VAULT, { signal: SIGNAL })).toMatchObject([
    { title: 'Database', version: 3 },
  ])
  expect(requests[0]).toMatchObject({ path: `/v1/vaults/${VAULT}/items`, limit: 64 * 2 ** 20 })
})

test('a list with an item of another vault is refused', async () => {
  const { client } = aClient([summary, { ...summary, vault: { id: 'w'.repeat(26) } }])
  expect(await failureOf(client.items(VAULT, { signal: SIGNAL }))).toMatchObject({
    code: 'CONNECT_BAD_ANSWER',
    message: 'items: the answer cannot be used: it lists items of another vault',
  })
})

test('an item, its files and their content are read by ids', async () => {
  const { client, requests } = aClient(summary)
  expect(await client.item(ID, { signal: SIGNAL })).toMatchObject({ title: 'Database', fields: [] })
  const listing = aClient([{ id: FILE, name: 'key', size: 2 }])
  expect(await listing.client.files(ID, { signal: SIGNAL })).toMatchObject([
    { name: 'key', size: 2 },
  ])
  const content = Buffer.from([0, 255, 10])
  const reading = aClient(content)
  expect(await reading.client.fileContent(ID, FILE, { limit: 100, signal: SIGNAL })).toEqual(
    content,
  )
  const root = `/v1/vaults/${VAULT}/items/${ITEM}`
  expect([...requests, ...listing.requests, ...reading.requests]).toEqual([
    { operation: 'item', method: 'GET', path: root },
    { operation: 'files', method: 'GET', path: `${root}/files` },
    { operation: 'file content', method: 'GET', path: `${root}/files/${FILE}/content`, limit: 100 },
  ])
})

test('another item than the one asked for is refused', async () => {
  for (const change of [{ id: 'j'.repeat(26) }, { vault: { id: 'w'.repeat(26) } }]) {
    const { client } = aClient({ ...summary, ...change })
    expect(await failureOf(client.item(ID, { signal: SIGNAL }))).toMatchObject({
      code: 'CONNECT_BAD_ANSWER',
      message: 'item: the answer cannot be used: it is about another object than the one asked for',
    })
  }
})

test('an error about an answer does not quote it', async () => {
  const canary = 'canary-5d1f02'
  for (const body of [`{"fields":[{"value":"${canary}"}`, JSON.stringify({ id: canary })]) {
    const { client } = aClient(body)
    const error = await failureOf(client.item(ID, { signal: SIGNAL }))
    expect(JSON.stringify([error.message, error.remedy, String(error.cause)])).not.toContain(canary)
  }
})

const calls: Record<string, (client: ConnectClient, id: string) => Promise<unknown>> = {
  items: (client, id) => client.items(id, { signal: SIGNAL }),
  'item by vault': (client, id) => client.item({ ...ID, vaultId: id }, { signal: SIGNAL }),
  'item by id': (client, id) => client.item({ ...ID, itemId: id }, { signal: SIGNAL }),
  files: (client, id) => client.files({ ...ID, itemId: id }, { signal: SIGNAL }),
  content: (client, id) => client.fileContent(ID, id, { limit: 1, signal: SIGNAL }),
}

test('only what has the form of an id becomes part of a URL', async () => {
  const odd = fc.oneof(
    fc.constantFrom(
      '',
      '..',
      '.',
      '%2e%2e',
      `${'a'.repeat(25)}/`,
      `${ITEM}?x`,
      `${ITEM}\n`,
      'A'.repeat(26),
    ),
    fc.string({ unit: 'binary' }).filter((text) => !/^[a-z0-9]{26}$/.test(text)),
  )
  await fc.assert(
    fc.asyncProperty(odd, fc.constantFrom(...Object.keys(calls)), async (id, call) => {
      const { client, requests } = aClient({})
      const error = await failureOf(calls[call]?.(client, id) ?? Promise.resolve())
      expect(isKeyferryError(error, 'CONNECT_REFUSED_INPUT')).toBe(true)
      expect(requests).toEqual([])
    }),
  )
})

test('closing a client closes its transport', async () => {
  const { client, isClosed } = aClient({})
  await client.close()
  expect(isClosed()).toBe(true)
})

test('a client for a host refuses one that is none', () => {
  const options = { host: 'connect', token: () => '', userAgent: 'tests/1' }
  expect(() => createConnectClient(options)).toThrow('OP_CONNECT_HOST')
})
