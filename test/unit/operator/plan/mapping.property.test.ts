/**
 * What holds of what goes round the content of a Secret: digests, proofs of ownership, names, labels
 * and annotations, debts, choices.
 */
import * as fc from 'fast-check'
import { describe, expect } from 'vitest'
import { SecretValue } from '../../../../src/connect/secret-value.ts'
import { parseSelector } from '../../../../src/kube/selector.ts'
import {
  isNotCopied,
  isReservedAnnotation,
  parseBoolean,
} from '../../../../src/operator/annotations.ts'
import { formatDebt, parseDebt, timestamp } from '../../../../src/operator/plan/debt.ts'
import {
  contentDigest,
  digestKey,
  keyIdOf,
  ownerMark,
  verifiedOwner,
} from '../../../../src/operator/plan/digest.ts'
import { isEqual } from '../../../../src/operator/plan/equal.ts'
import { isLegalKey, secretNameOf } from '../../../../src/operator/plan/names.ts'
import { readOptIn } from '../../../../src/operator/plan/restarts.ts'
import { templateAnnotation } from '../../../../src/operator/plan/workload.ts'
import { filterItems, parseFilter } from '../../../../src/server/items/filter.ts'
import { anyLabel, anyText } from '../../../builders/arbitrary.ts'
import { property } from '../../../support/property.ts'

const key = digestKey(Buffer.alloc(32, 7))
const other = digestKey(Buffer.alloc(32, 8))
const anyKey = anyLabel.filter(isLegalKey)
const anyBytes = fc.oneof(
  fc.uint8Array({ maxLength: 12 }),
  anyText.map((text) => Buffer.from(text)),
)
const anyPairs = fc.uniqueArray(fc.tuple(anyKey, anyBytes), {
  selector: ([name]) => name,
  maxLength: 6,
})
type Pairs = readonly (readonly [string, Uint8Array])[]
const inputOf = (pairs: Pairs, name = 'secret') => ({
  namespace: 'ns',
  name,
  type: 'Opaque',
  data: new Map(pairs.map(([label, bytes]) => [label, SecretValue.fromBytes(bytes)])),
})
/** Equal exactly when the contents are. */
const plain = (pairs: Pairs) =>
  pairs
    .map(([name, bytes]) => `${name}=${Buffer.from(bytes).toString('hex')}`)
    .toSorted()
    .join(' ')

describe('any content', () => {
  property(
    'has one digest in whatever order it is put together',
    fc.property(anyPairs, (pairs) => {
      expect(contentDigest(key, inputOf(pairs.toReversed()))).toBe(
        contentDigest(key, inputOf(pairs)),
      )
    }),
  )

  property(
    'has another digest than any other content',
    fc.property(anyPairs, anyPairs, (one, two) => {
      const equal = contentDigest(key, inputOf(one)) === contentDigest(key, inputOf(two))
      expect(equal).toBe(plain(one) === plain(two))
    }),
  )

  property(
    'has another digest when a boundary between key and value moves',
    fc.property(anyKey, anyKey, anyBytes, (a, b, bytes) => {
      const joined = Buffer.concat([Buffer.from(b), bytes])
      const [one, two] = [inputOf([[a + b, bytes]]), inputOf([[a, joined]])]
      expect(contentDigest(key, one)).not.toBe(contentDigest(key, two))
    }),
  )

  property(
    'has another digest elsewhere and under another key, which is named',
    fc.property(anyPairs, (pairs) => {
      const digest = contentDigest(key, inputOf(pairs))
      expect(contentDigest(key, inputOf(pairs, 'secret2'))).not.toBe(digest)
      const theirs = contentDigest(other, inputOf(pairs))
      expect([keyIdOf(digest), keyIdOf(theirs)]).toEqual([key.id, other.id])
      expect(theirs.slice(9)).not.toBe(digest.slice(9))
    }),
  )

  property(
    'shows nothing of itself in its digest',
    fc.property(fc.string({ minLength: 8, maxLength: 12 }), (text) => {
      const digest = contentDigest(key, inputOf([['k', Buffer.from(text)]]))
      expect(digest).toMatch(/^[0-9a-f]{8}\.[0-9a-f]{64}$/)
    }),
  )
})

describe('any owner', () => {
  const anyName = fc.string({
    unit: fc.constantFrom('a', 'b', '-', '.', '/'),
    minLength: 1,
    maxLength: 8,
  })

  property(
    'is proven by its own mark for its own Secret alone',
    fc.property(anyName, anyName, anyName, anyName, (namespace, secret, owner, change) => {
      const mark = ownerMark(key, namespace, secret, owner)
      expect(verifiedOwner(key, namespace, secret, mark)).toBe(owner)
      expect(verifiedOwner(key, namespace + change, secret, mark)).toBeUndefined()
      expect(verifiedOwner(key, namespace, secret + change, mark)).toBeUndefined()
      expect(verifiedOwner(key, namespace, secret, change + mark)).toBeUndefined()
      expect(verifiedOwner(other, namespace, secret, mark)).toBeUndefined()
    }),
  )

  property(
    'is not proven by a mark of which one character is another',
    fc.property(anyName, fc.nat(), fc.constantFrom('0', 'f', 'x', '.'), (owner, where, by) => {
      const mark = ownerMark(key, 'ns', 'secret', owner)
      const at = where % mark.length
      const changed = mark.slice(0, at) + by + mark.slice(at + 1)
      if (changed !== mark) expect(verifiedOwner(key, 'ns', 'secret', changed)).toBeUndefined()
    }),
  )

  property(
    'is not proven by any text',
    fc.property(anyText, (text) => {
      expect(verifiedOwner(key, 'ns', 'secret', text)).toBeUndefined()
    }),
  )
})

describe('any name', () => {
  property(
    'of a Secret is legal or nothing, and stays when it is legal',
    fc.property(anyLabel, (text) => {
      const name = secretNameOf(text)
      expect(name).toMatch(/^(?:[a-z0-9](?:[-.a-z0-9]*[a-z0-9])?)?$/)
      expect(name.length).toBeLessThanOrEqual(253)
      if (!/\.-|-\.|\.\./.test(name)) expect(secretNameOf(name)).toBe(name)
    }),
  )

  property(
    'of a Secret has an annotation of its own, short enough for the API server',
    fc.property(anyLabel, anyLabel, (one, two) => {
      const names = [templateAnnotation(one), templateAnnotation(two)]
      expect(names[0] === names[1]).toBe(one === two)
      expect(names[0]?.split('/')[1]).toMatch(/^[a-z0-9](?:[-a-z0-9.]{0,61}[a-z0-9])?$/)
    }),
  )

  property(
    'of a label that tools track by is not copied, nor is one that a person adds to these',
    fc.property(
      fc.constantFrom('velero.io/', 'kapp.k14s.io/', 'helm.toolkit.fluxcd.io/', 'keyferry.dev/'),
      fc.string({ maxLength: 8 }),
      (prefix, rest) => {
        expect(isNotCopied(prefix + rest, [])).toBe(true)
        expect(isReservedAnnotation(prefix + rest)).toBe(true)
        const own = `mine.example/${rest}`
        expect(isNotCopied(own, [])).toBe(false)
        expect(isNotCopied(own, ['mine.example/*'])).toBe(true)
        expect(isNotCopied(own, [own])).toBe(true)
      },
    ),
  )
})

describe('any debt', () => {
  const anyDebt = fc.record({
    digest: fc.string({ minLength: 1, maxLength: 10 }),
    since: fc.integer({ min: 0, max: 4e12 }).map(timestamp),
    gaveUp: fc.array(fc.string({ maxLength: 6 }), { maxLength: 3 }),
  })

  property(
    'is read back as it was written',
    fc.property(anyDebt, (debt) => {
      expect(parseDebt(formatDebt(debt))).toEqual(debt)
    }),
  )

  property(
    'in any text is whole or none',
    fc.property(fc.oneof(anyText, fc.json()), (text) => {
      const debt = parseDebt(text)
      if (debt === undefined) return
      expect(Number.isNaN(Date.parse(debt.since))).toBe(false)
      expect(debt.gaveUp.every((name) => typeof name === 'string')).toBe(true)
    }),
  )
})

describe('any choice', () => {
  property(
    'to restart is made by words alone that say so',
    fc.property(
      fc.oneof(anyText, fc.constantFrom('TRUE', 'notify', 'No', '1', 't', 'f')),
      (text) => {
        const yes = ['1', 't', 'true'].includes(text.toLowerCase())
        expect(parseBoolean(text) === true).toBe(yes)
        const notify = text.toLowerCase() === 'notify'
        expect(readOptIn(text)).toBe(notify ? 'notify' : yes ? 'true' : 'false')
      },
    ),
  )

  property(
    'by labels is the one of its parts together',
    fc.property(
      fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('x', 'y', '')),
      fc.array(fc.constantFrom('a', '!a', 'b=x', 'b!=x', 'c in (x,y)', 'c notin (y)', 'a==y'), {
        maxLength: 4,
      }),
      (labels, parts) => {
        const each = parts.map((part) => parseSelector(part)(labels))
        expect(parseSelector(parts.join(','))(labels)).toBe(each.every(Boolean))
        const [has, hasNot] = ['a', '!a'].map((part) => parseSelector(part)(labels))
        expect(has).toBe(!hasNot)
      },
    ),
  )

  property(
    'by a filter of the Connect API is what has the title, whatever is in it',
    fc.property(fc.array(anyText, { maxLength: 5 }), anyText, (titles, wanted) => {
      fc.pre(!titles.includes(wanted) || wanted !== '')
      const items = [...titles, wanted].map((title) => ({ title, tags: [] }))
      const found = filterItems(parseFilter(`title eq "${wanted}"`), items)
      expect(found).toEqual(items.filter(({ title }) => title === wanted))
    }),
  )
})

describe('any value', () => {
  const anyValue = fc.jsonValue({ maxDepth: 3 })

  property(
    'is equal to its copy, and to no other',
    fc.property(anyValue, anyValue, (one, two) => {
      expect(isEqual(one, structuredClone(one))).toBe(true)
      expect(isEqual(one, two)).toBe(isEqual(two, one))
      if (isEqual(one, two)) expect(one).toEqual(two)
    }),
  )

  property(
    'that is secret is shown by no way of printing',
    fc.property(
      fc.string({ unit: fc.constantFrom('k', 'q', 'z'), minLength: 9, maxLength: 12 }),
      (text) => {
        const value = SecretValue.fromText(text)
        const shown = [String(value), JSON.stringify({ value }), JSON.stringify([value])]
        for (const one of shown) expect(one).not.toContain(text)
        expect(Buffer.from(value.reveal()).toString()).toBe(text)
      },
    ),
  )
})
