/**
 * The schema of a CRD, offline: structure, members it does not know, CEL rules, in the order of the
 * API server, which looks at rules only where the structure is right.
 * Source: Kubernetes documentation, "Extend the Kubernetes API with CustomResourceDefinitions".
 */
import { Ajv, type ErrorObject } from 'ajv'
import { parse as parseYaml } from 'yaml'
import { isObject } from '../manifest/parse.ts'
import { createCelRules } from './cel.ts'
import type { Structural, Violation } from './structural.ts'

type Members = Readonly<Record<string, unknown>>

/** Judges objects of one kind. */
export interface SchemaCheck {
  /** The object as the API server takes it: without members that are null. */
  taken(object: Members): Members
  violations(taken: Members): readonly Violation[]
}

interface Crd {
  readonly spec: {
    readonly versions: readonly {
      readonly name: string
      readonly schema: { readonly openAPIV3Schema: Structural }
    }[]
  }
}

const made = new Map<string, SchemaCheck>()

/**
 * The check of version v1 of a CRD, compiled once.
 *
 * @param text the CRD's manifest
 * @throws Error for what cannot be judged offline: a bug of the CRD or of this program
 */
export function schemaCheck(text: string): SchemaCheck {
  const check = made.get(text) ?? compile(text, 'v1')
  made.set(text, check)
  return check
}

function compile(text: string, version: string): SchemaCheck {
  const crd = parseYaml(text) as Crd
  const found = crd.spec.versions.find(({ name }) => name === version)
  if (!found) throw new Error(`the CRD has no version ${version}`)
  const { openAPIV3Schema } = found.schema
  // A status in a manifest is dropped by the API server; metadata has rules of its own.
  const { status: _status, metadata: _metadata, ...properties } = openAPIV3Schema.properties ?? {}
  const root: Structural = { ...openAPIV3Schema, properties }
  const structure = structureOf(root)
  const all = { ...structure.properties, status: {}, metadata: {} }
  const validate = new Ajv({ allErrors: true, strict: false }).compile({
    ...structure,
    properties: all,
  })
  const celRules = createCelRules(root)
  return {
    taken: (object) => withoutNulls(root, object) as Members,
    violations: (taken) =>
      validate(taken) ? celRules(taken) : (validate.errors ?? []).map(violationOf),
  }
}

/**
 * Null stands for no member, where the schema does not allow it. Items of lists stay.
 * Source: apiextensions-apiserver, `PruneNonNullableNullsWithoutDefaults`.
 */
function withoutNulls(schema: Structural, value: unknown): unknown {
  const { properties, items, additionalProperties } = schema
  if (Array.isArray(value)) return value.map((item) => withoutNulls(items ?? {}, item))
  if (!isObject(value)) return value
  const other = typeof additionalProperties === 'object' ? additionalProperties : undefined
  const kept = Object.entries(value).flatMap(([name, member]) => {
    const inner = properties && Object.hasOwn(properties, name) ? properties[name] : other
    if (!inner) return [[name, member] as const]
    const isNothing = member === null && inner.nullable !== true && inner['default'] === undefined
    return isNothing ? [] : [[name, withoutNulls(inner, member)] as const]
  })
  return Object.fromEntries(kept)
}

interface JsonSchema {
  readonly properties?: Readonly<Record<string, unknown>>
  readonly [keyword: string]: unknown
}

/** What a validator of JSON Schema does not know as what it knows. */
function structureOf(schema: Structural): JsonSchema {
  const { properties, items, additionalProperties, nullable, format, type, ...rest } = schema
  const keywords = Object.entries(rest).filter(
    ([name]) => !name.startsWith('x-kubernetes-') && name !== 'description' && name !== 'default',
  )
  if (format !== undefined && !['int32', 'int64', 'double', 'float'].includes(format)) {
    throw new Error(`format ${format} cannot be checked offline`)
  }
  const isOpen = schema['x-kubernetes-preserve-unknown-fields'] === true
  const anyOther = additionalProperties ?? (isOpen || properties === undefined)
  const inner = typeof anyOther === 'object' ? structureOf(anyOther) : anyOther
  const intOrString = schema['x-kubernetes-int-or-string'] === true
  return {
    ...Object.fromEntries(keywords),
    ...(type === undefined ? {} : { type: nullable ? [type, 'null'] : type }),
    ...(intOrString ? { type: ['integer', 'string'] } : {}),
    ...(schema['x-kubernetes-list-type'] === 'set' ? { uniqueItems: true } : {}),
    ...(properties === undefined ? {} : { properties: mapValues(properties, structureOf) }),
    ...(items === undefined ? {} : { items: structureOf(items) }),
    ...(type === 'object' ? { additionalProperties: inner } : {}),
  }
}

function mapValues<A, B>(all: Readonly<Record<string, A>>, change: (value: A) => B) {
  return Object.fromEntries(Object.entries(all).map(([name, value]) => [name, change(value)]))
}

function violationOf({ instancePath, keyword, params, message = '' }: ErrorObject): Violation {
  const path = instancePath
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  const name = path.join('.') || 'the object'
  const { additionalProperty, allowedValues, pattern } = params as Record<string, unknown>
  if (keyword === 'additionalProperties') {
    const unknown = String(additionalProperty)
    return {
      rule: 'unknown-member',
      path: [...path, unknown],
      message: `There is no member ${[...path, unknown].join('.')}`,
    }
  }
  if (Array.isArray(allowedValues)) {
    return { rule: 'schema', path, message: `${name} must be ${allowedValues.join(' or ')}` }
  }
  if (typeof pattern === 'string') {
    return { rule: 'schema', path, message: `${name} must have the form ${pattern}` }
  }
  return { rule: 'schema', path, message: `${name} ${message}` }
}
