import { expect, test } from 'vitest'
import type { ConnectClient } from '../../../../src/connect/client.ts'
import { itemSchema, parse } from '../../../../src/connect/model.ts'
import { createContentReader } from '../../../../src/operator/intake/content.ts'

const ID = 'i'.repeat(26)
const NEVER = new AbortController().signal

/** Reads an item with one file that says to be of that size and is answered so. */
function read(size: number, content: string) {
  const file = { id: 'f'.repeat(26), name: 'key.pem', size }
  const item = parse(itemSchema, {
    id: ID,
    vault: { id: 'v'.repeat(26) },
    version: 1,
    files: [file],
  })
  if (item === undefined) throw new Error('no item')
  const client = {
    item: async () => item,
    fileContent: async () => Buffer.from(content),
  } as unknown as ConnectClient
  return createContentReader(client, NEVER).read(item, 'all', NEVER)
}

test('a file that is not empty and is answered with nothing is a bad answer, not an empty file', async () => {
  await expect(read(3, '')).rejects.toMatchObject({ code: 'CONNECT_BAD_ANSWER' })
})

test('an empty file is one, and what a size counts is not judged', async () => {
  for (const [size, content] of [
    [0, ''],
    [3, 'key'],
    [4, 'key'],
  ] as const) {
    const { files } = await read(size, content)
    expect([...files.values()].map(({ byteLength }) => byteLength)).toEqual([content.length])
  }
})
