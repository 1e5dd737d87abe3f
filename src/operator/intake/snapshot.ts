/**
 * From a key to a Snapshot: what the caches hold, and, as the plan stage asks for it, what a look
 * at Connect or the API server adds.
 */
import { parseItemPath } from '../../connect/item-path.ts'
import { isKeyferryError } from '../../errors.ts'
import { keyOf, objectPath, parseKey, type ObjectKey } from '../../kube/resource.ts'
import type { KubeRest } from '../../kube/rest.ts'
import { isNotFound } from '../../kube/status.ts'
import type { Claim } from '../item.ts'
import type { LiveSecret, OwnerReference, Policy, SecretMeta, Snapshot } from '../plan/types.ts'
import type { Bindings } from './bindings.ts'
import type { Catalog } from './catalog.ts'
import type { ContentReader } from './content.ts'
import type { History } from './history.ts'
import { isFresh } from './keys.ts'
import { parseLiveSecret, SECRETS } from '../objects.ts'
import { BY_SECRET, type Views } from './views.ts'

/** What the intake stage stands on. */
export interface IntakeDeps {
  readonly rest: KubeRest
  readonly views: Views
  readonly catalog: Catalog
  readonly reader: ContentReader
  readonly bindings: Bindings
  readonly history: History
  readonly policy: Policy
}

/** See the head of this file. */
export interface Intake {
  /** What the caches say; undefined when the claim is gone. */
  observe(key: string): Snapshot | undefined
  /**
   * The same with one look more. A failure of Connect becomes part of the Snapshot.
   *
   * @throws KeyferryError when the API server fails
   */
  look(seen: Snapshot, at: Look, signal: AbortSignal): Promise<Snapshot>
}

/** Where to look. */
export type Look = 'reference' | 'secret' | 'content'

/** The intake stage over its caches. */
export function createIntake(deps: IntakeDeps): Intake {
  const { rest, views, catalog, bindings, history, policy } = deps
  return {
    observe(key) {
      const claim = views.claims.get(parseKey(key))
      if (claim === undefined) {
        bindings.drop(key)
        history.drop(key)
        return undefined
      }
      const meta = views.secrets.get(secretKeyOf(claim))
      const verified = meta !== undefined && isVerified(claim, meta, history)
      return {
        claim,
        now: rest.serverTime(),
        policy,
        rival: rivalOf(claim, views, meta),
        reference: undefined,
        secret: { kind: 'cached', meta, verified },
        deadOwners: new Set(),
        content: { kind: 'unread' },
        failingMs: history.failingMs(key),
        outage: catalog.outage(),
        recentRepairs: history.recentRepairs(key),
      }
    },
    async look(seen, at, signal) {
      const found = await LOOKS[at](deps, seen, signal)
      return { ...seen, ...found, now: rest.serverTime(), outage: catalog.outage() }
    },
  }
}

type LookAt = (deps: IntakeDeps, seen: Snapshot, signal: AbortSignal) => Promise<Partial<Snapshot>>

const LOOKS: Readonly<Record<Look, LookAt>> = {
  async reference({ catalog, bindings, history }, { claim }, signal) {
    const path = parseItemPath(claim.spec.itemPath)
    const bound = claim.status.items?.find((item) => item.path === claim.spec.itemPath)
    const askedAt = history.askedAt(keyOf(claim), claim.generation)
    const question = { path, boundId: bound?.itemId, askedAt }
    const reference = await catalog.resolve(question, signal)
    bindings.note(keyOf(claim), path, reference)
    return { reference }
  },
  async secret(deps, { claim }, signal) {
    const secret = await readSecret(deps, secretKeyOf(claim), signal)
    const deadOwners = await deadAmong(deps, secret, claim, signal)
    return { secret: { kind: 'read', secret }, deadOwners }
  },
  async content({ reader, history }, { claim, reference }, signal) {
    if (reference?.kind !== 'found') return {}
    const key = keyOf(claim)
    if (!isFresh(claim)) {
      const { id, version } = reference.item
      const applied = claim.status.items?.find(({ itemId }) => itemId === id)
      const cause = applied?.version === version ? 'repair' : 'refresh'
      const ms = history.readWaitMs(key, cause)
      if (ms > 0) return { content: { kind: 'later', ms } }
      history.didRead(key, cause)
    }
    try {
      return { content: { kind: 'read', content: await reader.read(reference.item, signal) } }
    } catch (error) {
      if (isKeyferryError(error)) return { content: { kind: 'failed', error } }
      throw error
    }
  },
}

/** Whether this version of the Secret was written or compared by us. */
function isVerified({ status }: Claim, meta: SecretMeta, history: History): boolean {
  const { resourceVersion } = meta
  return (
    resourceVersion === status.secretResourceVersion ||
    history.isKnownVersion(keyOf(meta), resourceVersion)
  )
}

function secretKeyOf({ namespace, spec }: Claim): ObjectKey {
  return { namespace, name: spec.secretName }
}

async function readSecret(
  { rest, views }: IntakeDeps,
  key: ObjectKey,
  signal: AbortSignal,
): Promise<LiveSecret | undefined> {
  try {
    return parseLiveSecret(
      await rest.send({ method: 'GET', path: objectPath(SECRETS, key) }, signal),
    )
  } catch (error) {
    if (!isNotFound(error)) throw error
    const held = views.secrets.get(key)
    if (held) views.secrets.forget(key, held.uid)
    return undefined
  }
}

/**
 * Another claim to the same Secret that comes first: the one that the Secret names as owner, else
 * the oldest, else the first by name.
 */
function rivalOf(claim: Claim, views: Views, meta: SecretMeta | undefined): string | undefined {
  const all = views.claims.find(BY_SECRET, keyOf(secretKeyOf(claim)))
  if (all.length < 2) return undefined
  const owns = ({ uid }: Claim) =>
    meta?.ownerReferences.some((owner) => owner.uid === uid) ? 0 : 1
  const [first] = all
    .filter(({ deleting }) => !deleting)
    .toSorted(
      (a, b) =>
        owns(a) - owns(b) ||
        Date.parse(a.createdAt) - Date.parse(b.createdAt) ||
        (a.name < b.name ? -1 : 1),
    )
  return first && first.uid !== claim.uid ? first.name : undefined
}

/**
 * Owners of a Secret, other than the claim, that are gone: asked of the API server, because a cache
 * that lags would declare a new owner dead.
 */
async function deadAmong(
  { rest }: IntakeDeps,
  secret: LiveSecret | undefined,
  claim: Claim,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const dead = new Set<string>()
  for (const owner of secret?.ownerReferences ?? []) {
    if (owner.uid === claim.uid) continue
    const path = ownerPath(owner, claim.namespace)
    if (path === undefined) continue
    try {
      const found = await rest.send({ method: 'GET', path, metadataOnly: 'object' }, signal)
      const { metadata } = found as { metadata: { uid: string } }
      if (metadata.uid !== owner.uid) dead.add(owner.uid)
    } catch (error) {
      if (!isNotFound(error)) throw error
      dead.add(owner.uid)
    }
  }
  return dead
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
  return `/apis/${apiVersion}/namespaces/${encodeURIComponent(namespace)}/${plural}/${encodeURIComponent(name)}`
}
