/**
 * Cases for `keyferry plan`: a state of the cluster, a change upstream, and manifests, over all
 * members of the resource.
 */
import * as fc from 'fast-check'

/** One case; its objects are named after its number. */
export interface PlanCase {
  /** What is there before the manifests are applied. */
  readonly before: 'nothing' | 'same' | 'plain' | 'foreign' | 'offered' | 'rival'
  /** What happens to the item in between. */
  readonly upstream: 'nothing' | 'value' | 'field' | 'gone'
  /** Whether a second resource in the manifests wants the same Secret. */
  readonly twin: boolean
  readonly renamed: boolean
  readonly path: 'vaults' | 'op' | 'no vault' | 'no item' | 'none'
  readonly type: string | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly spec: Readonly<Record<string, unknown>>
  readonly workload: 'none' | 'in' | 'out' | 'notify'
}

const anyData = fc.constantFrom<Readonly<Record<string, string>> | undefined>(
  undefined,
  { LITERAL: 'text' },
  { username: 'op://Production/ITEM/password' },
  {
    URL: 'x://{{ op://Production/ITEM/username }}:{{ op://Production/ITEM/password | urlencode }}@y',
  },
  { EMPTY: 'op://Production/ITEM/empty', A: 'a' },
  { MISSING: 'op://Production/ITEM/nowhere' },
)

const some = <T>(value: T) => fc.constantFrom(undefined, value)

const anySpec = fc
  .record({
    data: anyData,
    secretMetadata: some({ labels: { tier: 'one' }, annotations: { 'example.com/a': 'b' } }),
    requiredKeys: fc.constantFrom(undefined, undefined, ['LITERAL'], ['username']),
    emptyValues: fc.constantFrom(undefined, 'Skip', 'Include'),
    onItemMissing: fc.constantFrom(undefined, 'Keep', 'Delete'),
    deletionPolicy: fc.constantFrom(undefined, 'Delete', 'Retain'),
    existingSecret: fc.constantFrom(undefined, 'Refuse', 'Adopt'),
  })
  .map((spec) =>
    Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined)),
  )

const anyCase: fc.Arbitrary<PlanCase> = fc
  .record({
    before: fc.constantFrom(
      'nothing',
      'nothing',
      'same',
      'plain',
      'plain',
      'foreign',
      'offered',
      'rival',
    ),
    upstream: fc.constantFrom('nothing', 'value', 'field', 'gone'),
    twin: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
    renamed: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
    path: fc.constantFrom('vaults', 'vaults', 'vaults', 'op', 'no vault', 'no item', 'none'),
    type: fc.constantFrom(
      undefined,
      undefined,
      'Opaque',
      'kubernetes.io/basic-auth',
      'kubernetes.io/tls',
      'example.com/x',
    ),
    labels: fc.constantFrom({}, { team: 'a' }, { team: 'b', 'app.kubernetes.io/managed-by': 'x' }),
    spec: anySpec,
    workload: fc.constantFrom('none', 'in', 'in', 'out', 'notify'),
  } as const)
  .filter(({ path, spec }) => path !== 'none' || 'data' in spec)

/** Cases by a seed; the same seed gives the same cases. */
export function planCases(count: number, seed: number): readonly PlanCase[] {
  return fc.sample(anyCase, { numRuns: count, seed })
}

/** Name of the resource of a case, and of its other objects. */
export const nameOf = (n: number) => `case-${n}`

/** The Secret that the manifests of a case are about. */
export function secretOf({ renamed }: PlanCase, n: number): string {
  return renamed ? `renamed-${n}` : nameOf(n)
}

/** Title of the item of a case. */
export const titleOf = (n: number) => `Item ${n}`

const PATHS = {
  vaults: (n: number) => `vaults/Production/items/${titleOf(n)}`,
  op: (n: number) => `op://production/${titleOf(n)}`,
  'no vault': (n: number) => `op://Nowhere/${titleOf(n)}`,
  'no item': (n: number) => `vaults/Production/items/Nothing ${n}`,
  none: () => undefined,
} as const

const HEAD = { apiVersion: 'onepassword.com/v1', kind: 'OnePasswordItem' }

/** The resources of a case's manifests. */
export function resourcesOf(one: PlanCase, n: number) {
  const itemPath = PATHS[one.path](n)
  const secretName = one.renamed ? { secretName: secretOf(one, n) } : {}
  const text = JSON.stringify({ ...(itemPath ? { itemPath } : {}), ...secretName, ...one.spec })
  const spec = JSON.parse(text.replaceAll('ITEM', titleOf(n))) as Record<string, unknown>
  const type = one.type === undefined ? {} : { type: one.type }
  const main = { ...HEAD, metadata: { name: nameOf(n), labels: one.labels }, ...type, spec }
  const twin = {
    ...HEAD,
    metadata: { name: `twin-${n}` },
    spec: { itemPath: PATHS.vaults(n), secretName: secretOf(one, n) },
  }
  return one.twin ? [main, twin] : [main]
}

/** A resource that is there before under the case's name, or under another one. */
export function plainResource(name: string, n: number, secretName?: string) {
  const spec = { itemPath: PATHS.vaults(n), ...(secretName ? { secretName } : {}) }
  return { ...HEAD, metadata: { name, labels: { team: 'before' } }, spec }
}
