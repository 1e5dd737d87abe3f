/**
 * CustomResourceDefinitions: what one lacks, and how ours is added to the one that a cluster has.
 * Source: apiextensions.k8s.io/v1.
 */
import type { Resource } from './resource.ts'

/** CustomResourceDefinitions in the API. */
export const CRDS: Resource = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
}

/** A structural schema, as far as its members go. */
export interface Schema {
  readonly type?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean
}

/** One version of a custom resource. */
export interface CrdVersion {
  readonly name: string
  readonly storage: boolean
  readonly additionalPrinterColumns?: readonly { readonly name: string }[]
  readonly subresources?: object
  readonly schema: { readonly openAPIV3Schema: Schema }
}

/** A CustomResourceDefinition. */
export interface Crd {
  readonly metadata: {
    readonly name: string
    readonly resourceVersion?: string
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly spec: {
    readonly group: string
    readonly names: { readonly kind: string; readonly shortNames?: readonly string[] }
    readonly versions: readonly CrdVersion[]
  }
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string
      readonly status: string
      readonly message?: string
    }[]
  }
}

/** Members of `wanted` that `served` lacks, outermost only: `spec.data`, `status.items[].path`. */
export function missingMembers(wanted: Schema, served: Schema | undefined): string[] {
  const keepsAll = served?.['x-kubernetes-preserve-unknown-fields'] === true
  const members = Object.entries(wanted.properties ?? {}).flatMap(([name, schema]) => {
    const other = served?.properties?.[name]
    if (other === undefined) return keepsAll ? [] : [name]
    return missingMembers(schema, other).map((below) => `${name}${dot(below)}`)
  })
  const items = wanted.items ? missingMembers(wanted.items, served?.items) : []
  return [...members, ...items.map((below) => `[]${dot(below)}`)]
}

function dot(below: string): string {
  return below.startsWith('[') ? below : `.${below}`
}

/**
 * `ours` with everything that `live` has besides: members, versions, columns, short names. Where
 * both say something of one member, ours stands.
 */
export function addCrd(ours: Crd, live: Crd): Crd {
  const { spec } = ours
  const shortNames = union(spec.names.shortNames ?? [], live.spec.names.shortNames ?? [], String)
  const kept = new Map(live.spec.versions.map((version) => [version.name, version]))
  const stores = live.spec.versions.find(({ storage }) => storage)?.name
  for (const version of spec.versions) {
    const merged = addVersion(version, kept.get(version.name))
    kept.set(version.name, { ...merged, storage: stores === undefined || stores === version.name })
  }
  return {
    ...ours,
    spec: { ...spec, names: { ...spec.names, shortNames }, versions: [...kept.values()] },
  }
}

function addVersion(ours: CrdVersion, live: CrdVersion | undefined): CrdVersion {
  if (live === undefined) return ours
  const columns = [ours, live].map(({ additionalPrinterColumns = [] }) => additionalPrinterColumns)
  const [first = [], second = []] = columns
  return {
    ...ours,
    additionalPrinterColumns: union(first, second, ({ name }) => name),
    subresources: { ...live.subresources, ...ours.subresources },
    schema: {
      openAPIV3Schema: addSchema(ours.schema.openAPIV3Schema, live.schema.openAPIV3Schema),
    },
  }
}

function addSchema(ours: Schema, live: Schema | undefined): Schema {
  if (live === undefined || live.type !== ours.type) return ours
  const properties = { ...live.properties }
  for (const [name, schema] of Object.entries(ours.properties ?? {})) {
    properties[name] = addSchema(schema, live.properties?.[name])
  }
  return {
    ...ours,
    ...(Object.keys(properties).length > 0 ? { properties } : {}),
    ...(ours.items ? { items: addSchema(ours.items, live.items) } : {}),
    ...(live['x-kubernetes-preserve-unknown-fields']
      ? { 'x-kubernetes-preserve-unknown-fields': true }
      : {}),
  }
}

function union<T>(first: readonly T[], second: readonly T[], keyOf: (one: T) => string): T[] {
  const known = new Set(first.map(keyOf))
  return [...first, ...second.filter((one) => !known.has(keyOf(one)))]
}

/** The schema of one version. */
export function schemaOf({ spec }: Crd, version: string): Schema | undefined {
  return spec.versions.find(({ name }) => name === version)?.schema.openAPIV3Schema
}
