import { KeyferryError } from '../errors.ts'
import {
  type File,
  ID_PATTERN,
  type Item,
  type ItemSummary,
  itemSchema,
  itemSummarySchema,
  fileSchema,
  parse,
  type Vault,
  vaultSchema,
} from './model.ts'
import {
  badAnswer,
  type ConnectRequest,
  createTransport,
  type Transport,
  type TransportOptions,
  tryJson,
} from './transport.ts'
import * as z from 'zod/mini'

/** An item by its ids. */
export interface ItemId {
  readonly vaultId: string
  readonly itemId: string
}

/** Reads of the Connect API. Every call takes an AbortSignal and throws KeyferryError. */
export interface ConnectClient {
  vaults(signal: AbortSignal): Promise<Vault[]>
  items(vaultId: string, signal: AbortSignal): Promise<ItemSummary[]>
  item(id: ItemId, signal: AbortSignal): Promise<Item>
  files(id: ItemId, signal: AbortSignal): Promise<File[]>
  /** @param limit bytes the content may have */
  fileContent(id: ItemId, fileId: string, limit: number, signal: AbortSignal): Promise<Uint8Array>
  close(): Promise<void>
}

/** Bytes of a list of vaults or items: some 100,000 items. */
const LIST_LIMIT = 64 * 2 ** 20

/** A client for the server that `options` name. */
export function createConnectClient(options: TransportOptions): ConnectClient {
  return connectClient(createTransport(options))
}

/** A client over a transport of your own. */
export function connectClient(transport: Transport): ConnectClient {
  async function json(request: ConnectRequest, signal: AbortSignal): Promise<unknown> {
    const { body } = await transport.send(request, signal)
    const value = tryJson(body)
    if (value === undefined) throw badAnswer(request.operation, 'it is no JSON')
    return value
  }

  async function list<T extends z.ZodMiniType>(
    schema: T,
    request: ConnectRequest,
    signal: AbortSignal,
  ): Promise<z.infer<T>[]> {
    const values = parse(z.array(schema), await json(request, signal))
    if (values === undefined) throw badAnswer(request.operation, 'it is not the list it should be')
    return values
  }

  return {
    vaults: (signal) => list(vaultSchema, read('vaults', '/v1/vaults', LIST_LIMIT), signal),
    async items(vaultId, signal) {
      const path = `/v1/vaults/${checkId(vaultId)}/items`
      const items = await list(itemSummarySchema, read('items', path, LIST_LIMIT), signal)
      if (items.some(({ vault }) => vault.id !== vaultId)) {
        throw badAnswer('items', 'it lists items of another vault')
      }
      return items
    },
    async item(id, signal) {
      const item = parse(itemSchema, await json(read('item', itemPath(id)), signal))
      if (item === undefined) throw badAnswer('item', 'it is not an item')
      if (item.id !== id.itemId || item.vault.id !== id.vaultId) {
        throw badAnswer('item', 'it is another item than the one asked for')
      }
      return item
    },
    async files(id, signal) {
      return list(fileSchema, read('files', `${itemPath(id)}/files`), signal)
    },
    async fileContent(id, fileId, limit, signal) {
      const path = `${itemPath(id)}/files/${checkId(fileId)}/content`
      const { body } = await transport.send(read('file content', path, limit), signal)
      return body
    },
    close: () => transport.close(),
  }
}

function read(operation: string, path: string, limit?: number): ConnectRequest {
  return { operation, method: 'GET', path, ...(limit === undefined ? {} : { limit }) }
}

function itemPath({ vaultId, itemId }: ItemId): string {
  return `/v1/vaults/${checkId(vaultId)}/items/${checkId(itemId)}`
}

/** Ids are the only part of a URL that comes from outside: an allow-list, not an escape. */
function checkId(id: string): string {
  if (ID_PATTERN.test(id)) return id
  throw new KeyferryError('CONNECT_REFUSED_INPUT', {
    message: 'an id does not have the form of a Connect id',
    remedy: 'Use ids of 26 lower-case letters and digits.',
    retry: 'on-change',
  })
}
