/**
 * What a tool sees of the world: caches filled once with what the operator would hold, and reads. A
 * tool never writes.
 */
import { randomBytes } from 'node:crypto'
import type { ConnectClient } from '../../connect/client.ts'
import { KeyferryError } from '../../errors.ts'
import { type Clock, systemClock } from '../../kube/clock.ts'
import { collectionPath, objectPath, type Resource, type Tracked } from '../../kube/resource.ts'
import type { KubeRest } from '../../kube/rest.ts'
import { isForbidden, isNotFound } from '../../kube/status.ts'
import type { Store } from '../../kube/store.ts'
import { MANAGED } from '../../operator/annotations.ts'
import { createBindings } from '../../operator/intake/bindings.ts'
import { createCatalog } from '../../operator/intake/catalog.ts'
import { resourceClaims, workloadClaims } from '../../operator/intake/claims.ts'
import { createContentReader } from '../../operator/intake/content.ts'
import { createHistory, createOwnVersions } from '../../operator/intake/history.ts'
import { createIntake, type Intake } from '../../operator/intake/snapshot.ts'
import { createViews, type Views } from '../../operator/intake/views.ts'
import { ONE_PASSWORD_ITEM, parseClaim } from '../../operator/item.ts'
import { findDigestKey } from '../../operator/key.ts'
import { NAMESPACES, parseNamespace, parseSecretMeta, SECRETS } from '../../operator/objects.ts'
import { type DigestKey, digestKey } from '../../operator/plan/digest.ts'
import type { Policy } from '../../operator/plan/types.ts'
import {
  parseWorkload,
  WORKLOAD_RESOURCES,
  type WorkloadKind,
} from '../../operator/plan/workload.ts'
import type { VaultPolicy } from '../../operator/vault-policy.ts'
import type { Settings } from '../../settings/settings.ts'

/** What a world is made of. */
export interface WorldInput {
  readonly settings: Settings
  readonly client: ConnectClient
  readonly vaultPolicy: VaultPolicy
  /** Undefined: an empty cluster. */
  readonly rest: KubeRest | undefined
  readonly namespaces: Iterable<string>
}

/** See the head of this file. */
export interface World {
  readonly views: Views
  readonly rest: KubeRest
  readonly clock: Clock
  readonly policy: Policy
  /** Whether the operator's own key was read: without it a retained Secret is not known as ours. */
  readonly hasKey: boolean
  /** The operator's eyes, for resources and for annotated workloads. */
  readonly resources: Intake
  readonly workloads: Intake
}

const NEVER = new AbortController().signal

/**
 * Looks at the world.
 *
 * @throws KeyferryError when the API server refuses or fails a read
 */
export async function lookAtWorld(input: WorldInput): Promise<World> {
  const { settings, client, vaultPolicy } = input
  const rest = input.rest ?? emptyCluster()
  const views = createViews()
  for (const namespace of input.namespaces) await fill(views, rest, namespace)
  const key = await operatorKey(settings, rest)
  const { emptyValues, labelsNotCopied, restartOnRemap, staleAfterMs } = settings
  const policy: Policy = {
    emptyValues,
    labelsNotCopied,
    restartOnRemap,
    staleAfterMs,
    digestKey: key ?? digestKey(randomBytes(32)),
    instance: `${operatorNamespace(settings)}/${settings.instance}`,
  }
  // A command ends with its process.
  const end = new AbortController().signal
  const catalog = createCatalog({ client, clock: systemClock, policy: () => vaultPolicy, end })
  const eyes = (claims: ReturnType<typeof resourceClaims>): Intake =>
    confirming(
      createIntake({
        rest,
        views,
        claims,
        client,
        catalog,
        policy,
        reader: createContentReader(client, end),
        bindings: createBindings(),
        history: createHistory(systemClock),
        versions: createOwnVersions(),
        pollMs: settings.pollingIntervalMs,
      }),
    )
  return {
    views,
    rest,
    clock: systemClock,
    policy,
    hasKey: key !== undefined,
    resources: eyes(resourceClaims(views)),
    workloads: eyes(workloadClaims(views, () => true)),
  }
}

/** An item that is gone is deleted for once its absence is confirmed: so it is planned at once. */
function confirming(intake: Intake): Intake {
  return {
    ...intake,
    async look(seen, at, signal) {
      const found = await intake.look(seen, at, signal)
      const isAbsent = at === 'absence' && (found.absences ?? 0) > 0
      return isAbsent ? { ...found, absences: Number.MAX_SAFE_INTEGER } : found
    },
  }
}

/** Where deploy/ puts the operator. */
const USUAL_NAMESPACE = 'keyferry'

function operatorNamespace({ ownNamespace }: Settings): string {
  return ownNamespace ?? USUAL_NAMESPACE
}

async function operatorKey(settings: Settings, rest: KubeRest): Promise<DigestKey | undefined> {
  const name = `${settings.instance}-digest-key`
  try {
    return await findDigestKey(rest, { namespace: operatorNamespace(settings), name }, NEVER)
  } catch (error) {
    if (isForbidden(error)) return undefined
    throw error
  }
}

async function fill(views: Views, rest: KubeRest, namespace: string): Promise<void> {
  const list = <T extends Tracked>(store: Store<T>, kind: Kind<T>) =>
    listInto(store, kind, { rest, namespace })
  await list(views.claims, { resource: ONE_PASSWORD_ITEM, reduce: parseClaim })
  await list(views.secrets, {
    resource: SECRETS,
    reduce: parseSecretMeta,
    metadataOnly: true,
    labelSelector: `${MANAGED}=true`,
  })
  for (const kind of Object.keys(WORKLOAD_RESOURCES) as WorkloadKind[]) {
    const reduce = (raw: unknown) => parseWorkload(kind, raw)
    await list(views.workloads[kind], { resource: WORKLOAD_RESOURCES[kind], reduce })
  }
  try {
    const path = objectPath(NAMESPACES, { namespace: '', name: namespace })
    const raw = await rest.send({ method: 'GET', path, metadataOnly: 'object' }, NEVER)
    views.namespaces.observe(parseNamespace(raw))
  } catch (error) {
    // Without the right to read it, or without the namespace, its level says nothing.
    if (!isNotFound(error) && !isForbidden(error)) throw error
  }
}

interface Kind<T> {
  readonly resource: Resource
  readonly reduce: (raw: unknown) => T
  readonly metadataOnly?: boolean
  readonly labelSelector?: string
}

const PAGE = 500

async function listInto<T extends Tracked>(
  store: Store<T>,
  { resource, reduce, metadataOnly, labelSelector }: Kind<T>,
  { rest, namespace }: { readonly rest: KubeRest; readonly namespace: string },
): Promise<void> {
  const path = collectionPath(resource, namespace)
  let next: string | undefined
  do {
    const query = { limit: PAGE, labelSelector, continue: next }
    const shape = metadataOnly ? ({ metadataOnly: 'list' } as const) : {}
    const page = await rest.send({ method: 'GET', path, query, ...shape }, NEVER).catch(noSuchKind)
    const { items, metadata } = page as {
      readonly items: readonly unknown[]
      readonly metadata: { readonly continue?: string }
    }
    for (const item of items) store.observe(reduce(item))
    next = metadata.continue || undefined
  } while (next !== undefined)
}

/** A kind that the cluster does not have yet has no objects. */
function noSuchKind(error: unknown): unknown {
  if (isNotFound(error)) return { items: [], metadata: {} }
  throw error
}

/** A cluster in which nothing is. */
function emptyCluster(): KubeRest {
  const nothing = () =>
    Promise.reject(
      new KeyferryError('KUBE_STATUS', {
        message: 'there is no cluster',
        remedy: 'Name a kubeconfig to compare with a cluster.',
        retry: 'on-change',
        status: 404,
        reason: 'NotFound',
      }),
    )
  return {
    send: nothing,
    stream: nothing,
    serverTime: () => systemClock.wall(),
    close: () => Promise.resolve(),
  }
}
