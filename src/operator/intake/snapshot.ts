/**
 * From a key to a Snapshot: what the caches hold, and, as the plan stage asks for it, what a look
 * at Connect or the API server adds.
 */
import type { ConnectClient } from '../../connect/client.ts'
import type { ItemHead } from '../../connect/model.ts'
import { isKeyferryError } from '../../errors.ts'
import { keyOf, objectPath, type ObjectKey } from '../../kube/resource.ts'
import type { KubeRest } from '../../kube/rest.ts'
import { isNotFound } from '../../kube/status.ts'
import { INCUMBENT_FINALIZER, MANAGED } from '../annotations.ts'
import { type AppliedItem, type Claim, conditionOf, openRefresh } from '../item.ts'
import { parseLiveSecret, parseSecretMeta, SECRETS } from '../objects.ts'
import type { ItemContent } from '../plan/content.ts'
import { wholeItem } from '../plan/missing.ts'
import { filesOf, isFault, type Paths, pathsOf } from '../plan/render.ts'
import type {
  ContentSight,
  LiveSecret,
  Look,
  Policy,
  Resolution,
  SecretMeta,
  Snapshot,
} from '../plan/types.ts'
import type { Bindings } from './bindings.ts'
import type { Catalog } from './catalog.ts'
import type { ClaimSource } from './claims.ts'
import type { ContentReader, FilesWanted } from './content.ts'
import type { History, IncumbentSight, OwnVersions } from './history.ts'
import { isFresh } from './keys.ts'
import { deadAmong, isInstanceAlive } from './owners.ts'
import { leftoversOf, type Views } from './views.ts'

/** What the intake stage stands on. */
export interface IntakeDeps {
  readonly rest: KubeRest
  readonly views: Views
  readonly claims: ClaimSource
  readonly client: ConnectClient
  readonly catalog: Catalog
  readonly reader: ContentReader
  readonly bindings: Bindings
  readonly history: History
  readonly versions: OwnVersions
  readonly policy: Policy
  /** Milliseconds between two looks that count as a poll apart. */
  readonly pollMs: number
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

/** The intake stage over its caches. */
export function createIntake(deps: IntakeDeps): Intake {
  const { rest, views, claims, catalog, bindings, history, versions, policy } = deps
  return {
    observe(key) {
      const claim = claims.get(key)
      if (claim === undefined) {
        bindings.drop(key)
        history.drop(key)
        return undefined
      }
      const meta = views.secrets.get(secretKeyOf(claim))
      const verified = meta !== undefined && isVerified(claim, meta, versions)
      return {
        claim,
        now: rest.serverTime(),
        policy,
        rival: claims.rivalOf(claim, meta),
        references: undefined,
        secret: { kind: 'cached', meta, verified },
        deadOwners: new Set(),
        otherInstance: undefined,
        content: { kind: 'unread' },
        leftovers: leftoversOf(views, claim),
        absences: undefined,
        anotherOperator: history.incumbentAt(key, sightOf(claim)),
        failingMs: history.failingMs(key),
        outage: catalog.outage(vaultsOf(claim)),
        recentRepairs: history.recentRepairs(key),
      }
    },
    async look(seen, at, signal) {
      const found = await LOOKS[at](deps, seen, signal)
      const outage = catalog.outage(vaultsOf(seen.claim))
      return { ...seen, ...found, now: rest.serverTime(), outage }
    },
  }
}

/** Vaults whose content the claim holds. */
function vaultsOf({ status }: Claim): string[] {
  return (status.items ?? []).map(({ vaultId }) => vaultId)
}

type LookAt = (deps: IntakeDeps, seen: Snapshot, signal: AbortSignal) => Promise<Partial<Snapshot>>

const LOOKS: Readonly<Record<Look, LookAt>> = {
  async references(deps, { claim }, signal) {
    const paths = pathsOf(claim)
    if (isFault(paths)) return { references: new Map() }
    const references = await resolveAll(deps, claim, paths, signal)
    deps.bindings.note(keyOf(claim), paths, references)
    // What came back and vanishes again later is to be confirmed anew.
    const applied = references.get(wholeItem(claim)?.path ?? '')
    if (applied?.kind === 'found') deps.history.sawPresence(keyOf(claim))
    return { references }
  },
  async secret(deps, { claim }, signal) {
    const { rest, history, versions, claims } = deps
    const key = keyOf(claim)
    const secret = await readSecret(deps, secretKeyOf(claim), signal)
    if (secret && !versions.isKnown(secret)) history.sawSecret(key, secret, appliedVersion(claim))
    const deadOwners = await deadAmong(rest, secret, claim, signal)
    const verified = secret !== undefined && isVerified(claim, secret, versions)
    const anotherOperator = history.incumbentAt(key, sightOf(claim))
    const rival = claims.rivalOf(claim, secret)
    return { secret: { kind: 'read', secret, verified }, rival, deadOwners, anotherOperator }
  },
  async instance({ rest }, { secret }, signal) {
    const live = secret.kind === 'read' ? secret.secret : undefined
    const alive = live !== undefined && (await isInstanceAlive(rest, live, signal))
    return { otherInstance: alive ? 'alive' : 'gone' }
  },
  async content(deps, seen, signal) {
    return { content: await readContent(deps, seen, signal) }
  },
  async absence(deps, { claim, references }, signal) {
    const { client, history, pollMs } = deps
    const key = keyOf(claim)
    const applied = wholeItem(claim)
    const reference = applied && references?.get(applied.path)
    // The status is a hint that others may write: nothing is asked of a vault that was not judged.
    if (reference?.kind !== 'no-item' || reference.vaultId !== applied?.vaultId) {
      return { absences: 0 }
    }
    const { vaultId, itemId } = applied
    try {
      await client.item({ vaultId, itemId }, { signal })
    } catch (error) {
      if (!isKeyferryError(error)) throw error
      // Anything but a clear "not found" says nothing.
      if (error.code !== 'CONNECT_NOT_FOUND') return { absences: 0 }
      const isAbsent = await isAbsentSince(deps, claim, applied, signal)
      return { absences: isAbsent ? history.sawAbsence(key, itemId, pollMs) : 0 }
    }
    history.sawPresence(key)
    return { absences: 0 }
  },
}

/** Whether a list that was made since the absence was seen last lacks the item, too. */
async function isAbsentSince(
  { catalog, history }: IntakeDeps,
  claim: Claim,
  { path: name, itemId }: AppliedItem,
  signal: AbortSignal,
): Promise<boolean> {
  const askedAt = history.absentAt(keyOf(claim), itemId)
  const paths = pathsOf(claim)
  const path = isFault(paths) ? undefined : paths.get(name)
  if (askedAt === undefined || path === undefined) return true
  const question = { namespace: claim.namespace, path, boundId: itemId, askedAt, fresh: true }
  const { kind } = await catalog.resolve(question, signal)
  return kind === 'no-item'
}

async function resolveAll(
  { catalog, history }: IntakeDeps,
  claim: Claim,
  paths: Paths,
  signal: AbortSignal,
): Promise<Map<string, Resolution>> {
  const { namespace, generation, status } = claim
  // A request to refresh is a question of its own: an old list is no answer to it.
  const wish = openRefresh(claim)
  const fresh = wish !== undefined
  const askedAt = history.askedAt(keyOf(claim), `${generation} ${wish ?? ''}`)
  const references = new Map<string, Resolution>()
  for (const [name, path] of paths) {
    const boundId = status.items?.find((item) => item.path === name)?.itemId
    const question = { namespace, path, boundId, askedAt, fresh }
    references.set(name, await catalog.resolve(question, signal))
  }
  return references
}

async function readContent(
  { reader, history }: IntakeDeps,
  { claim, references }: Snapshot,
  signal: AbortSignal,
): Promise<ContentSight> {
  const key = keyOf(claim)
  const found = [...(references ?? [])].flatMap(([path, one]) =>
    one.kind === 'found' ? [{ path, item: one.item }] : [],
  )
  if (!isFresh(claim)) {
    const applied = claim.status.items ?? []
    const moved = found.some(
      ({ item }) => !applied.some((one) => one.itemId === item.id && one.version === item.version),
    )
    const cause = moved ? 'refresh' : 'repair'
    const ms = history.readWaitMs(key, cause)
    if (ms > 0) return { kind: 'later', ms }
    history.didRead(key, cause)
  }
  try {
    const byId = new Map<string, ItemContent>()
    for (const [id, { item, files }] of wantedItems(claim, found)) {
      byId.set(id, await reader.read(item, files, signal))
    }
    const items = found.map(({ path, item }) => [path, byId.get(item.id) as ItemContent] as const)
    return { kind: 'read', items: new Map(items) }
  } catch (error) {
    if (isKeyferryError(error)) return { kind: 'failed', error }
    throw error
  }
}

/** The items to be read with the files needed: one that several paths mean is read once. */
function wantedItems(claim: Claim, found: readonly { path: string; item: ItemHead }[]) {
  const wanted = new Map<string, { item: ItemHead; files: FilesWanted }>()
  for (const { path, item } of found) {
    const files = filesOf(claim, path)
    const held = wanted.get(item.id)?.files ?? files
    const all = held === 'all' || files === 'all'
    wanted.set(item.id, { item, files: all ? 'all' : held.union(files) })
  }
  return wanted
}

/** Whether this version of the Secret was written or compared by us. */
function isVerified({ status }: Claim, meta: SecretMeta, versions: OwnVersions): boolean {
  return meta.resourceVersion === status.secretResourceVersion || versions.isKnown(meta)
}

/**
 * The version of its item on the Secret, as the status has it; a frozen item's may be another. Of a
 * Secret that the claim has come to ask for since, it says nothing.
 */
function appliedVersion({ spec, status }: Claim): string | undefined {
  const frozen = conditionOf(status, 'Ready')?.reason === 'Frozen'
  const version = status.items?.[0]?.version
  const isOfIt = status.secretName === spec.secretName
  return frozen || version === undefined || !isOfIt ? undefined : String(version)
}

/** What of a claim tells of the incumbent. */
function sightOf({ generation, finalizers }: Claim): IncumbentSight {
  return { generation, finalizer: finalizers.includes(INCUMBENT_FINALIZER) }
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
    const raw = await rest.send({ method: 'GET', path: objectPath(SECRETS, key) }, signal)
    const secret = parseLiveSecret(raw)
    // Of a write whose answer was lost, a watch that lags knows nothing yet: were the Secret deleted
    // before it does, nobody would hear of that.
    if (secret.labels[MANAGED] === 'true') views.secrets.observe(parseSecretMeta(raw))
    return secret
  } catch (error) {
    if (!isNotFound(error)) throw error
    const held = views.secrets.get(key)
    if (held) views.secrets.forget(key, held.uid)
    return undefined
  }
}
