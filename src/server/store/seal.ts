/**
 * Sealing of single records: AES-256-GCM with a key of its own for every record.
 *
 * The construction is XAES-256-GCM: 24 random bytes per record, of which the first 12 derive
 * the record's key from the data key and the last 12 are its nonce. Random nonces under one
 * plain GCM key are safe for 2^32 records only, which a busy store reaches in days; with
 * derived keys the bound is 2^80.
 * Source: C2SP, "The XAES-256-GCM extended-nonce AEAD"; NIST SP 800-38D §8.3; SP 800-108.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
} from 'node:crypto'
import type { SecretValue } from '../../connect/secret-value.ts'
import { pooledBytes } from '../random.ts'

const FORMAT = 1
const KEY_ID_BYTES = 8
const NONCE_BYTES = 24
const TAG_BYTES = 16
const HEADER_BYTES = 1 + KEY_ID_BYTES + NONCE_BYTES

/** Bytes that sealing adds to a record. */
export const SEAL_OVERHEAD = HEADER_BYTES + TAG_BYTES

/** A key that seals records and computes their fingerprints. */
export interface SealKey {
  /** 16 hexadecimal digits that tell keys apart and tell nothing about the key. */
  readonly id: string
  /** @param context associated data: authenticated, not stored */
  seal(plain: Uint8Array, context: string): Buffer
  /** @returns `undefined` when `sealed` was not sealed by this key for this context */
  open(sealed: Uint8Array, context: string): Buffer | undefined
  /** 32 bytes that only holders of the key can compute; `sealed` is represented by its tag. */
  fingerprint(sealed: Uint8Array, context: string): Buffer
}

/** The id of the key that sealed these bytes, or `undefined` when they are no sealed record. */
export function sealedBy(sealed: Uint8Array): string | undefined {
  if (sealed.length < SEAL_OVERHEAD || sealed[0] !== FORMAT) return undefined
  return Buffer.from(sealed.subarray(1, 1 + KEY_ID_BYTES)).toString('hex')
}

/** The authentication tag: as good as a digest of the record, for whoever cannot forge one. */
export function tagOf(sealed: Uint8Array): Uint8Array {
  return sealed.subarray(-TAG_BYTES)
}

/** @param secret 32 bytes */
export function sealKey(secret: SecretValue): SealKey {
  const derive = (info: string, bytes: number) =>
    Buffer.from(hkdfSync('sha256', secret.reveal(), '', `keyferry ${info} v1`, bytes))
  const idBytes = derive('id', KEY_ID_BYTES)
  const id = idBytes.toString('hex')
  const deriveKey = keyDeriver(derive('seal', 32))
  // As key objects: Node takes 15 µs to make one of raw bytes at every use.
  const macKey = createSecretKey(derive('fingerprint', 32))
  return {
    id,
    seal(plain, context) {
      const nonce = pooledBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', deriveKey(nonce), nonce.subarray(12))
      cipher.setAAD(Buffer.from(`${context}\0${id}`))
      const body = cipher.update(plain)
      cipher.final()
      return Buffer.concat([Buffer.of(FORMAT), idBytes, nonce, body, cipher.getAuthTag()])
    },
    open(sealed, context) {
      if (sealedBy(sealed) !== id) return undefined
      const nonce = sealed.subarray(1 + KEY_ID_BYTES, HEADER_BYTES)
      const decipher = createDecipheriv('aes-256-gcm', deriveKey(nonce), nonce.subarray(12))
      decipher.setAAD(Buffer.from(`${context}\0${id}`))
      decipher.setAuthTag(tagOf(sealed))
      try {
        const plain = decipher.update(sealed.subarray(HEADER_BYTES, -TAG_BYTES))
        decipher.final()
        return plain
      } catch {
        return undefined
      }
    },
    fingerprint: (sealed, context) =>
      createHmac('sha256', macKey).update(`${context}\0${id}\0`).update(tagOf(sealed)).digest(),
  }
}

/** XAES-256-GCM's key derivation: CMAC-based, in counter mode, one AES call over two blocks. */
export function keyDeriver(key: Buffer): (nonce: Uint8Array) => KeyObject {
  // ECB has no state between blocks, so one cipher serves every derivation.
  const cipher = createCipheriv('aes-256-ecb', createSecretKey(key), null)
  cipher.setAutoPadding(false)
  const mask = doubled(cipher.update(Buffer.alloc(16)))
  return (nonce) => {
    const blocks = Buffer.alloc(32)
    blocks[1] = 1
    blocks[2] = 0x58 // 'X'
    blocks.set(nonce.subarray(0, 12), 4)
    blocks.copy(blocks, 16, 0, 16)
    blocks[17] = 2
    for (let i = 0; i < 32; i++) blocks[i] = (blocks[i] ?? 0) ^ (mask[i % 16] ?? 0)
    return createSecretKey(cipher.update(blocks))
  }
}

/** Doubling in GF(2^128) as CMAC defines it. Source: RFC 4493 §2.3 */
function doubled(block: Buffer): Buffer {
  const out = Buffer.alloc(16)
  let carry = 0
  for (let i = 15; i >= 0; i--) {
    const byte = block[i] ?? 0
    out[i] = ((byte << 1) | carry) & 0xff
    carry = byte >> 7
  }
  if (carry === 1) out[15] = (out[15] ?? 0) ^ 0x87
  return out
}
