import type { DatabaseSync } from 'node:sqlite'
import type { Engine, WriteState } from './engine.ts'
import { unavailable } from './failures.ts'
import { decideGroup, type Pending, wanted } from './group.ts'
import { explain, isFull } from './sqlite-errors.ts'
import type { Statements } from './sqlite-rows.ts'

/** Changes per transaction: bounds how long the event loop waits for one. */
const GROUP_LIMIT = 128
/**
 * Turns of the event loop without another change before a transaction begins: some ten
 * microseconds each, against the tenths of a millisecond that every fsync takes.
 */
const QUIET_TURNS = 4

/** Commits changes that wait at the same moment in one transaction. */
export interface GroupWriter {
  commit: Engine['commit']
  state(): WriteState
  /** Holds back commits until the returned function is called. */
  pause(): Promise<() => void>
  drain(): Promise<void>
}

/** The one writer of a file. @param file for messages */
export function groupWriter(db: DatabaseSync, sql: Statements, file: string): GroupWriter {
  let queue: Pending[] = []
  let scheduled = false
  let paused = 0
  let state: WriteState = 'ok'
  const idle: (() => void)[] = []

  const schedule = () => {
    if (scheduled || paused > 0 || queue.length === 0) return
    scheduled = true
    setImmediate(gather, 0, 0)
  }
  const gather = (seen: number, quiet: number) => {
    const turns = queue.length > seen ? 0 : quiet + 1
    if (turns >= QUIET_TURNS || queue.length >= GROUP_LIMIT) flush()
    else setImmediate(gather, queue.length, turns)
  }
  const flush = () => {
    scheduled = false
    if (paused > 0) return
    if (state === 'failed') {
      for (const pending of queue.splice(0)) pending.reject(unavailable('an earlier write failed'))
    }
    const group = queue.slice(0, GROUP_LIMIT)
    queue = queue.slice(GROUP_LIMIT)
    state = runGroup(db, sql, group, file) ?? state
    if (queue.length === 0) for (const tell of idle.splice(0)) tell()
    schedule()
  }
  return {
    state: () => state,
    commit: (change) =>
      new Promise((resolve, reject) => {
        // After an I/O error the kernel may have dropped dirty pages: this handle cannot be
        // trusted to write again. Source: "Can Applications Recover from fsync Failures?" (2020)
        if (state === 'failed') return reject(unavailable('an earlier write failed'))
        queue.push({ change, resolve: resolve as (result: unknown) => void, reject })
        schedule()
      }),
    async pause() {
      paused += 1
      return () => {
        paused -= 1
        schedule()
      }
    },
    drain: () =>
      new Promise((resolve) => {
        if (queue.length === 0) return resolve()
        idle.push(resolve)
        schedule()
      }),
  }
}

/** @returns the state after the transaction, `undefined` when nothing was written */
function runGroup(
  db: DatabaseSync,
  sql: Statements,
  group: Pending[],
  file: string,
): WriteState | undefined {
  try {
    const { keys, ranges } = wanted(group)
    const rows = keys.flatMap((key) => sql.get(key) ?? [])
    for (const range of ranges) rows.push(...sql.page(range, '', -1))
    const { writes, accepted, refused } = decideGroup(group, rows)
    if (writes.length > 0) {
      db.exec('BEGIN IMMEDIATE')
      for (const write of writes) sql.write(write)
      db.exec('COMMIT')
    }
    for (const { pending, result } of accepted) pending.resolve(result)
    for (const { pending, error } of refused) pending.reject(error)
    return writes.length > 0 ? 'ok' : undefined
  } catch (error) {
    sql.forget()
    if (db.isTransaction) db.exec('ROLLBACK')
    for (const pending of group) pending.reject(explain(error, file))
    return isFull(error) ? 'full' : 'failed'
  }
}
