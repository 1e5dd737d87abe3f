import { createPrivateKey, generateKeyPairSync, sign, verify, createPublicKey } from 'node:crypto'
import { expect, test } from 'vitest'
import { isKeyferryError } from '../../../../src/errors.ts'
import { toOpenSsh } from '../../../../src/operator/plan/openssh.ts'

const EC = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve }).privateKey

/** The parts of a key file, each behind its length. */
function partsOf(file: Uint8Array): Buffer[] {
  const lines = Buffer.from(file).toString().trim().split('\n')
  expect(lines[0]).toBe('-----BEGIN OPENSSH PRIVATE KEY-----')
  expect(lines.at(-1)).toBe('-----END OPENSSH PRIVATE KEY-----')
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(70)
  const bytes = Buffer.from(lines.slice(1, -1).join(''), 'base64')
  const magic = 'openssh-key-v1\0'
  expect(bytes.subarray(0, magic.length).toString('latin1')).toBe(magic)
  const [cipher, kdf, options, rest] = strings(bytes.subarray(magic.length), 3)
  expect([cipher, kdf, options].map(String)).toEqual(['none', 'none', ''])
  expect(rest?.readUInt32BE(0)).toBe(1)
  const [publicBlob = Buffer.alloc(0), secret = Buffer.alloc(0)] = strings(
    (rest ?? Buffer.alloc(0)).subarray(4),
    2,
  )
  expect(secret.length % 8).toBe(0)
  expect(secret.subarray(0, 4)).toEqual(secret.subarray(4, 8))
  return [publicBlob, secret.subarray(8)]
}

/** So many strings of SSH's encoding, and what is left. */
function strings(bytes: Buffer, count: number): Buffer[] {
  const found: Buffer[] = []
  let at = 0
  for (let n = 0; n < count; n += 1) {
    const length = bytes.readUInt32BE(at)
    found.push(bytes.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return [...found, bytes.subarray(at)]
}

test.each([
  ['ssh-ed25519', generateKeyPairSync('ed25519').privateKey, 'pkcs8'],
  ['ssh-rsa', generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey, 'pkcs8'],
  ['ssh-rsa', generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey, 'pkcs1'],
  ['ecdsa-sha2-nistp256', EC('prime256v1'), 'pkcs8'],
  ['ecdsa-sha2-nistp384', EC('secp384r1'), 'sec1'],
  ['ecdsa-sha2-nistp521', EC('secp521r1'), 'pkcs8'],
] as const)('a key of %s keeps its type and its public half', (type, key, form) => {
  const pem = key.export({ type: form, format: 'pem' } as never) as unknown as string
  const file = toOpenSsh(Buffer.from(pem))
  const [publicBlob = Buffer.alloc(0), secret = Buffer.alloc(0)] = partsOf(file)
  expect(strings(publicBlob, 1)[0]?.toString()).toBe(type)
  expect(strings(secret, 1)[0]?.toString()).toBe(type)
  // The same key gives the same bytes, and a file in the form asked for stays as it is.
  expect(toOpenSsh(Buffer.from(pem))).toEqual(file)
  expect(toOpenSsh(file)).toBe(file)
})

test('the private half of an Ed25519 key signs what its public half verifies', () => {
  const { privateKey } = generateKeyPairSync('ed25519')
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  const [, secret = Buffer.alloc(0)] = partsOf(toOpenSsh(Buffer.from(pem)))
  const [, publicKey = Buffer.alloc(0), both = Buffer.alloc(0)] = strings(secret, 3)
  const jwk = {
    kty: 'OKP',
    crv: 'Ed25519',
    x: publicKey.toString('base64url'),
    d: both.subarray(0, 32).toString('base64url'),
  }
  const again = createPrivateKey({ key: jwk, format: 'jwk' })
  const text = Buffer.from('text')
  expect(verify(null, text, createPublicKey(privateKey), sign(null, text, again))).toBe(true)
})

const withPassphrase = generateKeyPairSync('ed25519').privateKey.export({
  type: 'pkcs8',
  format: 'pem',
  cipher: 'aes-256-cbc',
  passphrase: 'x',
})

test.each([
  ['no key', 'hunter2'],
  [
    'a public key',
    generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }),
  ],
  ['a key with a passphrase', withPassphrase],
  ['a key of a curve of others', EC('secp256k1').export({ type: 'pkcs8', format: 'pem' })],
  [
    'a key that signs nothing',
    generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'pem' }),
  ],
])('%s is refused without being quoted', (_what, pem) => {
  let thrown: unknown
  try {
    toOpenSsh(Buffer.from(pem))
  } catch (error) {
    thrown = error
  }
  expect(isKeyferryError(thrown, 'VALUE_UNFIT')).toBe(true)
  expect(String(thrown)).not.toContain('hunter2')
})
