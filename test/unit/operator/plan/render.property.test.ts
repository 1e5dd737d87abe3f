/**
 * What holds of the content of any resource: with any items, texts and keys, in any order.
 */
import * as fc from 'fast-check'
import { describe, expect } from 'vitest'
import type { SecretValue } from '../../../../src/connect/secret-value.ts'
import type { ItemContent } from '../../../../src/operator/plan/content.ts'
import { isLegalKey } from '../../../../src/operator/plan/names.ts'
import { isFault, pathsOf, render } from '../../../../src/operator/plan/render.ts'
import { REASONS } from '../../../../src/operator/reasons.ts'
import { anyContent, anyLabel, anyText } from '../../../builders/arbitrary.ts'
import { aClaim, PATH } from '../../../builders/snapshot.ts'
import { property } from '../../../support/property.ts'

const REFERENCE = 'op://v/i'

const anyReference = fc.oneof(
  fc.constantFrom('username', 'password', 'f1', 'a-b', 'One/username', 's2/password', 'x'),
  fc.constantFrom('username?attribute=type', 'username?attribute=otp', 'f1?ssh-format=openssh'),
  anyLabel,
)
const anyPiece = fc.oneof(
  anyText,
  anyReference.map((name) => `{{ ${REFERENCE}/${name} }}`),
  fc
    .tuple(anyReference, fc.constantFrom('base64', 'json', 'trim', 'urlencode', 'upper'))
    .map(([name, pipe]) => `{{ ${REFERENCE}/${name} | ${pipe} }}`),
)
const anyValue = fc.oneof(
  anyReference.map((name) => `${REFERENCE}/${name}`),
  fc.array(anyPiece, { maxLength: 3 }).map((pieces) => pieces.join('')),
)
const anyKey = fc.oneof(
  fc.constantFrom('username', 'password', 'a-b', '__proto__', 'constructor', 'tls.key'),
  anyLabel,
)
const anyData = fc.uniqueArray(fc.tuple(anyKey, anyValue), {
  selector: ([key]) => key,
  maxLength: 5,
})
const anySpec = fc.record(
  {
    itemPath: fc.constantFrom(PATH),
    requiredKeys: fc.constantFrom([], ['username'], ['toString']),
  },
  { requiredKeys: [] },
)
const anyType = fc.constantFrom(
  'Opaque',
  'kubernetes.io/basic-auth',
  'kubernetes.io/tls',
  'toString',
)

type Pairs = readonly (readonly [string, string])[]

const claimOf = (spec: object, data: Pairs, type: string) =>
  aClaim({ type, spec: { itemPath: undefined, ...spec, data: Object.fromEntries(data) } })

const itemsOf = (content: ItemContent) =>
  new Map([
    [PATH, content],
    [REFERENCE, content],
  ])

function outcome(claim: ReturnType<typeof claimOf>, content: ItemContent) {
  const paths = pathsOf(claim)
  return isFault(paths) ? paths : render(claim, itemsOf(content), false)
}

const hexes = (data: ReadonlyMap<string, SecretValue>) =>
  [...data]
    .map(([key, value]) => [key, Buffer.from(value.reveal()).toString('hex')])
    .toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1))

describe('any resource with any item', () => {
  property(
    'gives legal keys within a MiB, or a reason of the closed list',
    fc.property(anySpec, anyData, anyType, anyContent, (spec, data, type, content) => {
      const made = outcome(claimOf(spec, data, type), content)
      if ('reason' in made) {
        expect(Object.keys(REASONS)).toContain(made.reason)
        expect(made.message).toMatch(/\.$/)
        return
      }
      expect([...made.data.keys()].every(isLegalKey)).toBe(true)
      expect(made.data.size).toBeGreaterThan(0)
    }),
  )

  property(
    'gives the same in whatever order the keys of data are written',
    fc.property(anySpec, anyData, anyContent, (spec, data, content) => {
      const [one, two] = [data, data.toReversed()].map((pairs) =>
        outcome(claimOf(spec, pairs, 'Opaque'), content),
      )
      if (one === undefined || two === undefined) throw new Error('unreachable')
      expect('reason' in one).toBe('reason' in two)
      if ('reason' in one || 'reason' in two) return
      expect(hexes(one.data)).toEqual(hexes(two.data))
    }),
  )

  property(
    'gives the literals of data as they are written, over what the item gives',
    fc.property(anyKey, anyText, anyContent, (key, text, content) => {
      fc.pre(isLegalKey(key) && !text.includes('{{'))
      const made = outcome(claimOf({ itemPath: PATH }, [[key, text]], 'Opaque'), content)
      if ('reason' in made) throw new Error(made.message)
      expect(Buffer.from(made.data.get(key)?.reveal() ?? [])).toEqual(Buffer.from(text))
    }),
  )
})
