import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto'

/** One exchange that proves a password to the server, and the server to us. */
export interface Scram {
  /** The client's first message. */
  readonly first: string
  /** The answer to the server's first message. @throws Error when it does not fit ours */
  final(serverFirst: string): string
  /** @throws Error unless the server knows the password too */
  verify(serverFinal: string): void
}

/** Beyond these a server costs us more than a password is worth. */
const ITERATIONS_MAX = 1_000_000

/** SCRAM-SHA-256. Source: RFC 5802, RFC 7677; PostgreSQL ignores the name. */
export function scram(password: string, nonce = randomBytes(18).toString('base64')): Scram {
  const bare = `n=*,r=${nonce}`
  let signature: Buffer | undefined
  return {
    first: `n,,${bare}`,
    final(serverFirst) {
      const { r = '', s = '', i = '' } = attributesOf(serverFirst)
      const iterations = Number(i)
      const isSound = r.startsWith(nonce) && r.length > nonce.length && s !== ''
      if (!isSound || !(iterations > 0 && iterations <= ITERATIONS_MAX)) {
        throw new Error('the server breaks the rules of SCRAM')
      }
      const salt = Buffer.from(s, 'base64')
      const salted = pbkdf2Sync(password.normalize('NFKC'), salt, iterations, 32, 'sha256')
      const clientKey = hmac(salted, 'Client Key')
      const stored = createHash('sha256').update(clientKey).digest()
      const withoutProof = `c=biws,r=${r}`
      const message = `${bare},${serverFirst},${withoutProof}`
      signature = hmac(hmac(salted, 'Server Key'), message)
      const mask = hmac(stored, message)
      const proof = Buffer.from(clientKey.map((byte, index) => byte ^ (mask[index] ?? 0)))
      return `${withoutProof},p=${proof.toString('base64')}`
    },
    verify(serverFinal) {
      const given = Buffer.from(attributesOf(serverFinal)['v'] ?? '', 'base64')
      const isKnown = given.length === signature?.length && timingSafeEqual(given, signature)
      if (!isKnown) throw new Error('the server does not know the password')
    },
  }
}

function attributesOf(message: string): Record<string, string | undefined> {
  return Object.fromEntries(message.split(',').map((part) => [part.slice(0, 1), part.slice(2)]))
}

const hmac = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest()

/** The answer to the older challenge. Source: PostgreSQL documentation, message AuthenticationMD5Password */
export function md5Answer(user: string, password: string, salt: Buffer): string {
  const md5 = (...parts: (string | Buffer)[]) => {
    const hash = createHash('md5')
    for (const part of parts) hash.update(part)
    return hash.digest('hex')
  }
  return `md5${md5(md5(password, user), salt)}`
}
