/**
 * The CEL rules of a CRD. Functions that only Kubernetes has (quantities, URLs, CIDRs) are not
 * there: a rule that calls one cannot be compiled, which is told at once instead of passed over.
 * Source: Kubernetes documentation, "Validation rules" of CustomResourceDefinitions.
 */
import { Environment, Optional } from '@marcbachmann/cel-js'
import { isObject } from '../manifest/parse.ts'
import { type CelRule, instancesOf, type Structural, type Violation } from './structural.ts'

/**
 * The rules in a schema, compiled.
 *
 * @throws Error for a rule that cannot be compiled
 */
export function createCelRules(
  root: Structural,
): (object: Readonly<Record<string, unknown>>) => readonly Violation[] {
  const environment = new Environment({ enableOptionalTypes: true })
    .registerVariable('self', 'dyn')
    .registerVariable('oldSelf', 'dyn')
  const compiled = new Map<CelRule, (self: unknown) => unknown>()
  for (const rule of rulesIn(root)) {
    const program = environment.parse(rule.rule)
    const { valid, error } = program.check()
    if (!valid) throw new Error(`the rule ${rule.rule} cannot be judged offline`, { cause: error })
    // The object is new: there is no old one.
    compiled.set(rule, (self) => program({ self, oldSelf: Optional.none() }))
  }
  return (object) => {
    const violations: Violation[] = []
    for (const { schema, value, path } of instancesOf(root, object)) {
      for (const rule of schema['x-kubernetes-validations'] ?? []) {
        // A rule about a change says nothing of an object that is new.
        if (/\boldSelf\b/.test(rule.rule) && !rule.optionalOldSelf) continue
        const failure = failureOf(() => compiled.get(rule)?.(celValue(schema, value)))
        if (failure === undefined) continue
        const inner = rule.fieldPath?.split('.').filter(Boolean) ?? []
        const message = rule.message ?? `Rule ${rule.rule} ${failure}`
        violations.push({ rule: 'cel', path: [...path, ...inner], message })
      }
    }
    return violations
  }
}

function failureOf(judge: () => unknown): string | undefined {
  try {
    return judge() === true ? undefined : 'does not hold'
  } catch (error) {
    // As in the API server: what cannot be evaluated does not hold.
    return `cannot be evaluated: ${(error as Error).message.split('\n')[0]}`
  }
}

function* rulesIn(schema: Structural): Generator<CelRule> {
  yield* schema['x-kubernetes-validations'] ?? []
  const { properties = {}, items, additionalProperties } = schema
  for (const inner of Object.values(properties)) yield* rulesIn(inner)
  if (items) yield* rulesIn(items)
  if (typeof additionalProperties === 'object') yield* rulesIn(additionalProperties)
}

/** A value as CEL has it: integers apart from other numbers, names of members escaped. */
function celValue(schema: Structural, value: unknown): unknown {
  if (typeof value === 'number' && schema.type === 'integer') return BigInt(Math.trunc(value))
  const { items, properties, additionalProperties } = schema
  if (Array.isArray(value)) return value.map((item) => celValue(items ?? {}, item))
  if (!isObject(value)) return value
  const other = typeof additionalProperties === 'object' ? additionalProperties : {}
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => {
      const inner = properties && Object.hasOwn(properties, name) ? properties[name] : undefined
      return inner ? [escaped(name), celValue(inner, member)] : [name, celValue(other, member)]
    }),
  )
}

const RESERVED = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
)

function escaped(name: string): string {
  if (RESERVED.has(name)) return `__${name}__`
  return name
    .replaceAll('__', '__underscores__')
    .replaceAll('.', '__dot__')
    .replaceAll('-', '__dash__')
    .replaceAll('/', '__slash__')
}
