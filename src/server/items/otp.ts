import { createHmac } from 'node:crypto'

/** How a one-time password is computed. */
interface Otp {
  readonly secret: Buffer
  readonly algorithm: 'sha1' | 'sha256' | 'sha512'
  readonly digits: number
  /** Seconds. */
  readonly period: number
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/**
 * The current code of an `otpauth://totp/…` URI or a bare base32 secret.
 * @param nowMs Unix milliseconds
 * @returns `undefined` when the value is neither
 * Source: RFC 6238; "Key Uri Format" of Google Authenticator
 */
export function currentCode(value: string, nowMs: number): string | undefined {
  const otp = parseOtp(value)
  if (otp === undefined) return undefined
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(Math.floor(nowMs / 1000 / otp.period)))
  const mac = createHmac(otp.algorithm, otp.secret).update(counter).digest()
  const offset = (mac.at(-1) ?? 0) & 15
  const number = mac.readUInt32BE(offset) & 0x7fff_ffff
  return String(number % 10 ** otp.digits).padStart(otp.digits, '0')
}

function parseOtp(value: string): Otp | undefined {
  if (!/^otpauth:/i.test(value)) {
    const secret = fromBase32(value)
    return secret && { secret, algorithm: 'sha1', digits: 6, period: 30 }
  }
  if (!URL.canParse(value)) return undefined
  const { host, pathname, searchParams } = new URL(value)
  const isTotp = (host || pathname.split('/')[2])?.toLowerCase() === 'totp'
  const secret = fromBase32(searchParams.get('secret') ?? '')
  const name = (searchParams.get('algorithm') ?? 'SHA1').toLowerCase().replace('-', '')
  const algorithm = (['sha1', 'sha256', 'sha512'] as const).find((known) => known === name)
  const digits = Number(searchParams.get('digits') ?? 6)
  const period = Number(searchParams.get('period') ?? 30)
  if (!isTotp || !secret || !algorithm) return undefined
  if (!Number.isInteger(digits) || digits < 6 || digits > 10) return undefined
  if (!Number.isInteger(period) || period < 1 || period > 86_400) return undefined
  return { secret, algorithm, digits, period }
}

/** Base32 without regard to case, spaces, hyphens and padding. Source: RFC 4648 §6 */
function fromBase32(text: string): Buffer | undefined {
  const clean = text.replace(/[\s-]/g, '').replace(/=+$/, '').toUpperCase()
  if (clean === '' || clean.length > 1024) return undefined
  const bytes: number[] = []
  let bits = 0
  let held = 0
  for (const char of clean) {
    const value = BASE32.indexOf(char)
    if (value < 0) return undefined
    held = ((held << 5) | value) & 0xfff
    bits += 5
    if (bits < 8) continue
    bits -= 8
    bytes.push((held >> bits) & 0xff)
  }
  return bytes.length === 0 ? undefined : Buffer.from(bytes)
}
