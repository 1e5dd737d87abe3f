import { randomBytes } from 'node:crypto'
import { open, readFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { SecretValue } from '../../connect/secret-value.ts'
import { KeyferryError } from '../../errors.ts'

/** Bytes of a master key. */
const KEY_BYTES = 32
const KEY_FILE = 'store.key'
const NEXT_KEY_FILE = 'store.key.next'

/** Where a master key comes from. */
export type KeySource =
  | { readonly kind: 'file'; readonly file: string }
  | { readonly kind: 'text'; readonly text: SecretValue }
  /** The file that Keyferry keeps beside the data. */
  | { readonly kind: 'managed'; readonly dir: string }

/** The managed key file of a data directory, and the one that replaces it during a rotation. */
export function managedKeyFiles(dir: string): { current: string; next: string } {
  return { current: path.join(dir, KEY_FILE), next: path.join(dir, NEXT_KEY_FILE) }
}

/**
 * The master key of `source`, or `undefined` when the managed file does not exist yet.
 * @throws KeyferryError STORE_KEY when there is something, but no key
 */
export async function readKey(source: KeySource): Promise<SecretValue | undefined> {
  switch (source.kind) {
    case 'text':
      return parseKey(Buffer.from(source.text.reveal()).toString('utf8'), 'OP_STORE_KEY')
    case 'file':
      return parseKeyFile(source.file)
    case 'managed':
      return parseKeyFile(managedKeyFiles(source.dir).current, 'optional')
  }
}

async function parseKeyFile(file: string, need: 'optional'): Promise<SecretValue | undefined>
async function parseKeyFile(file: string): Promise<SecretValue>
async function parseKeyFile(file: string, need?: 'optional'): Promise<SecretValue | undefined> {
  let content: Buffer
  try {
    content = await readFile(file)
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    if (missing && need === 'optional') return undefined
    throw keyProblem(`cannot read the store key file ${file}`, error)
  }
  if (content.length === KEY_BYTES) return SecretValue.fromBytes(content)
  return parseKey(content.toString('utf8'), `the store key file ${file}`)
}

/** @param text 64 hexadecimal digits, or 32 bytes in base64 or base64url */
export function parseKey(text: string, where: string): SecretValue {
  const trimmed = text.trim()
  if (/^[0-9a-f]{64}$/i.test(trimmed)) return SecretValue.fromBytes(Buffer.from(trimmed, 'hex'))
  if (/^[A-Za-z0-9+/_-]{43}=?$/.test(trimmed)) {
    return SecretValue.fromBytes(Buffer.from(trimmed, 'base64'))
  }
  throw keyProblem(`${where} holds no key`)
}

/** Reads the key that a rotation was about to put in place, if there is one. */
export async function readNextKey(dir: string): Promise<SecretValue | undefined> {
  return parseKeyFile(managedKeyFiles(dir).next, 'optional')
}

/** A new random master key. */
export function newKey(): SecretValue {
  return SecretValue.fromBytes(randomBytes(KEY_BYTES))
}

/** Writes a key to a new file that only its owner may read, durably. Never overwrites one. */
export async function writeKey(file: string, key: SecretValue): Promise<void> {
  const draft = `${file}.${process.pid}.tmp`
  await rm(draft, { force: true })
  const handle = await open(draft, 'wx', 0o600)
  try {
    await handle.writeFile(`${Buffer.from(key.reveal()).toString('hex')}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await renameDurably(draft, file)
}

/** Renames and makes the rename itself survive a power loss. */
export async function renameDurably(from: string, to: string): Promise<void> {
  await rename(from, to)
  const dir = await open(path.dirname(to), 'r')
  try {
    await dir.sync()
  } finally {
    await dir.close()
  }
}

function keyProblem(message: string, cause?: unknown): KeyferryError {
  return new KeyferryError('STORE_KEY', {
    message,
    remedy: 'A key is 64 hexadecimal digits or 32 bytes in base64: openssl rand -hex 32 makes one.',
    retry: 'on-change',
    cause,
  })
}
