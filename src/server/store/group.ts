import type { Change, Key, Kind, Row, Seen, Write } from './engine.ts'
import { keyText } from './engine.ts'

/** A change that waits for the next transaction, with the promise its caller holds. */
export interface Pending {
  readonly change: Change<unknown>
  readonly resolve: (result: unknown) => void
  readonly reject: (error: unknown) => void
}

/** What a group of changes comes to: the writes in order, and whom to tell what. */
export interface GroupOutcome {
  readonly writes: Write[]
  readonly accepted: readonly { readonly pending: Pending; readonly result: unknown }[]
  readonly refused: readonly { readonly pending: Pending; readonly error: unknown }[]
}

/** Everything the changes of a group ask for. */
export function wanted(group: readonly Pending[]): {
  keys: Key[]
  ranges: Pick<Key, 'kind' | 'scope'>[]
} {
  const keys = new Map<string, Key>()
  const ranges = new Map<string, Pick<Key, 'kind' | 'scope'>>()
  for (const { change } of group) {
    for (const key of change.keys) keys.set(keyText(key.kind, key.scope, key.id), key)
    for (const range of change.ranges ?? []) ranges.set(keyText(range.kind, range.scope, ''), range)
  }
  return { keys: [...keys.values()], ranges: [...ranges.values()] }
}

/**
 * Decides the changes of a group one after the other, each on what those before it left, so
 * that one transaction, and one fsync, makes all of them durable. A change that throws is
 * refused alone. Only the last write of each row is kept.
 */
export function decideGroup(group: readonly Pending[], rows: readonly Row[]): GroupOutcome {
  const state = overlay(rows)
  const accepted: { pending: Pending; result: unknown }[] = []
  const refused: { pending: Pending; error: unknown }[] = []
  for (const pending of group) {
    try {
      const { writes, result } = pending.change.decide(state)
      for (const write of writes) state.apply(write)
      accepted.push({ pending, result })
    } catch (error) {
      refused.push({ pending, error })
    }
  }
  for (const settle of new Set(accepted.flatMap(({ pending }) => pending.change.settle ?? []))) {
    for (const write of settle(state)) state.apply(write)
  }
  return { writes: state.writes(), accepted, refused }
}

interface Overlay extends Seen {
  apply(write: Write): void
  writes(): Write[]
}

const inRange = (row: Key, kind: Kind, scope: string): boolean =>
  row.kind === kind && row.scope === scope

function overlay(rows: readonly Row[]): Overlay {
  const current = new Map<string, Row>()
  for (const row of rows) current.set(keyText(row.kind, row.scope, row.id), row)
  const writes = new Map<string, Write>()
  const record = (name: string, write: Write) => {
    writes.delete(name)
    writes.set(name, write)
  }
  return {
    get: (kind, scope, id) => current.get(keyText(kind, scope, id)),
    range: (kind, scope) => [...current.values()].filter((row) => inRange(row, kind, scope)),
    apply(write) {
      if (write.op === 'put') {
        const name = keyText(write.row.kind, write.row.scope, write.row.id)
        current.set(name, write.row)
        record(name, write)
      } else if (write.op === 'drop') {
        const name = keyText(write.key.kind, write.key.scope, write.key.id)
        current.delete(name)
        record(name, write)
      } else {
        for (const [name, row] of current) {
          if (inRange(row, write.kind, write.scope)) current.delete(name)
        }
        record(keyText(write.kind, write.scope, ''), write)
      }
    },
    writes: () => [...writes.values()],
  }
}
