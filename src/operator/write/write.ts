/**
 * Carries out a Plan, step by step in its order: finalizer, Secret, status, former Secrets, Events.
 * Chooses nothing.
 */
import { isKeyferryError, type KeyferryError } from '../../errors.ts'
import { type ObjectKey, objectPath } from '../../kube/resource.ts'
import type { KubeRest } from '../../kube/rest.ts'
import {
  isAlreadyExists,
  isConflict,
  isInvalid,
  isNamespaceTerminating,
  isNotFound,
} from '../../kube/status.ts'
import { type Claim, type ItemStatus, ONE_PASSWORD_ITEM, parseClaim } from '../item.ts'
import type { Plan, SecretMeta, SecretWrite } from '../plan/types.ts'
import type { EventWriter } from './event.ts'
import { stripFinalizer } from './finalizer.ts'
import { createSecret, deleteSecret, type Pauses, recreateSecret, replaceSecret } from './secret.ts'
import { writeStatus } from './status.ts'

/** How carrying out a plan ended. */
export type WriteResult =
  | { readonly kind: 'done' }
  /** The Secret is not what the plan was made for: look at it and decide again. */
  | { readonly kind: 'stale-secret' }
  /** The claim is not what the plan was made for: its own event brings it back. */
  | { readonly kind: 'stale-claim' }
  /** The same, found out before anything was written: what is known of the claim is of the past. */
  | { readonly kind: 'outdated' }
  /** The API server takes no such Secret. */
  | { readonly kind: 'refused'; readonly error: KeyferryError }
  /** The namespace is going away: nothing is left to do. */
  | { readonly kind: 'gone' }

/** The caches that an own write is told to. */
export interface WriteSinks {
  readonly claim: (claim: Claim) => void
  readonly secret: (secret: SecretMeta) => void
  readonly secretGone: (key: ObjectKey, uid: string) => void
  /** Keeps the status of a claim that has no status subresource. */
  readonly remember: (claim: Claim, status: ItemStatus) => Claim
}

/** The write stage. */
export interface Writer {
  carryOut(claim: Claim, plan: Plan, signal: AbortSignal): Promise<WriteResult>
  /** Writes a status alone; undefined when the claim has moved on. */
  tellStatus(claim: Claim, status: ItemStatus, signal: AbortSignal): Promise<Claim | undefined>
}

/** What the write stage stands on. */
export interface WriterDeps extends Pauses {
  readonly rest: KubeRest
  readonly events: EventWriter
  readonly sinks: WriteSinks
}

/** The write stage over an API server. */
export function createWriter(deps: WriterDeps): Writer {
  const { rest, events, sinks } = deps
  /** Whose status was written without an answer, as they were before; a watch has told nothing since. */
  const unanswered = new WeakSet<Claim>()
  async function tellStatus(claim: Claim, status: ItemStatus, signal: AbortSignal) {
    if (claim.origin === 'workloads') return sinks.remember(claim, status)
    try {
      const after = await writeStatus(rest, claim, status, signal)
      sinks.claim(after)
      return after
    } catch (error) {
      if (isConflict(error) || isNotFound(error)) return undefined
      unanswered.add(claim)
      throw error
    }
  }

  async function tellEvents(claim: Claim, { events: drafts }: Plan, signal: AbortSignal) {
    const [about] = claim.owners
    if (about === undefined) return
    const occasion = String(claim.generation)
    for (const draft of drafts) {
      await events.emit({ ...about, namespace: claim.namespace, occasion }, draft, signal)
    }
  }

  return {
    tellStatus,
    async carryOut(claim, plan, signal) {
      if (plan.stripFinalizerAt !== undefined) {
        const path = objectPath(ONE_PASSWORD_ITEM, claim)
        const at = { index: plan.stripFinalizerAt, resourceVersion: claim.resourceVersion }
        const after = await stripFinalizer(rest, path, at, signal)
        if (after) sinks.claim(parseClaim(after))
        return { kind: after ? 'done' : 'stale-claim' }
      }
      // Its status may be another by now: writing it once more finds that out.
      let status = plan.status ?? (unanswered.has(claim) ? claim.status : undefined)
      const unsure = plan.secret ? !isSure(claim, plan.secret) : !status && plan.remove?.length
      if (unsure && !(await isCurrent(rest, claim, signal))) return { kind: 'outdated' }
      if (plan.secret) {
        const written = await trySecret(deps, plan.secret, signal)
        if ('kind' in written) return written
        const { version } = written
        if (version) status = status && { ...status, secretResourceVersion: version }
      }
      if (status && !(await tellStatus(claim, status, signal))) return { kind: 'stale-claim' }
      for (const former of plan.remove ?? []) {
        if (await deleteSecret(rest, former, signal)) sinks.secretGone(former, former.uid)
      }
      await tellEvents(claim, plan, signal)
      return { kind: 'done' }
    },
  }
}

/**
 * Whether the write names a state that cannot be newer than what the claim is known to be: the very
 * version of the Secret that its status speaks of. A claim that was never applied has nothing to lose.
 */
function isSure({ status }: Claim, write: SecretWrite): boolean {
  if (write.kind === 'create') return status.appliedGeneration === undefined
  return write.from.resourceVersion === status.secretResourceVersion
}

/**
 * Whether the claim is still what it is known to be. A watch that lags, on an API server that does,
 * shows a claim of the past to a process that has just begun to work; the Secret that it would put
 * back may be that of a newer claim.
 */
async function isCurrent(rest: KubeRest, claim: Claim, signal: AbortSignal): Promise<boolean> {
  if (claim.origin === 'workloads') return true
  const path = objectPath(ONE_PASSWORD_ITEM, claim)
  try {
    const answer = await rest.send({ method: 'GET', path, metadataOnly: 'object' }, signal)
    const { metadata } = answer as { metadata: { uid: string; resourceVersion: string } }
    return metadata.uid === claim.uid && metadata.resourceVersion === claim.resourceVersion
  } catch (error) {
    if (isNotFound(error)) return false
    throw error
  }
}

/** The version that was written; none after a deletion. */
interface Written {
  readonly version?: string
}

async function trySecret(
  deps: WriterDeps,
  write: SecretWrite,
  signal: AbortSignal,
): Promise<Written | WriteResult> {
  try {
    const meta = await carryOutSecret(deps, write, signal)
    if (meta === 'moved on') return { kind: 'stale-secret' }
    if (meta === 'deleted') return {}
    deps.sinks.secret(meta)
    return { version: meta.resourceVersion }
  } catch (error) {
    if (isAlreadyExists(error) || isConflict(error)) return { kind: 'stale-secret' }
    if (isNamespaceTerminating(error)) return { kind: 'gone' }
    // A 404 to a POST is a namespace that is gone; to a PUT, a Secret that is.
    if (isNotFound(error)) return { kind: write.kind === 'replace' ? 'stale-secret' : 'gone' }
    if (isInvalid(error) && isKeyferryError(error)) return { kind: 'refused', error }
    throw error
  }
}

async function carryOutSecret(
  deps: WriterDeps,
  write: SecretWrite,
  signal: AbortSignal,
): Promise<SecretMeta | 'moved on' | 'deleted'> {
  const { rest, sinks } = deps
  switch (write.kind) {
    case 'create':
      return createSecret(rest, write.manifest, signal)
    case 'replace':
      return replaceSecret(rest, write.manifest, write.from, signal)
    case 'recreate': {
      const meta = await recreateSecret(deps, write.manifest, write.from, signal)
      return meta ?? 'moved on'
    }
    case 'delete': {
      const deleted = await deleteSecret(rest, write.from, signal)
      if (deleted) sinks.secretGone(write.from, write.from.uid)
      return deleted ? 'deleted' : 'moved on'
    }
  }
}
