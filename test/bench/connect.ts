/**
 * How fast the Connect server is, against the least that could do the work in the same run on
 * the same machine: a bare node:http handler for reads, a bare node:sqlite loop for writes.
 *
 *   node test/bench/connect.ts                       about two minutes
 *   SECONDS=10 ROUNDS=9 node test/bench/connect.ts   longer
 *
 * Rounds alternate, and the best of each counts: what else the machine does can only take away.
 *
 * Goals: reads at least 60 % of node:http, durable writes at least 50 % of node:sqlite, and with
 * 100,000 items a list of 1,000 in less than 50 ms, memory flat.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { Pool } from 'undici'
import { openStoreAt } from '../../src/server/listen.ts'
import { call } from '../support/http.ts'
import { type ServerProcess, startProgram } from '../support/program.ts'
import { textOf } from '../support/server.ts'
import { tell } from '../support/skip.ts'

const SELF = fileURLToPath(import.meta.url)
const CONNECTIONS = 20
const SECONDS = Number(process.env['SECONDS'] ?? 2)
const ROUNDS = Number(process.env['ROUNDS'] ?? 5)
const VAULTS = 100
const ITEMS_PER_VAULT = 1_000

/** Rate and latencies of one round. */
interface Measured {
  /** Per second. */
  readonly rate: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
}

/** An item of about 1 kB, as a login with some more fields. */
function itemBody(n: number): object {
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

function best(rounds: readonly Measured[]): Measured {
  return rounds.toSorted((a, b) => b.rate - a.rate)[0] ?? { rate: 0, p50: 0, p99: 0 }
}

// --- parts that run in processes of their own, so that nobody shares an event loop -------------

/**
 * Requests on 20 connections, each the next as soon as the last is answered.
 * @param targets file with the paths to ask for, one a line, in turn
 */
async function load(url: string, method: 'GET' | 'POST', targets: string, token: string) {
  const paths = (await readFile(targets, 'utf8')).trim().split('\n')
  const pool = new Pool(url, { connections: CONNECTIONS, pipelining: 1 })
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }
  const latencies: number[] = []
  const warmUntil = performance.now() + 500
  const until = warmUntil + SECONDS * 1000
  let n = 0
  const worker = async () => {
    while (performance.now() < until) {
      const target = paths[n++ % paths.length] ?? '/'
      const body = method === 'POST' ? JSON.stringify(itemBody(n)) : null
      const started = performance.now()
      const answer = await pool.request({ path: target, method, headers, body })
      await answer.body.arrayBuffer()
      if (answer.statusCode !== 200) throw new Error(`${method} answered ${answer.statusCode}`)
      const now = performance.now()
      if (started >= warmUntil) latencies.push(now - started)
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, worker))
  await pool.close()
  process.stdout.write(JSON.stringify(summary(latencies, SECONDS)))
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
function bareSqlite(file: string): void {
  const db = new DatabaseSync(file)
  db.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL')
  db.exec('CREATE TABLE items (id TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT')
  const put = db.prepare('INSERT INTO items VALUES (?, ?)')
  const latencies: number[] = []
  const until = performance.now() + SECONDS * 1000
  for (let n = 0; performance.now() < until; n++) {
    const started = performance.now()
    put.run(`item-${n}`, Buffer.from(JSON.stringify(itemBody(n))))
    latencies.push(performance.now() - started)
  }
  db.close()
  process.stdout.write(JSON.stringify(summary(latencies, SECONDS)))
}

async function inProcess(...args: string[]): Promise<Measured> {
  const child = spawn(process.execPath, [SELF, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number]
  if (code !== 0) throw new Error(`${args[0]} ended with ${code}`)
  return JSON.parse(out) as Measured
}

// --- the comparison ----------------------------------------------------------------------------

interface Stage {
  readonly dir: string
  readonly data: string
  /** JWT for the first vault and the one that is written to. */
  readonly token: string
  /** Opaque, for every vault. */
  readonly everyToken: string
  readonly vaults: readonly string[]
  /** Seconds that filling the store took. */
  readonly filled: number
}

async function fill(): Promise<Stage> {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'keyferry-bench-'))
  const data = path.join(dir, 'data')
  const options = { dir: data, key: { kind: 'managed', dir: data } } as const
  const { admin, store } = await openStoreAt(options, () => undefined)
  const started = performance.now()
  const vaults: string[] = []
  for (let v = 0; v < VAULTS; v++) {
    const { id } = await admin.createVault(`Vault ${v}`)
    vaults.push(id)
    const items = Array.from({ length: ITEMS_PER_VAULT }, (_, n) => ({
      input: itemBody(n),
      files: [],
    }))
    await admin.importVaults([{ id, name: `Vault ${v}`, items }], false)
    if (v % 25 === 24) tell(`${(v + 1) * ITEMS_PER_VAULT} items`)
  }
  const filled = (performance.now() - started) / 1000
  const scratch = await admin.createVault('Writes')
  const all = [...vaults, scratch.id]
  const rights = Object.fromEntries(all.map((id) => [id, 'rw' as const]))
  const few = { [vaults[0] ?? '']: 'rw' as const, [scratch.id]: 'rw' as const }
  // A JWT names its vaults: one for a hundred of them would fill the headers.
  const every = await admin.createToken({ vaults: rights, form: 'opaque' })
  const usual = await admin.createToken({ vaults: few, form: 'jwt' })
  await store.close()
  const [token, everyToken] = [textOf(usual.token), textOf(every.token)]
  return { dir, data, token, everyToken, vaults: all, filled }
}

async function startBare(file: string): Promise<{ url: string; child: ChildProcess }> {
  const child = spawn(process.execPath, [SELF, 'bare-server', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const { port } = JSON.parse(line.toString()) as { port: number }
  return { url: `http://127.0.0.1:${port}`, child }
}

/** A file of paths for the load, and its name. */
async function pathsFile(stage: Stage, name: string, paths: readonly string[]): Promise<string> {
  const file = path.join(stage.dir, name)
  await writeFile(file, paths.join('\n'))
  return file
}

async function itemPaths(stage: Stage, server: ServerProcess, vaults: number): Promise<string[]> {
  const paths: string[] = []
  for (const vault of stage.vaults.slice(0, vaults)) {
    const items = `/v1/vaults/${vault}/items`
    const list = await call(server.url, 'GET', items, { token: stage.everyToken })
    for (const { id } of list.json<{ id: string }[]>()) paths.push(`${items}/${id}`)
  }
  return paths
}

interface Reads {
  readonly bare: Measured
  /** Of 1,000 items in turn: what a vault in use is. */
  readonly warm: Measured
  /** Of 40,000 items in turn: nearly none of them in memory. */
  readonly cold: Measured
}

async function compareReads(stage: Stage, server: ServerProcess): Promise<Reads> {
  const { token } = stage
  const all = await itemPaths(stage, server, 40)
  const few = await pathsFile(stage, 'few', all.slice(0, ITEMS_PER_VAULT))
  const many = await pathsFile(stage, 'many', all)
  const { bytes } = await call(server.url, 'GET', all[0] ?? '/', { token })
  const body = path.join(stage.dir, 'body.json')
  await writeFile(body, bytes)
  const bare = await startBare(body)
  const root = await pathsFile(stage, 'root', ['/'])
  const [theirs, warm, cold]: [Measured[], Measured[], Measured[]] = [[], [], []]
  for (let round = 0; round < ROUNDS; round++) {
    theirs.push(await inProcess('load', bare.url, 'GET', root, 'x'))
    warm.push(await inProcess('load', server.url, 'GET', few, token))
    cold.push(await inProcess('load', server.url, 'GET', many, stage.everyToken))
  }
  bare.child.kill()
  return { bare: best(theirs), warm: best(warm), cold: best(cold) }
}

async function compareWrites(stage: Stage, server: ServerProcess): Promise<[Measured, Measured]> {
  const target = await pathsFile(stage, 'writes', [`/v1/vaults/${stage.vaults.at(-1)}/items`])
  const [ours, theirs]: [Measured[], Measured[]] = [[], []]
  for (let round = 0; round < ROUNDS; round++) {
    theirs.push(await inProcess('bare-sqlite', path.join(stage.dir, `bare-${round}.sqlite`)))
    ours.push(await inProcess('load', server.url, 'POST', target, stage.token))
  }
  return [best(ours), best(theirs)]
}

interface Lists {
  /** Milliseconds: each vault's first list, and later ones. */
  readonly cold: number[]
  readonly warm: number[]
  /** MiB after one pass over all vaults, and after many. */
  readonly before: number
  readonly after: number
}

async function lists(stage: Stage, server: ServerProcess): Promise<Lists> {
  const { everyToken: token, vaults } = stage
  const timed = async (vault: string) => {
    const started = performance.now()
    await call(server.url, 'GET', `/v1/vaults/${vault}/items`, { token })
    return performance.now() - started
  }
  const cold: number[] = []
  for (const vault of vaults.slice(0, VAULTS)) cold.push(await timed(vault))
  const warm: number[] = []
  const pass = async () => {
    for (const vault of vaults.slice(0, VAULTS)) warm.push(await timed(vault))
  }
  for (let n = 0; n < 3; n++) await pass()
  const before = await residentMiB(server)
  for (let n = 0; n < 12; n++) await pass()
  return { cold, warm, before, after: await residentMiB(server) }
}

async function residentMiB({ child }: ServerProcess): Promise<number> {
  const status = await readFile(`/proc/${child.pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024
}

function row(name: string, ours: Measured, theirs: Measured, goal?: number): void {
  const ratio = ours.rate / theirs.rate
  const cells = [
    name.padEnd(16),
    `${Math.round(theirs.rate)}/s`.padStart(10),
    `${theirs.p50.toFixed(2)}/${theirs.p99.toFixed(2)}`.padStart(13),
    `${Math.round(ours.rate)}/s`.padStart(10),
    `${ours.p50.toFixed(2)}/${ours.p99.toFixed(2)}`.padStart(13),
    `${(ratio * 100).toFixed(0)} %`.padStart(7),
    (goal === undefined ? '' : `≥ ${goal} %`).padStart(7),
    goal === undefined ? '' : ratio * 100 >= goal ? 'ok' : 'MISSED',
  ]
  process.stdout.write(`${cells.join('  ')}\n`)
}

async function main(): Promise<void> {
  tell(`filling a store with ${VAULTS * ITEMS_PER_VAULT} items`)
  const stage = await fill()
  const started = performance.now()
  const server = await startProgram(['--data', stage.data])
  const ready = (performance.now() - started) / 1000
  try {
    tell('lists')
    const listed = await lists(stage, server)
    tell('reads')
    const reads = await compareReads(stage, server)
    tell('writes')
    const writes = await compareWrites(stage, server)
    const p = (values: number[], share: number) =>
      values.toSorted((a, b) => a - b)[Math.floor(values.length * share)]?.toFixed(1)
    const head = ['', 'bare', 'p50/p99 ms', 'keyferry', 'p50/p99 ms', 'ratio', 'goal']
    const widths = [16, 10, 13, 10, 13, 7, 7]
    process.stdout.write(`\n${head.map((text, n) => text.padStart(widths[n] ?? 0)).join('  ')}\n`)
    row('item reads', reads.warm, reads.bare, 60)
    row('  not in memory', reads.cold, reads.bare)
    row('durable writes', ...writes, 50)
    process.stdout.write(
      `\n${VAULTS * ITEMS_PER_VAULT} items: filled in ${stage.filled.toFixed(1)} s, ` +
        `checked and ready in ${ready.toFixed(1)} s\n` +
        `list of ${ITEMS_PER_VAULT}, first time: p50 ${p(listed.cold, 0.5)} ms, ` +
        `p99 ${p(listed.cold, 0.99)} ms; later: p50 ${p(listed.warm, 0.5)} ms, ` +
        `p99 ${p(listed.warm, 0.99)} ms (goal < 50 ms)\n` +
        `resident memory after 400 lists ${listed.before.toFixed(0)} MiB, ` +
        `after 1,600 lists ${listed.after.toFixed(0)} MiB\n`,
    )
  } finally {
    await server.stop()
    await rm(stage.dir, { recursive: true, force: true })
  }
}

const [mode = 'main', first = '', second = '', third = '', fourth = ''] = process.argv.slice(2)
if (mode === 'load') await load(first, second as 'GET' | 'POST', third, fourth)
else if (mode === 'bare-server') await bareServer(first)
else if (mode === 'bare-sqlite') bareSqlite(first)
else await main()
