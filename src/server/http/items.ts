import type { FastifyRequest } from 'fastify'
import type { FullItem, ItemInput, PatchOperation, WriteReceipt } from '../api.ts'
import { newId } from '../ids.ts'
import { assertItemInput } from '../items/check.ts'
import { filterItems } from '../items/filter.ts'
import { assertCreatable, assertVault, readItem } from '../items/input.ts'
import type { Item } from '../items/model.ts'
import { itemBody, itemText } from '../items/output.ts'
import { applyPatch } from '../items/patch.ts'
import { notFound } from '../refusals.ts'
import { type AppContext, grantOf, type Handler, pathId, sendJson } from './context.ts'
import { filterOf } from './filters.ts'

/** Operations on items. */
export function itemHandlers(context: AppContext): {
  list: Handler
  create: Handler
  get: Handler
  replace: Handler
  patch: Handler
  remove: Handler
} {
  const { store } = context
  return {
    ...writeHandlers(context),
    async list(request, reply) {
      const narrow = filterOf(request)
      const vault = await store.vault(pathId(request, 'vaultUuid'))
      if (vault === undefined) throw notFound('vault', pathId(request, 'vaultUuid'))
      const kept = narrow(await store.summaries(vault), filterItems)
      return sendJson(reply, `[${kept.map(({ json }) => json).join(',')}]`)
    },
    async get(request, reply) {
      const item = await itemOf(context, request)
      request.state.itemVersion = item.version
      return sendJson(reply, itemText(item, context.now()))
    },
    async remove(request, reply) {
      const item = await store.deleteItem(pathId(request, 'vaultUuid'), pathId(request, 'itemUuid'))
      request.state.itemVersion = item.version
      return reply.code(204).send()
    },
  }
}

function writeHandlers(context: AppContext): { create: Handler; replace: Handler; patch: Handler } {
  return {
    async create(request) {
      const input = bodyFor(request)
      assertCreatable(input.category)
      const content = readItem(input)
      const id = newId()
      const vault = pathId(request, 'vaultUuid')
      const { after } = await context.store.addItem(vault, (now) => ({
        ...content,
        id,
        vault,
        version: 1,
        files: [],
        createdAt: now,
        updatedAt: now,
        lastEditedBy: editor(context),
      }))
      return answer(context, request, after, input)
    },
    async replace(request) {
      const input = bodyFor(request)
      const content = readItem(input)
      const { before, after } = await change(context, request, (item) => {
        if (item.category !== content.category) assertCreatable(content.category)
        return { ...item, ...content }
      })
      return answer(context, request, { ...after, version: before.version }, input)
    },
    async patch(request) {
      const operations = request.body as PatchOperation[]
      if (operations.length === 0) {
        return answer(context, request, await itemOf(context, request), {})
      }
      const mayRead = grantOf(request).mayRead(pathId(request, 'vaultUuid'))
      const { before, after } = await change(context, request, (item) => {
        const input = applyPatch(item, operations, mayRead ? 'sighted' : 'blind')
        assertItemInput(input)
        assertVault(input, item.vault)
        if (item.category !== input.category) assertCreatable(input.category)
        return { ...item, ...readItem(input) }
      })
      return answer(context, request, { ...after, version: before.version }, {})
    },
  }
}

/** The body of a write, already valid by the document. @throws KeyferryError REQUEST_REFUSED */
function bodyFor(request: FastifyRequest): ItemInput {
  const input = request.body as ItemInput
  assertVault(input, pathId(request, 'vaultUuid'))
  return input
}

/** Changes an item that must exist: version, date and editor follow. */
async function change(
  { store, ...context }: AppContext,
  request: FastifyRequest,
  edit: (item: Item) => Item,
): Promise<{ before: Item; after: Item }> {
  const id = pathId(request, 'itemUuid')
  let old: Item | undefined
  const { after } = await store.writeItem(pathId(request, 'vaultUuid'), id, (before, now) => {
    if (before === undefined) throw notFound('item', id)
    old = before
    return {
      ...edit(before),
      version: before.version + 1,
      updatedAt: now,
      lastEditedBy: editor({ store, ...context }),
    }
  })
  if (old === undefined) throw notFound('item', id)
  return { before: old, after }
}

/** The item of the path. @throws KeyferryError REQUEST_REFUSED 404 */
async function itemOf({ store }: AppContext, request: FastifyRequest): Promise<Item> {
  const id = pathId(request, 'itemUuid')
  const vault = pathId(request, 'vaultUuid')
  const item = await store.item(vault, id)
  if (item) return item
  throw (await store.vault(vault)) ? notFound('item', id) : notFound('vault', vault)
}

/**
 * The answer to a write. A token that may not read gets back what it sent and nothing that was
 * stored or generated.
 */
function answer(
  context: AppContext,
  request: FastifyRequest,
  item: Item,
  sent: Partial<Pick<ItemInput, 'title' | 'category'>>,
): FullItem | WriteReceipt {
  request.state.item = item.id
  request.state.itemVersion = item.version
  if (grantOf(request).mayRead(item.vault)) return itemBody(item, context.now())
  const { id, vault, version, updatedAt } = item
  return {
    id,
    vault: { id: vault },
    ...(sent.title ? { title: sent.title } : {}),
    ...(sent.category ? { category: sent.category } : {}),
    version,
    updatedAt,
  }
}

/** Whoever writes through this server is one integration of one account, as with Connect. */
const editor = ({ store }: Pick<AppContext, 'store'>): string => store.id.toUpperCase()
