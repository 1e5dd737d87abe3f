/**
 * From events to keys. An event says that a key is to be looked at, never what happened: the run
 * that follows reads the world as it is then.
 */
import { compareVersions, keyOf, type Tracked } from '../../kube/resource.ts'
import type { Store } from '../../kube/store.ts'
import { RESTART } from '../annotations.ts'
import { type Claim, ONE_PASSWORD_ITEM, type Texts } from '../item.ts'
import type { NamespaceView } from '../objects.ts'
import { isOfWorkloads } from '../plan/ownership.ts'
import type { SecretMeta } from '../plan/types.ts'
import type { Workload } from '../plan/workload.ts'
import { askersOf, BY_SECRET, type Views } from './views.ts'

/** How urgent a key is. */
export const PRIORITY = {
  /** It is being deleted, and the incumbent's finalizer may keep a whole namespace waiting. */
  terminating: 0,
  /** The present generation was never applied. */
  fresh: 1,
  /** The Secret is not what it should be. */
  repair: 2,
  /** The item has changed. */
  refresh: 3,
  /** Only statuses and annotations are behind. */
  housekeeping: 4,
} as const

/** A level of urgency. */
export type Priority = (typeof PRIORITY)[keyof typeof PRIORITY]

/** Where keys go. */
export interface KeySinks {
  /** `namespace/name` of a resource. */
  readonly resource: (key: string, priority: Priority) => void
  /** `namespace/name` of a Secret that workloads ask for. */
  readonly workloads: (key: string, priority: Priority) => void
  /** `namespace/name` of a Secret that owes restarts. */
  readonly debt: (key: string) => void
  /** A workload with the incumbent's finalizer. */
  readonly release: (workload: Workload) => void
  /** Whether a version of a Secret is an own write, whose run goes on to tell its status. */
  readonly isOwnVersion: (secret: SecretMeta) => boolean
}

/**
 * Feeds the sinks with all that the views hold of the namespaces that `serves` names, then with its
 * changes. What one object means for others never leaves its namespace.
 *
 * @returns ends that
 */
export function subscribe(
  views: Views,
  serves: (namespace: string) => boolean,
  sinks: KeySinks,
): () => void {
  const follow = <T extends Tracked>(
    store: Store<T>,
    namespaceOf: (object: T) => string,
    changed: (views: Views, sinks: KeySinks, change: Change<T>) => void,
  ) =>
    store.subscribe((before, after) => {
      if (serves(namespaceOf((after ?? before) as T))) changed(views, sinks, { before, after })
    })
  const inOwn = ({ namespace }: Tracked) => namespace
  const ends = [
    follow(views.claims, inOwn, claimChanged),
    follow(views.secrets, inOwn, secretChanged),
    ...Object.values(views.workloads).map((store) => follow(store, inOwn, workloadChanged)),
    follow(views.namespaces, ({ name }) => name, namespaceChanged),
  ]
  return () => {
    for (const end of ends) end()
  }
}

interface Change<T> {
  readonly before: T | undefined
  readonly after: T | undefined
}

/**
 * A claim that changed in what decisions rest on; never one whose status alone moved, which is our
 * own doing. Those that ask for the same Secret are to be looked at too.
 */
function claimChanged(views: Views, sinks: KeySinks, { before, after }: Change<Claim>): void {
  if (before && after && !differs(before, after)) return
  const claim = (after ?? before) as Claim
  sinks.resource(keyOf(claim), urgencyOf(after))
  for (const { namespace, spec } of [before, after].filter((one) => one !== undefined)) {
    const secretKey = `${namespace}/${spec.secretName}`
    for (const other of views.claims.find(BY_SECRET, secretKey)) {
      if (other.uid !== claim.uid) sinks.resource(keyOf(other), PRIORITY.refresh)
    }
    if (askersOf(views, secretKey).length > 0) sinks.workloads(secretKey, PRIORITY.refresh)
  }
}

function urgencyOf(claim: Claim | undefined): Priority {
  if (claim?.deleting) return PRIORITY.terminating
  return claim && isFresh(claim) ? PRIORITY.fresh : PRIORITY.refresh
}

function secretChanged(views: Views, sinks: KeySinks, { before, after }: Change<SecretMeta>): void {
  const key = keyOf((after ?? before) as SecretMeta)
  if (after && RESTART in after.annotations) sinks.debt(key)
  // The run that wrote this version goes on to tell its status: nothing is left to look at.
  if (after && sinks.isOwnVersion(after)) return
  // A run under way may be telling the status of what was taken back.
  const wentBack = before !== undefined && after !== undefined && isOlder(after, before)
  for (const claim of views.claims.find(BY_SECRET, key)) {
    if (wentBack || isUnseen(claim, after)) sinks.resource(keyOf(claim), PRIORITY.repair)
  }
  // Also when nobody asks any more: an annotation may have been taken off while nobody looked.
  const ofWorkloads = askersOf(views, key).length > 0 || (after && isOfWorkloads(after))
  if (ofWorkloads) sinks.workloads(key, PRIORITY.repair)
}

function namespaceChanged(
  views: Views,
  sinks: KeySinks,
  { before, after }: Change<NamespaceView>,
): void {
  if (before?.autoRestart === after?.autoRestart) return
  const { name } = (after ?? before) as NamespaceView
  for (const secret of views.secrets.values()) {
    if (secret.namespace === name && RESTART in secret.annotations) sinks.debt(keyOf(secret))
  }
}

function workloadChanged(views: Views, sinks: KeySinks, { before, after }: Change<Workload>): void {
  const workload = (after ?? before) as Workload
  const { namespace } = workload
  for (const name of workload.uses) {
    const secret = views.secrets.get({ namespace, name })
    if (secret && RESTART in secret.annotations) sinks.debt(keyOf(secret))
  }
  if (after && after.finalizerAt !== -1) sinks.release(after)
  if (before?.asks?.secretName !== after?.asks?.secretName || asked(before) !== asked(after)) {
    for (const one of [before, after]) {
      if (one?.asks) sinks.workloads(`${namespace}/${one.asks.secretName}`, PRIORITY.fresh)
    }
  }
  // A Secret of a former name goes once nobody uses it.
  const used = (one: Workload | undefined) => [...(one?.uses ?? []), ...(one?.pulls ?? [])]
  for (const name of used(before)) {
    if (!used(after).includes(name)) leftoverFreed(views, sinks, { namespace, name })
  }
}

/** Everything about a workload's wish for a Secret. */
function asked(workload: Workload | undefined): string {
  const { asks, deleting, labels } = workload ?? {}
  return JSON.stringify([asks, deleting, asks && labels])
}

function leftoverFreed(
  views: Views,
  sinks: KeySinks,
  key: { readonly namespace: string; readonly name: string },
): void {
  for (const { kind, name } of views.secrets.get(key)?.ownerReferences ?? []) {
    if (kind !== ONE_PASSWORD_ITEM.kind) continue
    const claim = views.claims.get({ namespace: key.namespace, name })
    if (claim && claim.spec.secretName !== key.name) {
      sinks.resource(keyOf(claim), PRIORITY.housekeeping)
    }
  }
}

/** Whether the claim's present generation was never applied. */
export function isFresh({ status, generation }: Claim): boolean {
  return status.appliedGeneration !== generation
}

function differs(a: Claim, b: Claim): boolean {
  return (
    a.uid !== b.uid ||
    a.generation !== b.generation ||
    a.deleting !== b.deleting ||
    isOlder(b, a) ||
    !sameTexts(a.labels, b.labels) ||
    !sameTexts(a.annotations, b.annotations) ||
    a.finalizers.join() !== b.finalizers.join()
  )
}

/** It went back: the cluster was restored from a backup. */
function isOlder(after: Tracked, before: Tracked): boolean {
  return compareVersions(after.resourceVersion, before.resourceVersion) < 0
}

function sameTexts(a: Texts, b: Texts): boolean {
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name])
}

/**
 * Whether the Secret is another than the status speaks of. Once it is gone everybody who asks for
 * it is to look: it may have been somebody else's.
 */
function isUnseen({ status }: Claim, secret: SecretMeta | undefined): boolean {
  return secret === undefined || secret.resourceVersion !== status.secretResourceVersion
}
