/**
 * Whether two JSON values are equal. The order of an object's members does not count: the API server
 * gives them back in an order of its own.
 */
export function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const members = Object.entries(a)
  if (members.length !== Object.keys(b).length) return false
  return members.every(([name, value]) => isEqual(value, (b as Record<string, unknown>)[name]))
}
