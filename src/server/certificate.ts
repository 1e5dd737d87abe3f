/**
 * A certificate that signs itself, for a server whose clients are given that very certificate.
 * Source: RFC 5280 §4.1 (certificate), X.690 §8 and §10 (DER).
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { SecretValue } from '../connect/secret-value.ts'

/** A certificate and its private key, both PEM. */
export interface KeyPair {
  readonly certificate: string
  readonly privateKey: SecretValue
}

/**
 * @param names DNS names that the certificate is for; the first is its subject
 * @param from Unix milliseconds; valid from a day before, since clocks differ
 * @param days for which it is valid
 */
export function selfSigned(names: readonly string[], from: number, days: number): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  // Positive and not zero, as serial numbers must be.
  const serial = Buffer.concat([Buffer.from([1]), randomBytes(15)])
  const subject = sequence(
    set(sequence(OID.commonName, der(0x0c, ascii((names[0] ?? '').slice(0, 64))))),
  )
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    sequence(OID.ecdsaWithSha256),
    subject,
    sequence(time(from - DAY_MS), time(from + days * DAY_MS)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions(names))),
  )
  const signature = sign('sha256', body, privateKey)
  const certificate = sequence(body, sequence(OID.ecdsaWithSha256), bits(signature))
  return {
    certificate: pem('CERTIFICATE', certificate),
    privateKey: SecretValue.fromText(String(privateKey.export({ type: 'pkcs8', format: 'pem' }))),
  }
}

const DAY_MS = 86_400_000

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  const size = content.byteLength
  const length = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff]
  return Buffer.concat([Buffer.from([tag, ...length]), content])
}

const ascii = (text: string) => Buffer.from(text, 'ascii')
const sequence = (...parts: readonly Uint8Array[]) => der(0x30, ...parts)
const set = (...parts: readonly Uint8Array[]) => der(0x31, ...parts)
/** A BIT STRING without unused bits. */
const bits = (content: Uint8Array) => der(0x03, Buffer.from([0]), content)
/** The first two numbers of an object identifier share a byte; larger ones come in groups of 7 bits. */
const oid = (...bytes: readonly number[]) => der(0x06, Buffer.from(bytes))

const OID = {
  /** 2.5.4.3 */
  commonName: oid(0x55, 0x04, 0x03),
  /** 1.2.840.10045.4.3.2 */
  ecdsaWithSha256: oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02),
  /** 2.5.29.17 */
  subjectAltName: oid(0x55, 0x1d, 0x11),
  /** 2.5.29.19 */
  basicConstraints: oid(0x55, 0x1d, 0x13),
} as const

/** An authority for nothing but itself: its own key signed it. */
function extensions(names: readonly string[]): Buffer[] {
  const alternatives = sequence(...names.map((name) => der(0x82, ascii(name))))
  const yes = der(0x01, Buffer.from([0xff]))
  const pathLength = der(0x02, Buffer.from([0]))
  return [
    sequence(OID.subjectAltName, der(0x04, alternatives)),
    sequence(OID.basicConstraints, yes, der(0x04, sequence(yes, pathLength))),
  ]
}

/** UTCTime until 2049, GeneralizedTime from then on. */
function time(ms: number): Buffer {
  const text = new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  return text < '2050' ? der(0x17, ascii(text.slice(2))) : der(0x18, ascii(text))
}

function pem(label: string, content: Buffer): string {
  const lines = content.toString('base64').match(/.{1,64}/g) ?? []
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}
