/**
 * Digests that say whether two contents are equal and nothing else: keyed, so that a guess cannot
 * be tested against them, and bound to namespace and name, so that equal values elsewhere do not
 * show.
 */
import {
  createHash,
  createHmac,
  createSecretKey,
  type KeyObject,
  timingSafeEqual,
} from 'node:crypto'
import type { SecretValue } from '../../connect/secret-value.ts'

/** Key of this installation. Losing it costs one read per Secret and no restart. */
export interface DigestKey {
  /** First 8 hexadecimal digits of the key's SHA-256: tells keys apart. */
  readonly id: string
  /** Of 32 random bytes. */
  readonly secret: KeyObject
}

/** A key from its bytes. */
export function digestKey(bytes: Uint8Array): DigestKey {
  const id = createHash('sha256').update(bytes).digest('hex').slice(0, 8)
  return { id, secret: createSecretKey(bytes) }
}

/** Changes when the encoding below changes. */
const FORMAT = 'keyferry/content/1'

/** What a digest covers. */
export interface DigestInput {
  readonly namespace: string
  readonly name: string
  readonly type: string
  readonly data: ReadonlyMap<string, SecretValue>
}

/** `<key id>.<HMAC-SHA-256>` of a Secret's content; keys are sorted, every part is prefixed by its length. */
export function contentDigest(key: DigestKey, input: DigestInput): string {
  const hmac = createHmac('sha256', key.secret)
  const part = (bytes: string | Uint8Array) => {
    const buffer = typeof bytes === 'string' ? Buffer.from(bytes, 'utf8') : bytes
    const length = Buffer.alloc(4)
    length.writeUInt32BE(buffer.byteLength)
    hmac.update(length).update(buffer)
  }
  for (const text of [FORMAT, input.namespace, input.name, input.type]) part(text)
  for (const name of [...input.data.keys()].toSorted(byCodeUnit)) {
    part(name)
    part(input.data.get(name)?.reveal() ?? Buffer.alloc(0))
  }
  return `${key.id}.${hmac.digest('hex')}`
}

/** The id of the key that made a digest. */
export function keyIdOf(digest: string | undefined): string | undefined {
  return digest?.split('.', 1)[0]
}

/** Value of the owner annotation: who the Secret belongs to, and the proof. */
export function ownerMark(
  key: DigestKey,
  namespace: string,
  secret: string,
  owner: string,
): string {
  return `${owner} ${key.id}.${ownerProof(key, namespace, secret, owner)}`
}

/** The owner that a mark names, if its proof holds under this key. */
export function verifiedOwner(
  key: DigestKey,
  namespace: string,
  secret: string,
  mark: string | undefined,
): string | undefined {
  const [owner, proof] = (mark ?? '').split(' ')
  if (!owner || !proof) return undefined
  const expected = Buffer.from(`${key.id}.${ownerProof(key, namespace, secret, owner)}`)
  const given = Buffer.from(proof)
  return expected.length === given.length && timingSafeEqual(expected, given) ? owner : undefined
}

function ownerProof(key: DigestKey, namespace: string, secret: string, owner: string): string {
  const text = ['keyferry/owner/1', namespace, secret, owner].join('\0')
  return createHmac('sha256', key.secret).update(text).digest('hex')
}

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
