import type { Key, Kind, Row, RowVersion, Write } from './engine.ts'
import { type Pending, wanted } from './group.ts'
import type { Queryable } from './postgres-session.ts'

const PAGE_ROWS = 500
const COLUMNS = 'kind, scope, id, version, sealed'

/** One row. */
export async function getRow(db: Queryable, { kind, scope, id }: Key): Promise<Row | undefined> {
  const rows = await db.query<Row>(
    `SELECT ${COLUMNS} FROM keyferry_records WHERE kind=$1 AND scope=$2 AND id=$3`,
    [kind, scope, id],
  )
  return rows[0]
}

/** Rows of a kind and scope with ids after `after`. */
export async function getPage(
  db: Queryable,
  { kind, scope }: Pick<Key, 'kind' | 'scope'>,
  after: string,
  limit: number,
): Promise<Row[]> {
  const rows = await db.query<Row>(
    `SELECT ${COLUMNS} FROM keyferry_records WHERE kind=$1 AND scope=$2 AND id>$3
     ORDER BY id LIMIT $4`,
    [kind, scope, after, limit],
  )
  return rows
}

/** Ids and versions of a kind, or of one scope of it. */
export async function getVersions(
  db: Queryable,
  kind: Kind,
  scope: string | undefined,
): Promise<RowVersion[]> {
  return db.query<RowVersion>(
    `SELECT scope, id, version FROM keyferry_records
     WHERE kind=$1 AND ($2::text IS NULL OR scope=$2) ORDER BY scope, id`,
    [kind, scope ?? null],
  )
}

/** Bytes of content under a kind. */
export async function getSize(db: Queryable, kind: Kind): Promise<number> {
  const rows = await db.query<{ n: number }>(
    'SELECT coalesce(sum(length(sealed)), 0)::bigint AS n FROM keyferry_records WHERE kind=$1',
    [kind],
  )
  return rows[0]?.n ?? 0
}

/** Shows every row of a kind, page by page, ordered by scope and id. */
export async function walk(
  db: Queryable,
  kind: Kind,
  visit: (rows: Row[]) => void | Promise<void>,
): Promise<void> {
  let after: Pick<Key, 'scope' | 'id'> = { scope: '', id: '' }
  for (;;) {
    const rows = await db.query<Row>(
      `SELECT ${COLUMNS} FROM keyferry_records
       WHERE kind=$1 AND (scope, id)>($2, $3) ORDER BY scope, id LIMIT $4`,
      [kind, after.scope, after.id, PAGE_ROWS],
    )
    const last = rows.at(-1)
    if (last === undefined) return
    await visit(rows)
    after = last
  }
}

/** The rows that the changes of a group ask for. */
export async function load(db: Queryable, group: readonly Pending[]): Promise<Row[]> {
  const { keys, ranges } = wanted(group)
  const rows = await db.query<Row>(
    `SELECT ${COLUMNS} FROM keyferry_records WHERE (kind, scope, id) IN
     (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))`,
    [keys.map((key) => key.kind), keys.map((key) => key.scope), keys.map((key) => key.id)],
  )
  const loaded = [...rows]
  for (const range of ranges) loaded.push(...(await getPage(db, range, '', 2 ** 31)))
  return loaded
}

/** Writes in few statements: runs of puts and runs of drops go together, in order. */
export async function writeRows(db: Queryable, writes: readonly Write[]): Promise<void> {
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

/** Inserts or replaces rows in one statement; no two may have one key. */
export async function putRows(db: Queryable, rows: readonly Row[]): Promise<void> {
  await db.query(
    `INSERT INTO keyferry_records (${COLUMNS})
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bytea[])
     ON CONFLICT (kind, scope, id)
     DO UPDATE SET version=excluded.version, sealed=excluded.sealed`,
    [
      rows.map(({ kind }) => kind),
      rows.map(({ scope }) => scope),
      rows.map(({ id }) => id),
      rows.map(({ version }) => version),
      rows.map(({ sealed }) => sealed),
    ],
  )
}

async function dropRows(db: Queryable, keys: readonly Key[]): Promise<void> {
  await db.query(
    `DELETE FROM keyferry_records WHERE (kind, scope, id) IN
     (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))`,
    [keys.map(({ kind }) => kind), keys.map(({ scope }) => scope), keys.map(({ id }) => id)],
  )
}
