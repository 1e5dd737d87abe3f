import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { rename, rm } from 'node:fs/promises'
import type { SecretValue } from '../../connect/secret-value.ts'
import { newId } from '../ids.ts'
import type { Item } from '../items/model.ts'
import type { Engine, Row } from './engine.ts'
import { damaged, wrongKey } from './failures.ts'
import { checkHead, type HeadFile, openHeadFile, rolledBack, writeHead } from './headfile.ts'
import {
  type KeySource,
  managedKeyFiles,
  newKey,
  readKey,
  readNextKey,
  writeKey,
} from './keyfile.ts'
import {
  EMPTY_DIGEST,
  HEAD,
  type HeadRecord,
  KEYRING,
  type KeyringRecord,
  nameOf,
  openBytes,
  sealBytes,
  sealRecord,
  SIGNING,
} from './records.ts'
import {
  type KeyHolder,
  keyringOf,
  openKeyring,
  type Progress,
  replaceKeys,
  reseal,
} from './rotate.ts'
import { type SealKey, sealedBy, sealKey } from './seal.ts'
import { createStore, type Store, storeCache, type StoreParts, SUMMARY_BYTES } from './store.ts'
import { collectSummaries, type Summary } from './summaries.ts'
import { type Verified, verify } from './verify.ts'

/** File contents up to this many bytes in all are opened at every start: about 0.2 s. */
const START_CONTENT_BYTES = 64 * 1024 * 1024

/** What a store is opened with. */
export interface OpenOptions {
  readonly engine: Engine
  readonly key: KeySource
  /** Where to remember how far the store has come; none: a roll-back of the whole is not seen. */
  readonly headFile?: { readonly file: string; readonly required: boolean }
  /** Take the state of the store for current, whatever the head file says. */
  readonly acceptRollback?: boolean
  readonly summarise: (item: Item) => Summary
  /** Tells the person who started the program something they must know. */
  readonly warn: (message: string) => void
  /** Unix milliseconds. */
  readonly now?: () => number
}

/** An open store, with what belongs to the process that holds it. */
export interface OpenStore {
  readonly store: Store
  /** Private key that signs tokens, PKCS#8 in DER. */
  readonly signingKey: Buffer
  readonly verified: Verified
  /** Replaces master and data key. @param next `undefined`: a new managed key */
  rotate(next: SecretValue | undefined, progress: Progress): Promise<void>
  verify(): Promise<Verified>
}

/**
 * Opens a store, or makes one where there is none: finds the key, checks every record, and
 * finishes a rotation that was cut short. Nothing is written before the key has proved right.
 * @throws KeyferryError STORE_KEY, STORE_DAMAGED, STORE_UNAVAILABLE
 */
export async function openStore(options: OpenOptions): Promise<OpenStore> {
  const { engine } = options
  const found = await engine.get(KEYRING)
  const master = found ? await findMaster(options, found) : await createKeyring(options)
  const row = found ?? (await engine.get(KEYRING))
  if (row === undefined) throw damaged(nameOf(KEYRING))
  const record = openKeyring(row, master)
  const holder: KeyHolder = { ring: keyringOf(record, row.version) }

  await engine.check()
  const seen = collectSummaries(options.summarise, SUMMARY_BYTES)
  const verified = await verify(engine, holder.ring, START_CONTENT_BYTES, seen)
  const anchor = Buffer.from(record.anchor, 'base64')
  const headFile = await openHead(options, anchor, verified.counter)
  const parts: StoreParts = {
    id: record.store,
    engine,
    ring: () => holder.ring,
    cache: storeCache(),
    summarise: options.summarise,
    listed: seen.vaults(),
    headFile,
    now: options.now ?? Date.now,
  }
  if (holder.ring.all.length > 1) await reseal(parts, holder, master, () => undefined)
  const signing = await engine.get(SIGNING)
  if (signing === undefined) throw damaged(nameOf(SIGNING))
  return {
    store: createStore(parts),
    signingKey: openBytes(holder.ring.all, signing),
    verified,
    rotate: rotation(options, parts, holder, master),
    verify: () => verify(engine, holder.ring, Number.POSITIVE_INFINITY),
  }
}

/** The master key among those at hand that sealed the keyring. @throws KeyferryError STORE_KEY */
async function findMaster({ key }: OpenOptions, keyring: Row): Promise<SealKey> {
  const by = sealedBy(keyring.sealed)
  if (by === undefined) throw damaged(nameOf(KEYRING))
  const given = await readKey(key)
  const next = key.kind === 'managed' ? await readNextKey(key.dir) : undefined
  if (given && sealKey(given).id === by) {
    // A rotation died before it was decided: its key never came into force.
    if (key.kind === 'managed' && next) await rm(managedKeyFiles(key.dir).next)
    return sealKey(given)
  }
  if (key.kind === 'managed' && next && sealKey(next).id === by) {
    const files = managedKeyFiles(key.dir)
    await rename(files.next, files.current)
    return sealKey(next)
  }
  if (given === undefined) throw wrongKey('the store exists, but its key file is missing')
  throw wrongKey('the store was sealed with another key')
}

async function createKeyring(options: OpenOptions): Promise<SealKey> {
  const { engine, key } = options
  for (const kind of ['meta', 'vault', 'item', 'token'] as const) {
    if ((await engine.versions(kind)).length > 0) throw damaged(nameOf(KEYRING))
  }
  let secret = await readKey(key)
  if (secret === undefined && key.kind === 'managed') {
    secret = newKey()
    const file = managedKeyFiles(key.dir).current
    await writeKey(file, secret)
    options.warn(
      `A new store key was written to ${file}. Whoever has this file and the data can read every ` +
        'item; without it the data is lost. Keep a copy elsewhere, or set OP_STORE_KEY_FILE to a ' +
        'key that is not stored with the data.',
    )
  }
  if (secret === undefined) throw wrongKey('there is no key')
  const master = sealKey(secret)
  await engine.commit(firstRows(master))
  return master
}

/** The rows of an empty store; another replica may have made them just before. */
function firstRows(master: SealKey): Parameters<Engine['commit']>[0] {
  const record: KeyringRecord = {
    store: newId(),
    anchor: randomBytes(32).toString('base64'),
    keys: [randomBytes(32).toString('base64')],
  }
  const { current } = keyringOf(record, 1)
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signing = privateKey.export({ type: 'pkcs8', format: 'der' })
  const head: HeadRecord = { vaults: EMPTY_DIGEST, tokens: EMPTY_DIGEST }
  return {
    keys: [KEYRING],
    decide: (seen) => ({
      writes: seen.get('meta', '', 'keyring')
        ? []
        : [
            { op: 'put', row: sealRecord(master, { ...KEYRING, version: 1 }, record) },
            { op: 'put', row: sealRecord(current, { ...HEAD, version: 1 }, head) },
            { op: 'put', row: sealBytes(current, { ...SIGNING, version: 1 }, signing) },
          ],
      result: undefined,
    }),
  }
}

async function openHead(
  options: OpenOptions,
  anchor: Buffer,
  counter: number,
): Promise<HeadFile | undefined> {
  const { headFile, warn } = options
  if (headFile === undefined) return undefined
  const { file, required } = headFile
  if (options.acceptRollback) {
    await writeHead(file, anchor, counter)
  } else if ((await checkHead(file, anchor, counter)) === 'missing') {
    // The first change of a store is the one that makes it.
    if (required && counter > 1) throw rolledBack(`the head file ${file} is missing`)
    if (counter > 1)
      warn(`The head file ${file} was missing: the state of the store was taken for current.`)
    await writeHead(file, anchor, counter)
  }
  return openHeadFile(file, anchor, (error) =>
    warn(`Cannot write the head file ${file}: ${error instanceof Error ? error.message : ''}`),
  )
}

function rotation(
  options: OpenOptions,
  parts: StoreParts,
  holder: KeyHolder,
  first: SealKey,
): OpenStore['rotate'] {
  let master = first
  return async (given, progress) => {
    const { key, engine } = options
    if (given === undefined && key.kind !== 'managed') {
      throw wrongKey('the key comes from outside, so its successor must be given')
    }
    const secret = given ?? newKey()
    const next = sealKey(secret)
    const files = key.kind === 'managed' ? managedKeyFiles(key.dir) : undefined
    // The new key is on disk before it is in force, so that no crash can leave a store without.
    if (files) await writeKey(files.next, secret)
    await replaceKeys(engine, holder, master, next)
    if (files) await rename(files.next, files.current)
    master = next
    await reseal(parts, holder, master, progress)
  }
}
