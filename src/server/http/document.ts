import type { FastifySchema } from 'fastify'
import document from '../openapi.json' with { type: 'json' }
import { isOperationId, type OperationId } from './operations.ts'

/** An operation of the document, as a router takes it. */
export interface Route {
  readonly operation: OperationId
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** With parameters as `:name`. */
  readonly url: string
  /** What its query and body must look like. */
  readonly schema: FastifySchema
}

const BASE = '/v1'
const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const

type Node = Readonly<Record<string, unknown>>
interface Parameter {
  readonly in: 'path' | 'query'
  readonly name: string
  readonly required?: boolean
  readonly schema: Node
}
interface OperationNode {
  readonly operationId: string
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly content: { readonly 'application/json': { schema: Node } } }
}

/** Every operation of the document: the API's under /v1, those about the server at the root. */
export const routes: readonly Route[] = Object.entries(document.paths).flatMap(([path, item]) => {
  const url = ('servers' in item ? '' : BASE) + path.replaceAll(/\{(\w+)\}/g, ':$1')
  return METHODS.flatMap((method) => {
    const node = (item as Node)[method]
    return node === undefined ? [] : [routeOf(url, method, resolve(node) as OperationNode)]
  })
})

function routeOf(url: string, method: (typeof METHODS)[number], node: OperationNode): Route {
  const { operationId, parameters = [], requestBody } = node
  if (!isOperationId(operationId)) {
    throw new Error(`the document names an unknown operation ${operationId}`)
  }
  const body = requestBody?.content['application/json'].schema
  const query = parameters.filter((parameter) => parameter.in === 'query')
  // The ids of the path are checked by the guard, before the token's rights and the body.
  const schema: FastifySchema = {
    ...(query.length > 0 ? { querystring: objectOf(query) } : {}),
    ...(body ? { body } : {}),
  }
  const upper = method.toUpperCase() as Route['method']
  return { operation: operationId, method: upper, url, schema }
}

function objectOf(parameters: readonly Parameter[]): Node {
  return {
    type: 'object',
    properties: Object.fromEntries(parameters.map(({ name, schema }) => [name, schema])),
    required: parameters.filter(({ required }) => required).map(({ name }) => name),
  }
}

/** Puts what references point to in their place; the document has no cycles. */
function resolve(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(resolve)
  if (typeof node !== 'object' || node === null) return node
  const { $ref } = node as { $ref?: unknown }
  if (typeof $ref === 'string') return resolve(lookUp($ref))
  return Object.fromEntries(Object.entries(node).map(([name, value]) => [name, resolve(value)]))
}

function lookUp(reference: string): unknown {
  let node: unknown = document
  for (const part of reference.replace(/^#\//, '').split('/')) {
    node = (node as Node | undefined)?.[part]
  }
  if (node === undefined) throw new Error(`the document refers to nothing: ${reference}`)
  return node
}

const served = routes.map(({ method, url }) => ({
  method,
  path: new RegExp(`^${url.replaceAll(/:\w+/g, '[^/]+')}$`),
}))

/** The methods that a path allows; none: the path is unknown. @param url may have a query */
export function allowedMethods(url: string): string[] {
  const [path = ''] = url.split('?')
  const plain = path.replaceAll(/\/{2,}/g, '/').replace(/(.)\/$/, '$1')
  const methods = served.filter((entry) => entry.path.test(plain)).map(({ method }) => method)
  return methods.includes('GET') ? [...methods, 'HEAD'] : methods
}
