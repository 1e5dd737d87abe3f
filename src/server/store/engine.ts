/**
 * What a store is built on: sealed rows, ordered by key, changed atomically. An engine knows
 * nothing of vaults, items or keys; everything it holds is ciphertext, ids and counters.
 */

/**
 * Kinds of rows and what their `scope` and `id` are:
 * - `meta`: one row per name (keyring, head, signing key)
 * - `vault`: id; `version` is the content version
 * - `item`: scope is the vault, id the item
 * - `chunk`: scope is the file, id the zero-padded number of the chunk
 * - `token`: id is the token's jti
 * - `activity`: id sorts by time; `version` is the number of entries inside
 */
export type Kind = 'meta' | 'vault' | 'item' | 'chunk' | 'token' | 'activity'

/** Every kind there is. */
export const EVERY_KIND: readonly Kind[] = ['meta', 'vault', 'item', 'chunk', 'token', 'activity']

/** Where a row is. */
export interface Key {
  readonly kind: Kind
  /** Empty where the kind has none. */
  readonly scope: string
  readonly id: string
}

/** A sealed record. */
export interface Row extends Key {
  readonly version: number
  readonly sealed: Uint8Array
}

/** A row without its content. */
export interface RowVersion {
  readonly scope: string
  readonly id: string
  readonly version: number
}

/** One step of a change. */
export type Write =
  | { readonly op: 'put'; readonly row: Row }
  | { readonly op: 'drop'; readonly key: Key }
  /** Drops every row of a kind and scope. */
  | { readonly op: 'clear'; readonly kind: Kind; readonly scope: string }

/** The rows that a change asked for, as they are at the moment it is decided. */
export interface Seen {
  get(kind: Kind, scope: string, id: string): Row | undefined
  /** Rows of a kind and scope that the change named in `ranges`, in no particular order. */
  range(kind: Kind, scope: string): Row[]
}

/** What a change writes, and what its caller gets once that is durable. */
export interface Decision<T> {
  readonly writes: readonly Write[]
  readonly result: T
}

/**
 * A change in two steps: the rows it needs, and a pure function from them to writes. An engine
 * may decide it more than once, and decides many in one transaction; `decide` that throws
 * leaves nothing behind.
 */
export interface Change<T> {
  readonly keys: readonly Key[]
  readonly ranges?: readonly Pick<Key, 'kind' | 'scope'>[]
  decide(seen: Seen): Decision<T>
  /**
   * What changes of one transaction write together, once, after all are decided: called with
   * the same `seen`, once for all changes that share the function.
   */
  readonly settle?: (seen: Seen) => readonly Write[]
}

/** `ok`; `full` while there is no space; `failed` after an I/O error, until the next start. */
export type WriteState = 'ok' | 'full' | 'failed'

/** Holds sealed rows: SQLite or PostgreSQL. */
export interface Engine {
  readonly name: 'sqlite' | 'postgresql'
  get(key: Key): Promise<Row | undefined>
  /** At most `limit` rows of a kind and scope with ids after `after` (`''`: from the start). */
  page(range: Pick<Key, 'kind' | 'scope'>, after: string, limit: number): Promise<Row[]>
  /** Ids and versions of a kind and scope, ordered by id; `scope` undefined: of the whole kind. */
  versions(kind: Kind, scope?: string): Promise<RowVersion[]>
  /**
   * Resolves when the change is durable.
   * @throws whatever `decide` throws; KeyferryError STORE_UNAVAILABLE when the write failed
   */
  commit<T>(change: Change<T>): Promise<T>
  /**
   * Shows every row of `kinds`, kind by kind, ordered by scope and id, all as of one moment.
   * `visit` gets pages; a rejection ends the walk.
   */
  snapshot(kinds: readonly Kind[], visit: (rows: Row[]) => void | Promise<void>): Promise<void>
  /** Bytes of content under a kind. */
  size(kind: Kind): Promise<number>
  /** Checks the structure that holds the rows. @throws KeyferryError STORE_DAMAGED */
  check(): Promise<void>
  writeState(): WriteState
  /** Rewrites the files, so that nothing deleted is left in them. */
  compact(): Promise<void>
  /** Copies everything, as of one moment, to a new SQLite file. */
  backup(file: string): Promise<void>
  /** Puts what another engine holds in the place of everything, atomically. */
  replace(source: Engine): Promise<void>
  close(): Promise<void>
}

/** Text that identifies a key among all rows. */
export function keyText(kind: Kind, scope: string, id: string): string {
  return `${kind}\n${scope}\n${id}`
}
