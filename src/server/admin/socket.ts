import { chmod, open, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, request as httpRequest, type Server } from 'node:http'
import path from 'node:path'
import process from 'node:process'
import { text } from 'node:stream/consumers'
import { isKeyferryError, KeyferryError } from '../../errors.ts'
import type { Logger } from '../log.ts'
import type { Progress } from '../store/rotate.ts'
import type { Admin } from './admin.ts'
import { callAdmin, type Call, decode, encode } from './wire.ts'

const SOCKET_FILE = 'admin.sock'
/** Longest path of a Unix socket on Linux less its end mark; macOS has 103. */
const MAX_SOCKET_PATH = 103

/**
 * Serves administration on a socket in the data directory, which only the owner of the
 * directory can open: vaults and tokens can be made while the server holds the store.
 *
 * One request per call: the body is the call, the answer is lines of JSON, `{"done": 12}` for
 * progress and at last `{"result": …}` or `{"error": …}`.
 */
export async function serveAdmin(
  dir: string,
  admin: Admin,
  log: Logger,
): Promise<{ close(): Promise<void> }> {
  const server = createServer((request, response) => {
    response.setHeader('Content-Type', 'application/x-ndjson')
    const progress: Progress = (done, total) =>
      void response.write(`${JSON.stringify({ done, total })}\n`)
    answerCall(request, admin, progress).then(
      (line) => response.end(line),
      (error: unknown) => {
        log.error({ detail: error instanceof Error ? error.message : '' }, 'administration failed')
        response.destroy()
      },
    )
  })
  const place = await socketPlace(dir)
  try {
    // Whoever holds the store's lock owns the socket's name: a leftover is nobody's.
    await rm(place.name, { force: true })
    await listenOn(server, place.address)
    await chmod(place.name, 0o600)
  } finally {
    await place.release()
  }
  return {
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await rm(place.name, { force: true })
    },
  }
}

async function answerCall(
  request: IncomingMessage,
  admin: Admin,
  progress: Progress,
): Promise<string> {
  try {
    const call = decode(await text(request)) as Call
    return `${encode({ result: await callAdmin(admin, call, progress) })}\n`
  } catch (error) {
    if (!isKeyferryError(error)) throw error
    const { code, message, remedy, retry } = error
    return `${encode({ error: { code, message, remedy, retry } })}\n`
  }
}

function listenOn(server: Server, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // The mask applies while the socket's file is made, which happens before listen returns.
    const mask = process.umask(0o177)
    try {
      server.listen(address, () => resolve())
    } finally {
      process.umask(mask)
    }
  })
}

interface Place {
  readonly name: string
  /** What bind and connect get to see: the kernel takes short paths only. */
  readonly address: string
  release(): Promise<void>
}

async function socketPlace(dir: string): Promise<Place> {
  const name = path.join(path.resolve(dir), SOCKET_FILE)
  if (Buffer.byteLength(name) <= MAX_SOCKET_PATH) {
    return { name, address: name, release: async () => undefined }
  }
  if (process.platform !== 'linux') {
    throw new KeyferryError('SETTING_INVALID', {
      message: `the path of the data directory ${dir} is too long for a socket`,
      remedy: 'Choose a shorter --data.',
      retry: 'on-change',
    })
  }
  const handle = await open(dir, 'r')
  const address = `/proc/self/fd/${handle.fd}/${SOCKET_FILE}`
  return { name, address, release: () => handle.close() }
}

/** A connection to the process that has the store open. */
export interface RemoteAdmin {
  send(call: Call): Promise<unknown>
  close(): Promise<void>
}

/**
 * Administration of the store that another process has open, or `undefined` when none answers.
 * @throws KeyferryError as the methods of Admin do
 */
export async function remoteAdmin(
  dir: string,
  progress: Progress,
): Promise<RemoteAdmin | undefined> {
  const place = await socketPlace(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (place === undefined) return undefined
  const send = async (call: Call) => readAnswer(await post(place.address, encode(call)), progress)
  try {
    await send({ method: 'ping', args: [] })
    return { send, close: () => place.release() }
  } catch (error) {
    await place.release()
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return undefined
    throw error
  }
}

function post(socketPath: string, body: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    // A connection of its own: one kept since the last call may be closed by now.
    const options = { socketPath, method: 'POST', path: '/', agent: false } as const
    const request = httpRequest(options, resolve)
    request.on('error', reject)
    request.end(body)
  })
}

async function readAnswer(response: IncomingMessage, progress: Progress): Promise<unknown> {
  let rest = Buffer.alloc(0)
  let last = ''
  for await (const chunk of response as AsyncIterable<Buffer>) {
    rest = Buffer.concat([rest, chunk])
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      last = rest.subarray(0, end).toString('utf8')
      rest = rest.subarray(end + 1)
      const { done, total = 0 } = JSON.parse(last) as { done?: number; total?: number }
      if (done !== undefined) progress(done, total)
    }
  }
  const answer = decode(last) as { result?: unknown; error?: RemoteError }
  if (answer.error) throw new KeyferryError(answer.error.code, answer.error)
  return answer.result
}

type RemoteError = Pick<KeyferryError, 'code' | 'message' | 'remedy' | 'retry'>
