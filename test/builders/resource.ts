/**
 * Resources made from the schema of the CRD: whatever it allows, and, one thing wrong at a time,
 * what it forbids. A member that the schema gets tomorrow is in it without a change here.
 */
import * as fc from 'fast-check'

/** The part of a structural schema that the CRD uses. */
export interface Schema {
  readonly type: 'object' | 'string' | 'array'
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: Schema
  readonly items?: Schema
  readonly enum?: readonly string[]
  readonly pattern?: string
  readonly minLength?: number
  readonly maxLength?: number
  readonly minProperties?: number
  readonly maxProperties?: number
  readonly maxItems?: number
}

type Json = unknown

/** Texts that mean something in one place or another, and odd ones. */
const texts = fc.oneof(
  fc.constantFrom(
    'vaults/Production/items/good',
    'op://Production/good',
    'op://Production/good/password',
    'postgres://{{ op://Production/good/password | urlencode }}@db',
    '{{ op://Production/good/password | nonsense }}',
    '{{',
    'op://',
    'vaults/../items/..',
    'vaults/Production/items/good?attribute=otp',
    'kubernetes.io/tls',
    'kubernetes.io/service-account-token',
    '__proto__',
    'constructor',
    '\u0000',
    '\u202e',
    ' ',
    '',
  ),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 20 }).map((text) => text.toWellFormed()),
)

/** Values that the schema allows. */
export function valid(schema: Schema): fc.Arbitrary<Json> {
  const { minLength = 0, maxLength = 64 } = schema
  switch (schema.type) {
    case 'string': {
      if (schema.enum) return fc.constantFrom(...schema.enum)
      if (schema.pattern) return fc.stringMatching(new RegExp(schema.pattern), { maxLength: 60 })
      // Characters are at most twice as many as the server counts.
      const fits = ({ length }: string) => length >= minLength && length <= maxLength
      return fc.oneof(
        { weight: 9, arbitrary: texts.filter(fits) },
        fc.constant('x'.repeat(maxLength)),
      )
    }
    case 'array': {
      const { items = { type: 'string' } } = schema
      return fc.uniqueArray(valid(items), { maxLength: 3 })
    }
    case 'object': {
      const { properties, additionalProperties, minProperties = 0 } = schema
      if (additionalProperties) {
        const options = { minKeys: minProperties, maxKeys: 3 }
        return fc.dictionary(texts, valid(additionalProperties), options)
      }
      const members = Object.entries(properties ?? {}).map(([name, one]) => [name, valid(one)])
      return fc.record(Object.fromEntries(members), { requiredKeys: [] })
    }
  }
}

/** A way to break the schema: what is wrong, and the whole value with that in it. */
export interface Broken {
  readonly what: string
  readonly value: Json
}

/** Values of which one member breaks the schema; undefined where it cannot be broken. */
export function invalid(schema: Schema, where: string): fc.Arbitrary<Broken>[] {
  const wrong = (what: string, value: fc.Arbitrary<Json> | Json) =>
    (isArbitrary(value) ? value : fc.constant(value)).map((one) => ({
      what: `${where} ${what}`,
      value: one,
    }))
  const all = [wrong('of another type', fc.constantFrom(7, true, ...other(schema.type)))]
  if (schema.enum) all.push(wrong('out of the list', fc.constantFrom('', 'keep', 'Other')))
  if (schema.pattern)
    all.push(wrong('of another form', fc.constantFrom('A', '-a', 'a..b', 'ä', 'a/b')))
  if (schema.minLength) all.push(wrong('too short', ''))
  if (schema.maxLength) all.push(wrong('too long', 'x'.repeat(schema.maxLength + 1)))
  if (schema.minProperties) all.push(wrong('too few', {}))
  if (schema.maxProperties) all.push(wrong('too many', many(schema.maxProperties + 1)))
  if (schema.maxItems) all.push(wrong('too many', Object.keys(many(schema.maxItems + 1))))
  for (const [name, one] of Object.entries(schema.properties ?? {})) {
    for (const broken of invalid(one, `${where}.${name}`)) all.push(within(schema, name, broken))
  }
  const { additionalProperties: each, items } = schema
  if (each)
    for (const one of invalid(each, `${where}[]`)) all.push(one.map(wrapIn((v) => ({ a: v }))))
  if (items) for (const one of invalid(items, `${where}[]`)) all.push(one.map(wrapIn((v) => [v])))
  return all
}

function within(schema: Schema, name: string, broken: fc.Arbitrary<Broken>): fc.Arbitrary<Broken> {
  return fc.tuple(valid(schema), broken).map(([rest, { what, value }]) => ({
    what,
    value: { ...(rest as object), [name]: value },
  }))
}

const wrapIn =
  (wrap: (value: Json) => Json) =>
  ({ what, value }: Broken): Broken => ({ what, value: wrap(value) })

function isArbitrary(value: unknown): value is fc.Arbitrary<Json> {
  return value instanceof fc.Arbitrary
}

function other(type: Schema['type']): Json[] {
  return [...(type === 'string' ? [] : ['text']), ...(type === 'array' ? [{ a: 'b' }] : [['a']])]
}

function many(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, n) => [`k${n}`, 'v']))
}
