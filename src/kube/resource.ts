/** A resource of the Kubernetes API, as its paths name it. */
export interface Resource {
  /** Empty for the core group. */
  readonly group: string
  readonly version: string
  /** Plural, lower case: the path segment. */
  readonly plural: string
  readonly kind: string
}

/** Where an object lives. Cluster-scoped objects have the empty namespace. */
export interface ObjectKey {
  readonly namespace: string
  readonly name: string
}

/** The least that a cache needs to know of an object. */
export interface Tracked extends ObjectKey {
  readonly uid: string
  readonly resourceVersion: string
}

/** `apiVersion` of a resource's objects: `v1`, `apps/v1`. */
export function apiVersionOf({ group, version }: Resource): string {
  return group === '' ? version : `${group}/${version}`
}

/** Path of a collection; `namespace` undefined means all namespaces. */
export function collectionPath(resource: Resource, namespace?: string): string {
  const root = resource.group === '' ? '/api' : `/apis/${resource.group}`
  const scope = namespace ? `/namespaces/${encodeURIComponent(namespace)}` : ''
  return `${root}/${resource.version}${scope}/${resource.plural}`
}

/**
 * Path of one object.
 *
 * @throws RangeError for a name that no object can have: an empty one would mean them all
 */
export function objectPath(resource: Resource, { namespace, name }: ObjectKey): string {
  if (['', '.', '..'].includes(name)) throw new RangeError(`no object can be named "${name}"`)
  return `${collectionPath(resource, namespace)}/${encodeURIComponent(name)}`
}

/** `namespace/name`, the key of queues and caches. */
export function keyOf({ namespace, name }: ObjectKey): string {
  // Not by a template: that would keep a second string, of both parts, for each key in a cache.
  return [namespace, name].join('/')
}

/** The reverse of {@link keyOf}. */
export function parseKey(key: string): ObjectKey {
  const slash = key.indexOf('/')
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) }
}

/**
 * Order of two resourceVersions of one cluster: negative when `a` is older. They are decimal
 * numbers too large for a double, so length decides before the digits do.
 * Source: Kubernetes API concepts, "Resource versions" (comparable as integers).
 */
export function compareVersions(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : a > b ? 1 : 0
}
