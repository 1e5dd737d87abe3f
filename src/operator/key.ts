/**
 * The key of this installation's digests: an immutable Secret in the operator's own namespace, made
 * once by whoever comes first.
 */
import { randomBytes } from 'node:crypto'
import { KeyferryError } from '../errors.ts'
import { apiVersionOf, collectionPath, objectPath } from '../kube/resource.ts'
import type { KubeRest } from '../kube/rest.ts'
import { isAlreadyExists, isNotFound } from '../kube/status.ts'
import { parseLiveSecret, SECRETS } from './objects.ts'
import { digestKey, type DigestKey } from './plan/digest.ts'
import { WRITE_QUERY } from './write/requests.ts'

/** Where the key is. */
export interface KeyLocation {
  readonly namespace: string
  readonly name: string
}

const MEMBER = 'key'
const KEY_BYTES = 32

/**
 * Reads the key, or makes it.
 *
 * @throws KeyferryError KUBE_STATUS without the right to read or create it, INPUT_INVALID when the
 *   Secret holds something else
 */
export async function loadDigestKey(
  rest: KubeRest,
  location: KeyLocation,
  signal: AbortSignal,
): Promise<DigestKey> {
  for (;;) {
    const key = await findDigestKey(rest, location, signal)
    if (key) return key
    try {
      await createKey(rest, location, signal)
    } catch (error) {
      // Another replica was faster: its key is the key.
      if (!isAlreadyExists(error)) throw error
    }
  }
}

/**
 * The key, if it was made already.
 *
 * @throws KeyferryError as {@link loadDigestKey}
 */
export async function findDigestKey(
  rest: KubeRest,
  location: KeyLocation,
  signal: AbortSignal,
): Promise<DigestKey | undefined> {
  try {
    return await readKey(rest, location, signal)
  } catch (error) {
    if (isNotFound(error)) return undefined
    throw error
  }
}

async function readKey(rest: KubeRest, at: KeyLocation, signal: AbortSignal): Promise<DigestKey> {
  const path = objectPath(SECRETS, at)
  const bytes = parseLiveSecret(await rest.send({ method: 'GET', path }, signal)).data.get(MEMBER)
  if (bytes?.byteLength === KEY_BYTES) return digestKey(bytes.reveal())
  throw new KeyferryError('INPUT_INVALID', {
    message: `Secret ${at.namespace}/${at.name} does not hold a digest key`,
    remedy: 'Delete it: a new one is made, at the cost of one read for each managed Secret.',
    retry: 'on-change',
  })
}

async function createKey(rest: KubeRest, at: KeyLocation, signal: AbortSignal): Promise<void> {
  const body = {
    apiVersion: apiVersionOf(SECRETS),
    kind: SECRETS.kind,
    metadata: { ...at, labels: { 'app.kubernetes.io/part-of': 'keyferry' } },
    immutable: true,
    data: { [MEMBER]: randomBytes(KEY_BYTES).toString('base64') },
  }
  const path = collectionPath(SECRETS, at.namespace)
  await rest.send(
    { method: 'POST', path, query: WRITE_QUERY, metadataOnly: 'object', body },
    signal,
  )
}
