import type { KubeRest } from '../../kube/rest.ts'
import { isConflict, isInvalid, isNotFound } from '../../kube/status.ts'
import { INCUMBENT_FINALIZER } from '../annotations.ts'
import { WRITE_QUERY } from './requests.ts'

/**
 * Takes the incumbent's finalizer off by a JSON patch that tests value and version: that finalizer of
 * that object and nothing else. No generation moves, nothing rolls.
 *
 * @returns the object afterwards; undefined when it has moved on
 */
export async function stripFinalizer(
  rest: KubeRest,
  path: string,
  at: { readonly index: number; readonly resourceVersion: string },
  signal: AbortSignal,
): Promise<unknown> {
  const member = `/metadata/finalizers/${at.index}`
  const body = [
    { op: 'test', path: member, value: INCUMBENT_FINALIZER },
    { op: 'remove', path: member },
    { op: 'replace', path: '/metadata/resourceVersion', value: at.resourceVersion },
  ]
  try {
    return await rest.send(
      { method: 'PATCH', patch: 'json', path, query: WRITE_QUERY, body },
      signal,
    )
  } catch (error) {
    if (isConflict(error) || isNotFound(error) || isInvalid(error)) return undefined
    throw error
  }
}
