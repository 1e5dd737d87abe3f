/**
 * The caches: one store per kind, filled by list-watches. Secrets are watched by our label and as
 * metadata only, so no value ever sits in a cache.
 */
import { type Clock, sleep } from '../../kube/clock.ts'
import {
  compareVersions,
  keyOf,
  objectPath,
  type Resource,
  type Tracked,
} from '../../kube/resource.ts'
import type { KubeRest } from '../../kube/rest.ts'
import { isForbidden, isNotFound } from '../../kube/status.ts'
import { createStore, type Store } from '../../kube/store.ts'
import { listWatch, type WatchEvent } from '../../kube/watch.ts'
import { MANAGED } from '../annotations.ts'
import { type Claim, ONE_PASSWORD_ITEM, parseClaim } from '../item.ts'
import type { Leftover, SecretMeta } from '../plan/types.ts'
import {
  parseWorkload,
  type Workload,
  WORKLOAD_RESOURCES,
  type WorkloadKind,
} from '../plan/workload.ts'
import {
  NAMESPACES,
  type NamespaceView,
  parseNamespace,
  parseSecretMeta,
  SECRETS,
} from '../objects.ts'
import type { Renewal } from './renewal.ts'

/** The operator's view of the cluster. */
export interface Views {
  /** Index `secret`: by `namespace/name` of the Secret asked for. */
  readonly claims: Store<Claim>
  readonly secrets: Store<SecretMeta>
  /** Index `secret`: by `namespace/name` of each Secret used. */
  readonly workloads: Readonly<Record<WorkloadKind, Store<Workload>>>
  readonly namespaces: Store<NamespaceView>
}

/** Index of claims and workloads by the Secret they ask for or use. */
export const BY_SECRET = 'secret'
/** Index of workloads by the Secret that they pull images with. */
export const BY_PULL = 'pull'
/** Index of workloads by the Secret that they ask for by annotation. */
const BY_ASK = 'ask'
/** Index of Secrets by the UIDs of their owners. */
const BY_OWNER = 'owner'

/** Empty views. */
export function createViews(): Views {
  const inNamespace = (namespace: string, names: readonly string[]) =>
    names.map((name) => keyOf({ namespace, name }))
  const workloads = () =>
    createStore<Workload>({
      [BY_SECRET]: ({ namespace, uses }) => inNamespace(namespace, uses),
      [BY_PULL]: ({ namespace, pulls }) => inNamespace(namespace, pulls),
      [BY_ASK]: ({ namespace, asks }) => inNamespace(namespace, asks ? [asks.secretName] : []),
    })
  return {
    claims: createStore<Claim>({
      [BY_SECRET]: ({ namespace, spec }) => inNamespace(namespace, [spec.secretName]),
    }),
    secrets: createStore<SecretMeta>({
      [BY_OWNER]: ({ ownerReferences }) => ownerReferences.map(({ uid }) => uid),
    }),
    workloads: {
      Deployment: workloads(),
      StatefulSet: workloads(),
      DaemonSet: workloads(),
      Rollout: workloads(),
    },
    namespaces: createStore<NamespaceView>(),
  }
}

/** Workloads of all kinds that use a Secret. */
export function usersOf({ workloads }: Views, secretKey: string): Workload[] {
  return Object.values(workloads).flatMap((store) => store.find(BY_SECRET, secretKey))
}

/** Workloads of all kinds that ask for a Secret by annotation. */
export function askersOf({ workloads }: Views, secretKey: string): Workload[] {
  return Object.values(workloads).flatMap((store) => store.find(BY_ASK, secretKey))
}

/** Secrets that a claim alone owns, under names that it no longer asks for. */
export function leftoversOf(views: Views, { uid, spec }: Claim): Leftover[] {
  if (uid === '') return []
  const owned = views.secrets.find(BY_OWNER, uid).filter((one) => one.name !== spec.secretName)
  return owned
    .filter(({ deleting, ownerReferences }) => {
      return !deleting && ownerReferences.every((owner) => owner.uid === uid)
    })
    .map((meta) => {
      const key = keyOf(meta)
      const stores = Object.values(views.workloads)
      const pulled = stores.some((store) => store.find(BY_PULL, key).length > 0)
      return { meta, inUse: pulled || usersOf(views, key).length > 0 }
    })
}

/** Version up to which the caches of all kinds of workloads have told what happened. */
export function workloadProgress({ workloads }: Views): string {
  const fed = Object.values(workloads).filter(({ isFed }) => isFed)
  return fed.map(({ progress }) => progress).toSorted(compareVersions)[0] ?? ''
}

/** Resolves once every cache holds a whole state. */
export async function synced({ claims, secrets, workloads, namespaces }: Views): Promise<void> {
  const fed = Object.values(workloads).filter(({ isFed }) => isFed)
  const stores = [claims, secrets, namespaces, ...fed]
  await Promise.all(stores.map((store) => store.synced))
}

/** What the watches need. */
export interface WatchDeps {
  readonly rest: KubeRest
  readonly clock: Clock
  readonly random: () => number
  /** Undefined: all namespaces. */
  readonly namespaces: readonly string[] | undefined
  /** Kinds of workloads that the cluster has. */
  readonly kinds: readonly WorkloadKind[]
  /** Which resources this installation serves; empty: all. */
  readonly selector: string
  /** Of the resources: what is written rests on their specs. */
  readonly renewal: Renewal
  readonly onFailure: (kind: string, error: unknown, waitMs: number) => void
}

/** Fills the views until `signal` aborts. */
export async function runWatches(
  views: Views,
  deps: WatchDeps,
  signal: AbortSignal,
): Promise<void> {
  const scopes = deps.namespaces ?? [undefined]
  const running: Promise<void>[] = []
  const watch = <T extends Tracked>(store: Store<T>, kind: WatchKind<T>) => {
    for (const namespace of scopes)
      running.push(watchOne(store, { ...kind, namespace }, deps, signal))
  }
  const selected = deps.selector === '' ? {} : { labelSelector: deps.selector }
  const { renewal } = deps
  watch(views.claims, { resource: ONE_PASSWORD_ITEM, reduce: parseClaim, renewal, ...selected })
  watch(views.secrets, {
    resource: SECRETS,
    reduce: parseSecretMeta,
    labelSelector: `${MANAGED}=true`,
    metadataOnly: true,
  })
  running.push(...deps.kinds.map((kind) => watchWorkloads(views, kind, deps, signal)))
  running.push(watchNamespaces(views.namespaces, deps, signal))
  await Promise.all(running)
}

/** Fills the view of one kind of workloads until `signal` aborts. */
export async function watchWorkloads(
  { workloads }: Views,
  kind: WorkloadKind,
  deps: WatchDeps,
  signal: AbortSignal,
): Promise<void> {
  const watched = {
    resource: WORKLOAD_RESOURCES[kind],
    reduce: (raw: unknown) => parseWorkload(kind, raw),
  }
  const scopes = deps.namespaces ?? [undefined]
  await Promise.all(
    scopes.map((namespace) => watchOne(workloads[kind], { ...watched, namespace }, deps, signal)),
  )
}

interface WatchKind<T> {
  readonly resource: Resource
  readonly reduce: (raw: unknown) => T
  readonly labelSelector?: string
  readonly metadataOnly?: boolean
  /** Undefined: all namespaces. */
  readonly namespace?: string | undefined
  /** By which the view can be made anew. */
  readonly renewal?: Renewal
}

function watchOne<T extends Tracked>(
  store: Store<T>,
  { namespace, renewal, ...kind }: WatchKind<T>,
  { rest, clock, random, onFailure }: WatchDeps,
  signal: AbortSignal,
): Promise<void> {
  const options = {
    ...kind,
    rest,
    clock,
    random,
    ...(namespace === undefined ? {} : { namespace }),
    onFailure: (error: unknown, ms: number) => onFailure(kind.resource.plural, error, ms),
  }
  const watching = (onEvent: (event: WatchEvent<T>) => void, end: AbortSignal) =>
    listWatch({ ...options, onEvent }, end)
  const onEvent = store.feed(namespace)
  return renewal ? renewal.run(watching, onEvent, signal) : watching(onEvent, signal)
}

/**
 * Milliseconds between two reads of a namespace that cannot be watched: less than the ten seconds
 * for which every debt stays open, so that none is closed by a level of before the change.
 */
const NAMESPACE_READ_MS = 8_000
/** Milliseconds after a read that failed. */
const NAMESPACE_RETRY_MS = 2_000

/**
 * All namespaces by a watch; with a list of namespaces each by its own GET, because a Role can
 * grant no more than that.
 */
async function watchNamespaces(
  store: Store<NamespaceView>,
  deps: WatchDeps,
  signal: AbortSignal,
): Promise<void> {
  const { rest, clock, namespaces, onFailure } = deps
  if (namespaces === undefined) {
    const kind = { resource: NAMESPACES, reduce: parseNamespace, metadataOnly: true }
    return watchOne(store, kind, deps, signal)
  }
  const take = store.feed()
  while (!signal.aborted) {
    let answered = true
    for (const name of namespaces) {
      try {
        const path = objectPath(NAMESPACES, { namespace: '', name })
        const raw = await rest.send({ method: 'GET', path, metadataOnly: 'object' }, signal)
        take({ kind: 'applied', object: parseNamespace(raw) })
      } catch (error) {
        if (signal.aborted) return
        // Without the right, or without the namespace, its level says nothing. Any other failure is
        // no answer: a debt that is looked at without the level would be closed unpaid.
        answered &&= isForbidden(error) || isNotFound(error)
        onFailure(NAMESPACES.plural, error, answered ? NAMESPACE_READ_MS : NAMESPACE_RETRY_MS)
      }
    }
    if (answered) take({ kind: 'bookmark', resourceVersion: '1' })
    await sleep(clock, answered ? NAMESPACE_READ_MS : NAMESPACE_RETRY_MS, signal)
  }
}
