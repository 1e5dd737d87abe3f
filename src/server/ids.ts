import { pooledBytes } from './random.ts'

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'

/** A random id in Connect's form: 26 characters of base32, 130 bits. */
export function newId(): string {
  return idFrom(pooledBytes(26))
}

/** The id that `bytes` (26 or more, uniformly distributed) select: five bits of each. */
export function idFrom(bytes: Uint8Array): string {
  let id = ''
  for (const byte of bytes.subarray(0, 26)) id += ALPHABET[byte & 31]
  return id
}
