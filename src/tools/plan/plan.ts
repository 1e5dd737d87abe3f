/**
 * `keyferry plan`: what would become of Secrets and workloads if manifests were applied. The
 * operator's own intake and plan stages decide; nothing is written, no value is told.
 */
import { sleep } from '../../kube/clock.ts'
import { keyOf } from '../../kube/resource.ts'
import { RESTART } from '../../operator/annotations.ts'
import type { Intake } from '../../operator/intake/snapshot.ts'
import { usersOf } from '../../operator/intake/views.ts'
import { conditionOf, ONE_PASSWORD_ITEM } from '../../operator/item.ts'
import { parseDebt } from '../../operator/plan/debt.ts'
import {
  optInOf,
  planDebt,
  type RestartPolicy,
  workloadName,
} from '../../operator/plan/restarts.ts'
import type { Plan, SecretMeta, Snapshot } from '../../operator/plan/types.ts'
import type { Reason } from '../../operator/reasons.ts'
import { decideUnwritten, type Difference, differenceOf } from '../../operator/shadow.ts'
import type { Overlay } from './overlay.ts'
import type { World } from './world.ts'

/** What would become of a Secret. */
export interface PlannedSecret {
  readonly namespace: string
  readonly secret: string
  /** `OnePasswordItem/<name>`, or `workloads` for annotated ones. */
  readonly source: string
  readonly action: 'create' | 'update' | 'metadata' | 'recreate' | 'delete' | 'unchanged' | 'refuse'
  readonly reason?: Reason
  readonly message: string
  readonly items: readonly PlannedItem[]
  /** Names of all keys that will be there. */
  readonly keys: readonly string[]
  readonly added: readonly string[]
  readonly changed: readonly string[]
  readonly removed: readonly string[]
  readonly workloads: readonly PlannedRestart[]
  /** Secrets of former names that go. */
  readonly drops: readonly string[]
}

/** An item that a path means. */
export interface PlannedItem {
  readonly path: string
  readonly vaultId: string
  readonly itemId: string
  readonly version: number
}

/** What would become of a workload that uses the Secret. */
export interface PlannedRestart {
  /** `Kind/name` */
  readonly workload: string
  readonly action: 'restart' | 'notify' | 'stay'
  readonly why: string
}

const NEVER = new AbortController().signal
/** Looks at a claim whose answer was "in a moment". */
const MAX_WAITS = 10
const LONGEST_WAIT_MS = 5_000

/**
 * Plans for everything that an overlay holds.
 *
 * @param onPlanned told of how many are planned so far, of how many
 * @throws KeyferryError when the API server fails
 */
export async function planOverlay(
  world: World,
  { claims, workloads }: Overlay,
  policy: RestartPolicy,
  onPlanned: (done: number, total: number) => void = () => undefined,
): Promise<readonly PlannedSecret[]> {
  const asks = workloads.flatMap(({ namespace, asks: asked }) =>
    asked ? [`${namespace}/${asked.secretName}`] : [],
  )
  const planned = [
    ...[...new Set(claims.map(keyOf))].map((key) => planClaim(world, world.resources, key, policy)),
    ...[...new Set(asks)].map((key) => planClaim(world, world.workloads, key, policy)),
  ]
  let done = 0
  const counted = planned.map(async (one) => {
    const found = await one
    onPlanned((done += 1), planned.length)
    return found
  })
  const found = await Promise.all(counted)
  return found.filter((one) => one !== undefined)
}

/**
 * Plans for one claim.
 *
 * @returns undefined for a key under which nobody asks for a Secret
 */
export async function planClaim(
  world: World,
  intake: Intake,
  key: string,
  policy: RestartPolicy,
): Promise<PlannedSecret | undefined> {
  for (let wait = 0; ; wait += 1) {
    const first = intake.observe(key)
    if (first === undefined) return undefined
    const found = await decideUnwritten(intake, first, NEVER)
    const ms = found && waitOf(found.plan)
    if (ms === undefined || wait >= MAX_WAITS) return found && told(world, found, policy)
    await sleep(world.clock, ms, NEVER)
  }
}

/** Milliseconds after which the decision can be made, when it said no more than that. */
function waitOf({ outcome }: Plan): number | undefined {
  const isShort = outcome.kind === 'wait' && outcome.afterMs <= LONGEST_WAIT_MS
  return isShort ? outcome.afterMs : undefined
}

function told(
  world: World,
  { seen, plan }: { readonly seen: Snapshot; readonly plan: Plan },
  policy: RestartPolicy,
): PlannedSecret {
  const { claim } = seen
  const { added, changed, removed, kind, reason } = differenceOf(seen, plan)
  const action = actionOf(kind, world.hasKey)
  const ready = conditionOf(plan.status ?? claim.status, 'Ready')?.message ?? ''
  return {
    namespace: claim.namespace,
    secret: claim.spec.secretName,
    source: claim.origin === 'resource' ? `${ONE_PASSWORD_ITEM.kind}/${claim.name}` : 'workloads',
    action,
    ...(reason === undefined ? {} : { reason: reason as Reason }),
    message: plan.fault?.message ?? ready,
    items: itemsOf(seen),
    keys: keysOf(seen, plan),
    added,
    changed,
    removed,
    workloads: restartsOf(world, seen, plan, policy),
    drops: (plan.remove ?? []).map(({ name }) => name),
  }
}

/** Without the operator's key every proof looks wrong: what differs is then no more than that. */
function actionOf(kind: Difference['kind'], hasKey: boolean): PlannedSecret['action'] {
  switch (kind) {
    case 'none':
      return 'unchanged'
    case 'content':
      return 'update'
    case 'metadata':
      return hasKey ? 'metadata' : 'unchanged'
    case 'create':
    case 'recreate':
    case 'delete':
    case 'refuse':
      return kind
  }
}

function itemsOf({ references }: Snapshot): PlannedItem[] {
  return [...(references ?? [])].flatMap(([path, one]) => {
    if (one.kind !== 'found') return []
    const { id, vault, version } = one.item
    return [{ path, vaultId: vault.id, itemId: id, version }]
  })
}

function keysOf({ secret: sight, claim }: Snapshot, { secret }: Plan): string[] {
  if (secret?.kind === 'delete') return []
  const written = secret?.manifest.data
  const live = sight.kind === 'read' ? sight.secret?.data : undefined
  const data = written ?? live
  return data ? [...data.keys()].toSorted() : [...(claim.status.keys ?? [])]
}

/** Workloads that use the Secret, by the debt that it would carry. */
function restartsOf(
  { views }: World,
  seen: Snapshot,
  { secret }: Plan,
  policy: RestartPolicy,
): PlannedRestart[] {
  const after = metaAfter(seen, secret)
  const debt = parseDebt(after?.annotations[RESTART])
  if (after === undefined || debt === undefined) return []
  const namespaceLevel = views.namespaces.get({ namespace: '', name: after.namespace })?.autoRestart
  const levels = { secret: after, debt, namespaceLevel, policy }
  const users = usersOf(views, keyOf(after))
  const { owing, notify, giveUp } = planDebt({
    ...levels,
    users,
    tried: new Set(),
    denied: new Map(),
    openMs: 0,
    passedMs: undefined,
  })
  const hopeless = new Map(giveUp.map(({ workload, why }) => [workload, why]))
  return users.map((user): PlannedRestart => {
    const workload = workloadName(user)
    const content = `Secret ${after.name} has new content`
    if (owing.includes(user)) return { workload, action: 'restart', why: content }
    if (notify.includes(user)) return { workload, action: 'notify', why: content }
    const isOut = optInOf(levels, user) === 'false'
    const why = hopeless.get(user) ?? (isOut ? 'it is not opted in' : 'it has this content')
    return { workload, action: 'stay', why }
  })
}

function metaAfter({ secret: sight }: Snapshot, write: Plan['secret']): SecretMeta | undefined {
  if (write?.kind === 'delete') return undefined
  if (write) return { ...write.manifest, uid: '', resourceVersion: '', deleting: false }
  return sight.kind === 'cached' ? sight.meta : sight.secret
}
