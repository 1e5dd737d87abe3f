import { createHmac, timingSafeEqual } from 'node:crypto'
import { open, readFile, rm } from 'node:fs/promises'
import { KeyferryError } from '../../errors.ts'
import { renameDurably } from './keyfile.ts'

/** Milliseconds between two notes, so that the file costs writes next to nothing. */
const NOTE_MS = 1_000

/**
 * A file beside or, better, away from the store that remembers how far the store's counter had
 * come: an older copy of the whole store, which its own seals cannot tell from the real one, is
 * found by it. It lags by at most a second, never leads.
 */
export interface HeadFile {
  /** Remembers `counter`, within a second. */
  note(counter: number): void
  /** Writes what is not written yet. */
  close(): Promise<void>
}

/** What a head file said when the store was opened. */
export type HeadCheck = 'fresh' | 'missing' | 'agrees'

/**
 * @throws KeyferryError STORE_DAMAGED when the file names a later state than `counter`, or is
 * not of this store
 */
export async function checkHead(file: string, anchor: Buffer, counter: number): Promise<HeadCheck> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'missing'
    throw error
  }
  const [number = '', mac = ''] = text.trim().split(' ')
  const known = Number(number)
  if (!Number.isSafeInteger(known) || !sameText(mac, macOf(anchor, known))) {
    throw rolledBack(`the head file ${file} does not belong to this store`)
  }
  if (known > counter) {
    throw rolledBack(`the store is at change ${counter}, but had reached ${known} before`)
  }
  return 'agrees'
}

/** Keeps a head file up to date. @param onError called when it cannot be written */
export function openHeadFile(
  file: string,
  anchor: Buffer,
  onError: (error: unknown) => void,
): HeadFile {
  let latest = 0
  let written = 0
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> = Promise.resolve()
  const save = () => {
    timer = undefined
    const counter = latest
    if (counter === written) return
    written = counter
    writing = writing.then(() => writeHead(file, anchor, counter)).catch(onError)
  }
  return {
    note(counter) {
      latest = Math.max(latest, counter)
      timer ??= setTimeout(save, NOTE_MS).unref()
    },
    async close() {
      clearTimeout(timer)
      save()
      await writing
    },
  }
}

/** Writes the head file anew, atomically. */
export async function writeHead(file: string, anchor: Buffer, counter: number): Promise<void> {
  const draft = `${file}.${process.pid}.tmp`
  await rm(draft, { force: true })
  const handle = await open(draft, 'wx', 0o600)
  try {
    await handle.writeFile(`${counter} ${macOf(anchor, counter)}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await renameDurably(draft, file)
}

function macOf(anchor: Buffer, counter: number): string {
  return createHmac('sha256', anchor).update(`keyferry head ${counter}`).digest('hex')
}

function sameText(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
}

/** The store is older than it was: it, or the file that remembers, was put back. */
export function rolledBack(message: string): KeyferryError {
  return new KeyferryError('STORE_DAMAGED', {
    message,
    remedy:
      'If you put an older copy back on purpose, use keyferry connect restore, ' +
      'or start once with --accept-rollback.',
    retry: 'on-change',
  })
}
