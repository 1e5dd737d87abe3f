import { closeSync, existsSync, openSync } from 'node:fs'
import { chmod, rename, rm } from 'node:fs/promises'
import { backup as copyDatabase, DatabaseSync, type StatementSync } from 'node:sqlite'
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
import { busy, unavailable, unreadable } from './failures.ts'
import { decideGroup, type Pending, wanted } from './group.ts'
import { migrations, SCHEMA_VERSION, tooNew } from './schema.ts'

/** First SQLite without the WAL-reset corruption. Source: sqlite.org/wal.html, "WAL-reset bug" */
const LEAST_SQLITE = [3, 51, 3] as const
/** 'KFRY': tells our files from other SQLite databases. */
const APPLICATION_ID = 0x4b465259
/** Changes per transaction: bounds how long the event loop waits for one. */
const GROUP_LIMIT = 128
const PAGE_ROWS = 500

// Extended result codes. Source: sqlite.org/rescode.html
const SQLITE_BUSY = 5
const SQLITE_IOERR = 10
const SQLITE_CORRUPT = 11
const SQLITE_FULL = 13
const SQLITE_NOTADB = 26

/**
 * Opens, or creates, a store in one SQLite file.
 *
 * One connection, and an exclusive lock that the operating system drops when the process dies:
 * a second process is refused and no lock can go stale. Commits are group commits: all changes
 * that wait at the same moment share one transaction and one fsync.
 * @throws KeyferryError STORE_BUSY, STORE_DAMAGED, STORE_UNAVAILABLE
 */
export function openSqlite(file: string): Engine {
  const db = openDatabase(file)
  const sql = statements(db)
  const writer = groupWriter(db, sql, file)
  const read = async <T>(work: () => T): Promise<T> => {
    try {
      return work()
    } catch (error) {
      throw explain(error, file)
    }
  }
  return {
    name: 'sqlite',
    get: (key) => read(() => sql.get(key)),
    page: (range, after, limit) => read(() => sql.page(range, after, limit)),
    versions: (kind, scope) => read(() => sql.versions(kind, scope)),
    size: (kind) => read(() => sql.size(kind)),
    commit: (change) => writer.commit(change),
    async snapshot(kinds, visit) {
      const resume = await writer.pause()
      try {
        for (const kind of kinds) await walk(kind, sql.walk, visit)
      } catch (error) {
        throw explain(error, file)
      } finally {
        resume()
      }
    },
    check: async () => checkStructure(db, file),
    writeState: () => writer.state(),
    backup: (target) => backupTo(db, target),
    async replace(source) {
      const resume = await writer.pause()
      try {
        await replaceAll(db, sql, source)
      } catch (error) {
        throw explain(error, file)
      } finally {
        resume()
      }
    },
    async close() {
      await writer.drain()
      try {
        db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
      } catch {
        // The log stays and is merged at the next start, or the file is damaged and was refused.
      } finally {
        db.close()
      }
    },
  }
}

function openDatabase(file: string): DatabaseSync {
  let db: DatabaseSync
  try {
    // SQLite gives its WAL the mode of the database file.
    closeSync(openSync(file, 'a', 0o600))
    db = new DatabaseSync(file, { timeout: 0 })
  } catch (error) {
    throw unavailable(`cannot open ${file}`, error)
  }
  try {
    assertSqlite(db)
    // Exclusive before anything else is read: the WAL index then lives in this process only.
    db.exec('PRAGMA locking_mode=EXCLUSIVE')
    db.exec('PRAGMA journal_mode=WAL')
    db.exec('PRAGMA synchronous=FULL')
    db.exec('PRAGMA fullfsync=ON')
    db.exec('PRAGMA secure_delete=ON')
    db.exec('PRAGMA trusted_schema=OFF')
    db.exec('PRAGMA cell_size_check=ON')
    db.exec('BEGIN IMMEDIATE')
    migrate(db, file)
    db.exec('COMMIT')
    return db
  } catch (error) {
    db.close()
    throw explain(error, file)
  }
}

function assertSqlite(db: DatabaseSync): void {
  const version = String(db.prepare('SELECT sqlite_version() AS v').get()?.['v'])
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
  const [a, b, c] = LEAST_SQLITE
  const fits = major > a || (major === a && (minor > b || (minor === b && patch >= c)))
  if (!fits) {
    throw unavailable(
      `this Node carries SQLite ${version}, which can corrupt a WAL; use a later one`,
    )
  }
}

function migrate(db: DatabaseSync, file: string): void {
  const pragma = (name: string) => Number(db.prepare(`PRAGMA ${name}`).get()?.[name])
  const version = pragma('user_version')
  const foreign = db.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.['n'] !== 0
  if (version === 0 && foreign) throw unreadable(file, 'it is not a Keyferry store')
  if (version > 0 && pragma('application_id') !== APPLICATION_ID) {
    throw unreadable(file, 'it is not a Keyferry store')
  }
  if (version > SCHEMA_VERSION) throw tooNew(file, version)
  for (const step of migrations.slice(version)) db.exec(step.sqlite)
  if (version === SCHEMA_VERSION) return
  db.exec(`PRAGMA application_id=${APPLICATION_ID}`)
  db.exec(`PRAGMA user_version=${SCHEMA_VERSION}`)
}

/** quick_check reads every page and the shape of every row; contents are covered by seals. */
function checkStructure(db: DatabaseSync, file: string): void {
  let findings: unknown[]
  try {
    findings = db
      .prepare('PRAGMA quick_check(5)')
      .all()
      .map((row) => row['quick_check'])
  } catch (error) {
    throw explain(error, file)
  }
  if (findings.length !== 1 || findings[0] !== 'ok') throw unreadable(file, findings.join('; '))
}

interface Statements {
  get(key: Key): Row | undefined
  page(range: Pick<Key, 'kind' | 'scope'>, after: string, limit: number): Row[]
  walk(kind: Kind, after: Pick<Key, 'scope' | 'id'>): Row[]
  versions(kind: Kind, scope: string | undefined): RowVersion[]
  size(kind: Kind): number
  write(write: Write): void
}

function statements(db: DatabaseSync): Statements {
  const columns = 'kind, scope, id, version, sealed'
  const prepare = (text: string): StatementSync => db.prepare(text)
  const get = prepare(`SELECT ${columns} FROM records WHERE kind=? AND scope=? AND id=?`)
  const page = prepare(
    `SELECT ${columns} FROM records WHERE kind=? AND scope=? AND id>? ORDER BY id LIMIT ?`,
  )
  const next = prepare(
    `SELECT ${columns} FROM records WHERE kind=? AND (scope, id)>(?, ?) ORDER BY scope, id LIMIT ?`,
  )
  const inScope = prepare(
    'SELECT scope, id, version FROM records WHERE kind=? AND scope=? ORDER BY id',
  )
  const inKind = prepare('SELECT scope, id, version FROM records WHERE kind=? ORDER BY scope, id')
  const size = prepare('SELECT coalesce(sum(length(sealed)), 0) AS n FROM records WHERE kind=?')
  const put = prepare(
    `INSERT INTO records (${columns}) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (kind, scope, id) DO UPDATE SET version=excluded.version, sealed=excluded.sealed`,
  )
  const drop = prepare('DELETE FROM records WHERE kind=? AND scope=? AND id=?')
  const clear = prepare('DELETE FROM records WHERE kind=? AND scope=?')
  return {
    get: ({ kind, scope, id }) => toRow(get.get(kind, scope, id)),
    page: ({ kind, scope }, after, limit) => page.all(kind, scope, after, limit).flatMap(toRows),
    walk: (kind, after) => next.all(kind, after.scope, after.id, PAGE_ROWS).flatMap(toRows),
    versions: (kind, scope) => {
      const rows = scope === undefined ? inKind.all(kind) : inScope.all(kind, scope)
      return rows.map((row) => ({
        scope: String(row['scope']),
        id: String(row['id']),
        version: Number(row['version']),
      }))
    },
    size: (kind) => Number(size.get(kind)?.['n']),
    write(write) {
      if (write.op === 'put') {
        const { kind, scope, id, version, sealed } = write.row
        put.run(kind, scope, id, version, sealed)
      } else if (write.op === 'drop') {
        drop.run(write.key.kind, write.key.scope, write.key.id)
      } else {
        clear.run(write.kind, write.scope)
      }
    },
  }
}

type SqlRow = ReturnType<StatementSync['get']>

function toRow(row: SqlRow): Row | undefined {
  if (row === undefined) return undefined
  const { kind, scope, id, version, sealed } = row
  return {
    kind: String(kind) as Kind,
    scope: String(scope),
    id: String(id),
    version: Number(version),
    // A damaged row may hold anything: what is no blob fails its seal like any other damage.
    sealed: sealed instanceof Uint8Array ? sealed : new Uint8Array(),
  }
}

const toRows = (row: SqlRow): Row[] => {
  const parsed = toRow(row)
  return parsed === undefined ? [] : [parsed]
}

async function walk(
  kind: Kind,
  next: Statements['walk'],
  visit: (rows: Row[]) => void | Promise<void>,
): Promise<void> {
  let after: Pick<Key, 'scope' | 'id'> = { scope: '', id: '' }
  for (;;) {
    const rows = next(kind, after)
    const last = rows.at(-1)
    if (last === undefined) return
    await visit(rows)
    after = last
  }
}

interface GroupWriter {
  commit: Engine['commit']
  state(): WriteState
  /** Holds back commits until the returned function is called. */
  pause(): Promise<() => void>
  drain(): Promise<void>
}

function groupWriter(db: DatabaseSync, sql: Statements, file: string): GroupWriter {
  let queue: Pending[] = []
  let scheduled = false
  let paused = 0
  let state: WriteState = 'ok'
  const idle: (() => void)[] = []

  const schedule = () => {
    if (scheduled || paused > 0 || queue.length === 0) return
    scheduled = true
    setImmediate(flush)
  }
  const flush = () => {
    scheduled = false
    if (paused > 0) return
    if (state === 'failed') {
      for (const pending of queue.splice(0)) pending.reject(unavailable('an earlier write failed'))
    }
    const group = queue.slice(0, GROUP_LIMIT)
    queue = queue.slice(GROUP_LIMIT)
    state = runGroup(db, sql, group, file) ?? state
    if (queue.length === 0) for (const tell of idle.splice(0)) tell()
    schedule()
  }
  return {
    state: () => state,
    commit: (change) =>
      new Promise((resolve, reject) => {
        // After an I/O error the kernel may have dropped dirty pages: this handle cannot be
        // trusted to write again. Source: "Can Applications Recover from fsync Failures?" (2020)
        if (state === 'failed') return reject(unavailable('an earlier write failed'))
        queue.push({ change, resolve: resolve as (result: unknown) => void, reject })
        schedule()
      }),
    async pause() {
      paused += 1
      return () => {
        paused -= 1
        schedule()
      }
    },
    drain: () =>
      new Promise((resolve) => {
        if (queue.length === 0) return resolve()
        idle.push(resolve)
        schedule()
      }),
  }
}

/** @returns the state after the transaction, `undefined` when nothing was written */
function runGroup(
  db: DatabaseSync,
  sql: Statements,
  group: Pending[],
  file: string,
): WriteState | undefined {
  try {
    const { keys, ranges } = wanted(group)
    const rows = keys.flatMap((key) => sql.get(key) ?? [])
    for (const range of ranges) rows.push(...sql.page(range, '', -1))
    const { writes, accepted, refused } = decideGroup(group, rows)
    if (writes.length > 0) {
      db.exec('BEGIN IMMEDIATE')
      for (const write of writes) sql.write(write)
      db.exec('COMMIT')
    }
    for (const { pending, result } of accepted) pending.resolve(result)
    for (const { pending, error } of refused) pending.reject(error)
    return writes.length > 0 ? 'ok' : undefined
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    for (const pending of group) pending.reject(explain(error, file))
    return errorCode(error) === SQLITE_FULL ? 'full' : 'failed'
  }
}

function errorCode(error: unknown): number | undefined {
  const code = error instanceof Error ? (error as { errcode?: unknown }).errcode : undefined
  return typeof code === 'number' ? code & 0xff : undefined
}

function explain(error: unknown, file: string): unknown {
  if (isKeyferryError(error)) return error
  const detail = error instanceof Error ? error.message : 'unknown cause'
  const code = errorCode(error)
  if (code === undefined) return error
  switch (code) {
    case SQLITE_BUSY:
      return busy(file, error)
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return unreadable(file, detail, error)
    case SQLITE_FULL:
    case SQLITE_IOERR:
      return unavailable(detail, error)
    default:
      return unavailable(detail, error)
  }
}

/** Nobody reads or writes in between: the writer is paused, and there is no other connection. */
async function replaceAll(db: DatabaseSync, sql: Statements, source: Engine): Promise<void> {
  db.exec('BEGIN IMMEDIATE')
  try {
    db.exec('DELETE FROM records')
    await source.snapshot(EVERY_KIND, (rows) => {
      for (const row of rows) sql.write({ op: 'put', row })
    })
    db.exec('COMMIT')
  } catch (error) {
    db.exec('ROLLBACK')
    throw error
  }
}

async function backupTo(db: DatabaseSync, target: string): Promise<void> {
  if (existsSync(target)) throw unavailable(`${target} exists already`)
  const draft = `${target}.tmp`
  await rm(draft, { force: true })
  await copyDatabase(db, draft)
  await chmod(draft, 0o600)
  await rename(draft, target)
}
