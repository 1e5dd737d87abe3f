import { isKeyferryError } from '../../errors.ts'
import { busy, unavailable, unreadable } from './failures.ts'

// Extended result codes. Source: sqlite.org/rescode.html
const SQLITE_BUSY = 5
const SQLITE_IOERR = 10
const SQLITE_CORRUPT = 11
const SQLITE_FULL = 13
const SQLITE_NOTADB = 26

/** Whether there was no space left. */
export function isFull(error: unknown): boolean {
  return errorCode(error) === SQLITE_FULL
}

function errorCode(error: unknown): number | undefined {
  const code = error instanceof Error ? (error as { errcode?: unknown }).errcode : undefined
  return typeof code === 'number' ? code & 0xff : undefined
}

/** What an error of SQLite means for a store. Others stay what they are. */
export function explain(error: unknown, file: string): unknown {
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
