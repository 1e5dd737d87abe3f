import type { KubeObject } from '../support/cluster.ts'

interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly verbs: readonly string[]
}

/** Who gets which right where, a line each: what a reviewer wants to see of a change. */
export function rightsIn(objects: readonly KubeObject[]): string[] {
  const lines: string[] = []
  for (const role of objects.filter(({ kind }) => /^(Cluster)?Role$/.test(kind))) {
    const { kind, metadata } = role
    const bindings = objects.filter(
      (one) =>
        one['kind'] === `${kind}Binding` &&
        one.metadata.namespace === metadata.namespace &&
        one['roleRef'].name === metadata.name,
    )
    const users = bindings.flatMap(({ subjects }) =>
      (subjects as { name: string }[]).map(({ name }) => name),
    )
    const where = kind === 'ClusterRole' ? 'everywhere' : (metadata.namespace ?? 'here')
    const who = users.join(',') || `users by ${metadata.name}`
    lines.push(
      ...(role['rules'] as Rule[]).flatMap(linesOf).map((line) => `${who}: ${line} ${where}`),
    )
  }
  return lines
}

function linesOf({ apiGroups, resources, resourceNames, verbs }: Rule): string[] {
  return apiGroups.flatMap((group) =>
    resources.map((resource) => {
      const which = resourceNames ? ` named ${resourceNames.join(',')}` : ''
      return `${verbs.join(',')} ${group === '' ? '' : `${group}/`}${resource}${which}`
    }),
  )
}
