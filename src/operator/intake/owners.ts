/**
 * Who else has to do with a Secret: asked of the API server, because a cache that lags would declare
 * a new owner dead.
 */
import { LEASES, parseLease } from '../../kube/lease.ts'
import { objectPath, parseKey } from '../../kube/resource.ts'
import type { KubeRest } from '../../kube/rest.ts'
import { isForbidden, isNotFound } from '../../kube/status.ts'
import { INSTANCE } from '../annotations.ts'
import type { Claim, OwnerReference } from '../item.ts'
import type { LiveSecret, SecretMeta } from '../plan/types.ts'

/** UIDs of a Secret's owners, other than the claim's, that are gone. */
export async function deadAmong(
  rest: KubeRest,
  secret: LiveSecret | undefined,
  claim: Claim,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const dead = new Set<string>()
  for (const owner of secret?.ownerReferences ?? []) {
    const own = claim.owners.some(({ uid }) => uid === owner.uid)
    const path = ownerPath(owner, claim.namespace)
    if (!own && path !== undefined && (await isGone(rest, path, owner.uid, signal))) {
      dead.add(owner.uid)
    }
  }
  return dead
}

async function isGone(
  rest: KubeRest,
  path: string,
  uid: string,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const found = await rest.send({ method: 'GET', path, metadataOnly: 'object' }, signal)
    return (found as { metadata: { uid: string } }).metadata.uid !== uid
  } catch (error) {
    if (isNotFound(error)) return true
    throw error
  }
}

/** Only kinds that the operator may read anyway; all others count as living. */
const OWNER_PATHS: Readonly<Record<string, string>> = {
  'onepassword.com/v1 OnePasswordItem': 'onepassworditems',
  'apps/v1 Deployment': 'deployments',
  'apps/v1 StatefulSet': 'statefulsets',
  'apps/v1 DaemonSet': 'daemonsets',
}

function ownerPath({ apiVersion, kind, name }: OwnerReference, namespace: string) {
  const plural = OWNER_PATHS[`${apiVersion} ${kind}`]
  if (plural === undefined) return undefined
  const scope = `/apis/${apiVersion}/namespaces/${encodeURIComponent(namespace)}`
  return `${scope}/${plural}/${encodeURIComponent(name)}`
}

/**
 * Whether the installation that a Secret names holds its Lease. Without the right to read that
 * Lease it counts as alive: a quarrel does more harm than waiting for a person.
 */
export async function isInstanceAlive(
  rest: KubeRest,
  { annotations }: SecretMeta,
  signal: AbortSignal,
): Promise<boolean> {
  const lease = parseKey(annotations[INSTANCE] ?? '')
  if (lease.namespace === '' || lease.name === '') return false
  try {
    const path = objectPath(LEASES, lease)
    const { holder, renewedAt, durationMs } = parseLease(
      await rest.send({ method: 'GET', path }, signal),
    )
    return holder !== '' && rest.serverTime() - renewedAt < 2 * durationMs
  } catch (error) {
    if (isNotFound(error)) return false
    if (isForbidden(error)) return true
    throw error
  }
}
