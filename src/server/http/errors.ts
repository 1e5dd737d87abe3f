import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { isKeyferryError } from '../../errors.ts'
import { findingText } from '../items/check.ts'
import { type AppContext, CONNECT_VERSION, VERSION_HEADER } from './context.ts'

/** What a caller gets to read of an error. */
export interface ErrorAnswer {
  readonly status: number
  readonly message: string
  /** Whether the cause is ours and belongs in the log. */
  readonly ours: boolean
}

/** Texts for what Fastify refuses itself; its own may quote the request, and with it a value. */
const FRAMEWORK: Readonly<Record<string, string>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'The request body is too large',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'The length of the request body is not the one announced',
  FST_ERR_BAD_URL: 'The path of the request is not a valid URL',
  FST_ERR_CTP_INVALID_JSON_BODY: 'The request body is not valid JSON',
  FST_ERR_ASYNC_CONSTRAINT: 'Bad request',
}

/** The status and text for any error that a request can end with. */
export function errorAnswer(error: unknown): ErrorAnswer {
  if (isKeyferryError(error, 'REQUEST_REFUSED')) {
    return { status: error.status ?? 400, message: error.message, ours: false }
  }
  if (isKeyferryError(error, 'STORE_DAMAGED')) {
    return { status: 500, message: error.message, ours: true }
  }
  if (isKeyferryError(error)) {
    const message = 'the store is unavailable, please retry the request'
    return { status: 503, message, ours: true }
  }
  const { code, statusCode, validation } = error as Partial<FastifyError>
  if (validation) return { status: 400, message: findingText(validation), ours: false }
  if (error instanceof SyntaxError) {
    return { status: 400, message: 'The request body is not valid JSON', ours: false }
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return { status: statusCode, message: FRAMEWORK[code ?? ''] ?? 'Bad request', ours: false }
  }
  return { status: 500, message: 'Something went wrong', ours: true }
}

/** The body of every error answer. */
export function errorBody(status: number, message: string): { status: number; message: string } {
  return { status, message }
}

/** Answers an error, and logs it when the cause is ours. */
export function sendError(
  { log }: Pick<AppContext, 'log'>,
  error: unknown,
  request: FastifyRequest | undefined,
  reply: FastifyReply,
): void {
  const { status, message, ours } = errorAnswer(error)
  if (ours) {
    const detail = error instanceof Error ? error.message : 'unknown'
    const code = isKeyferryError(error) ? error.code : undefined
    log.error({ code, detail, scope: { request_id: request?.id } }, 'request failed')
  }
  reply.header(VERSION_HEADER, CONNECT_VERSION)
  // Fastify would close at once, and a reset would overtake the answer: the rest of the body is
  // thrown away instead, for as long as a request may take.
  if (status === 413) reply.removeHeader('connection')
  if (status === 401) reply.header('WWW-Authenticate', 'Bearer')
  void reply.code(status).send(errorBody(status, message))
}

/** Answers what is not HTTP enough to become a request: there is only the socket. */
export function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const [status, reason, message] = BROKEN[error.code ?? ''] ?? [400, 'Bad Request', 'Bad request']
  const body = JSON.stringify(errorBody(status, message))
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\n${VERSION_HEADER}: ${CONNECT_VERSION}\r\n` +
      `Content-Type: application/json; charset=utf-8\r\nContent-Length: ${body.length}\r\n` +
      `Connection: close\r\n\r\n${body}`,
  )
}

/** Answers an Expect header that asks for more than 100-continue, which Node does on its own. */
export function refuseExpectation(_: IncomingMessage, response: ServerResponse): void {
  response.writeHead(417, {
    [VERSION_HEADER]: CONNECT_VERSION,
    'Content-Type': 'application/json; charset=utf-8',
  })
  response.end(JSON.stringify(errorBody(417, 'The expectation cannot be met')))
}

const BROKEN: Readonly<Record<string, readonly [number, string, string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', 'The request took too long to arrive'],
  HPE_HEADER_OVERFLOW: [
    431,
    'Request Header Fields Too Large',
    'The request headers are too large',
  ],
}
