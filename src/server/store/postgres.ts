import { existsSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { type ClientBase, DatabaseError, Pool } from 'pg'
import { isKeyferryError } from '../../errors.ts'
import {
  type Engine,
  EVERY_KIND,
  type Key,
  type Kind,
  type Row,
  type RowVersion,
  type Write,
  type WriteState,
} from './engine.ts'
import { unavailable } from './failures.ts'
import { decideGroup, type Pending, wanted } from './group.ts'
import { migrations, SCHEMA_VERSION, tooNew } from './schema.ts'
import { openSqlite } from './sqlite.ts'

/** Advisory lock under which replicas write one after the other: 'KFRY'. */
const WRITE_LOCK = 0x4b465259
const GROUP_LIMIT = 128
const PAGE_ROWS = 500
const CONNECTIONS = 10
/** Milliseconds a statement may take, lock waits included. */
const STATEMENT_MS = 30_000
const CONNECT_MS = 10_000
const COLUMNS = 'kind, scope, id, version, sealed'

// Source: PostgreSQL documentation, Appendix A
const DISK_FULL = '53100'

type Queryable = Pick<ClientBase, 'query'>

/**
 * Opens, or creates, a store in a PostgreSQL database: one table of sealed rows. Several
 * processes may share it; their writes follow each other under an advisory lock, so that each
 * is decided on what those before it left.
 * @throws KeyferryError STORE_UNAVAILABLE
 */
export async function openPostgres(url: string): Promise<Engine> {
  const pool = new Pool({
    connectionString: url,
    max: CONNECTIONS,
    connectionTimeoutMillis: CONNECT_MS,
    statement_timeout: STATEMENT_MS,
    application_name: 'keyferry connect',
    // Whatever the database's default: what is acknowledged is on disk.
    options: '-c synchronous_commit=on',
  })
  // A connection that breaks while idle is replaced at its next use.
  pool.on('error', () => undefined)
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
    backup: (file) => backup(pool, file),
    replace: (source) => replaceAll(pool, source),
    async close() {
      await writer.drain()
      await pool.end()
    },
  }
}

async function prepare(pool: Pool): Promise<void> {
  const { rows } = await pool.query<{ fsync: string }>('SHOW fsync')
  if (rows[0]?.fsync === 'off') {
    throw unavailable('PostgreSQL runs with fsync=off and would lose acknowledged writes')
  }
  await transaction(pool, 'BEGIN', async (db) => {
    await db.query('SELECT pg_advisory_xact_lock($1)', [WRITE_LOCK])
    await db.query('CREATE TABLE IF NOT EXISTS keyferry_schema (version integer NOT NULL)')
    const found = await db.query<{ version: number }>('SELECT version FROM keyferry_schema')
    const version = found.rows[0]?.version ?? 0
    if (version > SCHEMA_VERSION) throw tooNew('in PostgreSQL', version)
    for (const step of migrations.slice(version)) await db.query(step.postgres)
    if (version === SCHEMA_VERSION) return
    await db.query('DELETE FROM keyferry_schema')
    await db.query('INSERT INTO keyferry_schema VALUES ($1)', [SCHEMA_VERSION])
  })
}

/** Runs `work` in a transaction; whatever it throws rolls back. */
async function transaction<T>(
  pool: Pool,
  begin: string,
  work: (db: Queryable) => Promise<T>,
): Promise<T> {
  const client = await pool.connect()
  let broken = false
  try {
    await client.query(begin)
    const result = await work(client)
    await client.query('COMMIT')
    return result
  } catch (error) {
    // After a failed ROLLBACK the connection's state is unknown: it is thrown away.
    await client.query('ROLLBACK').catch(() => {
      broken = true
    })
    throw error
  } finally {
    client.release(broken)
  }
}

async function getRow(db: Queryable, { kind, scope, id }: Key): Promise<Row | undefined> {
  const { rows } = await db.query<SqlRow>({
    name: 'get',
    text: `SELECT ${COLUMNS} FROM keyferry_records WHERE kind=$1 AND scope=$2 AND id=$3`,
    values: [kind, scope, id],
  })
  return rows.map(toRow)[0]
}

async function getPage(
  db: Queryable,
  { kind, scope }: Pick<Key, 'kind' | 'scope'>,
  after: string,
  limit: number,
): Promise<Row[]> {
  const { rows } = await db.query<SqlRow>(
    `SELECT ${COLUMNS} FROM keyferry_records WHERE kind=$1 AND scope=$2 AND id>$3
     ORDER BY id LIMIT $4`,
    [kind, scope, after, limit],
  )
  return rows.map(toRow)
}

async function getVersions(
  db: Queryable,
  kind: Kind,
  scope: string | undefined,
): Promise<RowVersion[]> {
  const { rows } = await db.query<Omit<SqlRow, 'sealed'>>(
    `SELECT scope, id, version FROM keyferry_records
     WHERE kind=$1 AND ($2::text IS NULL OR scope=$2) ORDER BY scope, id`,
    [kind, scope ?? null],
  )
  return rows.map((row) => ({ scope: row.scope, id: row.id, version: Number(row.version) }))
}

async function getSize(db: Queryable, kind: Kind): Promise<number> {
  const { rows } = await db.query<{ n: string }>(
    'SELECT coalesce(sum(length(sealed)), 0) AS n FROM keyferry_records WHERE kind=$1',
    [kind],
  )
  return Number(rows[0]?.n)
}

interface SqlRow {
  readonly kind: Kind
  readonly scope: string
  readonly id: string
  /** bigint: pg gives text. */
  readonly version: string
  readonly sealed: Buffer
}

const toRow = ({ kind, scope, id, version, sealed }: SqlRow): Row => ({
  kind,
  scope,
  id,
  version: Number(version),
  sealed,
})

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

async function walk(
  db: Queryable,
  kind: Kind,
  visit: (rows: Row[]) => void | Promise<void>,
): Promise<void> {
  let after: Pick<Key, 'scope' | 'id'> = { scope: '', id: '' }
  for (;;) {
    const { rows } = await db.query<SqlRow>(
      `SELECT ${COLUMNS} FROM keyferry_records
       WHERE kind=$1 AND (scope, id)>($2, $3) ORDER BY scope, id LIMIT $4`,
      [kind, after.scope, after.id, PAGE_ROWS],
    )
    const last = rows.at(-1)
    if (last === undefined) return
    await visit(rows.map(toRow))
    after = last
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

async function load(db: Queryable, group: readonly Pending[]): Promise<Row[]> {
  const { keys, ranges } = wanted(group)
  const { rows } = await db.query<SqlRow>({
    name: 'load',
    text: `SELECT ${COLUMNS} FROM keyferry_records WHERE (kind, scope, id) IN
           (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))`,
    values: [keys.map((key) => key.kind), keys.map((key) => key.scope), keys.map((key) => key.id)],
  })
  const loaded = rows.map(toRow)
  for (const range of ranges) loaded.push(...(await getPage(db, range, '', 2 ** 31)))
  return loaded
}

/** Writes in few statements: runs of puts and runs of drops go together, in order. */
async function writeRows(db: Queryable, writes: readonly Write[]): Promise<void> {
  let puts: Row[] = []
  let drops: Key[] = []
  const flush = async () => {
    if (puts.length > 0) await putRows(db, puts)
    if (drops.length > 0) await dropRows(db, drops)
    puts = []
    drops = []
  }
  for (const write of writes) {
    if (write.op === 'put' ? drops.length > 0 : puts.length > 0) await flush()
    if (write.op === 'put') puts.push(write.row)
    else if (write.op === 'drop') drops.push(write.key)
    else {
      await flush()
      const values = [write.kind, write.scope]
      await db.query('DELETE FROM keyferry_records WHERE kind=$1 AND scope=$2', values)
    }
    // Bounds the size of one statement.
    if (puts.length >= PAGE_ROWS) await flush()
  }
  await flush()
}

async function putRows(db: Queryable, rows: readonly Row[]): Promise<void> {
  await db.query({
    name: 'put',
    text: `INSERT INTO keyferry_records (${COLUMNS})
           SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bytea[])
           ON CONFLICT (kind, scope, id)
           DO UPDATE SET version=excluded.version, sealed=excluded.sealed`,
    values: [
      rows.map(({ kind }) => kind),
      rows.map(({ scope }) => scope),
      rows.map(({ id }) => id),
      rows.map(({ version }) => version),
      rows.map(({ sealed }) => Buffer.from(sealed)),
    ],
  })
}

async function dropRows(db: Queryable, keys: readonly Key[]): Promise<void> {
  await db.query(
    `DELETE FROM keyferry_records WHERE (kind, scope, id) IN
     (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))`,
    [keys.map(({ kind }) => kind), keys.map(({ scope }) => scope), keys.map(({ id }) => id)],
  )
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
