/**
 * What can be done to a value inside a text: a closed list.
 */
import { KeyferryError } from '../../errors.ts'

/** The names of all pipes. */
export const PIPES = ['base64', 'base64decode', 'urlencode', 'json', 'trim'] as const

/** A pipe. */
export type Pipe = (typeof PIPES)[number]

/** Whether `text` is the name of a pipe. */
export function isPipe(text: string): text is Pipe {
  return (PIPES as readonly string[]).includes(text)
}

const APPLY: Readonly<Record<Pipe, (bytes: Buffer) => Buffer>> = {
  base64: (bytes) => Buffer.from(bytes.toString('base64')),
  base64decode(bytes) {
    const text = bytes.toString('latin1').replaceAll(/\s/g, '')
    // Buffer.from() takes anything for base64 and leaves out what it cannot read.
    if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(text)) throw unfit('base64decode', 'it is not base64')
    return Buffer.from(text, 'base64')
  },
  urlencode(bytes) {
    let out = ''
    for (const byte of bytes) {
      const char = String.fromCharCode(byte)
      out += UNRESERVED.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
    }
    return Buffer.from(out)
  },
  json(bytes) {
    const text = bytes.toString('utf8')
    if (!Buffer.from(text, 'utf8').equals(bytes)) throw unfit('json', 'it is not UTF-8')
    return Buffer.from(JSON.stringify(text))
  },
  trim(bytes) {
    let start = 0
    let end = bytes.length
    while (start < end && isSpace(bytes[start])) start += 1
    while (end > start && isSpace(bytes[end - 1])) end -= 1
    return bytes.subarray(start, end)
  },
}

/** Source: RFC 3986 §2.3. */
const UNRESERVED = /[A-Za-z0-9\-._~]/

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d)
}

/**
 * The value after the pipe. `json` gives a JSON string with its quotes, `urlencode` escapes all but
 * the unreserved characters.
 *
 * @throws KeyferryError VALUE_UNFIT, which never quotes the value
 */
export function applyPipe(pipe: Pipe, value: Uint8Array): Uint8Array {
  return APPLY[pipe](Buffer.from(value))
}

function unfit(pipe: Pipe, why: string): KeyferryError {
  return new KeyferryError('VALUE_UNFIT', {
    message: `a value cannot go through ${pipe}: ${why}`,
    remedy: 'Correct the value in 1Password, or leave the pipe out.',
    retry: 'on-change',
  })
}
