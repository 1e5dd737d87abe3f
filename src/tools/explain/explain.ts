/**
 * `keyferry explain`: why a Secret is as it is, and what would happen next.
 */
import { keyOf, objectPath, type ObjectKey, parseKey } from '../../kube/resource.ts'
import { RESTART } from '../../operator/annotations.ts'
import { usersOf } from '../../operator/intake/views.ts'
import { type Claim, conditionOf } from '../../operator/item.ts'
import type { Snapshot } from '../../operator/plan/types.ts'
import { type Debt, parseDebt } from '../../operator/plan/debt.ts'
import { optInOf, type RestartPolicy, workloadName } from '../../operator/plan/restarts.ts'
import {
  templateAnnotation,
  type Workload,
  WORKLOAD_RESOURCES,
} from '../../operator/plan/workload.ts'
import { type Reason, REASONS } from '../../operator/reasons.ts'
import { planClaim, type PlannedSecret } from '../plan/plan.ts'
import type { World } from '../plan/world.ts'
import { originsOf } from './origins.ts'

/** What is known of a resource, its Secret and the workloads that use it. */
export interface Explanation {
  readonly namespace: string
  readonly name: string
  readonly origin: Claim['origin']
  readonly ready: { readonly status: string; readonly reason: string; readonly message: string }
  readonly remedy: string | undefined
  readonly secret: string
  readonly isThere: boolean
  /** When the content last changed. RFC 3339. */
  readonly changedAt: string | undefined
  readonly digest: string | undefined
  readonly items: Claim['status']['items']
  /** Where each key comes from. */
  readonly keys: Readonly<Record<string, string>>
  readonly debt: Debt | undefined
  readonly workloads: readonly ExplainedWorkload[]
  /** Undefined when Connect was not asked. */
  readonly next: PlannedSecret | undefined
}

/** A workload that uses the Secret. */
export interface ExplainedWorkload {
  readonly workload: string
  readonly restarts: 'true' | 'false' | 'notify'
  /** The content that it was restarted for last; undefined when it never was. */
  readonly digest: string | undefined
  readonly isCurrent: boolean
  /** When it was restarted for that. RFC 3339. */
  readonly restartedAt: string | undefined
}

const NEVER = new AbortController().signal

/**
 * Explains a resource, or the Secret that annotated workloads ask for.
 *
 * @param asksConnect whether the Connect server may be asked
 * @returns undefined when nobody asks for a Secret under that name
 * @throws KeyferryError when a read fails
 */
export async function explain(
  world: World,
  key: ObjectKey,
  options: { readonly policy: RestartPolicy; readonly asksConnect: boolean },
): Promise<Explanation | undefined> {
  const { policy, asksConnect } = options
  const name = keyOf(key)
  const intake = world.views.claims.get(key) ? world.resources : world.workloads
  let seen = intake.observe(name)
  if (seen === undefined || seen.claim.deleting) return undefined
  if (asksConnect) {
    seen = await intake.look(await intake.look(seen, 'references', NEVER), 'content', NEVER)
  }
  const next = asksConnect ? await planClaim(world, intake, name, policy) : undefined
  return { ...stateOf(world, seen), workloads: await workloadsOf(world, seen, policy), next }
}

function stateOf({ views }: World, seen: Snapshot): Omit<Explanation, 'workloads' | 'next'> {
  const { claim } = seen
  const { status } = claim
  const ready = conditionOf(status, 'Ready')
  const trouble = [conditionOf(status, 'Stale'), ready].find(
    (one) => one && one.reason !== 'Synced',
  )
  const secretKey = { namespace: claim.namespace, name: claim.spec.secretName }
  const meta = views.secrets.get(secretKey)
  return {
    namespace: claim.namespace,
    name: claim.name,
    origin: claim.origin,
    ready: {
      status: ready?.status ?? 'Unknown',
      reason: ready?.reason ?? '',
      message: ready?.message ?? '',
    },
    remedy: remedyOf(trouble?.reason),
    secret: secretKey.name,
    isThere: meta !== undefined,
    changedAt: status.lastSyncTime,
    digest: status.digest,
    items: status.items,
    keys: originsOf(seen),
    debt: parseDebt(meta?.annotations[RESTART]),
  }
}

function remedyOf(reason: string | undefined): string | undefined {
  const known = reason !== undefined && Object.hasOwn(REASONS, reason)
  return known ? REASONS[reason as Reason].remedy : undefined
}

async function workloadsOf(
  { views, rest }: World,
  { claim }: Snapshot,
  policy: RestartPolicy,
): Promise<ExplainedWorkload[]> {
  const { namespace, spec, status } = claim
  const key = `${namespace}/${spec.secretName}`
  const secret = views.secrets.get(parseKey(key))
  const namespaceLevel = views.namespaces.get({ namespace: '', name: namespace })?.autoRestart
  const found: ExplainedWorkload[] = []
  for (const user of usersOf(views, key)) {
    const annotation = templateAnnotation(spec.secretName)
    const digest = user.restartedFor[annotation]
    const restarts = secret ? optInOf({ secret, namespaceLevel, policy }, user) : policy.autoRestart
    const path = objectPath(WORKLOAD_RESOURCES[user.kind], user)
    const raw = digest && (await rest.send({ method: 'GET', path }, NEVER))
    found.push({
      workload: workloadName(user),
      restarts,
      digest,
      isCurrent: digest !== undefined && digest === status.digest,
      restartedAt: raw ? patchedAt(user, annotation, raw) : undefined,
    })
  }
  return found
}

interface ManagedFields {
  readonly metadata: {
    readonly managedFields?: readonly { readonly time?: string; readonly fieldsV1?: unknown }[]
  }
}

/** When whoever owns an annotation last wrote it. */
function patchedAt({ kind }: Workload, annotation: string, raw: unknown): string | undefined {
  const place = kind === 'Rollout' ? ['metadata'] : ['spec', 'template', 'metadata']
  const path = [...place, 'annotations', annotation].map((step) => `f:${step}`)
  const { managedFields = [] } = (raw as ManagedFields).metadata
  const writer = managedFields.find(({ fieldsV1 }) => {
    let fields = fieldsV1
    for (const step of path) fields = (fields as Record<string, unknown> | undefined)?.[step]
    return fields !== undefined
  })
  return writer?.time
}
