import { existsSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { DatabaseError } from 'pg-protocol'
import { isKeyferryError } from '../../errors.ts'
import { type Engine, EVERY_KIND, type Kind, type Row, type WriteState } from './engine.ts'
import { unavailable } from './failures.ts'
import { decideGroup, type Pending } from './group.ts'
import { createPool, type Pool } from './postgres-pool.ts'
import {
  getPage,
  getRow,
  getSize,
  getVersions,
  load,
  putRows,
  walk,
  writeRows,
} from './postgres-rows.ts'
import type { Queryable } from './postgres-session.ts'
import { postgresTarget } from './postgres-url.ts'
import { migrations, SCHEMA_VERSION, tooNew } from './schema.ts'
import { openSqlite } from './sqlite.ts'

/** Advisory lock under which replicas write one after the other: 'KFRY'. */
const WRITE_LOCK = 0x4b465259
const GROUP_LIMIT = 128
const CONNECTIONS = 10
/** Milliseconds a statement may take, lock waits included. */
const STATEMENT_MS = 30_000
const CONNECT_MS = 10_000
/** Milliseconds for which a connection that nobody needs is kept. */
const IDLE_MS = 10_000

// Source: PostgreSQL documentation, Appendix A
const DISK_FULL = '53100'

/**
 * Opens, or creates, a store in a PostgreSQL database: one table of sealed rows. Several
 * processes may share it; their writes follow each other under an advisory lock, so that each
 * is decided on what those before it left.
 * @throws KeyferryError STORE_UNAVAILABLE
 */
export async function openPostgres(url: string): Promise<Engine> {
  const pool = createPool(postgresTarget(url), {
    connections: CONNECTIONS,
    connectMs: CONNECT_MS,
    idleMs: IDLE_MS,
    // The server ends a statement by itself, unless it is gone.
    silenceMs: STATEMENT_MS + CONNECT_MS,
    settings: {
      application_name: 'keyferry connect',
      statement_timeout: String(STATEMENT_MS),
      // Whatever the database's default: what is acknowledged is on disk.
      synchronous_commit: 'on',
    },
  })
  try {
    await prepare(pool)
  } catch (error) {
    await pool.end()
    throw explain(error)
  }
  const read = <T>(work: (db: Queryable) => Promise<T>): Promise<T> =>
    work(pool).catch((error: unknown) => {
      throw explain(error)
    })
  const writer = groupWriter(pool)
  return {
    name: 'postgresql',
    get: (key) => read((db) => getRow(db, key)),
    page: (range, after, limit) => read((db) => getPage(db, range, after, limit)),
    versions: (kind, scope) => read((db) => getVersions(db, kind, scope)),
    size: (kind) => read((db) => getSize(db, kind)),
    commit: (change) => writer.commit(change),
    snapshot: (kinds, visit) => snapshot(pool, kinds, visit),
    check: async () => undefined,
    writeState: () => writer.state(),
    // PostgreSQL's own vacuum does this in its time; what it leaves is sealed under the old key.
    compact: async () => undefined,
    backup: (file) => backup(pool, file),
    replace: (source) => replaceAll(pool, source),
    async close() {
      await writer.drain()
      await pool.end()
    },
  }
}

async function prepare(pool: Pool): Promise<void> {
  const [shown] = await pool.query<{ fsync: string }>('SHOW fsync')
  if (shown?.fsync === 'off') {
    throw unavailable('PostgreSQL runs with fsync=off and would lose acknowledged writes')
  }
  await transaction(pool, 'BEGIN', async (db) => {
    await db.query('SELECT pg_advisory_xact_lock($1)', [WRITE_LOCK])
    await db.query('CREATE TABLE IF NOT EXISTS keyferry_schema (version integer NOT NULL)')
    const found = await db.query<{ version: number }>('SELECT version FROM keyferry_schema')
    const version = found[0]?.version ?? 0
    if (version > SCHEMA_VERSION) throw tooNew('in PostgreSQL', version)
    for (const step of migrations.slice(version)) await db.query(step.postgres)
    if (version === SCHEMA_VERSION) return
    await db.query('DELETE FROM keyferry_schema')
    await db.query('INSERT INTO keyferry_schema VALUES ($1)', [SCHEMA_VERSION])
  })
}

/** Runs `work` in a transaction; whatever it throws rolls back. */
function transaction<T>(
  pool: Pool,
  begin: string,
  work: (db: Queryable) => Promise<T>,
): Promise<T> {
  return pool.lend(async (session) => {
    try {
      await session.query(begin)
      const result = await work(session)
      await session.query('COMMIT')
      return result
    } catch (error) {
      // After a failed ROLLBACK the connection's state is unknown: it is thrown away.
      await session.query('ROLLBACK').catch(() => session.close())
      throw error
    }
  })
}

async function snapshot(
  pool: Pool,
  kinds: readonly Kind[],
  visit: (rows: Row[]) => void | Promise<void>,
): Promise<void> {
  try {
    await transaction(pool, 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY', async (db) => {
      for (const kind of kinds) await walk(db, kind, visit)
    })
  } catch (error) {
    throw explain(error)
  }
}

interface GroupWriter {
  commit: Engine['commit']
  state(): WriteState
  drain(): Promise<void>
}

/** Changes that arrive while a transaction runs share the next one. */
function groupWriter(pool: Pool): GroupWriter {
  let queue: Pending[] = []
  let running: Promise<void> | undefined
  let state: WriteState = 'ok'
  const run = async () => {
    while (queue.length > 0) {
      const group = queue.slice(0, GROUP_LIMIT)
      queue = queue.slice(GROUP_LIMIT)
      state = await runGroup(pool, group)
    }
    running = undefined
  }
  return {
    state: () => state,
    commit: (change) =>
      new Promise((resolve, reject) => {
        queue.push({ change, resolve: resolve as (result: unknown) => void, reject })
        running ??= run()
      }),
    drain: async () => running,
  }
}

async function runGroup(pool: Pool, group: readonly Pending[]): Promise<WriteState> {
  try {
    const outcome = await transaction(pool, 'BEGIN', async (db) => {
      await db.query('SELECT pg_advisory_xact_lock($1)', [WRITE_LOCK])
      const decided = decideGroup(group, await load(db, group))
      await writeRows(db, decided.writes)
      return decided
    })
    for (const { pending, result } of outcome.accepted) pending.resolve(result)
    for (const { pending, error } of outcome.refused) pending.reject(error)
    return 'ok'
  } catch (error) {
    for (const pending of group) pending.reject(explain(error))
    return error instanceof DatabaseError && error.code === DISK_FULL ? 'full' : 'failed'
  }
}

async function backup(pool: Pool, file: string): Promise<void> {
  if (existsSync(file)) throw unavailable(`${file} exists already`)
  const draft = `${file}.tmp`
  await rm(draft, { force: true })
  const copy = openSqlite(draft)
  try {
    await snapshot(pool, EVERY_KIND, async (rows) => {
      const writes = rows.map((row) => ({ op: 'put', row }) as const)
      await copy.commit({ keys: [], decide: () => ({ writes, result: undefined }) })
    })
  } finally {
    await copy.close()
  }
  await rename(draft, file)
}

async function replaceAll(pool: Pool, source: Engine): Promise<void> {
  try {
    await transaction(pool, 'BEGIN', async (db) => {
      await db.query('SELECT pg_advisory_xact_lock($1)', [WRITE_LOCK])
      await db.query('DELETE FROM keyferry_records')
      await source.snapshot(EVERY_KIND, (rows) => putRows(db, rows))
    })
  } catch (error) {
    throw explain(error)
  }
}

/** The text of a PostgreSQL error names tables and settings, never a value: rows are sealed. */
function explain(error: unknown): unknown {
  if (isKeyferryError(error)) return error
  if (error instanceof DatabaseError) return unavailable(`PostgreSQL: ${error.message}`, error)
  const code = (error as NodeJS.ErrnoException).code ?? ''
  return unavailable(`PostgreSQL cannot be reached ${code}`.trim(), error)
}
