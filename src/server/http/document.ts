import document from '../openapi.json' with { type: 'json' }

const BASE = '/v1'
const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const

/** An operation of the document, as Fastify takes it. */
export interface DocumentRoute {
  readonly method: string
  readonly url: string
  readonly operationId: string
  /** What path, query and body must look like, without references. */
  readonly schema: Readonly<Record<string, object>>
}

/** Every operation: the API's under /v1, those about the server itself at the root. */
export function documentRoutes(): DocumentRoute[] {
  return Object.entries(document.paths).flatMap(([path, item]) => {
    const url = fullPath(path, item).replaceAll(/\{(\w+)\}/g, ':$1')
    const operations = Object.entries(resolved(item) as Readonly<Record<string, Described>>)
    return operations
      .filter(([method]) => METHODS.some((one) => one === method))
      .map(([method, operation]) => ({
        method: method.toUpperCase(),
        url,
        operationId: operation.operationId,
        schema: schemaOf(operation),
      }))
  })
}

/** What counts here of an operation. */
interface Described {
  readonly operationId: string
  readonly parameters?: readonly {
    readonly in: string
    readonly name: string
    readonly required?: boolean
    readonly schema: object
  }[]
  /** Fastify knows this shape: a schema for each content type. */
  readonly requestBody?: { readonly content: object }
}

const PLACES = { path: 'params', query: 'querystring' } as const

function schemaOf({ parameters = [], requestBody }: Described): Record<string, object> {
  const schema: Record<string, object> = {}
  for (const [place, name] of Object.entries(PLACES)) {
    const own = parameters.filter((one) => one.in === place)
    if (own.length === 0) continue
    schema[name] = {
      type: 'object',
      properties: Object.fromEntries(own.map((one) => [one.name, one.schema])),
      required: own.filter((one) => one.required).map((one) => one.name),
    }
  }
  if (requestBody) schema['body'] = { content: requestBody.content }
  return schema
}

/** A part of the document with what its references name in their place; no schema holds itself. */
function resolved(part: unknown): unknown {
  if (typeof part !== 'object' || part === null) return part
  if (Array.isArray(part)) return part.map(resolved)
  if ('$ref' in part) return resolved(named(String(part.$ref)))
  return Object.fromEntries(Object.entries(part).map(([name, value]) => [name, resolved(value)]))
}

/** @param pointer `#/components/schemas/Item` */
function named(pointer: string): unknown {
  let part: unknown = document
  for (const name of pointer.split('/').slice(1)) {
    part = (part as Readonly<Record<string, unknown>> | undefined)?.[name]
  }
  if (part === undefined) throw new Error(`the document has no ${pointer}`)
  return part
}

function fullPath(path: string, item: object): string {
  return 'servers' in item ? path : BASE + path
}

const served = Object.entries(document.paths).map(([path, item]) => ({
  path: new RegExp(`^${fullPath(path, item).replaceAll(/\{\w+\}/g, '[^/]+')}$`),
  methods: METHODS.filter((method) => method in item).map((method) => method.toUpperCase()),
}))

/** The methods that a path allows; none: the path is unknown. @param url may have a query */
export function allowedMethods(url: string): string[] {
  const [path = ''] = url.split('?')
  const plain = path.replaceAll(/\/{2,}/g, '/').replace(/(.)\/$/, '$1')
  const methods = served.find((entry) => entry.path.test(plain))?.methods ?? []
  return methods.includes('GET') ? [...methods, 'HEAD'] : methods
}
