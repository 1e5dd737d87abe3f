/**
 * How fast the Connect server is, against the least that could do the work in the same run on
 * the same machine: a bare node:http handler for reads, a bare node:sqlite loop for writes.
 * Rounds alternate, and the best of each counts: what else the machine does can only take away.
 *
 *   npm run bench -- connect --rounds 9 --seconds 10
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { openStoreAt } from '../../src/server/listen.ts'
import { call } from '../support/http.ts'
import { buildProgram, type ServerProcess, startProgram } from '../support/program.ts'
import { textOf } from '../support/server.ts'
import { tell } from '../support/skip.ts'
import { itemBody, type Measured } from './connect-parts.ts'

const PARTS = fileURLToPath(new URL('connect-parts.ts', import.meta.url))
const VAULTS = 100
const ITEMS_PER_VAULT = 1_000
/** Percent of the bare rate at least; milliseconds and percent of growth at most. */
const GOALS = { reads: 60, writes: 50, listMs: 50, growth: 10 } as const

/** How long to measure. */
export interface Effort {
  readonly rounds: number
  /** Of each round. */
  readonly seconds: number
}

function best(rounds: readonly Measured[]): Measured {
  return rounds.toSorted((a, b) => b.rate - a.rate)[0] ?? { rate: 0, p50: 0, p99: 0 }
}

async function inProcess(...args: string[]): Promise<Measured> {
  const child = spawn(process.execPath, [PARTS, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number]
  if (code !== 0) throw new Error(`${args[0]} ended with ${code}`)
  return JSON.parse(out) as Measured
}

// --- the comparison ----------------------------------------------------------------------------

interface Stage {
  readonly effort: Effort
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

async function fill(effort: Effort): Promise<Stage> {
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
  return { effort, dir, data, token, everyToken, vaults: all, filled }
}

async function startBare(file: string): Promise<{ url: string; child: ChildProcess }> {
  const child = spawn(process.execPath, [PARTS, 'bare-server', '0', file], {
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
  const { token, effort } = stage
  const seconds = String(effort.seconds)
  const all = await itemPaths(stage, server, 40)
  const few = await pathsFile(stage, 'few', all.slice(0, ITEMS_PER_VAULT))
  const many = await pathsFile(stage, 'many', all)
  const { bytes } = await call(server.url, 'GET', all[0] ?? '/', { token })
  const body = path.join(stage.dir, 'body.json')
  await writeFile(body, bytes)
  const bare = await startBare(body)
  const root = await pathsFile(stage, 'root', ['/'])
  const [theirs, warm, cold]: [Measured[], Measured[], Measured[]] = [[], [], []]
  for (let round = 0; round < stage.effort.rounds; round++) {
    theirs.push(await inProcess('load', seconds, bare.url, 'GET', root, 'x'))
    warm.push(await inProcess('load', seconds, server.url, 'GET', few, token))
    cold.push(await inProcess('load', seconds, server.url, 'GET', many, stage.everyToken))
  }
  bare.child.kill()
  return { bare: best(theirs), warm: best(warm), cold: best(cold) }
}

async function compareWrites(stage: Stage, server: ServerProcess): Promise<[Measured, Measured]> {
  const seconds = String(stage.effort.seconds)
  const target = await pathsFile(stage, 'writes', [`/v1/vaults/${stage.vaults.at(-1)}/items`])
  const [ours, theirs]: [Measured[], Measured[]] = [[], []]
  for (let round = 0; round < stage.effort.rounds; round++) {
    theirs.push(
      await inProcess('bare-sqlite', seconds, path.join(stage.dir, `bare-${round}.sqlite`)),
    )
    ours.push(await inProcess('load', seconds, server.url, 'POST', target, stage.token))
  }
  return [best(ours), best(theirs)]
}

interface Lists {
  /** Milliseconds: each vault's first list, and later ones. */
  readonly cold: number[]
  readonly warm: number[]
  /** MiB after some passes over all vaults, and after four times as many. */
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
  for (let n = 1; n < 16; n++) await pass()
  const before = await residentMiB(server)
  for (let n = 16; n < 64; n++) await pass()
  return { cold, warm, before, after: await residentMiB(server) }
}

async function residentMiB({ child }: ServerProcess): Promise<number> {
  const status = await readFile(`/proc/${child.pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024
}

/** One line of the table. @returns whether the goal, in percent, is reached */
function row(name: string, ours: Measured, theirs: Measured, goal = 0): boolean {
  const percent = (ours.rate / theirs.rate) * 100
  const cells = [
    name.padEnd(16),
    `${Math.round(theirs.rate)}/s`.padStart(10),
    `${theirs.p50.toFixed(2)}/${theirs.p99.toFixed(2)}`.padStart(13),
    `${Math.round(ours.rate)}/s`.padStart(10),
    `${ours.p50.toFixed(2)}/${ours.p99.toFixed(2)}`.padStart(13),
    `${percent.toFixed(0)} %`.padStart(7),
    (goal === 0 ? '' : `≥ ${goal} %`).padStart(7),
    goal === 0 ? '' : verdict(percent >= goal),
  ]
  process.stdout.write(`${cells.join('  ').trimEnd()}\n`)
  return percent >= goal
}

const verdict = (reached: boolean): string => (reached ? 'ok' : 'MISSED')

/** @returns whether lists are quick and memory stays */
function tellLists(listed: Lists): boolean {
  const p = (values: number[], share: number) =>
    values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? 0
  const figures = (values: number[]) =>
    `p50 ${p(values, 0.5).toFixed(1)} ms, p99 ${p(values, 0.99).toFixed(1)} ms`
  const quick = p(listed.cold, 0.5) < GOALS.listMs && p(listed.warm, 0.5) < GOALS.listMs
  const growth = (listed.after / listed.before - 1) * 100
  const flat = growth <= GOALS.growth
  process.stdout.write(
    `list of ${ITEMS_PER_VAULT}, first time: ${figures(listed.cold)}; ` +
      `later: ${figures(listed.warm)} (p50 < ${GOALS.listMs} ms: ${verdict(quick)})\n` +
      `resident memory after 1,600 lists ${listed.before.toFixed(0)} MiB, after 6,400 lists ` +
      `${listed.after.toFixed(0)} MiB (growth ≤ ${GOALS.growth} %: ${verdict(flat)})\n`,
  )
  return quick && flat
}

/** Measures the server and prints a table. @returns whether all goals are reached */
export async function benchConnect(effort: Effort): Promise<boolean> {
  await buildProgram()
  tell(`filling a store with ${VAULTS * ITEMS_PER_VAULT} items`)
  const stage = await fill(effort)
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
    const head = ['', 'bare', 'p50/p99 ms', 'keyferry', 'p50/p99 ms', 'ratio', 'goal']
    const widths = [16, 10, 13, 10, 13, 7, 7]
    process.stdout.write(`\n${head.map((text, n) => text.padStart(widths[n] ?? 0)).join('  ')}\n`)
    const reached = [row('item reads', reads.warm, reads.bare, GOALS.reads)]
    row('  not in memory', reads.cold, reads.bare)
    reached.push(row('durable writes', ...writes, GOALS.writes))
    process.stdout.write(
      `\n${VAULTS * ITEMS_PER_VAULT} items: filled in ${stage.filled.toFixed(1)} s, ` +
        `checked and ready in ${ready.toFixed(1)} s\n`,
    )
    reached.push(tellLists(listed))
    return reached.every(Boolean)
  } finally {
    await server.stop()
    await rm(stage.dir, { recursive: true, force: true })
  }
}
