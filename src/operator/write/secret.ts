/**
 * The one writer of Secrets. One verb for each intention, and every request names the state that it
 * was decided on: a Secret that is another one by now answers with a conflict.
 */
import { apiVersionOf, collectionPath, objectPath } from '../../kube/resource.ts'
import type { KubeRest } from '../../kube/rest.ts'
import { parseSecretMeta, SECRETS } from '../objects.ts'
import type { SecretManifest, SecretMeta, SecretWrite } from '../plan/types.ts'
import { WRITE_QUERY } from './requests.ts'

/**
 * Creates the Secret, or replaces the very version it was planned for.
 *
 * @returns the Secret's metadata after the write; its data never comes back
 * @throws KeyferryError KUBE_STATUS 409 when the Secret exists (create) or has moved on (replace)
 */
export async function writeSecret(
  rest: KubeRest,
  write: SecretWrite,
  signal: AbortSignal,
): Promise<SecretMeta> {
  const { manifest } = write
  const common = { query: WRITE_QUERY, metadataOnly: 'object' } as const
  if (write.kind === 'create') {
    const path = collectionPath(SECRETS, manifest.namespace)
    const body = bodyOf(manifest, {})
    return parseSecretMeta(await rest.send({ ...common, method: 'POST', path, body }, signal))
  }
  const { uid, resourceVersion } = write
  const path = objectPath(SECRETS, manifest)
  const body = bodyOf(manifest, { uid, resourceVersion })
  return parseSecretMeta(await rest.send({ ...common, method: 'PUT', path, body }, signal))
}

function bodyOf(
  { namespace, name, labels, annotations, ownerReferences, finalizers, ...rest }: SecretManifest,
  version: { readonly uid?: string; readonly resourceVersion?: string },
): unknown {
  const data = [...rest.data].map(
    ([key, value]) => [key, Buffer.from(value.reveal()).toString('base64')] as const,
  )
  return {
    apiVersion: apiVersionOf(SECRETS),
    kind: SECRETS.kind,
    metadata: { namespace, name, labels, annotations, ownerReferences, finalizers, ...version },
    type: rest.type,
    ...(rest.immutable ? { immutable: true } : {}),
    data: Object.fromEntries(data),
  }
}
