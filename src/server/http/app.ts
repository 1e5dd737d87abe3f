import { randomUUID } from 'node:crypto'
import type { ServerOptions as HttpOptions } from 'node:http'
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { type AppContext, CONNECT_VERSION, type Handler, VERSION_HEADER } from './context.ts'
import { allowedMethods, documentRoutes } from './document.ts'
import { answerBrokenRequest, errorBody, refuseExpectation, sendError } from './errors.ts'
import { fileHandlers } from './files.ts'
import { admit, authorise, type PathIds } from './guard.ts'
import { itemHandlers } from './items.ts'
import { assertFlat, parseQuery } from './json.ts'
import { CHECK_OPTIONS } from '../items/check.ts'
import { badInput } from '../refusals.ts'
import { report } from './report.ts'
import { isOperationId, type OperationId, operations } from './operations.ts'
import { serviceHandlers } from './service.ts'
import { vaultHandlers } from './vaults.ts'

/** Milliseconds a client has to send its headers, and its whole request. */
const HEADERS_MS = 10_000
const REQUEST_MS = 60_000
/** Milliseconds a connection may rest between two requests. */
const KEEP_ALIVE_MS = 72_000
const HEADER_BYTES = 16 * 1024

/**
 * The Connect API as a Fastify application: the document in openapi.json decides which
 * operations there are and what their input must look like.
 * @param tls key and certificate; absent: plain HTTP
 */
export async function createApp(
  context: AppContext,
  tls?: { key: Buffer; cert: Buffer },
): Promise<FastifyInstance> {
  const http: HttpOptions = {
    headersTimeout: HEADERS_MS,
    connectionsCheckingInterval: 1_000,
    maxHeaderSize: HEADER_BYTES,
    // Refused by a hook instead, with the header and the body that every answer has.
    requireHostHeader: false,
  }
  const app = fastify({
    logger: false,
    bodyLimit: context.maxBodyBytes,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    genReqId: () => randomUUID(),
    // The schemas say what is valid; nothing is converted, filled in or dropped on the way.
    ajv: {
      customOptions: CHECK_OPTIONS,
    },
    routerOptions: {
      ignoreTrailingSlash: true,
      ignoreDuplicateSlashes: true,
      maxParamLength: HEADER_BYTES,
      querystringParser: parseQuery,
    },
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (error, _request, reply) => sendError(context, error, undefined, reply),
    ...(tls ? { https: { ...http, ...tls, minVersion: 'TLSv1.2' } } : { http }),
  }) as unknown as FastifyInstance
  addHooks(app, context)
  addParser(app)
  app.server.on('checkExpectation', refuseExpectation)
  const handlers = handlersOf(context)
  // A serialiser made of a schema drops what the schema does not name, and is no faster.
  app.setSerializerCompiler(() => JSON.stringify)
  for (const { operationId, ...described } of documentRoutes()) {
    app.route({ ...described, ...route(context, operationId, handlers) })
  }
  await app.ready()
  return app
}

function addHooks(app: FastifyInstance, context: AppContext): void {
  app.decorateRequest('state')
  app.addHook('onRequest', (request, reply, done) => {
    request.state = {}
    reply.header(VERSION_HEADER, CONNECT_VERSION)
    // Clients send JSON under any content type, or none: everything is read, and validated, as
    // JSON.
    request.raw.headers['content-type'] = 'application/json'
    const { httpVersion, headers } = request.raw
    const isComplete = httpVersion !== '1.1' || headers.host !== undefined
    done(isComplete ? undefined : badInput('The request has no Host header'))
  })
  app.addHook('onResponse', (request, reply, done) => {
    report(context, request, reply)
    done()
  })
  app.setErrorHandler((error, request, reply) => sendError(context, error, request, reply))
  app.setNotFoundHandler((request, reply) => {
    const allowed = allowedMethods(request.url)
    if (allowed.length === 0) return void reply.code(404).send(errorBody(404, 'Not found'))
    reply.header('Allow', allowed.join(', '))
    reply.code(405).send(errorBody(405, 'Method not allowed'))
  })
}

/** One parser for everything: an empty body is no body, whatever its type claims. */
function addParser(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (typeof body !== 'string' || body.trim() === '') return done(null, undefined)
    try {
      assertFlat(body)
    } catch (error) {
      return done(error as Error)
    }
    // What could name a prototype takes the slower parser, which refuses that.
    if (/__proto__|constructor|\\u/.test(body)) return parse(request, body, done)
    try {
      return done(null, JSON.parse(body))
    } catch (error) {
      return done(error as Error)
    }
  })
}

function handlersOf(context: AppContext): Readonly<Record<OperationId, Handler>> {
  const vaults = vaultHandlers(context)
  const items = itemHandlers(context)
  const files = fileHandlers(context)
  const service = serviceHandlers(context)
  return {
    Activity_getApiRequests: vaults.activity,
    Vaults_listAll: vaults.list,
    Vaults_getDetailsById: vaults.get,
    Items_getAll: items.list,
    Items_createNewItem: items.create,
    Items_getDetails: items.get,
    Items_updateItemDetails: items.replace,
    Items_delete: items.remove,
    Items_patchDetails: items.patch,
    Files_getAllFilesInsideItem: files.list,
    Files_getDetailsById: files.get,
    Files_getContent: files.content,
    Health_checkLiveness: service.heartbeat,
    Health_serverStateCheck: service.health,
    Metrics_queryServerMetrics: service.metrics,
  }
}

/** The route of an operation: its guard runs before the body is read. */
function route(
  { tokens }: AppContext,
  id: string,
  handlers: Readonly<Record<OperationId, Handler>>,
): { handler: Handler; onRequest: (request: FastifyRequest) => Promise<void> } {
  if (!isOperationId(id)) throw new Error(`the document names an unknown operation ${id}`)
  const operation = operations[id]
  return {
    handler: handlers[id],
    async onRequest(request) {
      request.state.operation = id
      const ids = request.params as PathIds
      const grant = await admit(tokens, operation, request.headers.authorization, ids)
      if (grant === undefined) return
      request.state.grant = grant
      authorise(grant, operation, ids.vaultUuid)
    },
  }
}
