import { randomBytes } from 'node:crypto'
import { SecretValue } from '../../connect/secret-value.ts'
import { vaultKey } from './ledger.ts'

import type { Engine, Key, Kind, Row } from './engine.ts'
import { createChange, type Store, type StoreParts } from './store.ts'
import {
  HEAD,
  type Keyring,
  KEYRING,
  type KeyringRecord,
  openBytes,
  openRecord,
  sealBytes,
  sealRecord,
} from './records.ts'
import { type SealKey, sealedBy, sealKey } from './seal.ts'

/** Rows per step: what one step of a rotation keeps other writers waiting for. */
const STEP_ROWS = 100
/** Contents come in chunks of 256 KiB. */
const STEP_CHUNKS = 8

/** The open keys of a store, replaced as a whole. */
export interface KeyHolder {
  ring: Keyring
}

/** The keyring that a record describes. */
export function keyringOf(record: KeyringRecord, generation: number): Keyring {
  const all = record.keys.map((key) => sealKey(SecretValue.fromBytes(Buffer.from(key, 'base64'))))
  const [current] = all
  if (current === undefined) throw new Error('a keyring without keys')
  return { generation, current, all }
}

/** The keyring's row as one master key opens it. @throws KeyferryError STORE_DAMAGED */
export function openKeyring(row: Row, master: SealKey): KeyringRecord {
  return openRecord([master], row) as KeyringRecord
}

/**
 * Puts a new master key and a new data key in force, in one small write: from then on only the
 * new master key opens the store. What was sealed before is still readable and is sealed anew
 * by {@link reseal}, which may be interrupted at any point.
 */
export async function replaceKeys(
  engine: Engine,
  holder: KeyHolder,
  from: SealKey,
  to: SealKey,
): Promise<void> {
  const ring = await changeKeyring(engine, from, to, (record) => ({
    ...record,
    keys: [randomBytes(32).toString('base64'), ...record.keys],
  }))
  holder.ring = ring
}

/** Called after each step with the number of records done so far, and of all. */
export type Progress = (done: number, total: number) => void

/** Seals everything under the current data key that is not, then forgets the other keys. */
export async function reseal(
  parts: StoreParts,
  holder: KeyHolder,
  master: SealKey,
  progress: Progress,
): Promise<void> {
  const change = createChange(parts)
  const steps: Key[][] = []
  for (const kind of ['meta', 'token', 'activity', 'chunk', 'item', 'vault'] as const) {
    steps.push(...(await outdatedKeys(parts, kind)))
  }
  const total = steps.reduce((sum, keys) => sum + keys.length, 0)
  let rows = 0
  for (const keys of steps) {
    await resealStep(change, parts, keys)
    rows += keys.length
    progress(rows, total)
  }
  holder.ring = await changeKeyring(parts.engine, master, master, (record) => ({
    ...record,
    keys: record.keys.slice(0, 1),
  }))
  await parts.engine.compact()
}

async function changeKeyring(
  engine: Engine,
  from: SealKey,
  to: SealKey,
  edit: (record: KeyringRecord) => KeyringRecord,
): Promise<Keyring> {
  return engine.commit({
    keys: [KEYRING],
    decide(seen) {
      const row = seen.get('meta', '', 'keyring')
      if (row === undefined) throw new Error('a store without keyring')
      const record = edit(openKeyring(row, from))
      const version = row.version + 1
      const next = sealRecord(to, { ...KEYRING, version }, record)
      return { writes: [{ op: 'put', row: next }], result: keyringOf(record, version) }
    },
  })
}

/** Keys of the rows of a kind, in steps that do not mix scopes. */
async function outdatedKeys({ engine }: StoreParts, kind: Kind): Promise<Key[][]> {
  const steps: Key[][] = []
  const limit = kind === 'chunk' ? STEP_CHUNKS : STEP_ROWS
  for (const { scope, id } of await engine.versions(kind)) {
    if (kind === 'meta' && (id === KEYRING.id || id === HEAD.id)) continue
    const last = steps.at(-1)
    if (last && last.length < limit && last[0]?.scope === scope) last.push({ kind, scope, id })
    else steps.push([{ kind, scope, id }])
  }
  return steps
}

async function resealStep(
  change: Store['change'],
  parts: StoreParts,
  keys: readonly Key[],
): Promise<void> {
  const [first] = keys
  const vault = first?.kind === 'item' ? [vaultKey(first.scope)] : []
  await change({ keys: [...keys, ...vault] }, (d) => {
    const ring = parts.ring()
    for (const key of keys) {
      const row = d.rows.get(key)
      if (row === undefined || sealedBy(row.sealed) === ring.current.id) continue
      const next = sealBytes(ring.current, row, openBytes(ring.all, row))
      if (key.kind === 'vault') {
        const owner = d.vaults.get(key.id)
        if (owner) d.vaults.set(owner)
      } else if (key.kind === 'token') {
        const token = d.tokens.get(key.id)
        if (token) d.tokens.put(token)
      } else {
        d.rows.put(next)
        if (key.kind === 'item') d.vaults.exchange(key.scope, row, next)
      }
    }
  })
}
