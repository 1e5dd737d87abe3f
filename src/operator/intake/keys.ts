/**
 * From events to keys. An event says that a key is to be looked at, never what happened: the run
 * that follows reads the world as it is then.
 */
import { keyOf } from '../../kube/resource.ts'
import { RESTART } from '../annotations.ts'
import type { Claim } from '../item.ts'
import type { SecretMeta } from '../plan/types.ts'
import type { Workload } from '../plan/workload.ts'
import type { NamespaceView } from '../objects.ts'
import { BY_SECRET, type Views } from './views.ts'

/** How urgent a key is. */
export const PRIORITY = {
  /** The resource's present generation was never applied. */
  fresh: 0,
  /** The Secret is not what it should be. */
  repair: 1,
  /** The item has changed. */
  refresh: 2,
  /** Only statuses and annotations are behind. */
  housekeeping: 3,
} as const

/** A level of urgency. */
export type Priority = (typeof PRIORITY)[keyof typeof PRIORITY]

/** Where keys go. */
export interface KeySinks {
  /** `namespace/name` of a claim. */
  readonly claim: (key: string, priority: Priority) => void
  /** `namespace/name` of a Secret that owes restarts. */
  readonly debt: (key: string) => void
  /** Whether a version of a Secret is an own write that left the content as it was. */
  readonly isOwnVersion: (secretKey: string, version: string) => boolean
}

/** Feeds the sinks from the changes of the views, from now on. */
export function subscribe(views: Views, sinks: KeySinks): void {
  views.claims.subscribe((before, after) => {
    for (const [key, priority] of keysOfClaim(views, before, after)) sinks.claim(key, priority)
  })
  views.secrets.subscribe((before, after) => {
    const key = keyOf((after ?? before) as SecretMeta)
    if (after && RESTART in after.annotations) sinks.debt(key)
    // The run that wrote this version goes on to tell its status: nothing is left to look at.
    if (after && sinks.isOwnVersion(key, after.resourceVersion)) return
    for (const claim of views.claims.find(BY_SECRET, key)) {
      if (isUnseen(claim, after)) sinks.claim(keyOf(claim), PRIORITY.repair)
    }
  })
  const workloadChanged = (before: Workload | undefined, after: Workload | undefined) => {
    const { namespace, uses } = (after ?? before) as Workload
    for (const name of uses) owing(views, namespace, name, sinks)
  }
  for (const store of Object.values(views.workloads)) store.subscribe(workloadChanged)
  views.namespaces.subscribe((before, after) => {
    if (before?.autoRestart === after?.autoRestart) return
    for (const { namespace, name } of views.secrets.values()) {
      if (namespace === ((after ?? before) as NamespaceView).name)
        owing(views, namespace, name, sinks)
    }
  })
}

function owing(views: Views, namespace: string, name: string, { debt }: KeySinks): void {
  const secret = views.secrets.get({ namespace, name })
  if (secret && RESTART in secret.annotations) debt(`${namespace}/${name}`)
}

/**
 * A claim that changed in what decisions rest on; never one whose status alone moved, which is our
 * own doing. With a claim, those of the same Secret are to be looked at too.
 */
function* keysOfClaim(
  views: Views,
  before: Claim | undefined,
  after: Claim | undefined,
): Generator<[string, Priority]> {
  if (before && after && !differs(before, after)) return
  const claim = (after ?? before) as Claim
  yield [keyOf(claim), after && isFresh(after) ? PRIORITY.fresh : PRIORITY.refresh]
  for (const { namespace, spec } of [before, after].filter((one) => one !== undefined)) {
    for (const other of views.claims.find(BY_SECRET, `${namespace}/${spec.secretName}`)) {
      if (other.uid !== claim.uid) yield [keyOf(other), PRIORITY.refresh]
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
    !sameTexts(a.labels, b.labels) ||
    !sameTexts(a.annotations, b.annotations) ||
    a.finalizers.join() !== b.finalizers.join()
  )
}

function sameTexts(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>) {
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name])
}

/** Whether the Secret is another than the status speaks of. */
function isUnseen({ status }: Claim, secret: SecretMeta | undefined): boolean {
  if (secret === undefined) return status.secretResourceVersion !== undefined
  return secret.resourceVersion !== status.secretResourceVersion
}
