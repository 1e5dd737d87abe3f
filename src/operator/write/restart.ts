import { objectPath } from '../../kube/resource.ts'
import type { KubeRest } from '../../kube/rest.ts'
import { parseLiveSecret, SECRETS } from '../objects.ts'
import { RESTART } from '../annotations.ts'
import { type Debt, formatDebt, parseDebt } from '../plan/debt.ts'
import { restartPatch } from '../plan/restarts.ts'
import type { LiveSecret, SecretMeta } from '../plan/types.ts'
import { parseWorkload, type Workload, WORKLOAD_RESOURCES } from '../plan/workload.ts'
import { WRITE_QUERY } from './requests.ts'
import { replaceSecret } from './secret.ts'

/**
 * Starts a rollout by one merge patch, on the version of the workload that was decided on.
 *
 * @throws KeyferryError KUBE_STATUS 409 when the workload has moved on
 */
export async function patchWorkload(
  rest: KubeRest,
  workload: Workload,
  owed: readonly { readonly secretName: string; readonly digest: string }[],
  signal: AbortSignal,
): Promise<Workload> {
  const answer = await rest.send(
    {
      method: 'PATCH',
      patch: 'merge',
      path: objectPath(WORKLOAD_RESOURCES[workload.kind], workload),
      query: WRITE_QUERY,
      body: restartPatch(workload, owed, rest.serverTime()),
    },
    signal,
  )
  return parseWorkload(workload.kind, answer)
}

/** What a change of a debt left behind. */
export interface DebtWritten {
  readonly meta: SecretMeta
  /** The Secret as it was read for the write: with the content that it still has. */
  readonly live: LiveSecret
}

/**
 * Changes the debt on a Secret, or takes it off, and leaves all else as it is.
 *
 * @param after undefined takes the debt off
 * @returns undefined when the Secret no longer carries this debt
 * @throws KeyferryError KUBE_STATUS 409 when the Secret has moved on since it was read, 404 when it
 *   is gone
 */
export async function writeDebt(
  rest: KubeRest,
  secret: SecretMeta,
  { before, after }: { readonly before: Debt; readonly after: Debt | undefined },
  signal: AbortSignal,
): Promise<DebtWritten | undefined> {
  const path = objectPath(SECRETS, secret)
  const live = parseLiveSecret(await rest.send({ method: 'GET', path }, signal))
  if (parseDebt(live.annotations[RESTART])?.digest !== before.digest) return undefined
  const { [RESTART]: _before, ...annotations } = live.annotations
  const manifest = {
    ...live,
    annotations: after ? { ...annotations, [RESTART]: formatDebt(after) } : annotations,
  }
  const meta = await replaceSecret(rest, manifest, live, signal)
  return { meta, live }
}
