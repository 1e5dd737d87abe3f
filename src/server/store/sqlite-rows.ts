import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Key, Kind, Row, RowVersion, Write } from './engine.ts'
import { rowCache } from './rowcache.ts'

const PAGE_ROWS = 500
/** Sealed bytes of rows in memory: some 12,000 items of usual size. */
const CACHED_BYTES = 16 * 1024 * 1024

/** The statements of a store, prepared once. */
export interface Statements {
  get(key: Key): Row | undefined
  /** After a roll-back: what was cached may never have been stored. */
  forget(): void
  page(range: Pick<Key, 'kind' | 'scope'>, after: string, limit: number): Row[]
  walk(kind: Kind, after: Pick<Key, 'scope' | 'id'>): Row[]
  versions(kind: Kind, scope: string | undefined): RowVersion[]
  size(kind: Kind): number
  write(write: Write): void
}

/** Prepares the statements. */
export function statements(db: DatabaseSync): Statements {
  const cache = rowCache(CACHED_BYTES)
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
    get(key) {
      const known = cache.get(key)
      if (known) return known
      const row = toRow(get.get(key.kind, key.scope, key.id))
      if (row) cache.put(row)
      return row
    },
    forget: () => cache.clear(),
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
        cache.put(write.row)
      } else if (write.op === 'drop') {
        drop.run(write.key.kind, write.key.scope, write.key.id)
        cache.drop(write.key)
      } else {
        clear.run(write.kind, write.scope)
        if (write.kind === 'item') cache.clear()
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

/** Shows every row of a kind, page by page, ordered by scope and id. */
export async function walk(
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
