import * as fc from 'fast-check'
import { describe, expect } from 'vitest'
import type { SecretValue } from '../../../../src/connect/secret-value.ts'
import { contentOfItem, type ItemContent } from '../../../../src/operator/plan/content.ts'
import { isLegalKey, keyOfLabel } from '../../../../src/operator/plan/names.ts'
import { anyContent, anyLabel, frozen } from '../../../builders/arbitrary.ts'
import { anItem } from '../../../builders/snapshot.ts'
import { property } from '../../../support/property.ts'

const hexOf = (value: SecretValue | undefined) =>
  value && Buffer.from(value.reveal()).toString('hex')

const hexesOf = (data: ReadonlyMap<string, SecretValue>) =>
  Object.fromEntries([...data].map(([key, value]) => [key, hexOf(value)]))

/** Everything in an item that might become a key, with the label that it has. */
function sourcesOf({ item, files }: ItemContent) {
  return [
    ...item.fields.map(({ label, value }) => ({ label, hex: hexOf(value) ?? '' })),
    ...item.urls.map(({ label, href }) => ({ label, hex: hexOf(href) ?? '' })),
    ...item.files.map(({ id, name }) => ({ label: name, hex: hexOf(files.get(id)) ?? '' })),
  ]
}

describe('the content of any item', () => {
  property(
    'has legal keys only, and under each the bytes of something that is labelled so',
    fc.property(anyContent, fc.boolean(), (content, emptyValues) => {
      const sources = sourcesOf(content)
      for (const [key, value] of contentOfItem(content, emptyValues).data) {
        expect(isLegalKey(key)).toBe(true)
        const hex = hexOf(value)
        expect(sources.some((one) => keyOfLabel(one.label) === key && one.hex === hex)).toBe(true)
      }
    }),
  )

  property(
    'loses nothing in silence: each value is in it, or its label is told',
    fc.property(anyContent, fc.boolean(), (content, emptyValues) => {
      const { data, skipped, overruled } = contentOfItem(content, emptyValues)
      for (const { label, hex } of sourcesOf(content)) {
        if (hex === '' && !emptyValues) continue
        const key = keyOfLabel(label)
        if (key === undefined) expect(skipped).toContain(label)
        else if (hexOf(data.get(key)) !== hex) expect(overruled).toContain(label)
      }
    }),
  )

  property(
    'has empty values only where they are wanted, and then at least the same keys',
    fc.property(anyContent, (content) => {
      const [skipping, including] = [contentOfItem(content, false), contentOfItem(content, true)]
      expect([...skipping.data.values()].every(({ byteLength }) => byteLength > 0)).toBe(true)
      expect([...skipping.data.keys()].every((key) => including.data.has(key))).toBe(true)
    }),
  )

  property(
    'is the same each time, and leaves the item as it was',
    fc.property(anyContent, fc.boolean(), (content, emptyValues) => {
      frozen(content.item)
      const [one, two] = [contentOfItem(content, emptyValues), contentOfItem(content, emptyValues)]
      expect(hexesOf(two.data)).toEqual(hexesOf(one.data))
      expect([two.skipped, two.overruled]).toEqual([one.skipped, one.overruled])
    }),
  )

  property(
    'counts the bytes of its values',
    fc.property(anyContent, fc.boolean(), (content, emptyValues) => {
      const { data, sizes } = contentOfItem(content, emptyValues)
      expect(new Map([...data].map(([key, value]) => [key, value.byteLength]))).toEqual(
        new Map(sizes),
      )
    }),
  )
})

/** Fields of which each gives a key of its own. */
const distinct = fc.uniqueArray(
  anyLabel.filter((label) => keyOfLabel(label) !== undefined),
  { selector: keyOfLabel, minLength: 1, maxLength: 8 },
)

describe('the order of fields', () => {
  property(
    'does not matter where no two of them want one key',
    fc.property(
      distinct.chain((labels) =>
        fc.tuple(fc.constant(labels), fc.shuffledSubarray(labels, { minLength: labels.length })),
      ),
      ([labels, shuffled]) => {
        const contentFor = (order: readonly string[]) => {
          const fields = order.map((label) => ({ label, value: `value of ${label}` }))
          return contentOfItem({ item: anItem({ fields }), files: new Map() }, false)
        }
        expect(hexesOf(contentFor(shuffled).data)).toEqual(hexesOf(contentFor(labels).data))
      },
    ),
  )

  property(
    'decides where two want one key: the last that has a value',
    fc.property(fc.array(fc.string({ maxLength: 2 }), { minLength: 1, maxLength: 6 }), (values) => {
      const fields = values.map((value, n) => ({ id: `${n}`, label: n % 2 ? 'a b' : 'a-b', value }))
      const { data } = contentOfItem({ item: anItem({ fields }), files: new Map() }, false)
      const last = values.findLast((value) => value !== '')
      expect(hexOf(data.get('a-b'))).toBe(last && Buffer.from(last).toString('hex'))
    }),
  )

  property(
    'one field more changes no other key',
    fc.property(anyContent, anyLabel, (content, label) => {
      const { item } = content
      const [field] = anItem({ fields: [{ id: 'new', label, value: 'new' }] }).fields
      const more = {
        ...content,
        item: { ...item, fields: [...item.fields, ...(field ? [field] : [])] },
      }
      const [before, after] = [contentOfItem(content, false), contentOfItem(more, false)]
      const { [keyOfLabel(label) ?? '']: _new, ...others } = hexesOf(after.data)
      const { [keyOfLabel(label) ?? '']: _old, ...unchanged } = hexesOf(before.data)
      expect(others).toEqual(unchanged)
    }),
  )
})
