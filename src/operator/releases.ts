/**
 * Takes the incumbent's finalizer off workloads, so that deleting them and their namespaces does not
 * wait for an operator that is gone.
 */
import { isKeyferryError } from '../errors.ts'
import type { Reconcile } from '../kube/controller.ts'
import { keyOf, objectPath } from '../kube/resource.ts'
import type { KubeRest } from '../kube/rest.ts'
import { parseRolloutKey, regarding } from './debts.ts'
import type { History } from './intake/history.ts'
import type { Views } from './intake/views.ts'
import { parseWorkload, type Workload, WORKLOAD_RESOURCES } from './plan/workload.ts'
import { REASONS } from './reasons.ts'
import type { EventWriter } from './write/event.ts'
import { stripFinalizer } from './write/finalizer.ts'

/** What releases stand on. */
export interface ReleaseDeps {
  readonly rest: KubeRest
  readonly views: Views
  /** Also that of the workloads' Secrets: where a finalizer returns, the Secret is left alone, too. */
  readonly history: History
  readonly events: EventWriter
  /** Whether this installation serves a workload. */
  readonly serves: (workload: Workload) => boolean
  /** Called when a finalizer could not be taken off yet. */
  readonly onFailure: (key: string, error: unknown) => void
}

/** Milliseconds after which it is seen whether the incumbent has stopped putting it back. */
const CONTESTED_MS = 60_000
/** A workload with the finalizer; its generation does not matter here. */
const SIGHT = { generation: 0, finalizer: true }

/** Works the queue of workloads with the finalizer. */
export function createReleaseReconcile(deps: ReleaseDeps): Reconcile {
  const { rest, views, history, events, serves, onFailure } = deps
  return async (key, signal) => {
    const { kind, namespace, name } = parseRolloutKey(key)
    const workload = views.workloads[kind].get({ namespace, name })
    if (!workload || workload.finalizerAt === -1 || !serves(workload)) return { kind: 'forget' }
    const met = `${kind} ${keyOf(workload)}`
    // While the incumbent runs it puts the finalizer back within milliseconds.
    if (!workload.deleting && history.incumbentAt(met, SIGHT)) {
      if (workload.asks) history.foundIncumbent(`${namespace}/${workload.asks.secretName}`)
      await tellOfIncumbent(events, workload, signal)
      return { kind: 'after', ms: CONTESTED_MS }
    }
    try {
      const path = objectPath(WORKLOAD_RESOURCES[kind], workload)
      const { resourceVersion, finalizerAt: index } = workload
      const after = await stripFinalizer(rest, path, { index, resourceVersion }, signal)
      if (after) {
        history.tookFinalizer(met)
        views.workloads[kind].observe(parseWorkload(kind, after))
      }
      // What moved on comes back by its event; what is refused is not asked for at once again.
      return after ? { kind: 'forget' } : { kind: 'backoff' }
    } catch (error) {
      if (!isKeyferryError(error) || signal.aborted) throw error
      onFailure(key, error)
      return { kind: 'backoff' }
    }
  }
}

/** Told once: the Event's name is the same each time, and that of the workload's Secret, too. */
function tellOfIncumbent(
  events: EventWriter,
  workload: Workload,
  signal: AbortSignal,
): Promise<void> {
  const { meaning, remedy } = REASONS.AnotherOperator
  const draft = { type: 'Warning', reason: 'AnotherOperator', action: 'Sync' } as const
  const about = { ...regarding(workload), occasion: '0' }
  return events.emit(about, { ...draft, note: `${meaning} ${remedy}` }, signal)
}
