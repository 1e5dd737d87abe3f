import { type Key, keyText, type Kind, type Row } from './engine.ts'

/** Kinds that are read again and again; contents and activity are large and read once. */
const CACHED: ReadonlySet<Kind> = new Set(['meta', 'vault', 'item', 'token'])

/**
 * Rows that were read or written lately, for an engine that is alone with its data. Whoever
 * keeps what a row says together with the row reads it for as long as it is here.
 */
export interface RowCache {
  get(key: Key): Row | undefined
  put(row: Row): void
  drop(key: Key): void
  clear(): void
}

/**
 * @param limit bytes of sealed content, about. Rows live in two generations: what is used moves
 * to the young one, and when that is full, the old one goes. A hit in the young one, the usual
 * case, moves nothing.
 */
export function rowCache(limit: number): RowCache {
  let young = new Map<string, Row>()
  let old = new Map<string, Row>()
  let bytes = 0
  const keep = (name: string, row: Row) => {
    young.set(name, row)
    bytes += row.sealed.length
    if (bytes <= limit / 2) return
    old = young
    young = new Map()
    bytes = 0
  }
  return {
    get({ kind, scope, id }) {
      const name = keyText(kind, scope, id)
      const recent = young.get(name)
      if (recent) return recent
      const row = old.get(name)
      if (row) keep(name, row)
      return row
    },
    put(row) {
      if (!CACHED.has(row.kind)) return
      const name = keyText(row.kind, row.scope, row.id)
      old.delete(name)
      keep(name, row)
    },
    drop({ kind, scope, id }) {
      const name = keyText(kind, scope, id)
      young.delete(name)
      old.delete(name)
    },
    clear() {
      young = new Map()
      old = new Map()
      bytes = 0
    },
  }
}
