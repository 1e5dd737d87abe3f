import { mkdir } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import type { FastifyInstance } from 'fastify'
import { KeyferryError } from '../errors.ts'
import { type Admin, createAdmin } from './admin/admin.ts'
import { serveAdmin } from './admin/socket.ts'
import { createApp } from './http/app.ts'
import type { AppContext } from './http/context.ts'
import { createMetrics } from './http/metrics.ts'
import { limitConnections } from './http/sockets.ts'
import { readTls, type TlsFiles, watchTls } from './http/tls.ts'
import { summarise } from './items/output.ts'
import { createLog, type LogLevel, type Logger } from './log.ts'
import type { Engine } from './store/engine.ts'
import { openPostgres } from './store/postgres.ts'
import type { KeySource } from './store/keyfile.ts'
import { openStore, type OpenStore } from './store/open.ts'
import { openSqlite } from './store/sqlite.ts'
import { createTokens, type Tokens } from './tokens.ts'

/** Milliseconds that requests in flight get to finish after a stop was asked for. */
const DRAIN_MS = 10_000
const STORE_FILE = 'connect.sqlite'
const HEAD_FILE = 'connect.head'

/** Where the data is, how it is sealed, and what to do when something looks wrong. */
export interface StoreOptions {
  /** Directory of the SQLite store, of the managed key and of the administration socket. */
  readonly dir: string
  /** `postgres://…`: the data is there instead. */
  readonly url?: string
  readonly key: KeySource
  /** Remembers how far the store has come; best kept away from it. */
  readonly headFile?: string
  readonly acceptRollback?: boolean
}

/** Everything that can be set about a server; units are in the names. */
export interface ServerOptions {
  readonly store: StoreOptions
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  readonly tls?: TlsFiles
  readonly logLevel?: LogLevel
  /** Gets the log lines instead of standard error. */
  readonly log?: (line: string) => void
  /** Largest file that is answered inline, in bytes. */
  readonly maxInlineBytes?: number
  /** Largest request body, in bytes. */
  readonly maxBodyBytes?: number
  /** Most connections at a time; beyond, those that have not asked yet make room. */
  readonly maxConnections?: number
  /** Unix milliseconds; for tests. */
  readonly now?: () => number
}

/** A server that listens. */
export interface RunningServer {
  /** `http://127.0.0.1:8080`, without a slash at the end. */
  readonly url: string
  /** Vaults, tokens, files and keys, as the command line has them. */
  readonly admin: Admin
  /** Stops accepting, lets requests in flight finish (at most 10 s), closes the store. */
  close(): Promise<void>
}

const MIB = 1024 * 1024

/**
 * Starts the Connect server and resolves once it listens.
 * @param signal stops the server, like `close`
 * @throws KeyferryError STORE_*, SETTING_INVALID when the port is taken
 */
export async function startServer(
  options: ServerOptions,
  signal?: AbortSignal,
): Promise<RunningServer> {
  const log = createLog(options.logLevel ?? 'info', options.log)
  const opened = await openStoreAt(options.store, (message) => log.warn(message), options.now)
  try {
    return await serve(options, opened, log, signal)
  } catch (error) {
    await opened.store.close()
    throw error
  }
}

/** A store that is open in this process, with what administers it. */
export interface OpenedStore extends OpenStore {
  readonly tokens: Tokens
  readonly admin: Admin
}

/**
 * Opens the store that `options` describe; makes it, and its directory, where there is none.
 * @throws KeyferryError STORE_*
 */
export async function openStoreAt(
  options: StoreOptions,
  warn: (message: string) => void,
  now: () => number = Date.now,
): Promise<OpenedStore> {
  const { key, acceptRollback } = options
  const engine = await openEngine(options)
  try {
    const open = await openStore({
      engine,
      key,
      ...headFileOf(options),
      ...(acceptRollback === undefined ? {} : { acceptRollback }),
      summarise,
      warn,
      now,
    })
    const tokens = createTokens(open.store, open.signingKey, now)
    return { ...open, tokens, admin: createAdmin(open, tokens) }
  } catch (error) {
    await engine.close()
    throw error
  }
}

/** The engine below a store; makes the directory and the file where there are none. */
export async function openEngine({ dir, url }: StoreOptions): Promise<Engine> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  return url ? openPostgres(url) : openSqlite(path.join(dir, STORE_FILE))
}

/** A SQLite store always has a head file beside it; elsewhere only when it was asked for. */
function headFileOf({ dir, url, headFile }: StoreOptions): {
  headFile?: { file: string; required: boolean }
} {
  if (headFile !== undefined) return { headFile: { file: headFile, required: true } }
  return url ? {} : { headFile: { file: path.join(dir, HEAD_FILE), required: false } }
}

async function serve(
  options: ServerOptions,
  opened: OpenedStore,
  log: Logger,
  signal: AbortSignal | undefined,
): Promise<RunningServer> {
  const stop = new AbortController()
  const context: AppContext = {
    store: opened.store,
    tokens: opened.tokens,
    log,
    metrics: createMetrics(opened.store),
    maxInlineBytes: options.maxInlineBytes ?? 100 * 1024,
    maxBodyBytes: options.maxBodyBytes ?? 4 * MIB,
    now: options.now ?? Date.now,
    stopping: () => stop.signal.aborted,
  }
  const { tls } = options
  const app = await createApp(context, tls && (await readTls(tls)))
  limitConnections(app.server, options.maxConnections ?? 1024)
  const url = await listen(app, options)
  if (tls) watchTls(tls, app.server, log, stop.signal)
  const socket = options.store.url
    ? undefined
    : await serveAdmin(options.store.dir, opened.admin, log)

  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= shutDown({ app, opened, socket, stop, log })
    return closing
  }
  signal?.addEventListener('abort', () => void close(), { once: true })
  log.info({ url, vaults: opened.verified.vaults }, 'listening')
  warnAboutPlainText(options, log)
  return { url, admin: opened.admin, close }
}

async function listen(app: FastifyInstance, { host, port, tls }: ServerOptions): Promise<string> {
  try {
    await app.listen({ host, port })
  } catch (error) {
    throw new KeyferryError('SETTING_INVALID', {
      message: `cannot listen on ${host}:${port}: ${(error as NodeJS.ErrnoException).code ?? ''}`,
      remedy: 'Choose another --port or --host.',
      retry: 'on-change',
      cause: error,
    })
  }
  const address = app.server.address() as AddressInfo
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `${tls ? 'https' : 'http'}://${name}:${address.port}`
}

interface Parts {
  readonly app: FastifyInstance
  readonly opened: OpenedStore
  readonly socket: { close(): Promise<void> } | undefined
  readonly stop: AbortController
  readonly log: Logger
}

async function shutDown({ app, opened, socket, stop, log }: Parts): Promise<void> {
  stop.abort()
  log.info('stopping')
  const timer = setTimeout(() => app.server.closeAllConnections(), DRAIN_MS)
  await app.close()
  clearTimeout(timer)
  await socket?.close()
  await opened.store.close()
  log.info('stopped')
  await new Promise<void>((resolve) => {
    log.flush(() => resolve())
  })
}

function warnAboutPlainText({ host, tls }: ServerOptions, log: Logger): void {
  if (tls || host === 'localhost' || host === '::1' || host.startsWith('127.')) return
  log.warn('listening beyond this machine without TLS: tokens and values travel in plain text')
}
