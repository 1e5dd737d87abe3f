import { createHash } from 'node:crypto'
import { apiVersionOf, collectionPath, type Resource } from '../../kube/resource.ts'
import type { KubeRest } from '../../kube/rest.ts'
import { isAlreadyExists } from '../../kube/status.ts'
import type { EventDraft } from '../plan/types.ts'
import { FIELD_MANAGER, WRITE_QUERY } from './requests.ts'

const EVENTS: Resource = { group: 'events.k8s.io', version: 'v1', plural: 'events', kind: 'Event' }

/** What an Event is about. */
export interface Regarding {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** Distinguishes Events of one reason; the generation for resources, the digest for restarts. */
  readonly occasion: string
}

/** Tells Events; a failure to tell is no failure of the work. */
export interface EventWriter {
  emit(about: Regarding, draft: EventDraft, signal: AbortSignal): Promise<void>
}

/** @param instance name of this process, as `reportingInstance` */
export function createEventWriter(
  rest: KubeRest,
  instance: string,
  onFailure: (error: unknown) => void,
): EventWriter {
  return {
    async emit(about, draft, signal) {
      const body = eventOf(about, draft, { instance, now: rest.serverTime() })
      const path = collectionPath(EVENTS, about.namespace)
      try {
        await rest.send({ method: 'POST', path, query: WRITE_QUERY, body }, signal)
      } catch (error) {
        // The name says what the Event says: told before is told.
        if (!isAlreadyExists(error) && !signal.aborted) onFailure(error)
      }
    },
  }
}

/** Bytes of the longest note. Source: `events.k8s.io/v1 Event`. */
const MAX_NOTE = 1_024

/** Cut at a whole character. */
function cut(note: string): string {
  const bytes = Buffer.from(note).subarray(0, MAX_NOTE)
  return new TextDecoder().decode(bytes).replace(/\uFFFD$/, '')
}

function eventOf(
  { apiVersion, kind, namespace, name, uid, occasion }: Regarding,
  { type, reason, action, note }: EventDraft,
  { instance, now }: { readonly instance: string; readonly now: number },
): unknown {
  const hash = createHash('sha256').update([uid, reason, occasion].join('\0')).digest('hex')
  return {
    apiVersion: apiVersionOf(EVENTS),
    kind: EVENTS.kind,
    metadata: { namespace, name: `${name.slice(0, 230).replace(/[-.]+$/, '')}.${hash.slice(0, 16)}` },
    // MicroTime
    eventTime: new Date(now).toISOString().replace('Z', '000Z'),
    reportingController: `keyferry.dev/${FIELD_MANAGER}`,
    reportingInstance: instance.slice(0, 128),
    type,
    reason,
    action,
    note: cut(note),
    regarding: { apiVersion, kind, namespace, name, uid },
  }
}
