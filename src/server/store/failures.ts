import { KeyferryError } from '../../errors.ts'

/** The store holds something that is not what was written. `what` names the record or file. */
export function damaged(what: string, cause?: unknown): KeyferryError {
  return new KeyferryError('STORE_DAMAGED', {
    message: `${what} does not match its seal: it was changed outside of Keyferry, or the disk lost it`,
    remedy: 'Restore a backup (keyferry connect restore), and find out what changed the files.',
    retry: 'on-change',
    cause,
  })
}

/** The file itself cannot be read as a database. */
export function unreadable(file: string, detail: string, cause?: unknown): KeyferryError {
  return new KeyferryError('STORE_DAMAGED', {
    message: `the store ${file} is damaged: ${detail}`,
    remedy: 'Restore a backup (keyferry connect restore), and check the disk.',
    retry: 'on-change',
    cause,
  })
}

/** Another process has the store open. */
export function busy(file: string, cause?: unknown): KeyferryError {
  return new KeyferryError('STORE_BUSY', {
    message: `another process has the store ${file} open`,
    remedy: 'One server serves one SQLite store: stop the other one, or use --store postgres://….',
    retry: 'soon',
    cause,
  })
}

/** A write or read failed although nothing was wrong with it. */
export function unavailable(detail: string, cause?: unknown): KeyferryError {
  return new KeyferryError('STORE_UNAVAILABLE', {
    message: `the store is unavailable: ${detail}`,
    remedy: 'Check free space, the disk and the database server, then restart the server.',
    retry: 'soon',
    cause,
  })
}

/** Either another process rotated the keys, or the record was changed. `what` names it. */
export function unknownKey(what: string): KeyferryError {
  return new KeyferryError('STORE_KEY', {
    message: `${what} is sealed with a key that this process does not have`,
    remedy:
      'Restart with the new key when the keys were rotated; else the store was changed outside ' +
      'of Keyferry: restore a backup.',
    retry: 'on-change',
  })
}

/** The master key does not open this store. Nothing was changed. */
export function wrongKey(detail: string): KeyferryError {
  return new KeyferryError('STORE_KEY', {
    message: detail,
    remedy:
      'Give the key this store was made with, in OP_STORE_KEY_FILE or OP_STORE_KEY; nothing was changed.',
    retry: 'on-change',
  })
}
