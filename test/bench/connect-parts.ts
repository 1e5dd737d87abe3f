/**
 * The parts of the server's benchmark that run in processes of their own, so that nobody shares
 * an event loop: `node connect-parts.ts PART …` prints what it measured as JSON.
 */
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import process from 'node:process'
import { DatabaseSync } from 'node:sqlite'
import { Pool } from 'undici'

const CONNECTIONS = 20
/** Requests before anything is measured: both sides are compiled while they run. */
const WARM_UP = { GET: 5_000, POST: 1_000 } as const

/** Rate and latencies of one round. */
export interface Measured {
  /** Per second. */
  readonly rate: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
}

/** An item of about 1 kB, as a login with some more fields. */
export function itemBody(n: number): object {
  const field = (label: string, value: string) => ({ label, type: 'STRING', value })
  return {
    title: `Item ${n}`,
    category: 'LOGIN',
    tags: ['bench', `group-${n % 10}`],
    urls: [{ href: `https://service-${n}.example.com/login`, primary: true }],
    fields: [
      { purpose: 'USERNAME', label: 'username', value: `user-${n}@example.com` },
      { purpose: 'PASSWORD', type: 'CONCEALED', label: 'password', value: 'p'.repeat(32) },
      field('host', `db-${n}.internal.example.com`),
      field('port', '5432'),
      field('note', 'n'.repeat(300)),
    ],
  }
}

function summary(latencies: number[], seconds: number): Measured {
  const sorted = latencies.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? 0
  return { rate: latencies.length / seconds, p50: at(0.5), p99: at(0.99) }
}

/**
 * Requests on 20 connections, each the next as soon as the last is answered.
 * @param args URL, GET or POST, a file with the paths to ask for, one a line, in turn, and the
 * token
 */
async function load(seconds: number, args: readonly string[]): Promise<Measured> {
  const [url = '', method = 'GET', targets = '', token = ''] = args
  const paths = (await readFile(targets, 'utf8')).trim().split('\n')
  const pool = new Pool(url, { connections: CONNECTIONS, pipelining: 1 })
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }
  const latencies: number[] = []
  const warm = method === 'POST' ? WARM_UP.POST : WARM_UP.GET
  let until = Number.POSITIVE_INFINITY
  let n = 0
  const worker = async () => {
    while (performance.now() < until) {
      if (n === warm) until = performance.now() + seconds * 1000
      const target = paths[n++ % paths.length] ?? '/'
      const body = method === 'POST' ? JSON.stringify(itemBody(n)) : null
      const started = performance.now()
      const answer = await pool.request({ path: target, method, headers, body })
      await answer.body.arrayBuffer()
      if (answer.statusCode !== 200) throw new Error(`${method} answered ${answer.statusCode}`)
      if (started >= until - seconds * 1000) latencies.push(performance.now() - started)
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, worker))
  await pool.close()
  return summary(latencies, seconds)
}

/** The least a server can do: the same bytes, from memory, to everyone. */
async function bareServer(file: string): Promise<void> {
  const body = await readFile(file)
  const server = createServer((_, response) => {
    response.setHeader('Content-Type', 'application/json; charset=utf-8')
    response.setHeader('Content-Length', body.length)
    response.end(body)
  })
  server.keepAliveTimeout = 72_000
  server.listen(0, '127.0.0.1', () => {
    process.stdout.write(`${JSON.stringify(server.address())}\n`)
  })
}

/** The least that stores durably: one row of the same size per transaction. */
function bareSqlite(seconds: number, file: string): Measured {
  const db = new DatabaseSync(file)
  db.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL')
  db.exec('CREATE TABLE items (id TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT')
  const put = db.prepare('INSERT INTO items VALUES (?, ?)')
  const latencies: number[] = []
  const until = performance.now() + seconds * 1000
  for (let n = 0; performance.now() < until; n++) {
    const started = performance.now()
    put.run(`item-${n}`, Buffer.from(JSON.stringify(itemBody(n))))
    latencies.push(performance.now() - started)
  }
  db.close()
  return summary(latencies, seconds)
}

const print = (measured: Measured) => process.stdout.write(JSON.stringify(measured))

/** The parts by name; the first argument is how many seconds to measure. */
const parts: Readonly<Record<string, (seconds: number, args: string[]) => unknown>> = {
  load: async (seconds, args) => print(await load(seconds, args)),
  'bare-server': (_, [file = '']) => bareServer(file),
  'bare-sqlite': (seconds, [file = '']) => print(bareSqlite(seconds, file)),
}

if (import.meta.main) {
  const [name = '', seconds = '2', ...args] = process.argv.slice(2)
  await parts[name]?.(Number(seconds), args)
}
