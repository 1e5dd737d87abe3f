import { readFileSync } from 'node:fs'
import { KeyferryError } from '../errors.ts'

/** Milliseconds for which a token that was read is used before the file is looked at again. */
const REREAD_MS = 5_000
const MAX_LENGTH = 65_536

/**
 * The Connect token of this moment: a fixed one, or that of a file, which is read again as it
 * rotates. A file that cannot be read or holds no token keeps the last good one in use.
 *
 * @throws KeyferryError SETTING_INVALID when there is no usable token at the start
 */
export function createTokenSource(
  source: { readonly token: string | undefined; readonly file: string | undefined },
  now: () => number,
  onFailure: (error: KeyferryError) => void,
): () => string {
  const { file } = source
  if (file === undefined) {
    const fixed = checkToken(source.token ?? '', 'OP_CONNECT_TOKEN')
    return () => fixed
  }
  let current = readToken(file)
  let readAt = now()
  return () => {
    if (now() - readAt < REREAD_MS) return current
    readAt = now()
    try {
      current = readToken(file)
    } catch (error) {
      if (!(error instanceof KeyferryError)) throw error
      onFailure(error)
    }
    return current
  }
}

function readToken(file: string): string {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    const { code } = cause as { code?: string }
    throw refuse('OP_CONNECT_TOKEN_FILE', `cannot be read (${code ?? 'unknown error'})`)
  }
  return checkToken(text, 'OP_CONNECT_TOKEN_FILE')
}

/** Never quotes the token: it may be right but for one character. */
function checkToken(text: string, setting: string): string {
  const token = text.trim()
  if (token === '') throw refuse(setting, 'is empty')
  if (token.length > MAX_LENGTH) throw refuse(setting, 'is too long for a token')
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw refuse(
      setting,
      'holds characters that no token has (spaces, line breaks or a BOM inside)',
    )
  }
  return token
}

function refuse(setting: string, why: string): KeyferryError {
  return new KeyferryError('SETTING_INVALID', {
    message: `${setting} ${why}`,
    remedy: 'Put the token there exactly as the Connect server issued it.',
    retry: 'on-change',
  })
}
