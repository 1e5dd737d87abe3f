import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { lines } from '../../../src/kube/lines.ts'

async function* chunks(bytes: Uint8Array, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1))), bytes.length]
  let start = 0
  for (const end of ends.toSorted((a, b) => a - b)) {
    yield bytes.subarray(start, end)
    start = end
  }
}

test('lines come out whole, wherever the stream is cut into chunks', async () => {
  const line = fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll('\n', ' '))
  await fc.assert(
    fc.asyncProperty(fc.array(line), fc.array(fc.nat(500)), async (texts, cuts) => {
      const bytes = Buffer.from(texts.map((text) => `${text}\n`).join(''))
      expect(await Array.fromAsync(lines(chunks(bytes, cuts)))).toEqual(texts)
    }),
  )
})

test('a last line that is cut off is dropped', async () => {
  const bytes = Buffer.from('one\ntwo\nthr')
  expect(await Array.fromAsync(lines(chunks(bytes, [2, 9])))).toEqual(['one', 'two'])
})

test('the stream is closed when its reader stops', async () => {
  let closed = false
  async function* endless(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield Buffer.from('line\n')
    } finally {
      closed = true
    }
  }
  for await (const one of lines(endless())) if (one) break
  expect(closed).toBe(true)
})
