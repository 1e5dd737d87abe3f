import { isObject, type MemberPath } from '../manifest/parse.ts'

/** What a schema says against an object. */
export interface Violation {
  readonly rule: 'schema' | 'unknown-member' | 'cel'
  readonly path: MemberPath
  readonly message: string
}

/** A schema of a CRD: JSON Schema with Kubernetes' extensions. */
export interface Structural {
  readonly type?: string
  readonly properties?: Readonly<Record<string, Structural>>
  readonly additionalProperties?: Structural | boolean
  readonly items?: Structural
  readonly nullable?: boolean
  readonly format?: string
  readonly 'x-kubernetes-validations'?: readonly CelRule[]
  readonly [member: string]: unknown
}

/** One of `x-kubernetes-validations`. */
export interface CelRule {
  readonly rule: string
  readonly message?: string
  readonly messageExpression?: string
  readonly fieldPath?: string
  /** The rule holds for new objects, too: `oldSelf` is an optional, without a value there. */
  readonly optionalOldSelf?: boolean
}

/** The values of an object that a schema is about, with their paths. */
export function* instancesOf(
  schema: Structural,
  value: unknown,
  path: MemberPath = [],
): Generator<{ readonly schema: Structural; readonly value: unknown; readonly path: MemberPath }> {
  yield { schema, value, path }
  if (Array.isArray(value) && schema.items) {
    for (const [n, item] of value.entries()) yield* instancesOf(schema.items, item, [...path, n])
  }
  if (!isObject(value)) return
  for (const [name, member] of Object.entries(value)) {
    const { properties = {}, additionalProperties } = schema
    const other = typeof additionalProperties === 'object' ? additionalProperties : undefined
    const inner = Object.hasOwn(properties, name) ? properties[name] : other
    if (inner) yield* instancesOf(inner, member, [...path, name])
  }
}
