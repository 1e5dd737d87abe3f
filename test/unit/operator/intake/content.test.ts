import { expect, test } from 'vitest'
import type { ConnectClient } from '../../../../src/connect/client.ts'
import { createContentReader } from '../../../../src/operator/intake/content.ts'
import { anItem, textsOf, unreachable } from '../../../builders/snapshot.ts'

const SIGNAL = new AbortController().signal
const idOf = (letter: string) => letter.repeat(26)
const ITEM = anItem({
  files: [
    { id: idOf('a'), name: 'cert.pem', size: 4 },
    { id: idOf('b'), name: 'key.pem', size: 3 },
  ],
})

/** A reader whose calls are noted, and fail where the test says so. */
function setUp(failing?: string) {
  const calls: string[] = []
  const call = async <T>(name: string, answer: T): Promise<T> => {
    calls.push(name)
    if (name === failing) throw unreachable
    return answer
  }
  const client = {
    item: () => call('item', ITEM),
    items: () => call('items', [ITEM]),
    fileContent: (_id: unknown, file: string) =>
      call(`file ${file[0]}`, Buffer.from(file[0] ?? '')),
  } as unknown as ConnectClient
  const reader = createContentReader(client, SIGNAL)
  return { calls, read: (wants: 'all' | ReadonlySet<string>) => reader.read(ITEM, wants, SIGNAL) }
}

test('an item is read with the files that are wanted, and no others', async () => {
  const { calls, read } = setUp()
  const { item, files } = await read(new Set(['key.pem']))
  expect([item, textsOf(files)]).toEqual([ITEM, { [idOf('b')]: 'b' }])
  expect(calls).toEqual(['item', 'file b'])
})

test('an item that cannot be read fails, and nothing else is asked for in its place', async () => {
  const { calls, read } = setUp('item')
  await expect(read('all')).rejects.toBe(unreachable)
  expect(calls).toEqual(['item'])
})

test('a file that cannot be read fails the whole: half an item is none', async () => {
  const { read } = setUp('file b')
  await expect(read('all')).rejects.toBe(unreachable)
})

test('many who ask for one version at a time cost one read', async () => {
  const { calls, read } = setUp()
  await Promise.all(Array.from({ length: 10 }, () => read('all')))
  expect(calls).toEqual(['item', 'file a', 'file b'])
  await read('all')
  expect(calls).toHaveLength(6)
})

/** Reads an item with one file that says to be of that size and is answered so. */
function readOne(size: number, content: string) {
  const item = anItem({ files: [{ id: idOf('a'), name: 'key.pem', size }] })
  const client = {
    item: async () => item,
    fileContent: async () => Buffer.from(content),
  } as unknown as ConnectClient
  return createContentReader(client, SIGNAL).read(item, 'all', SIGNAL)
}

test('a file that is not empty and is answered with nothing is a bad answer, not an empty file', async () => {
  await expect(readOne(3, '')).rejects.toMatchObject({ code: 'CONNECT_BAD_ANSWER' })
})

test('an empty file is one, and what a size counts is not judged', async () => {
  for (const [size, content] of [
    [0, ''],
    [3, 'key'],
    [4, 'key'],
  ] as const) {
    const { files } = await readOne(size, content)
    expect([...files.values()].map(({ byteLength }) => byteLength)).toEqual([content.length])
  }
})
