/**
 * What the page knows: the last snapshot with all changes since. Pure; a view is never changed but
 * replaced, so that equal parts are the same objects.
 */
import type { Change, Health, Row, Snapshot } from '../model.ts'

/** See the head of this file. */
export interface View {
  /** `lost` keeps what was known, which is told to be of then. */
  readonly connection: 'connecting' | 'live' | 'lost'
  /** When the last event came, by the clock of this machine. */
  readonly at: number
  /** Absent before the first snapshot. */
  readonly health?: Health
  readonly advice: Snapshot['advice']
  /** By `namespace/name`. */
  readonly rows: ReadonlyMap<string, Row>
}

/** Something that befalls a view. */
export type News =
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot; readonly at: number }
  | { readonly kind: 'change'; readonly change: Change; readonly at: number }
  | { readonly kind: 'lost' }

/** Before anything is known. */
export const NOTHING_YET: View = {
  connection: 'connecting',
  at: 0,
  advice: {},
  rows: new Map(),
}

/** The key of a resource in a view. */
export function keyOf({ namespace, name }: Pick<Row, 'namespace' | 'name'>): string {
  return `${namespace}/${name}`
}

/** The view after the news. */
export function after(view: View, news: News): View {
  switch (news.kind) {
    case 'lost':
      return { ...view, connection: view.health ? 'lost' : 'connecting' }
    case 'snapshot': {
      const { health, advice, rows } = news.snapshot
      const byKey = new Map(rows.map((row) => [keyOf(row), row]))
      return { connection: 'live', at: news.at, health, advice, rows: byKey }
    }
    case 'change': {
      const { health, rows, gone } = news.change
      const next = { ...view, connection: 'live', at: news.at, health } as const
      return rows.length + gone.length === 0
        ? next
        : { ...next, rows: changed(view.rows, rows, gone) }
    }
  }
}

function changed(
  before: View['rows'],
  rows: readonly Row[],
  gone: readonly string[],
): View['rows'] {
  const now = new Map(before)
  for (const key of gone) now.delete(key)
  for (const row of rows) now.set(keyOf(row), row)
  return now
}
