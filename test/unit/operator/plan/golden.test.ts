/**
 * The mapping as a contract: odd items and the very bytes that they become. What the corpus says of
 * an unchanged item changes with a major release and another MAPPING_VERSION only.
 *
 * All of it was compared with what onepassword-operator 1.12.0 makes of the same items. Where
 * `incumbent` stands, that operator does something else, and Keyferry differs on purpose.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { itemSchema, parse } from '../../../../src/connect/model.ts'
import { SecretValue } from '../../../../src/connect/secret-value.ts'
import { contentOfItem, MAPPING_VERSION } from '../../../../src/operator/plan/content.ts'
import { isLegalKey } from '../../../../src/operator/plan/names.ts'

/** One item and what becomes of it. */
interface Golden {
  readonly name: string
  readonly emptyValues?: boolean
  readonly fields?: readonly object[]
  readonly urls?: readonly object[]
  readonly sections?: readonly object[]
  readonly files?: readonly { readonly name: string; readonly base64: string }[]
  /** Keys with their values in base64. */
  readonly data: Readonly<Record<string, string>>
  readonly skipped?: readonly string[]
  readonly overruled?: readonly string[]
  readonly incumbent?: string
}

const corpus = JSON.parse(
  readFileSync(path.join(import.meta.dirname, 'golden.json'), 'utf8'),
) as readonly Golden[]

function contentOf({ emptyValues = false, fields, urls, sections, files = [] }: Golden) {
  const bytes = files.map(({ base64 }) => Buffer.from(base64, 'base64'))
  const idOf = (n: number) => `f${n}`.padEnd(26, '0')
  const item = parse(itemSchema, {
    id: 'i'.repeat(26),
    title: 'Item',
    vault: { id: 'v'.repeat(26) },
    fields,
    urls,
    sections,
    files: files.map(({ name }, n) => ({ id: idOf(n), name, size: bytes[n]?.length })),
  })
  if (item === undefined) throw new Error('no such item')
  const contents = new Map(bytes.map((content, n) => [idOf(n), SecretValue.fromBytes(content)]))
  return contentOfItem({ item, files: contents }, emptyValues)
}

test('the corpus is of mapping 1', () => {
  expect(MAPPING_VERSION).toBe(1)
  expect(corpus.length).toBeGreaterThanOrEqual(60)
})

test.each(corpus)('$name', (golden) => {
  const { data, skipped, overruled } = contentOf(golden)
  const made = [...data].map(([key, value]) => [key, Buffer.from(value.reveal())] as const)
  expect(Object.fromEntries(made.map(([key, bytes]) => [key, bytes.toString('base64')]))).toEqual(
    golden.data,
  )
  expect(made.every(([key]) => isLegalKey(key))).toBe(true)
  expect(skipped).toEqual(golden.skipped ?? [])
  expect(overruled).toEqual(golden.overruled ?? [])
})
