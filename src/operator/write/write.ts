/**
 * Carries out a Plan, step by step in its order: finalizer, Secret, status, Events. Chooses nothing.
 */
import { isKeyferryError, type KeyferryError } from '../../errors.ts'
import { objectPath } from '../../kube/resource.ts'
import type { KubeRest } from '../../kube/rest.ts'
import {
  isAlreadyExists,
  isConflict,
  isInvalid,
  isNamespaceTerminating,
  isNotFound,
} from '../../kube/status.ts'
import { INCUMBENT_FINALIZER } from '../annotations.ts'
import { parseClaim, type Claim, type ItemStatus, ONE_PASSWORD_ITEM } from '../item.ts'
import type { Plan, SecretMeta, SecretWrite } from '../plan/types.ts'
import type { EventWriter } from './event.ts'
import { WRITE_QUERY } from './requests.ts'
import { writeSecret } from './secret.ts'
import { writeStatus } from './status.ts'

/** How carrying out a plan ended. */
export type WriteResult =
  | { readonly kind: 'done' }
  /** The Secret is not what the plan was made for: look at it and decide again. */
  | { readonly kind: 'stale-secret' }
  /** The claim is not what the plan was made for: its own event brings it back. */
  | { readonly kind: 'stale-claim' }
  /** The API server takes no such Secret. */
  | { readonly kind: 'refused'; readonly error: KeyferryError }
  /** The namespace is going away: nothing is left to do. */
  | { readonly kind: 'gone' }

/** The caches that an own write is told to. */
export interface WriteSinks {
  readonly claim: (claim: Claim) => void
  readonly secret: (secret: SecretMeta) => void
}

/** The write stage. */
export interface Writer {
  carryOut(claim: Claim, plan: Plan, signal: AbortSignal): Promise<WriteResult>
  /** Writes a status alone; false when the claim has moved on. */
  tellStatus(claim: Claim, status: ItemStatus, signal: AbortSignal): Promise<Claim | undefined>
}

/** The write stage over an API server. */
export function createWriter(rest: KubeRest, events: EventWriter, sinks: WriteSinks): Writer {
  async function tellStatus(claim: Claim, status: ItemStatus, signal: AbortSignal) {
    try {
      const after = await writeStatus(rest, claim, status, signal)
      sinks.claim(after)
      return after
    } catch (error) {
      if (isConflict(error) || isNotFound(error)) return undefined
      throw error
    }
  }

  return {
    tellStatus,
    async carryOut(claim, plan, signal) {
      if (plan.stripFinalizerAt !== undefined) {
        const after = await stripFinalizer(rest, claim, plan.stripFinalizerAt, signal)
        if (after) sinks.claim(after)
        return { kind: after ? 'done' : 'stale-claim' }
      }
      let { status } = plan
      if (plan.secret) {
        const written = await trySecret(rest, plan.secret, signal)
        if ('kind' in written) return written
        sinks.secret(written)
        status = status && { ...status, secretResourceVersion: written.resourceVersion }
      }
      if (status && !(await tellStatus(claim, status, signal))) return { kind: 'stale-claim' }
      const about = { ...claim, resource: ONE_PASSWORD_ITEM, occasion: String(claim.generation) }
      for (const draft of plan.events) await events.emit(about, draft, signal)
      return { kind: 'done' }
    },
  }
}

async function trySecret(
  rest: KubeRest,
  write: SecretWrite,
  signal: AbortSignal,
): Promise<SecretMeta | WriteResult> {
  try {
    return await writeSecret(rest, write, signal)
  } catch (error) {
    if (isAlreadyExists(error) || isConflict(error)) return { kind: 'stale-secret' }
    if (isNamespaceTerminating(error)) return { kind: 'gone' }
    // A 404 to a POST is a namespace that is gone; to a PUT, a Secret that is.
    if (isNotFound(error)) return { kind: write.kind === 'create' ? 'gone' : 'stale-secret' }
    if (isInvalid(error) && isKeyferryError(error)) return { kind: 'refused', error }
    throw error
  }
}

/** By JSON patch with a test of value and version: takes off that finalizer of that object only. */
async function stripFinalizer(
  rest: KubeRest,
  claim: Claim,
  at: number,
  signal: AbortSignal,
): Promise<Claim | undefined> {
  const path = `/metadata/finalizers/${at}`
  try {
    const answer = await rest.send(
      {
        method: 'PATCH',
        patch: 'json',
        path: objectPath(ONE_PASSWORD_ITEM, claim),
        query: WRITE_QUERY,
        body: [
          { op: 'test', path, value: INCUMBENT_FINALIZER },
          { op: 'remove', path },
          { op: 'replace', path: '/metadata/resourceVersion', value: claim.resourceVersion },
        ],
      },
      signal,
    )
    return parseClaim(answer)
  } catch (error) {
    if (isConflict(error) || isNotFound(error) || isInvalid(error)) return undefined
    throw error
  }
}
