/**
 * Takes the incumbent's finalizer off workloads, so that deleting them and their namespaces does not
 * wait for an operator that is gone.
 */
import { isKeyferryError } from '../errors.ts'
import type { Reconcile } from '../kube/controller.ts'
import { keyOf, objectPath } from '../kube/resource.ts'
import type { KubeRest } from '../kube/rest.ts'
import { parseRolloutKey } from './debts.ts'
import type { History } from './intake/history.ts'
import type { Views } from './intake/views.ts'
import { parseWorkload, WORKLOAD_RESOURCES } from './plan/workload.ts'
import { stripFinalizer } from './write/finalizer.ts'

/** What releases stand on. */
export interface ReleaseDeps {
  readonly rest: KubeRest
  readonly views: Views
  readonly history: History
}

/** Milliseconds after which it is seen whether the incumbent has stopped putting it back. */
const CONTESTED_MS = 60_000

/** Works the queue of workloads with the finalizer. */
export function createReleaseReconcile({ rest, views, history }: ReleaseDeps): Reconcile {
  return async (key, signal) => {
    const { kind, namespace, name } = parseRolloutKey(key)
    const workload = views.workloads[kind].get({ namespace, name })
    if (!workload || workload.finalizerAt === -1) return { kind: 'forget' }
    const met = `${kind} ${keyOf(workload)}`
    // While the incumbent runs it puts the finalizer back within milliseconds.
    if (history.isContested(met)) return { kind: 'after', ms: CONTESTED_MS }
    try {
      const path = objectPath(WORKLOAD_RESOURCES[kind], workload)
      const { resourceVersion, finalizerAt: index } = workload
      const after = await stripFinalizer(rest, path, { index, resourceVersion }, signal)
      if (after) {
        history.metIncumbent(met)
        views.workloads[kind].observe(parseWorkload(kind, after))
      }
      return after ? { kind: 'forget' } : { kind: 'after', ms: 500 }
    } catch (error) {
      if (!isKeyferryError(error)) throw error
      return { kind: 'backoff' }
    }
  }
}
