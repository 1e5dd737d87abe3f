import { Readable } from 'node:stream'
import type { FastifyRequest } from 'fastify'
import type { ApiFile } from '../api.ts'
import type { Item, StoredFile } from '../items/model.ts'
import { fileBody } from '../items/output.ts'
import { notFound, refuse } from '../refusals.ts'
import type { Store } from '../store/store.ts'
import { type AppContext, type Handler, pathId } from './context.ts'

/** Operations on the files of an item. */
export function fileHandlers(context: AppContext): {
  list: Handler
  get: Handler
  content: Handler
} {
  return {
    async list(request) {
      const item = await itemOf(context, request)
      return Promise.all(item.files.map((file) => bodyOf(context, request, item, file)))
    },
    async get(request) {
      const item = await itemOf(context, request)
      return bodyOf(context, request, item, fileOf(item, request))
    },
    async content(request, reply) {
      const item = await itemOf(context, request)
      const file = fileOf(item, request)
      const stream = await openContent(context.store, file)
      return reply
        .header('Content-Disposition', disposition(file.name))
        .header('Content-Length', file.size)
        .header('X-Content-Type-Options', 'nosniff')
        .type('application/octet-stream')
        .send(stream)
    },
  }
}

async function itemOf({ store }: AppContext, request: FastifyRequest): Promise<Item> {
  const id = pathId(request, 'itemUuid')
  const item = await store.item(pathId(request, 'vaultUuid'), id)
  if (item === undefined) throw notFound('item', id)
  request.state.itemVersion = item.version
  return item
}

function fileOf(item: Item, request: FastifyRequest): StoredFile {
  const id = pathId(request, 'fileUuid')
  const file = item.files.find((candidate) => candidate.id === id)
  if (file === undefined) throw notFound('file', id)
  return file
}

async function bodyOf(
  { store, maxInlineBytes }: AppContext,
  request: FastifyRequest,
  item: Item,
  file: StoredFile,
): Promise<ApiFile> {
  const body = fileBody(item, file)
  if (!(request.query as { inline_files?: boolean }).inline_files) return body
  if (file.size > maxInlineBytes) {
    throw refuse(
      413,
      'File is too large to inline in request. Use the ' +
        '/v1/vaults/{vaultUUID}/items/{itemUUID}/files/{fileUUID}/content endpoint instead.',
    )
  }
  const parts: Buffer[] = []
  for await (const part of store.files.content(file)) parts.push(part)
  return { ...body, content: Buffer.concat(parts).toString('base64') }
}

/** The content as a stream whose first part is already read: damage shows before the 200. */
async function openContent(store: Store, file: StoredFile): Promise<Readable> {
  const parts = store.files.content(file)
  const first = await parts.next()
  return Readable.from(
    (async function* () {
      if (!first.done) yield first.value
      yield* parts
    })(),
  )
}

/** Source: RFC 6266, RFC 8187 */
function disposition(name: string): string {
  const plain = name.replace(/[^ -~]/g, '_').replace(/["\\]/g, '\\$&')
  if (/^[ -~]*$/.test(name)) return `attachment; filename="${plain}"`
  const escaped = encodeURIComponent(name.toWellFormed()).replace(/['()*]/g, (char) => {
    return `%${char.charCodeAt(0).toString(16).toUpperCase()}`
  })
  return `attachment; filename="${plain}"; filename*=UTF-8''${escaped}`
}
