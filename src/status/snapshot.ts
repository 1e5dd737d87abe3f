/**
 * From what the operator holds in its caches to what the status page is told. Pure. Of the texts in
 * `spec.data` only well-formed references are told: a literal may be a secret.
 */
import { isKeyferryError } from '../errors.ts'
import { parseItemPath } from '../connect/item-path.ts'
import {
  type AppliedItem,
  type Claim,
  type Condition,
  conditionOf,
  idOf,
  versionsOf,
} from '../operator/item.ts'
import { parseDebt } from '../operator/plan/debt.ts'
import { itemPathOf, parseText, type Reference } from '../operator/plan/reference.ts'
import { type OptIn, optInOf, owes, type RestartPolicy } from '../operator/plan/restarts.ts'
import type { SecretMeta } from '../operator/plan/types.ts'
import type { Workload } from '../operator/plan/workload.ts'
import { RESTART } from '../operator/annotations.ts'
import type {
  ConditionView,
  Details,
  Happening,
  ItemView,
  KeyView,
  Row,
  SecretView,
  State,
  WorkloadView,
} from './model.ts'

/** A resource as a row of the table. */
export function rowOf(claim: Claim): Row {
  const { namespace, name, spec, status, createdAt } = claim
  const changed = timeOf(status.lastSyncTime)
  return {
    namespace,
    name,
    secret: spec.secretName,
    ...stateOf(claim),
    versions: versionsOf(status.items),
    created: timeOf(createdAt) ?? 0,
    ...(changed === undefined ? {} : { changed }),
  }
}

/** The worst that its conditions say, and the reason of that. */
function stateOf({ status }: Claim): { readonly state: State; readonly reason: string } {
  const told = (state: State, { reason = '' }: Pick<Condition, 'reason'>) => ({ state, reason })
  const held = (type: string) => {
    const condition = conditionOf(status, type)
    return condition?.status === 'True' ? condition : undefined
  }
  const ready = conditionOf(status, 'Ready')
  const stale = held('Stale')
  const restarting = held('Restarting')
  if (ready?.status === 'False') return told('failed', ready)
  if (ready?.status !== 'True') return told('pending', ready ?? { reason: 'Progressing' })
  if (stale) return told('stale', stale)
  return restarting ? told('restarting', restarting) : told('ready', ready)
}

/** All that {@link detailsOf} rests on. */
export interface Known {
  readonly claim: Claim
  /** As the cache has it. */
  readonly secret: SecretMeta | undefined
  /** Workloads that hold the Secret's content. */
  readonly users: readonly Workload[]
  /** Workloads whose images are pulled with it. */
  readonly pullers: readonly Workload[]
  /** Text of the namespace's auto-restart annotation. */
  readonly namespaceLevel: string | undefined
  readonly policy: RestartPolicy
  readonly history: readonly Happening[]
}

/** All that is told of a resource. */
export function detailsOf(known: Known): Details {
  const { claim, history } = known
  return {
    row: rowOf(claim),
    type: claim.type,
    generation: claim.generation,
    conditions: claim.status.conditions.map(conditionView),
    keys: keysOf(claim),
    items: itemsOf(claim),
    secret: secretView(known),
    workloads: workloadsOf(known),
    history,
  }
}

function conditionView(condition: Condition): ConditionView {
  const { type, status, reason = '', message = '', lastTransitionTime } = condition
  return { type, status, reason, message, since: timeOf(lastTransitionTime) ?? 0 }
}

/** The keys that are in the Secret, and those that are to be. */
function keysOf({ spec, status, type }: Claim): KeyView[] {
  const from = spec.itemPath === '' ? `made for type ${type}` : `item ${spec.itemPath}`
  const found = new Map((status.keys ?? []).map((name) => [name, from]))
  for (const [name, text] of Object.entries(spec.data)) found.set(name, wordsFor(text))
  return [...found]
    .map(([name, words]) => ({ name, from: words }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

function wordsFor(text: string): string {
  const references = referencesIn(text)
  if (references === undefined) return 'a text that is no reference'
  if (references.length === 0) return 'a literal of the resource'
  return references.map(({ words }) => words).join(', ')
}

/** References with their pipes; undefined for a text that is not well formed. */
function referencesIn(
  text: string,
): { readonly reference: Reference; readonly words: string }[] | undefined {
  try {
    return parseText(text).flatMap((part) => {
      if (part.kind === 'literal') return []
      const { reference, pipes } = part
      const { section, field } = reference
      const path = [itemPathOf(reference), section, field].filter((name) => name !== undefined)
      return [{ reference, words: [path.join('/'), ...pipes].join(' | ') }]
    })
  } catch (error) {
    if (!isKeyferryError(error)) throw error
    return undefined
  }
}

/** The items as the resource names them, each once. */
function itemsOf({ spec, status }: Claim): ItemView[] {
  const found = new Map<string, ItemView>()
  const add = (path: string, vault: string, item: string) => {
    const applied = status.items?.find((one) => one.path === path)
    const id = applied ? idOf(applied) : `${vault}/${item}`
    if (!found.has(id)) found.set(id, { vault, item, ...appliedView(applied) })
  }
  const whole = partsOf(spec.itemPath)
  if (whole) add(spec.itemPath, whole.vault, whole.item)
  for (const text of Object.values(spec.data)) {
    for (const { reference } of referencesIn(text) ?? []) {
      add(itemPathOf(reference), reference.vault, reference.item)
    }
  }
  return [...found.values()]
}

function appliedView(item: AppliedItem | undefined): Pick<ItemView, 'version' | 'expires'> {
  if (item === undefined) return {}
  const expires = timeOf(item.expires)
  return { version: item.version, ...(expires === undefined ? {} : { expires }) }
}

function partsOf(path: string): { readonly vault: string; readonly item: string } | undefined {
  if (path === '') return undefined
  try {
    return parseItemPath(path)
  } catch (error) {
    if (!isKeyferryError(error)) throw error
    return undefined
  }
}

function secretView({ claim, secret }: Known): SecretView {
  const since = timeOf(parseDebt(secret?.annotations[RESTART])?.since)
  return {
    name: claim.spec.secretName,
    present: secret !== undefined,
    ...(since === undefined ? {} : { restartSince: since }),
  }
}

function workloadsOf(known: Known): WorkloadView[] {
  const { secret, users, pullers, namespaceLevel, policy } = known
  const debt = parseDebt(secret?.annotations[RESTART])
  const wish = (workload: Workload): OptIn =>
    secret ? optInOf({ secret, namespaceLevel, policy }, workload) : 'false'
  const owing = (workload: Workload) =>
    secret !== undefined &&
    debt !== undefined &&
    owes({ secret, debt, namespaceLevel, policy }, workload)
  const content = users.map(
    (workload) =>
      ({
        kind: workload.kind,
        name: workload.name,
        use: 'content',
        restarts: wish(workload),
        owes: owing(workload),
      }) as const,
  )
  // Each stands once: one that does both restarts for the content.
  const isUser = (one: Workload) =>
    users.some(({ kind, name }) => kind === one.kind && name === one.name)
  const pulls = pullers
    .filter((one) => !isUser(one))
    .map(({ kind, name }) => ({ kind, name, use: 'pull', restarts: 'false', owes: false }) as const)
  return [...content, ...pulls].toSorted((a, b) =>
    `${a.kind}/${a.name}` < `${b.kind}/${b.name}` ? -1 : 1,
  )
}

/** Undefined for what is no time. */
function timeOf(text: string | undefined): number | undefined {
  const time = Date.parse(text ?? '')
  return Number.isNaN(time) ? undefined : time
}
