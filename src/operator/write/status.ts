import { apiVersionOf, objectPath } from '../../kube/resource.ts'
import type { KubeRest } from '../../kube/rest.ts'
import { type Claim, type ItemStatus, ONE_PASSWORD_ITEM } from '../item.ts'
import { WRITE_QUERY } from './requests.ts'

/**
 * Writes a claim's whole status by server-side apply: what we do not name, and nobody else owns,
 * goes. It names the version of the claim that it speaks of.
 *
 * @returns the claim as it is after the write
 * @throws KeyferryError KUBE_STATUS 409 when the claim has changed, 404 when it is gone
 */
export async function writeStatus(
  rest: KubeRest,
  claim: Claim,
  status: ItemStatus,
  signal: AbortSignal,
): Promise<Claim> {
  const { namespace, name, uid, resourceVersion } = claim
  const answer = await rest.send(
    {
      method: 'PATCH',
      patch: 'apply',
      path: `${objectPath(ONE_PASSWORD_ITEM, claim)}/status`,
      query: { ...WRITE_QUERY, force: true },
      metadataOnly: 'object',
      body: {
        apiVersion: apiVersionOf(ONE_PASSWORD_ITEM),
        kind: ONE_PASSWORD_ITEM.kind,
        metadata: { namespace, name, uid, resourceVersion },
        status,
      },
    },
    signal,
  )
  const { metadata } = answer as { metadata: { resourceVersion: string } }
  return { ...claim, resourceVersion: metadata.resourceVersion, status }
}
