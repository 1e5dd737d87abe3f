import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import document from '../../src/server/openapi.json' with { type: 'json' }
import { schemathesis } from '../support/clients.ts'
import { isFull, SEED, tally } from '../support/gates.ts'
import { type Ran, runToEnd } from '../support/run.ts'
import { type TestServer, testServer } from '../support/server.ts'
import { isSkipped, tell } from '../support/skip.ts'

/** Of each operation in each run, and sequences of calls along the links of answers. */
const EXAMPLES = isFull ? 260 : 120
/** Over all runs, at least. */
const REQUESTS = isFull ? 6_000 : 5_000
const SEQUENCES = isFull ? 500 : 50
/** Runs side by side; `KEYFERRY_SEED=… npm run test:contract -- schemathesis` repeats them. */
const SEEDS = isFull ? [SEED, SEED + 1, SEED + 2] : [SEED, SEED + 1]

describe.skipIf(isSkipped('schemathesis'))('the API under Schemathesis', () => {
  let server: TestServer
  const dirs: string[] = []

  beforeAll(async () => {
    server = await testServer({ logLevel: 'debug' })
  })
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
    for (const dir of dirs) await rm(dir, { recursive: true, force: true })
  })

  /** One run, in a vault of its own: two must not delete each other's items. */
  const run = async (seed: number): Promise<Ran> => {
    const dir = await mkdtemp(path.join(os.tmpdir(), 'keyferry-schemathesis-'))
    dirs.push(dir)
    const vault = await server.admin.createVault(`Test Vault ${seed}`)
    const token = await server.token({ [vault.id]: 'rw' })
    // What files there are is reached through the links of lists.
    const files = [{ name: 'f', content: Buffer.from('content') }]
    const items = Array.from({ length: 30 }, (_, n) => ({
      input: { title: `with file ${n}`, category: 'SERVER' },
      files,
    }))
    await server.admin.importVaults([{ name: vault.name, items }], false)
    await writeFile(path.join(dir, 'openapi.json'), JSON.stringify(absoluteDocument()))
    // A vault that exists: a random one would be out of scope, and nothing behind it be reached.
    await writeFile(
      path.join(dir, 'schemathesis.toml'),
      `[parameters]\n"path.vaultUuid" = "${vault.id}"\n`,
    )
    const [config, document] = ['schemathesis.toml', 'openapi.json']
    const program = ['-m', 'schemathesis.cli', '--config-file', config, 'run', document]
    const size = ['--seed', String(seed), '--max-examples', String(EXAMPLES)]
    const target = ['--url', server.url, '--header', `Authorization: Bearer ${token}`]
    // What the schema cannot say is refused with 400: two passwords, a date that is none.
    const checks = ['--checks', 'all', '--exclude-checks', 'positive_data_acceptance']
    const args = [...program, ...size, ...target, ...checks]
    return runToEnd(await schemathesis(), args, { cwd: dir })
  }

  test('has no server error, no answer beside its schema and no ignored token', {
    timeout: 1_200_000,
  }, async () => {
    tell(`Schemathesis, seeds ${SEEDS.join(' and ')}`)
    const runs = await Promise.all(SEEDS.map(run))
    const reports = runs.map(({ out, err }) => `${out}${err}`.slice(-6_000))
    expect(runs.map(({ code }, n) => (code === 0 ? 'passed' : reports[n]))).toEqual(
      SEEDS.map(() => 'passed'),
    )
    for (const report of reports) expect(report).toMatch(/Tested: 15/)
    const requests = server.lines.filter((line) => line.includes('request completed'))
    const bad = requests.filter((line) => /"status":5/.test(line))
    const sequences = reports.reduce((sum, report) => sum + scenariosIn(report), 0)
    tell(`${requests.length} requests, ${sequences} sequences`)
    const violations = bad.length
    const line = { gate: 12, violations, seed: SEED }
    await tally({ ...line, what: 'requests of Schemathesis', trials: requests.length })
    await tally({ ...line, what: 'sequences along links', trials: sequences })
    expect(bad).toEqual([])
    expect(requests.length).toBeGreaterThanOrEqual(REQUESTS)
    expect(sequences).toBeGreaterThanOrEqual(SEQUENCES)
  })
})

/** How many sequences of calls a run tried along the links of answers, as it says. */
function scenariosIn(report: string): number {
  return Number(/Scenarios:\s+(\d+)/.exec(report)?.[1] ?? 0)
}

/** The document with full paths: Schemathesis knows one server only. */
function absoluteDocument(): object {
  const paths = Object.entries(document.paths).map(([name, item]) => {
    const { servers, ...methods } = item as { servers?: unknown }
    return [servers ? name : `/v1${name}`, methods]
  })
  return { ...document, servers: [{ url: '/' }], paths: Object.fromEntries(paths) }
}
