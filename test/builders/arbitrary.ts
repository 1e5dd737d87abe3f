/**
 * Items as odd as they come, for properties: labels of all characters, equal and empty ones, any
 * bytes.
 */
import * as fc from 'fast-check'
import { SecretValue } from '../../src/connect/secret-value.ts'
import type { ItemContent } from '../../src/operator/plan/content.ts'
import { anItem } from './snapshot.ts'

/** Labels, many of which give one key, or none. */
export const anyLabel = fc.oneof(
  fc.constantFrom('username', 'password', 'a b', 'a-b', 'A b', '', '.', '..', '..x', '__proto__'),
  fc.string({ unit: fc.constantFrom('a', 'B', '0', '-', '_', '.', ' ', '!', 'é'), maxLength: 6 }),
  fc.string({ unit: 'binary', maxLength: 10 }),
  fc.constantFrom('x'.repeat(253), 'x'.repeat(254), `${'y'.repeat(252)} z`),
)

/** Values, some of them empty. */
export const anyText = fc.oneof(
  fc.constantFrom('', ' ', '\n', '\u0000', 'a\r\nb', '{{ op://a/b/c }}'),
  fc.string({ unit: 'binary', maxLength: 12 }),
)

const anyField = fc.record(
  {
    id: fc.constantFrom('f1', 'f2', 'f3'),
    label: anyLabel,
    value: anyText,
    type: fc.constantFrom('STRING', 'CONCEALED', 'OTP', 'NEW'),
    section: fc.constantFrom({ id: 's1' }, { id: 's2' }),
  },
  { requiredKeys: ['label'] },
)

const anyUrl = fc.record(
  { href: anyText, label: anyLabel, primary: fc.boolean() },
  { requiredKeys: ['href'] },
)

const anyFile = fc.record({ name: anyLabel, bytes: fc.uint8Array({ maxLength: 8 }) })

/** An item that was read with all its files. */
export const anyContent: fc.Arbitrary<ItemContent> = fc
  .record({
    fields: fc.array(anyField, { maxLength: 8 }),
    urls: fc.array(anyUrl, { maxLength: 4 }),
    files: fc.array(anyFile, { maxLength: 4 }),
    version: fc.nat(1_000),
  })
  .map(({ fields, urls, files, version }) => {
    const idOf = (n: number) => `f${n}`.padEnd(26, '0')
    const item = anItem({
      version,
      fields,
      urls,
      sections: [
        { id: 's1', label: 'One' },
        { id: 's2', label: 'Two' },
      ],
      files: files.map(({ name, bytes }, n) => ({ id: idOf(n), name, size: bytes.length })),
    })
    const contents = files.map(({ bytes }, n) => [idOf(n), SecretValue.fromBytes(bytes)] as const)
    return { item, files: new Map(contents) }
  })

/** The object with all that it holds, frozen: who changes it throws. */
export function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  if (Object.isFrozen(value)) return value
  if (value instanceof Map || value instanceof Set) {
    for (const member of value) frozen(member)
    const refuse = () => {
      throw new TypeError('a frozen collection was changed')
    }
    return Object.freeze(
      Object.assign(value, { set: refuse, add: refuse, delete: refuse, clear: refuse }),
    )
  }
  for (const member of Object.values(value)) frozen(member)
  return Object.freeze(value)
}
