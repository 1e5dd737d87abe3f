import { randomBytes } from 'node:crypto'

const POOL_BYTES = 8 * 1024

let pool = Buffer.alloc(0)

/**
 * Random bytes for nonces and ids, drawn many at a time: each draw is a system call. Keys and
 * tokens are drawn for themselves, so that no buffer keeps them.
 */
export function pooledBytes(count: number): Buffer {
  if (pool.length < count) pool = randomBytes(POOL_BYTES)
  const bytes = pool.subarray(0, count)
  pool = pool.subarray(count)
  return bytes
}
