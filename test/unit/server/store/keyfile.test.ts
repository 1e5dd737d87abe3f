import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newKey, parseKey, readKey, writeKey } from '../../../../src/server/store/keyfile.ts'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(path.join(os.tmpdir(), 'keyferry-keys-'))
})
afterAll(() => rm(dir, { recursive: true }))

describe('a store key', () => {
  const bytes = Buffer.from(Array.from({ length: 32 }, (_, n) => n * 7))

  test.each([
    ['hexadecimal', bytes.toString('hex')],
    ['upper case', bytes.toString('hex').toUpperCase()],
    ['base64', bytes.toString('base64')],
    ['base64url', bytes.toString('base64url')],
    ['with space around', `  ${bytes.toString('hex')}\n`],
  ])('is read in %s', (_, text) => {
    expect(Buffer.from(parseKey(text, 'it').reveal())).toEqual(bytes)
  })

  test.each(['', 'password', bytes.toString('hex').slice(1), `${bytes.toString('hex')}00`])(
    'is not %j, and the message does not show it',
    (text) => {
      expect(() => parseKey(text, 'OP_STORE_KEY')).toThrow(/^OP_STORE_KEY holds no key$/)
    },
  )

  test('is read from a file of 32 bytes', async () => {
    const file = path.join(dir, 'raw')
    await writeFile(file, bytes)
    const key = await readKey({ kind: 'file', file })
    expect(Buffer.from(key?.reveal() ?? [])).toEqual(bytes)
  })

  test('is written to a file of its own for its owner, and read back', async () => {
    const [key, file] = [newKey(), path.join(dir, 'store.key')]
    await writeKey(file, key)
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    const again = await readKey({ kind: 'managed', dir })
    expect(again?.reveal()).toEqual(Buffer.from(key.reveal()))
    expect((await readFile(file, 'utf8')).trim()).toHaveLength(64)
  })

  test('is missing quietly where it is managed, and loudly where it was named', async () => {
    expect(await readKey({ kind: 'managed', dir: path.join(dir, 'none') })).toBeUndefined()
    const named = readKey({ kind: 'file', file: path.join(dir, 'none') })
    await expect(named).rejects.toMatchObject({ code: 'STORE_KEY' })
  })
})
