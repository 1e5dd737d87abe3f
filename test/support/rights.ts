/**
 * What operators asked the API server for, by its audit log, against what the manifests grant.
 */
import type { Rule } from './accounts.ts'
import type { AuditRecord } from './audit.ts'

/** A right as text: verb, resource and group. */
export function rightOf({ verb, resource, group }: AuditRecord): string {
  return `${verb} ${resource}${group ? `.${group}` : ''}`
}

/** All rights of rules, in the form of {@link rightOf}. */
export function rightsOf(rules: readonly Rule[]): string[] {
  const all = rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        verbs.map((verb) => `${verb} ${resource}${group ? `.${group}` : ''}`),
      ),
    ),
  )
  return [...new Set(all)].toSorted()
}

/**
 * Requests beyond their rights of all accounts that `installRights` made. Not counted: what comes
 * after a namespace was deleted, which takes its Roles along; and the Lease of an installation
 * elsewhere, which counts as held where it cannot be read.
 */
export function overreach(records: readonly AuditRecord[]): AuditRecord[] {
  const accounts = new Set<string>()
  const deletedAt = new Map<string, number>()
  for (const { verb, resource, namespace, name, cameAt } of records) {
    // Only `installRights` applies ServiceAccounts.
    if (verb === 'patch' && resource === 'serviceaccounts') {
      accounts.add(`system:serviceaccount:${namespace}:${name}`)
    }
    if (verb === 'delete' && resource === 'namespaces') deletedAt.set(name, cameAt)
  }
  return records.filter(({ denied, user, verb, resource, namespace, cameAt }) => {
    if (!denied || !accounts.has(user)) return false
    const [, , home = ''] = user.split(':')
    const elsewhere = verb === 'get' && resource === 'leases' && namespace !== home
    const gone = [home, namespace].some((one) => cameAt >= (deletedAt.get(one) ?? Infinity))
    return !elsewhere && !gone
  })
}
