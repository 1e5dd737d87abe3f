/**
 * What the CRD says of resources, constraint by constraint: for each, values that keep it and values
 * that break it, everything else being good. A constraint that this file does not know is listed all
 * the same, so that a test can miss it.
 */
import * as fc from 'fast-check'

/** A structural schema, read as it stands. */
export interface RawSchema {
  readonly type?: string
  readonly properties?: Readonly<Record<string, RawSchema>>
  readonly additionalProperties?: RawSchema
  readonly items?: RawSchema
  readonly required?: readonly string[]
  readonly enum?: readonly string[]
  readonly pattern?: string
  readonly format?: string
  readonly minLength?: number
  readonly maxLength?: number
  readonly minProperties?: number
  readonly maxProperties?: number
  readonly maxItems?: number
  readonly 'x-kubernetes-list-type'?: string
  readonly 'x-kubernetes-list-map-keys'?: readonly string[]
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string }[]
}

/** Whether the API server takes a value: it must, it must not, or either is right. */
export type Way = 'kept' | 'broken' | 'either'

/** One value in an otherwise good resource. */
export interface Probe {
  /** The constraint: `spec.itemPath maxLength`. */
  readonly covers: string
  readonly way: Way
  readonly what: string
  /** The whole resource, without what its author need not say. */
  readonly body: unknown
}

/** Members of schemas that shape them, beside what is a constraint. */
const SHAPES = [
  'description',
  'properties',
  'items',
  'additionalProperties',
  // Each of them counts.
  'x-kubernetes-validations',
]

/** Every property of a schema and every constraint on it, as {@link Probe.covers} names them. */
export function constraintsOf(schema: RawSchema, path = ''): string[] {
  const own = Object.keys(schema)
    .filter((name) => !SHAPES.includes(name))
    .map((name) => `${path} ${name}`)
  const rules = (schema['x-kubernetes-validations'] ?? []).map(({ rule }) => `${path} rule ${rule}`)
  const below = Object.entries(childrenOf(schema)).flatMap(([name, { child }]) =>
    constraintsOf(child, joined(path, name)),
  )
  return [`${path} property`, ...own, ...rules, ...below]
}

/** A value put into its place in a whole. */
type Place = (value: unknown) => unknown

/** Parts of a schema by the step that leads to them, with what stands around a value of them. */
function childrenOf({ properties = {}, additionalProperties: each, items }: RawSchema) {
  const found: Record<string, { child: RawSchema; wrap: (value: unknown) => unknown }> = {}
  for (const [name, child] of Object.entries(properties)) {
    found[name] = { child, wrap: (value) => ({ [name]: value }) }
  }
  if (each) found['*'] = { child: each, wrap: (value) => ({ key: value }) }
  if (items) found['[]'] = { child: items, wrap: (value) => [value] }
  return found
}

const joined = (path: string, name: string) => (path === '' ? name : `${path}.${name}`)

/** Where a schema is. */
interface Context {
  readonly path: string
  readonly place: Place
  /** The least that a value of the schema must have, by path, where the schema does not say it. */
  readonly goods: Readonly<Record<string, object>>
}

/** Values for all constraints of a schema and its parts. */
export function probesOf(schema: RawSchema, { path, place, goods }: Context): Probe[] {
  const good = goods[path] ?? leastOf(schema)
  const own = Object.keys(schema)
    .filter((name) => !SHAPES.includes(name))
    .flatMap((name) => (PROBES[name] ?? unknown)(schema, good).map(placed(path, name, place)))
  const property = ofProperty(schema, good).map(placed(path, 'property', place))
  const below = Object.entries(childrenOf(schema)).flatMap(([name, { child, wrap }]) => {
    const within: Place = (value) => place(around(good, wrap(value)))
    const at = joined(path, name)
    const missing: Probe[] = schema.properties?.[name]
      ? [missingFrom(at, place, without(good, name), isNeeded(schema, name))]
      : []
    return [...missing, ...probesOf(child, { path: at, place: within, goods })]
  })
  return [...own, ...property, ...below]
}

/** A value with its way: what a constraint makes of it. */
interface Sample {
  readonly way: Way
  readonly what: string
  readonly value: unknown
}

const placed =
  (path: string, name: string, place: Place) =>
  ({ way, what, value }: Sample): Probe => ({
    covers: `${path} ${name}`,
    way,
    what: `${path} ${name}: ${what}`,
    body: place(value),
  })

function around(good: object, value: unknown): unknown {
  return Array.isArray(value) ? value : { ...good, ...(value as object) }
}

function without(good: object, name: string): object {
  return Object.fromEntries(Object.entries(good).filter(([member]) => member !== name))
}

const isNeeded = ({ required = [] }: RawSchema, name: string) => required.includes(name)

function missingFrom(path: string, place: Place, rest: object, isNeeded: boolean): Probe {
  const way = isNeeded ? 'broken' : 'either'
  return { covers: `${path} property`, way, what: `${path} is missing`, body: place(rest) }
}

/** The least value of a schema, for what must be there. */
function leastOf({ required = [], properties = {} }: RawSchema): object {
  return Object.fromEntries(required.map((name) => [name, plain(properties[name] ?? {})]))
}

/** A value that keeps all constraints of a schema. */
function plain(schema: RawSchema): unknown {
  switch (schema.type) {
    case 'object':
      return schema.additionalProperties
        ? { key: plain(schema.additionalProperties) }
        : leastOf(schema)
    case 'array':
      return [plain(schema.items ?? {})]
    case 'integer':
      return 7
    default:
      return schema.enum?.[0] ?? (schema.format === 'date-time' ? '2030-01-01T00:00:00Z' : 'text')
  }
}

/** What can be said of any property: null, odd characters, and members that nobody knows. */
function ofProperty(schema: RawSchema, good: object): Sample[] {
  const all: Sample[] = [{ way: 'either', what: 'null', value: null }]
  if (schema.type === 'string') {
    for (const text of ODD_TEXTS) {
      all.push({ way: 'either', what: JSON.stringify(text), value: text })
    }
  }
  if (schema.properties) {
    const value = { ...good, unheardOf: { deep: [1] } }
    all.push({ way: 'either', what: 'a member that is not in it', value })
  }
  if (schema.additionalProperties) {
    const each = plain(schema.additionalProperties)
    for (const key of ['', '__proto__', 'a/b', '\u202ekey', 'k'.repeat(300)]) {
      const value = JSON.parse(`{${JSON.stringify(key)}:${JSON.stringify(each)}}`) as unknown
      all.push({ way: 'either', what: `the key ${JSON.stringify(key.slice(0, 20))}`, value })
    }
  }
  return all
}

const ODD_TEXTS = ['', ' ', '\u0000', '\u202eabc', '😀ä', '__proto__', '{{', '../..']

type Prober = (schema: RawSchema, good: object) => Sample[]

const kept = (what: string, value: unknown): Sample => ({ way: 'kept', what, value })
const broken = (what: string, value: unknown): Sample => ({ way: 'broken', what, value })

/** A constraint that is not known has no values, and is missed. */
const unknown: Prober = () => []

const TYPES: Readonly<Record<string, unknown>> = {
  string: 'text',
  integer: 7,
  boolean: true,
  object: { key: 'value' },
  array: ['text'],
}

/** Values by the member of a schema that constrains them. */
const PROBES: Readonly<Record<string, Prober>> = {
  type: (schema, good) => [
    kept('such a value', schema.properties ? good : plain(schema)),
    ...Object.entries(TYPES)
      .filter(([type]) => type !== schema.type)
      .map(
        ([type, value]): Sample => ({
          // The API server takes a list for a date.
          way: type === 'array' && schema.format === 'date-time' ? 'either' : 'broken',
          what: `of type ${type}`,
          value,
        }),
      ),
    ...(schema.type === 'integer' ? [broken('a fraction', 7.5)] : []),
  ],
  enum: ({ enum: all = [] }) => [
    ...all.map((one) => kept(one, one)),
    ...['', all[0]?.toLowerCase(), `${all[0]} `, 'Other'].map((one) => broken(`"${one}"`, one)),
  ],
  pattern: ({ pattern = '', maxLength = 60 }) => {
    const form = new RegExp(pattern)
    const good = fc.sample(fc.stringMatching(form, { maxLength: Math.min(60, maxLength) }), {
      numRuns: 3,
      seed: 1,
    })
    const bad = ['A', '-a', 'a-', 'a..b', 'ä', 'a/b', ' a', '.'].filter((one) => !form.test(one))
    return [...good.map((one) => kept(one, one)), ...bad.map((one) => broken(one, one))]
  },
  format: ({ format }) =>
    format === 'date-time'
      ? [kept('a date', '2030-01-01T00:00:00Z'), broken('no date', 'yesterday')]
      : [kept('the largest', Number.MAX_SAFE_INTEGER), broken('too large', 1e30)],
  minLength: ({ minLength = 0 }) => [
    kept('just long enough', 'x'.repeat(minLength)),
    broken('too short', 'x'.repeat(minLength - 1)),
  ],
  maxLength: ({ maxLength = 0, pattern }) => [
    kept('as long as can be', 'x'.repeat(maxLength)),
    broken('one too long', 'x'.repeat(maxLength + 1)),
    ...(pattern === undefined
      ? [kept('as long as can be, of wide characters', '😀'.repeat(maxLength))]
      : []),
  ],
  minProperties: (schema) => [
    kept('just enough', many(schema, schema.minProperties ?? 0)),
    broken('too few', many(schema, (schema.minProperties ?? 0) - 1)),
  ],
  maxProperties: (schema) => [
    kept('as many as can be', many(schema, schema.maxProperties ?? 0)),
    broken('one too many', many(schema, (schema.maxProperties ?? 0) + 1)),
  ],
  maxItems: (schema) => [
    kept('as many as can be', list(schema, schema.maxItems ?? 0)),
    broken('one too many', list(schema, (schema.maxItems ?? 0) + 1)),
  ],
  required: (schema) => [
    kept('all', leastOf(schema)),
    ...(schema.required ?? []).map((name) => broken(`no ${name}`, without(leastOf(schema), name))),
  ],
  default: (schema) => [kept('all that it gives', leastOf(schema))],
  'x-kubernetes-list-type': (schema) => [
    kept('different ones', list(schema, 2)),
    broken('the same twice', [...list(schema, 1), ...list(schema, 1)]),
  ],
  'x-kubernetes-list-map-keys': (schema) => [kept('different ones', list(schema, 2))],
}

function many({ additionalProperties = {} }: RawSchema, count: number): object {
  const names = Array.from({ length: Math.max(0, count) }, (_, n) => `k${n}`)
  return Object.fromEntries(names.map((name) => [name, plain(additionalProperties)]))
}

/** Elements that differ where they must. */
function list(schema: RawSchema, count: number): unknown[] {
  const { items = {}, 'x-kubernetes-list-map-keys': keys } = schema
  return Array.from({ length: count }, (_, n) => {
    const one = plain(items)
    if (keys)
      return { ...(one as object), ...Object.fromEntries(keys.map((key) => [key, `k${n}`])) }
    return schema['x-kubernetes-list-type'] === 'set' ? `k${n}` : one
  })
}
