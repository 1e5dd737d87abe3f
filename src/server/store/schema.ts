import { KeyferryError } from '../../errors.ts'

interface Migration {
  readonly sqlite: string
  readonly postgres: string
}

/**
 * Steps from an empty store to the current layout; step n leads to schema version n. A step
 * is never changed once released, only followed by another.
 */
export const migrations: readonly Migration[] = [
  {
    sqlite: `CREATE TABLE records (
      kind TEXT NOT NULL, scope TEXT NOT NULL, id TEXT NOT NULL,
      version INTEGER NOT NULL, sealed BLOB NOT NULL,
      PRIMARY KEY (kind, scope, id)) STRICT`,
    postgres: `CREATE TABLE keyferry_records (
      kind text COLLATE "C" NOT NULL, scope text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
      version bigint NOT NULL, sealed bytea NOT NULL,
      PRIMARY KEY (kind, scope, id))`,
  },
]

/** The version that this program writes. */
export const SCHEMA_VERSION = migrations.length

/** The store was written by a later version of the program. */
export function tooNew(where: string, version: number): KeyferryError {
  return new KeyferryError('STORE_UNAVAILABLE', {
    message: `the store ${where} has schema ${version}, this program knows up to ${SCHEMA_VERSION}`,
    remedy: 'Run the version that wrote it, or a later one; nothing was changed.',
    retry: 'on-change',
  })
}
