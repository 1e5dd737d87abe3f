/**
 * Private keys in OpenSSH's own form, which its clients read for every kind of key.
 * Source: OpenSSH PROTOCOL.key; RFC 4251 §5 (string, mpint); RFC 4253 §6.6, RFC 5656 §3.1,
 * RFC 8709 §4 (public keys).
 */
import { createHash, createPrivateKey, type KeyObject } from 'node:crypto'
import { KeyferryError } from '../../errors.ts'

const MAGIC = 'openssh-key-v1\0'
const BLOCK = 8
const LINE = 70

/** A curve in the words of JWK and SSH. */
const CURVES: Readonly<Record<string, string>> = {
  'P-256': 'nistp256',
  'P-384': 'nistp384',
  'P-521': 'nistp521',
}

/**
 * The key of a PEM (PKCS#8, PKCS#1, SEC1 or OpenSSH) in OpenSSH form, without a passphrase. The same
 * key always gives the same bytes.
 *
 * @throws KeyferryError VALUE_UNFIT for anything but an RSA, ECDSA or Ed25519 private key
 */
export function toOpenSsh(pem: Uint8Array): Uint8Array {
  const text = Buffer.from(pem).toString('latin1')
  if (text.includes('BEGIN OPENSSH PRIVATE KEY')) return pem
  const { publicBlob, privateBlob } = blobsOf(readKey(text))
  // Random by the format, but random bytes would make the same key look changed.
  const check = createHash('sha256').update(privateBlob).digest().subarray(0, 4)
  const secret = pad(Buffer.concat([check, check, privateBlob, string('')]))
  const file = Buffer.concat([
    Buffer.from(MAGIC),
    string('none'),
    string('none'),
    string(''),
    uint32(1),
    string(publicBlob),
    string(secret),
  ])
  const lines = file.toString('base64').match(new RegExp(`.{1,${LINE}}`, 'g')) ?? []
  const [begin, end] = ['BEGIN', 'END'].map((word) => `-----${word} OPENSSH PRIVATE KEY-----`)
  return Buffer.from([begin, ...lines, end, ''].join('\n'))
}

function readKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch {
    // The reason may quote the key.
    throw unfit('it is not a private key in PEM form, or it has a passphrase')
  }
}

/** Members of a private key as JWK. */
type Part = 'n' | 'e' | 'd' | 'p' | 'q' | 'qi' | 'x' | 'y'

function blobsOf(key: KeyObject): { publicBlob: Buffer; privateBlob: Buffer } {
  const jwk = key.export({ format: 'jwk' })
  const part = (name: Part) => Buffer.from(jwk[name] ?? '', 'base64url')
  switch (key.asymmetricKeyType) {
    case 'ed25519': {
      const type = string('ssh-ed25519')
      const publicKey = string(part('x'))
      const seedAndPublic = string(Buffer.concat([part('d'), part('x')]))
      const publicBlob = Buffer.concat([type, publicKey])
      return { publicBlob, privateBlob: Buffer.concat([type, publicKey, seedAndPublic]) }
    }
    case 'rsa': {
      const type = string('ssh-rsa')
      const [n, e, d, p, q, qi] = (['n', 'e', 'd', 'p', 'q', 'qi'] as const).map((name) =>
        mpint(part(name)),
      ) as [Buffer, Buffer, Buffer, Buffer, Buffer, Buffer]
      const publicBlob = Buffer.concat([type, e, n])
      return { publicBlob, privateBlob: Buffer.concat([type, n, e, d, qi, p, q]) }
    }
    case 'ec': {
      const curve = CURVES[jwk.crv ?? '']
      if (curve === undefined) throw unfit('its curve is none that OpenSSH knows')
      const point = Buffer.concat([Buffer.from([4]), part('x'), part('y')])
      const publicBlob = Buffer.concat([
        string(`ecdsa-sha2-${curve}`),
        string(curve),
        string(point),
      ])
      return { publicBlob, privateBlob: Buffer.concat([publicBlob, mpint(part('d'))]) }
    }
    default:
      throw unfit('it is neither an RSA, nor an ECDSA, nor an Ed25519 key')
  }
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function string(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([uint32(bytes.length), bytes])
}

/** A positive integer: no leading zeros, but one before a set sign bit. */
function mpint(bytes: Buffer): Buffer {
  const start = bytes.findIndex((byte) => byte !== 0)
  const digits = start === -1 ? Buffer.alloc(0) : bytes.subarray(start)
  const sign = (digits[0] ?? 0) >= 0x80 ? Buffer.alloc(1) : Buffer.alloc(0)
  return string(Buffer.concat([sign, digits]))
}

function pad(bytes: Buffer): Buffer {
  const missing = (BLOCK - (bytes.length % BLOCK)) % BLOCK
  return Buffer.concat([bytes, Buffer.from(Array.from({ length: missing }, (_, n) => n + 1))])
}

function unfit(why: string): KeyferryError {
  return new KeyferryError('VALUE_UNFIT', {
    message: `a key cannot be written in OpenSSH form: ${why}`,
    remedy: 'Leave ?ssh-format=openssh out, or put an unencrypted private key into the field.',
    retry: 'on-change',
  })
}
