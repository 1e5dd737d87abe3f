import type { KubeObject } from '../support/cluster.ts'
import { kubectl } from '../support/helm.ts'

/** Applies the accounts and rights of the chart's Jobs, which the tests run as processes. */
export async function applyHookRights(
  kubeconfig: string,
  objects: readonly KubeObject[],
): Promise<void> {
  const isRight = ({ kind, metadata }: KubeObject) =>
    kind !== 'Job' && metadata.annotations?.['helm.sh/hook']?.includes('pre-install') === true
  await kubectl(kubeconfig, ['apply'], objects.filter(isRight))
}
