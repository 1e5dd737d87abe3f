import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { KeyferryError } from '../../../src/errors.ts'
import { createTokenSource } from '../../../src/settings/token.ts'

const CANARY = 'canary-e2b61c'

let folder: string
let file: string
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-token-'))
  file = path.join(folder, 'token')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** A source of the token file, the time in its hands, and what it tells. */
function aSource() {
  const time = { now: 0 }
  const failures: KeyferryError[] = []
  const token = createTokenSource(
    { token: undefined, file },
    () => time.now,
    (error) => void failures.push(error),
  )
  return { time, failures, token }
}

function refusal(source: { token?: string; file?: string }): KeyferryError {
  try {
    const { token, file } = source
    createTokenSource(
      { token, file },
      () => 0,
      () => {},
    )
  } catch (error) {
    return error as KeyferryError
  }
  throw new Error('it was accepted')
}

test('a fixed token is used without what surrounds it', () => {
  const token = createTokenSource(
    { token: ' abc.def\n', file: undefined },
    () => 0,
    () => {},
  )
  expect(token()).toBe('abc.def')
})

test.each([
  ['a line break at its end', 'abc\n'],
  ['a mark of byte order', '\ufeffabc'],
  ['both', '\ufeffabc\r\n'],
  ['blanks', '  abc\t\n'],
])('a file with %s gives the token', async (_what, text) => {
  await writeFile(file, text)
  expect(aSource().token()).toBe('abc')
})

test('a file is read again after 5 s, and only then', async () => {
  await writeFile(file, 'one')
  const { time, token } = aSource()
  await writeFile(file, 'two')
  time.now = 4_999
  expect(token()).toBe('one')
  time.now = 5_000
  expect(token()).toBe('two')
  await writeFile(file, 'three')
  expect(token()).toBe('two')
})

test('a file that rotates by links, as mounted Secrets do, gives the new token', async () => {
  for (const name of ['one', 'two']) {
    await mkdir(path.join(folder, name))
    await writeFile(path.join(folder, name, 'token'), name)
  }
  await symlink('one', path.join(folder, 'data'))
  file = path.join(folder, 'data', 'token')
  const { time, token } = aSource()
  await rm(path.join(folder, 'data'))
  await symlink('two', path.join(folder, 'data'))
  time.now = 5_000
  expect(token()).toBe('two')
})

const BAD: readonly (readonly [string, string | Uint8Array])[] = [
  ['nothing', ''],
  ['blanks only', ' \n'],
  ['a line break inside', `${CANARY}\n${CANARY}`],
  ['a zero byte', `${CANARY}\u0000`],
  ['a blank inside', `Bearer ${CANARY}`],
  ['a mark of byte order inside', `${CANARY}\ufeff${CANARY}`],
  ['letters that no header can carry', `${CANARY}é`],
  ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x61, 0x00])],
  ['a mebibyte', CANARY.repeat(2 ** 20 / CANARY.length)],
]

test.each(BAD)(
  'a file with %s leaves the last good token in use, and is told',
  async (_what, text) => {
    await writeFile(file, 'good')
    const { time, token, failures } = aSource()
    await writeFile(file, text)
    time.now = 5_000
    expect(token()).toBe('good')
    expect(failures).toMatchObject([{ code: 'SETTING_INVALID', retry: 'on-change' }])
    expect(failures[0]?.message).toMatch(/^OP_CONNECT_TOKEN_FILE /)
    await writeFile(file, 'better')
    time.now = 10_000
    expect(token()).toBe('better')
    expect(failures).toHaveLength(1)
  },
)

test.each(BAD)('a token with %s stops the start, and is not quoted', async (_what, text) => {
  await writeFile(file, text)
  const errors = [refusal({ file }), refusal({ token: Buffer.from(text).toString() })]
  expect(errors.map(({ code }) => code)).toEqual(['SETTING_INVALID', 'SETTING_INVALID'])
  expect(errors.map(({ message }) => message.split(' ')[0])).toEqual([
    'OP_CONNECT_TOKEN_FILE',
    'OP_CONNECT_TOKEN',
  ])
  expect(inspect(errors, { depth: 9, showHidden: true })).not.toContain(CANARY)
})

test('a file that cannot be read is told by the reason, and leaves the last good token', async () => {
  await writeFile(file, 'good')
  const { time, token, failures } = aSource()
  await rm(file)
  time.now = 5_000
  expect(token()).toBe('good')
  await mkdir(file)
  time.now = 10_000
  expect(token()).toBe('good')
  expect(failures.map(({ message }) => message)).toEqual([
    'OP_CONNECT_TOKEN_FILE cannot be read (ENOENT)',
    'OP_CONNECT_TOKEN_FILE cannot be read (EISDIR)',
  ])
})

test('a file that is not there stops the start', () => {
  expect(refusal({ file }).message).toBe('OP_CONNECT_TOKEN_FILE cannot be read (ENOENT)')
})
