import { closeSync, existsSync, openSync } from 'node:fs'
import { chmod, rename, rm } from 'node:fs/promises'
import { backup as copyDatabase, DatabaseSync } from 'node:sqlite'
import { type Engine, EVERY_KIND } from './engine.ts'
import { unavailable, unreadable } from './failures.ts'
import { migrations, SCHEMA_VERSION, tooNew } from './schema.ts'
import { explain } from './sqlite-errors.ts'
import { type Statements, statements, walk } from './sqlite-rows.ts'
import { type GroupWriter, groupWriter } from './sqlite-writer.ts'

/** First SQLite without the WAL-reset corruption. Source: sqlite.org/wal.html, "WAL-reset bug" */
const LEAST_SQLITE = [3, 51, 3] as const
/** 'KFRY': tells our files from other SQLite databases. */
const APPLICATION_ID = 0x4b465259

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
  const sql = prepareAll(db, file)
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
    snapshot: (kinds, visit) =>
      alone(writer, file, async () => {
        for (const kind of kinds) await walk(kind, sql.walk, visit)
      }),
    check: async () => checkStructure(db, file),
    writeState: () => writer.state(),
    compact: () => alone(writer, file, () => compactFile(db)),
    backup: (target) => backupTo(db, target),
    replace: (source) => alone(writer, file, () => replaceAll(db, sql, source)),
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

/** @throws KeyferryError STORE_DAMAGED when the tables are not those that this program makes */
function prepareAll(db: DatabaseSync, file: string): Statements {
  try {
    return statements(db)
  } catch (error) {
    db.close()
    const detail = error instanceof Error ? error.message : 'its tables are others'
    throw unreadable(file, detail, error)
  }
}

/** Runs `work` while no change is committed. */
async function alone(
  writer: GroupWriter,
  file: string,
  work: () => void | Promise<void>,
): Promise<void> {
  const resume = await writer.pause()
  try {
    await work()
  } catch (error) {
    throw explain(error, file)
  } finally {
    resume()
  }
}

function compactFile(db: DatabaseSync): void {
  db.exec('VACUUM')
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
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
    // 16 MiB: pages that every write touches are merged into the file less often.
    db.exec('PRAGMA wal_autocheckpoint=4000')
    // Zeroes what is deleted where that costs no page more; a rotation rewrites the file.
    db.exec('PRAGMA secure_delete=FAST')
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

/** Nobody reads or writes in between: the writer is paused, and there is no other connection. */
async function replaceAll(db: DatabaseSync, sql: Statements, source: Engine): Promise<void> {
  db.exec('BEGIN IMMEDIATE')
  try {
    db.exec('DELETE FROM records')
    sql.forget()
    await source.snapshot(EVERY_KIND, (rows) => {
      for (const row of rows) sql.write({ op: 'put', row })
    })
    db.exec('COMMIT')
  } catch (error) {
    sql.forget()
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
