/**
 * One connection to PostgreSQL, one statement at a time. What ends it, ends it for good: it fails the
 * statement that runs, takes no other and is never connected again, so that no statement of a
 * transaction can run outside of it.
 */
import { EventEmitter } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { type DatabaseError, parse, serialize } from 'pg-protocol'
import type { BackendMessage } from 'pg-protocol/dist/messages.js'
import { md5Answer, type Scram, scram } from './postgres-auth.ts'
import type { PostgresTarget } from './postgres-url.ts'

/** What a parameter may be; of a list, all of one kind. */
export type Value = string | number | null | Buffer | readonly (string | number | Uint8Array)[]

/** Runs statements, each after the one before. */
export interface Queryable {
  /**
   * The rows of a statement: integers as numbers, `bytea` as Buffers, all else as text.
   *
   * @param values for $1, $2, …; without them `text` may have several statements
   * @throws DatabaseError as the server says; Error when the connection is lost
   */
  query<Row>(text: string, values?: readonly Value[]): Promise<Row[]>
}

/** A connection. */
export interface Session extends Queryable {
  readonly isOpen: () => boolean
  /** Ends it; the statement that runs fails. */
  close(): void
}

/** How long to wait, and what the server is told at the start. */
export interface SessionOptions {
  readonly connectMs: number
  /** Milliseconds after which a statement without an answer means that the server is gone. */
  readonly silenceMs: number
  /** Run-time parameters. */
  readonly settings: Readonly<Record<string, string>>
  readonly onClose: () => void
}

/** The fields of the messages that are used here, by the message's name. */
type Message = BackendMessage & {
  readonly fields?: readonly unknown[]
  readonly mechanisms?: readonly string[]
  readonly data?: string
  readonly salt?: Buffer
}

interface Running {
  readonly text: string
  readonly resolve: (rows: never[]) => void
  readonly reject: (error: Error) => void
  columns: readonly Column[]
  rows: object[]
  error: Error | undefined
}

interface Column {
  readonly name: string
  readonly dataTypeID: number
}

/** @throws DatabaseError when the server refuses us, Error when it cannot be reached */
export async function openSession(
  target: PostgresTarget,
  options: SessionOptions,
): Promise<Session> {
  const { user, database } = target
  const deadline = AbortSignal.timeout(options.connectMs)
  const line = createLine(await connect(target, deadline), target, options)
  const onDeadline = () => line.end(new Error('the server does not answer'))
  deadline.addEventListener('abort', onDeadline)
  const { settings } = options
  try {
    // The start is a statement like others: it ends when the server is ready for the next.
    await line.run('', serialize.startup({ user, database, client_encoding: 'UTF8', ...settings }))
  } finally {
    deadline.removeEventListener('abort', onDeadline)
  }
  return {
    isOpen: line.isOpen,
    close: () => line.end(new Error('the connection was closed')),
    query: (text, values) =>
      line.run(
        text,
        values === undefined ? serialize.query(text) : statement(text, values, line.prepared),
      ),
  }
}

async function connect(target: PostgresTarget, deadline: AbortSignal): Promise<net.Socket> {
  const { host, port, socketPath } = target
  const plain = socketPath ? net.connect(socketPath) : net.connect({ host, port })
  plain.setNoDelay(true).setKeepAlive(true, 60_000)
  await happens(plain, 'connect', deadline)
  if (target.tls === undefined) return plain
  plain.write(serialize.requestSsl())
  const answer = (await happens(plain, 'data', deadline)) as Buffer
  // More than the one byte would be from somebody in between, and read as if it were encrypted.
  if (answer.toString('latin1') !== 'S') {
    plain.destroy()
    throw new Error('the server does not encrypt')
  }
  const servername = net.isIP(host) ? {} : { servername: host }
  const secure = tls.connect({ ...servername, ...target.tls, host, socket: plain })
  await happens(secure, 'secureConnect', deadline)
  return secure
}

/** Waits for one event of a socket, which ends with any other outcome. */
function happens(socket: net.Socket, event: string, deadline: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const end = (error: Error) => {
      settle()
      socket.on('error', () => undefined).destroy()
      reject(error)
    }
    const onEvent = (value: unknown) => {
      settle()
      resolve(value)
    }
    const onClose = () => end(new Error('the server closed the connection'))
    const onDeadline = () => end(new Error('the server does not answer'))
    function settle() {
      socket.off(event, onEvent).off('error', end).off('close', onClose)
      deadline.removeEventListener('abort', onDeadline)
    }
    socket.once(event, onEvent).once('error', end).once('close', onClose)
    deadline.addEventListener('abort', onDeadline)
    if (deadline.aborted) onDeadline()
  })
}

/** A socket as one question and its answer after the other. */
interface Line {
  /** Names of the statements that the server knows, by their texts. */
  readonly prepared: ReadonlyMap<string, string>
  readonly isOpen: () => boolean
  run(text: string, bytes: Buffer): Promise<never[]>
  end(error: Error): void
}

function createLine(
  socket: net.Socket,
  target: PostgresTarget,
  { silenceMs, onClose }: SessionOptions,
): Line {
  const prepared = new Map<string, string>()
  let isOpen = true
  let running: Running | undefined
  let silence: NodeJS.Timeout | undefined

  function end(error: Error): void {
    if (!isOpen) return
    isOpen = false
    clearTimeout(silence)
    socket.destroy()
    const last = running
    running = undefined
    last?.reject(last.error ?? error)
    onClose()
  }

  const authenticate = authentication(target, (bytes) => socket.write(bytes))
  function onMessage(message: Message): void {
    if (!isOpen) return
    if (message.name.startsWith('authentication')) return authenticate(message)
    if (message.name === 'error') {
      const error = message as unknown as DatabaseError
      if (running === undefined) return end(error)
      running.error ??= error
      return
    }
    if (running === undefined) return
    if (message.name !== 'readyForQuery') return collect(running, message, prepared)
    clearTimeout(silence)
    const { rows, error, resolve, reject } = running
    running = undefined
    if (error) reject(error)
    else resolve(rows as never[])
  }

  receive(socket, onMessage, end)
  return {
    prepared,
    isOpen: () => isOpen,
    end,
    run: (text, bytes) =>
      new Promise((resolve, reject) => {
        if (!isOpen) return reject(new Error('the connection is lost'))
        if (running) return reject(new Error('a statement is running'))
        running = { text, resolve, reject, columns: [], rows: [], error: undefined }
        silence = setTimeout(() => end(new Error('the server does not answer')), silenceMs)
        socket.write(bytes)
      }),
  }
}

/** Hands on the messages of a socket; whatever is wrong with them is its end. */
function receive(
  socket: net.Socket,
  onMessage: (message: Message) => void,
  end: (error: Error) => void,
): void {
  const chunks = new EventEmitter()
  void parse(chunks as unknown as NodeJS.ReadableStream, onMessage)
  socket.on('data', (chunk) => {
    try {
      chunks.emit('data', chunk)
    } catch (error) {
      end(error as Error)
    }
  })
  socket.on('error', end)
  socket.on('close', () => end(new Error('the server closed the connection')))
}

/** Answers what the server asks for to know us. */
function authentication(
  { user, password }: PostgresTarget,
  send: (bytes: Buffer) => void,
): (message: Message) => void {
  let exchange: Scram | undefined
  let isVerified = false
  return ({ name, mechanisms = [], data = '', salt = Buffer.alloc(0) }) => {
    switch (name) {
      case 'authenticationCleartextPassword':
        return send(serialize.password(password))
      case 'authenticationMD5Password':
        return send(serialize.password(md5Answer(user, password, salt)))
      case 'authenticationSASL':
        if (!mechanisms.includes('SCRAM-SHA-256')) throw new Error('the server asks for no SCRAM')
        exchange = scram(password)
        return send(serialize.sendSASLInitialResponseMessage('SCRAM-SHA-256', exchange.first))
      case 'authenticationSASLContinue':
        return send(serialize.sendSCRAMClientFinalMessage(exchange?.final(data) ?? ''))
      case 'authenticationSASLFinal':
        exchange?.verify(data)
        isVerified = true
        return
      case 'authenticationOk':
        if (exchange && !isVerified) throw new Error('the server did not prove itself')
        return
      default:
        throw new Error('the server asks for something unknown to let us in')
    }
  }
}

function collect(running: Running, message: Message, prepared: Map<string, string>): void {
  const { name, fields = [] } = message
  if (name === 'parseComplete') prepared.set(running.text, nameOf(prepared, running.text))
  if (name === 'rowDescription') running.columns = fields as readonly Column[]
  if (name === 'dataRow') running.rows.push(rowOf(running.columns, fields))
  // Of several statements the last one's rows count.
  if (name === 'rowDescription') running.rows = []
}

/** A statement is parsed by the server once for each connection. There are about a dozen. */
function statement(
  text: string,
  values: readonly Value[],
  prepared: ReadonlyMap<string, string>,
): Buffer {
  const name = nameOf(prepared, text)
  return Buffer.concat([
    ...(prepared.has(text) ? [] : [serialize.parse({ name, text })]),
    serialize.bind({ statement: name, values: values.map(toParameter) }),
    serialize.describe({ type: 'P' }),
    serialize.execute(),
    serialize.sync(),
  ])
}

const nameOf = (prepared: ReadonlyMap<string, string>, text: string) =>
  prepared.get(text) ?? `s${prepared.size}`

function toParameter(value: Value): string | Buffer | null {
  if (value === null || Buffer.isBuffer(value)) return value
  return typeof value === 'object' ? `{${value.map(toElement).join(',')}}` : String(value)
}

/** Source: PostgreSQL documentation, "Array Input and Output Syntax". */
function toElement(value: string | number | Uint8Array): string {
  if (typeof value === 'number') return String(value)
  if (typeof value === 'string') return `"${value.replaceAll(/[\\"]/g, String.raw`\$&`)}"`
  return String.raw`"\\x${Buffer.from(value).toString('hex')}"`
}

// Source: pg_type.dat of PostgreSQL
const BYTEA = 17
const INTEGERS = [20, 21, 23]

function rowOf(columns: readonly Column[], fields: readonly unknown[]): object {
  return Object.fromEntries(
    columns.map(({ name, dataTypeID }, index) => {
      const text = fields[index]
      if (typeof text !== 'string') return [name, null]
      if (dataTypeID === BYTEA) return [name, Buffer.from(text.slice(2), 'hex')]
      return [name, INTEGERS.includes(dataTypeID) ? Number(text) : text]
    }),
  )
}
