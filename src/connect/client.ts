/**
 * The Connect API as functions: all its operations, checked answers, no state.
 * Source: 1Password Connect API 1.5.7.
 */
import { KeyferryError } from '../errors.ts'
import { type ItemDraft, itemBody, patchBody, type PatchOperation } from './draft.ts'
import {
  type Activity,
  activitySchema,
  type File,
  fileSchema,
  type Health,
  healthSchema,
  ID_PATTERN,
  type Item,
  type ItemSummary,
  itemSchema,
  itemSummarySchema,
  parse,
  type Vault,
  vaultSchema,
} from './model.ts'
import {
  badAnswer,
  type ConnectAnswer,
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

/** What every call takes. */
export interface CallOptions {
  /** Ends the call; it then throws the signal's reason. */
  readonly signal?: AbortSignal
}

/** Which objects a list shows. */
export interface ListOptions extends CallOptions {
  /** SCIM: `title eq "Database"`, for items also `tag eq "…"`; for vaults `name eq "…"`. */
  readonly filter?: string
}

/** How files are shown. */
export interface FileOptions extends CallOptions {
  /** Whether small files come with their content. */
  readonly inline?: boolean
}

/** How much content is wanted. */
export interface ContentOptions extends CallOptions {
  /** Bytes it may have; 8 MiB unless told. */
  readonly limit?: number
}

/** Which part of the past is shown. */
export interface ActivityOptions extends CallOptions {
  /** Entries; 50 unless told. */
  readonly limit?: number
  readonly offset?: number
}

/**
 * The fifteen operations. Every call throws a KeyferryError whose code begins with CONNECT_, or the
 * reason of its signal. Reads are repeated up to three times; writes never are.
 */
export interface ConnectClient {
  vaults(options?: ListOptions): Promise<Vault[]>
  vault(vaultId: string, options?: CallOptions): Promise<Vault>
  items(vaultId: string, options?: ListOptions): Promise<ItemSummary[]>
  item(id: ItemId, options?: CallOptions): Promise<Item>
  /** Gives the item as stored; a token that may only write learns its ids and no more. */
  createItem(vaultId: string, draft: ItemDraft, options?: CallOptions): Promise<Item>
  /** Gives the item as stored, but with the version that it had before: so Connect answers. */
  replaceItem(id: ItemId, draft: ItemDraft, options?: CallOptions): Promise<Item>
  /** Gives the item as stored; its version may be the one that it had before. */
  patchItem(id: ItemId, operations: readonly PatchOperation[], options?: CallOptions): Promise<Item>
  deleteItem(id: ItemId, options?: CallOptions): Promise<void>
  files(id: ItemId, options?: FileOptions): Promise<File[]>
  file(id: ItemId, fileId: string, options?: FileOptions): Promise<File>
  fileContent(id: ItemId, fileId: string, options?: ContentOptions): Promise<Uint8Array>
  /** The newest first. */
  activity(options?: ActivityOptions): Promise<Activity[]>
  /** Resolves when the server answers at all. */
  heartbeat(options?: CallOptions): Promise<void>
  health(options?: CallOptions): Promise<Health>
  /** Metrics of the server in the text format of Prometheus. */
  metrics(options?: CallOptions): Promise<string>
  close(): Promise<void>
}

/** Bytes of a list of vaults or items: some 100,000 items. */
const LIST_LIMIT = 64 * 2 ** 20

const NEVER = new AbortController().signal

/** A client for the server that `options` name. */
export function createConnectClient(options: TransportOptions): ConnectClient {
  return connectClient(createTransport(options))
}

/** A client over a transport of your own. */
export function connectClient(transport: Transport): ConnectClient {
  return {
    ...vaultCalls(transport),
    ...itemCalls(transport),
    ...fileCalls(transport),
    ...serverCalls(transport),
    close: () => transport.close(),
  }
}

function vaultCalls(transport: Transport): Pick<ConnectClient, 'vaults' | 'vault'> {
  return {
    vaults: ({ filter, signal } = {}) =>
      listed(transport, vaultSchema, lists('vaults', '/v1/vaults', filter), signal),
    vault: async (vaultId, { signal } = {}) => {
      const request = read('vault', vaultPath(vaultId))
      return asked(await answered(transport, vaultSchema, request, signal), request, vaultId)
    },
  }
}

function itemCalls(
  transport: Transport,
): Pick<
  ConnectClient,
  'items' | 'item' | 'createItem' | 'replaceItem' | 'patchItem' | 'deleteItem'
> {
  async function item(
    id: { readonly vaultId: string; readonly itemId?: string },
    request: ConnectRequest,
    signal?: AbortSignal,
  ): Promise<Item> {
    const found = await answered(transport, itemSchema, request, signal)
    if (found.vault.id !== id.vaultId) throw otherAnswer(request)
    return id.itemId === undefined ? found : asked(found, request, id.itemId)
  }

  return {
    async items(vaultId, { filter, signal } = {}) {
      const request = lists('items', `${vaultPath(vaultId)}/items`, filter)
      const items = await listed(transport, itemSummarySchema, request, signal)
      if (items.some(({ vault }) => vault.id !== vaultId)) {
        throw badAnswer('items', 'it lists items of another vault')
      }
      return items
    },
    async item(id, { signal } = {}) {
      return item(id, read('item', itemPath(id)), signal)
    },
    async createItem(vaultId, draft, { signal } = {}) {
      const path = `${vaultPath(vaultId)}/items`
      const body = itemBody(draft, { vaultId })
      return item({ vaultId }, { operation: 'create item', method: 'POST', path, body }, signal)
    },
    async replaceItem(id, draft, { signal } = {}) {
      const [path, body] = [itemPath(id), itemBody(draft, id)]
      return item(id, { operation: 'replace item', method: 'PUT', path, body }, signal)
    },
    async patchItem(id, operations, { signal } = {}) {
      const [path, body] = [itemPath(id), patchBody(operations)]
      return item(id, { operation: 'patch item', method: 'PATCH', path, body }, signal)
    },
    async deleteItem(id, { signal = NEVER } = {}) {
      const path = itemPath(id)
      await transport.send({ operation: 'delete item', method: 'DELETE', path }, signal)
    },
  }
}

function fileCalls(transport: Transport): Pick<ConnectClient, 'files' | 'file' | 'fileContent'> {
  const inlined = (request: ConnectRequest, inline = false): ConnectRequest =>
    inline ? { ...request, query: { inline_files: 'true' }, limit: LIST_LIMIT } : request
  return {
    async files(id, { inline, signal } = {}) {
      const request = inlined(read('files', `${itemPath(id)}/files`), inline)
      return listed(transport, fileSchema, request, signal)
    },
    async file(id, fileId, { inline, signal } = {}) {
      const request = inlined(read('file', filePath(id, fileId)), inline)
      return asked(await answered(transport, fileSchema, request, signal), request, fileId)
    },
    async fileContent(id, fileId, { limit, signal = NEVER } = {}) {
      const request = read('file content', `${filePath(id, fileId)}/content`, limit)
      return (await transport.send(request, signal)).body
    },
  }
}

function serverCalls(
  transport: Transport,
): Pick<ConnectClient, 'activity' | 'heartbeat' | 'health' | 'metrics'> {
  const text = async (operation: string, path: string, signal = NEVER): Promise<string> => {
    const { body } = await transport.send(read(operation, path), signal)
    return body.toString('utf8')
  }
  return {
    activity({ limit, offset, signal } = {}) {
      const query = {
        ...(limit === undefined ? {} : { limit: String(limit) }),
        ...(offset === undefined ? {} : { offset: String(offset) }),
      }
      const request = { ...read('activity', '/v1/activity', LIST_LIMIT), query }
      return listed(transport, activitySchema, request, signal)
    },
    async heartbeat({ signal } = {}) {
      await text('heartbeat', '/heartbeat', signal)
    },
    health: ({ signal } = {}) =>
      answered(transport, healthSchema, read('health', '/health'), signal),
    metrics: ({ signal } = {}) => text('metrics', '/metrics', signal),
  }
}

async function json(
  transport: Transport,
  request: ConnectRequest,
  signal: AbortSignal = NEVER,
): Promise<unknown> {
  const { body }: ConnectAnswer = await transport.send(request, signal)
  const value = tryJson(body)
  if (value === undefined) throw badAnswer(request.operation, 'it is no JSON')
  return value
}

async function listed<T extends z.ZodMiniType>(
  transport: Transport,
  schema: T,
  request: ConnectRequest,
  signal: AbortSignal | undefined,
): Promise<z.infer<T>[]> {
  const values = parse(z.array(schema), await json(transport, request, signal))
  if (values === undefined) throw badAnswer(request.operation, 'it is not the list it should be')
  return values
}

async function answered<T extends z.ZodMiniType>(
  transport: Transport,
  schema: T,
  request: ConnectRequest,
  signal: AbortSignal | undefined,
): Promise<z.infer<T>> {
  const value = parse(schema, await json(transport, request, signal))
  if (value === undefined) throw badAnswer(request.operation, 'it is not what was asked for')
  return value
}

/** The object, if it is the one that was asked for. */
function asked<T extends { readonly id: string }>(
  found: T,
  request: ConnectRequest,
  id: string,
): T {
  if (found.id === id) return found
  throw otherAnswer(request)
}

function otherAnswer({ operation }: ConnectRequest): KeyferryError {
  return badAnswer(operation, 'it is about another object than the one asked for')
}

function read(operation: string, path: string, limit?: number): ConnectRequest {
  return { operation, method: 'GET', path, ...(limit === undefined ? {} : { limit }) }
}

function lists(operation: string, path: string, filter?: string): ConnectRequest {
  const request = read(operation, path, LIST_LIMIT)
  return filter === undefined ? request : { ...request, query: { filter } }
}

function vaultPath(vaultId: string): string {
  return `/v1/vaults/${checkId(vaultId)}`
}

function itemPath({ vaultId, itemId }: ItemId): string {
  return `${vaultPath(vaultId)}/items/${checkId(itemId)}`
}

function filePath(id: ItemId, fileId: string): string {
  return `${itemPath(id)}/files/${checkId(fileId)}`
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
