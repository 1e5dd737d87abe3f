/**
 * The one writer of Secrets. One verb for each intention, and every request names the state that it
 * was decided on: a Secret that is another one by now answers with a conflict.
 */
import { backoffMs } from '../../kube/backoff.ts'
import { type Clock, sleep } from '../../kube/clock.ts'
import { apiVersionOf, collectionPath, objectPath } from '../../kube/resource.ts'
import type { KubeRest } from '../../kube/rest.ts'
import { isAlreadyExists, isConflict, isNotFound } from '../../kube/status.ts'
import { parseSecretMeta, SECRETS } from '../objects.ts'
import type { SecretManifest, SecretMeta, SecretVersion } from '../plan/types.ts'
import { WRITE_QUERY } from './requests.ts'

const COMMON = { query: WRITE_QUERY, metadataOnly: 'object' } as const

/**
 * Creates the Secret.
 *
 * @returns its metadata after the write; its data never comes back
 * @throws KeyferryError KUBE_STATUS 409 AlreadyExists
 */
export async function createSecret(
  rest: KubeRest,
  manifest: SecretManifest,
  signal: AbortSignal,
): Promise<SecretMeta> {
  const path = collectionPath(SECRETS, manifest.namespace)
  const body = bodyOf(manifest)
  return parseSecretMeta(await rest.send({ ...COMMON, method: 'POST', path, body }, signal))
}

/**
 * Replaces the very version that was decided on.
 *
 * @throws KeyferryError KUBE_STATUS 409 when the Secret has moved on, 404 when it is gone
 */
export async function replaceSecret(
  rest: KubeRest,
  manifest: SecretManifest,
  { uid, resourceVersion }: SecretVersion,
  signal: AbortSignal,
): Promise<SecretMeta> {
  const path = objectPath(SECRETS, manifest)
  const body = bodyOf(manifest, { uid, resourceVersion })
  return parseSecretMeta(await rest.send({ ...COMMON, method: 'PUT', path, body }, signal))
}

/**
 * Deletes the very version that was decided on; one that is gone or another by now is left alone.
 */
export async function deleteSecret(
  rest: KubeRest,
  version: SecretVersion,
  signal: AbortSignal,
): Promise<boolean> {
  const { uid, resourceVersion } = version
  const path = objectPath(SECRETS, version)
  const body = { preconditions: { uid, resourceVersion } }
  const query = { timeout: WRITE_QUERY.timeout }
  try {
    await rest.send({ method: 'DELETE', path, query, body, metadataOnly: 'object' }, signal)
    return true
  } catch (error) {
    if (isNotFound(error) || isConflict(error)) return false
    throw error
  }
}

/** How often the second half of a recreation is tried before it is left to the next run. */
const CREATE_TRIES = 5
/** Between those tries: workloads miss the Secret meanwhile. */
const CREATE_BACKOFF = { firstMs: 100, maxMs: 1_000 }

/** Time and chance, for what is tried again. */
export interface Pauses {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
}

/**
 * Makes a Secret anew under another type: first as a dry run under a generated name, so that nothing
 * is deleted for a Secret that the API server does not take; then deleted and created at once, from
 * memory, also when a try of that fails.
 *
 * @returns undefined when the Secret has moved on and was left alone
 */
export async function recreateSecret(
  { rest, clock, random }: Pauses & { readonly rest: KubeRest },
  manifest: SecretManifest,
  from: SecretVersion,
  signal: AbortSignal,
): Promise<SecretMeta | undefined> {
  const path = collectionPath(SECRETS, manifest.namespace)
  const { metadata, ...rehearsal } = bodyOf(manifest)
  const { name, ...unnamed } = metadata
  // A dot at the cut would leave a part of the name that begins with the dash.
  const generateName = `${name.slice(0, 40).replace(/[-.]+$/, '')}-`
  const body = { ...rehearsal, metadata: { ...unnamed, generateName } }
  const query = { ...WRITE_QUERY, dryRun: 'All' }
  await rest.send({ ...COMMON, query, method: 'POST', path, body }, signal)
  if (!(await deleteSecret(rest, from, signal))) return undefined
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await createSecret(rest, manifest, signal)
    } catch (error) {
      if (attempt === CREATE_TRIES || signal.aborted || isAlreadyExists(error)) throw error
      await sleep(clock, backoffMs(attempt, CREATE_BACKOFF, random), signal)
    }
  }
}

interface Body {
  readonly metadata: Readonly<Record<string, unknown>> & { readonly name: string }
  readonly [member: string]: unknown
}

function bodyOf(
  { namespace, name, labels, annotations, ownerReferences, finalizers, ...rest }: SecretManifest,
  version: { readonly uid?: string; readonly resourceVersion?: string } = {},
): Body {
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
