/**
 * The rights that an installation needs, as data: what `deploy/` grants, which a test compares.
 */
import { shardLease } from '../kube/shards.ts'
import type { Settings } from '../settings/settings.ts'

/** One right. */
export interface Right {
  readonly group: string
  /** Plural. */
  readonly resource: string
  readonly subresource?: string
  readonly verb: string
  /** Of the one object that it is about; any without. */
  readonly name?: string
  /** What does not work without it; undefined: nothing does. */
  readonly without?: string
}

/** Rights in one namespace, or in all. */
export interface Grant {
  /** Undefined: all. */
  readonly namespace: string | undefined
  readonly rights: readonly Right[]
}

const NO_RESTARTS = 'workloads are not restarted'
const NO_ROLLOUTS = 'Argo Rollouts are not restarted'

/** What is needed wherever resources are served. */
const SERVED: readonly Right[] = [
  ...rights('onepassword.com', 'onepassworditems', 'get list watch patch'),
  ...rights('onepassword.com', 'onepassworditems/status', 'patch'),
  ...rights('', 'secrets', 'get list watch create update delete'),
  ...['deployments', 'statefulsets', 'daemonsets'].flatMap((resource) => [
    ...rights('apps', resource, 'get list watch'),
    ...rights('apps', resource, 'patch', { without: NO_RESTARTS }),
  ]),
  ...rights('argoproj.io', 'rollouts', 'get list watch patch', { without: NO_ROLLOUTS }),
  ...rights('events.k8s.io', 'events', 'create', { without: 'no Events tell of failures' }),
]

/** What one that serves all namespaces needs besides, in all. */
const EVERYWHERE: readonly Right[] = [
  ...rights('', 'namespaces', 'list watch'),
  ...rights('coordination.k8s.io', 'leases', 'get'),
]

/**
 * All rights that an installation with these settings needs.
 *
 * @param home the operator's own namespace
 */
export function rightsFor(
  settings: Pick<Settings, 'watchNamespaces' | 'instance' | 'dryRun' | 'shards'>,
  home: string,
): Grant[] {
  const { watchNamespaces, instance, dryRun, shards } = settings
  const ofShards = Array.from({ length: shards }, (_, shard) => shardLease(instance, shard))
  const leases = shards === 1 ? [instance] : [instance, ...ofShards]
  const election = [
    ...rights('coordination.k8s.io', 'leases', 'create'),
    ...leases.flatMap((name) => rights('coordination.k8s.io', 'leases', 'update', { name })),
  ]
  const grants: Grant[] =
    watchNamespaces === undefined
      ? [
          { namespace: undefined, rights: [...SERVED, ...EVERYWHERE] },
          { namespace: home, rights: election },
        ]
      : [
          ...watchNamespaces.map((namespace) => ({
            namespace,
            rights: [...SERVED, ...rights('', 'namespaces', 'get')],
          })),
          { namespace: home, rights: [...election, ...ownRights(instance)] },
        ]
  return dryRun ? grants.map(readsOnly).filter(({ rights: some }) => some.length > 0) : grants
}

/** What an installation that serves some namespaces needs in its own. */
function ownRights(instance: string): Right[] {
  return [
    ...rights('coordination.k8s.io', 'leases', 'get'),
    ...rights('', 'secrets', 'create'),
    ...rights('', 'secrets', 'get', { name: `${instance}-digest-key` }),
    ...rights('events.k8s.io', 'events', 'create', { without: 'no Event tells of an outage' }),
  ]
}

/** Shadow mode has no Lease and no key, and writes nothing. */
function readsOnly({ namespace, rights: all }: Grant): Grant {
  const reads = ['get', 'list', 'watch']
  const kept = all.filter(({ verb, resource, name }) => {
    return reads.includes(verb) && resource !== 'leases' && name === undefined
  })
  return { namespace, rights: kept }
}

function rights(
  group: string,
  path: string,
  verbs: string,
  more: Pick<Right, 'name' | 'without'> = {},
): Right[] {
  const [resource = '', subresource] = path.split('/')
  const target = { group, resource, ...(subresource === undefined ? {} : { subresource }) }
  return verbs.split(' ').map((verb) => ({ ...target, verb, ...more }))
}
