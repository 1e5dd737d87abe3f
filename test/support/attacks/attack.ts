/** What tenants may try, and how it is seen whether it worked. */
import { isKeyferryError } from '../../../src/errors.ts'
import { objectPath } from '../../../src/kube/resource.ts'
import {
  type Cluster,
  clusterOf,
  condition,
  isReady,
  type KubeObject,
  RESOURCES,
} from '../cluster.ts'
import { timeout } from '../eventually.ts'
import type { Actor, Tenant } from '../tenants.ts'

/** What an attack has to do with. */
export interface Scene {
  readonly me: Tenant
  readonly other: Tenant
  /** The operator's namespace. */
  readonly home: string
  /** A name that nothing else has. */
  readonly name: string
}

/** One attack. */
export interface Attack {
  /** Number of the threat: 1 vaults of others, 2 other namespaces, 3 credentials, 4 forged marks, 5 load, 6 Secrets of others, 12 what is told, 13 guesses, 22 rights. */
  readonly row: number
  readonly who: Actor
  readonly tries: string
  /** @returns what it won: nothing, if all is well */
  readonly attempt: (scene: Scene) => Promise<string[]>
}

export const OURS = 'vaults/Team/items/Ours'

export const won = (holds: boolean, what: string) => (holds ? [what] : [])

/** What came of a request: `done`, or the status of its refusal. */
async function outcomeOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt
    return 'done'
  } catch (error) {
    if (isKeyferryError(error, 'KUBE_STATUS')) return String(error.status)
    throw error
  }
}

/** A request that must be refused with one of these statuses. */
export async function refused(attempt: Promise<unknown>, ...statuses: number[]): Promise<string[]> {
  const outcome = await outcomeOf(attempt)
  return won(!statuses.map(String).includes(outcome), `the request ended with ${outcome}`)
}

export const aResource = (name: string, spec: object, more: object = {}) => ({
  metadata: { name },
  spec,
  ...more,
})

/** A resource that must get that reason, and no Secret. */
export async function denied(
  { me, name }: Scene,
  reason: RegExp,
  resource: { readonly spec: object; readonly type?: string },
): Promise<string[]> {
  await me.as.author.create('items', { metadata: { name }, ...resource })
  const item = await me.estate.until('items', name, isFalse)
  const told = condition(item, 'Ready')?.reason ?? ''
  return [
    ...won(!reason.test(told), `it was told ${told}`),
    ...won((await me.estate.find('secrets', name)) !== undefined, 'a Secret was made'),
  ]
}

/** Whether a resource was told that it is wrong as it is now. */
export function isFalse({ metadata, ...rest }: KubeObject): boolean {
  const ready = condition({ metadata, ...rest }, 'Ready')
  return ready?.status === 'False' && ready.observedGeneration === metadata.generation
}

/** Waits until the operator has served what came after all that a test did. */
export async function served({ estate }: Tenant, name: string): Promise<void> {
  await estate.create('items', aResource(name, { itemPath: OURS }))
  await estate.until('items', name, isReady)
}

export async function writeStatus(by: Cluster, name: string, status: object): Promise<void> {
  const { namespace, rest } = by
  const path = `${objectPath(RESOURCES.items, { namespace, name })}/status`
  await rest.send({ method: 'PATCH', patch: 'merge', path, body: { status } }, timeout(20_000))
}

export function refresh(by: Cluster, name: string): Promise<KubeObject> {
  return by.patch('items', name, { metadata: { annotations: { 'keyferry.dev/refresh': name } } })
}

export const within = (by: Cluster, namespace: string) => clusterOf(by.rest, namespace)
