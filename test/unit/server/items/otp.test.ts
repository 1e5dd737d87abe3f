import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { currentCode } from '../../../../src/server/items/otp.ts'

/** "12345678901234567890" and its longer forms in base32. */
const SHA1 = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ'
const SHA256 = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA'
const SHA512 =
  'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNA'

describe('a one-time password', () => {
  // Source: RFC 6238, Appendix B
  test.each([
    [59, '94287082', '46119246', '90693936'],
    [1_111_111_109, '07081804', '68084774', '25091201'],
    [1_234_567_890, '89005924', '91819424', '93441116'],
    [20_000_000_000, '65353130', '77737706', '47863826'],
  ])('at %i is that of RFC 6238', (seconds, one, two, five) => {
    const code = (secret: string, algorithm: string) =>
      currentCode(
        `otpauth://totp/a:b?secret=${secret}&digits=8&algorithm=${algorithm}`,
        seconds * 1000,
      )
    expect(code(SHA1, 'SHA1')).toBe(one)
    expect(code(SHA256, 'SHA256')).toBe(two)
    expect(code(SHA512, 'sha-512')).toBe(five)
  })

  test('of a bare secret has six digits and changes every 30 seconds', () => {
    expect(currentCode(SHA1, 59_000)).toBe('287082')
    expect(currentCode('gezd gnbv gy3t qojq gezd-gnbv gy3t qojq', 30_000)).toBe('287082')
    expect(currentCode(SHA1, 60_000)).not.toBe('287082')
  })

  test('follows its period', () => {
    expect(currentCode(`otpauth://totp/x?secret=${SHA1}&period=60`, 119_000)).toBe('287082')
  })

  test.each([
    '',
    'not base32!',
    '1',
    'otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQ&counter=1',
    'otpauth://totp/x',
    'otpauth://totp/x?secret=GEZDGNBV&digits=3',
    'otpauth://totp/x?secret=GEZDGNBV&period=0',
    'otpauth://totp/x?secret=GEZDGNBV&algorithm=MD5',
    'otpauth:',
  ])('of %j does not exist', (value) => {
    expect(currentCode(value, 0)).toBeUndefined()
  })

  test('never throws', () => {
    const code = (text: string, uri: boolean) =>
      currentCode(uri ? `otpauth://totp/${text}?secret=${text}` : text, 1e12) ?? '000000'
    const answers = fc.property(fc.string(), fc.boolean(), (text, uri) =>
      /^\d{6}$/.test(code(text, uri)),
    )
    expect(() => fc.assert(answers)).not.toThrow()
  })
})
