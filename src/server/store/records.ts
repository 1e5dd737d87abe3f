import type { Token, Vault } from '../items/model.ts'
import type { Key, Row } from './engine.ts'
import { damaged, unknownKey, wrongKey } from './failures.ts'
import { type SealKey, sealedBy, tagOf } from './seal.ts'

/** A vault with the fingerprint of its items: what the sealed row of a vault holds. */
export interface VaultRecord extends Omit<Vault, 'id' | 'contentVersion'> {
  /** XOR of the fingerprints of all item rows, base64. */
  readonly digest: string
}

/** Fingerprints of everything, so that no single row can be put back to an older state. */
export interface HeadRecord {
  readonly vaults: string
  readonly tokens: string
}

/** The keys of a store, sealed under the master key. */
export interface KeyringRecord {
  /** Id of the store: 26 characters. */
  readonly store: string
  /** Secret that marks the head file, base64. */
  readonly anchor: string
  /** Data keys in base64, the current one first; more than one only during a rotation. */
  readonly keys: readonly string[]
}

/** A token as its sealed row holds it. */
export type TokenRecord = Omit<Token, 'id'>

/** The data keys in use. */
export interface Keyring {
  /** The version of the keyring's row: rises with every rotation. */
  readonly generation: number
  readonly current: SealKey
  readonly all: readonly SealKey[]
}

/** Where the sealed keyring is. */
export const KEYRING: Key = { kind: 'meta', scope: '', id: 'keyring' }
/** Where the head is. */
export const HEAD: Key = { kind: 'meta', scope: '', id: 'head' }
/** Where the key is that signs tokens. */
export const SIGNING: Key = { kind: 'meta', scope: '', id: 'signing' }

/** Associated data of a row: kind, scope (vault or file), id (item) and version. */
function contextOf(row: Key & { readonly version: number }): string {
  return `${row.kind}\0${row.scope}\0${row.id}\0${row.version}`
}

/** How messages name a record: by ids only. */
export function nameOf(key: Key): string {
  switch (key.kind) {
    case 'item':
      return `item ${key.id} in vault ${key.scope}`
    case 'chunk':
      return `part ${Number(key.id)} of file ${key.scope}`
    case 'meta':
      return `the store's ${key.id}`
    case 'vault':
    case 'token':
    case 'activity':
      return `${key.kind} ${key.id}`
  }
}

/** A row with its content sealed. */
export function sealBytes(key: SealKey, at: Key & { version: number }, plain: Uint8Array): Row {
  const { kind, scope, id, version } = at
  return { kind, scope, id, version, sealed: key.seal(plain, contextOf(at)) }
}

/** A row with a record sealed as JSON. */
export function sealRecord(key: SealKey, at: Key & { version: number }, record: unknown): Row {
  return sealBytes(key, at, Buffer.from(JSON.stringify(record)))
}

/** @throws KeyferryError STORE_DAMAGED, or STORE_KEY when the data key is not in the ring */
export function openBytes(keys: readonly SealKey[], row: Row): Buffer {
  const by = sealedBy(row.sealed)
  if (by === undefined) throw damaged(nameOf(row))
  const key = keys.find(({ id }) => id === by)
  if (key === undefined) throw unknownKey(nameOf(row))
  const plain = key.open(row.sealed, contextOf(row))
  if (plain === undefined) throw damaged(nameOf(row))
  return plain
}

/** The seal vouches for the shape: only this program can have written it. */
export function openRecord(keys: readonly SealKey[], row: Row): unknown {
  return JSON.parse(openBytes(keys, row).toString('utf8'))
}

/** Opens records that are read over and over, once per sealed content; holds no item. */
export interface RecordCache {
  open(keys: readonly SealKey[], row: Row): unknown
}

/** @param limit records to remember; the oldest goes first */
export function recordCache(limit: number): RecordCache {
  const known = new Map<string, unknown>()
  const held = new WeakMap<Row, unknown>()
  return {
    open(keys, row) {
      const same = held.get(row)
      if (same !== undefined) return same
      const name = `${contextOf(row)}\0${Buffer.from(tagOf(row.sealed)).toString('latin1')}`
      const hit = known.get(name)
      if (hit !== undefined) {
        held.set(row, hit)
        return hit
      }
      const record = openRecord(keys, row)
      if (known.size >= limit) {
        for (const oldest of known.keys()) {
          known.delete(oldest)
          break
        }
      }
      known.set(name, record)
      held.set(row, record)
      return record
    },
  }
}

/** Keeps a process with an outdated keyring from writing what nobody could read later. */
export function assertGeneration(row: Row | undefined, ring: Keyring): void {
  if (row?.version !== ring.generation) {
    throw wrongKey('the keys of this store were rotated while this process was using it')
  }
}

/** XOR of fingerprints: adding and removing a row are the same operation. */
export function toggle(digest: string, fingerprint: Uint8Array): string {
  const sum = Buffer.from(digest, 'base64')
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) ^ (fingerprint[i] ?? 0)
  return sum.toString('base64')
}

/** Digest of no rows. */
export const EMPTY_DIGEST: string = Buffer.alloc(32).toString('base64')

/**
 * Fingerprint of a row under the key that sealed it. Rows of a key that is gone cannot count.
 * @throws KeyferryError STORE_DAMAGED
 */
export function fingerprintOf(keys: readonly SealKey[], row: Row): Buffer {
  const by = sealedBy(row.sealed)
  const key = keys.find(({ id }) => id === by)
  if (key === undefined) throw unknownKey(nameOf(row))
  return key.fingerprint(row.sealed, contextOf(row))
}
