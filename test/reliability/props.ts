/**
 * What the plots of the crash matrix are made of.
 */
import { isReady, type KubeObject, textsOf } from '../support/cluster.ts'
import { CANARY, type Scenario, type Site } from '../support/crash.ts'
import { aWorkload, digestOf, OPTED_IN, restartedFor, usesAsEnv } from '../support/restarts.ts'

/** Of a workload without pods. */
export const NONE = { replicas: 0 }
/** Deployments that use one Secret. */
const FIVE = ['web-1', 'web-2', 'web-3', 'web-4', 'web-5']
/** Of an item. */
export const fieldsOf = (value: string) => [
  { label: 'username', value: `${CANARY}user` },
  { label: 'password', value: `${CANARY}${value}` },
]

/** Adds an item to the vault of the site. */
export const anItem = ({ connect, vault }: Site, title: string) =>
  connect.add(vault, { title, fields: fieldsOf('one') })

/** Whether a resource is ready. */
export const ready = async ({ cluster }: Site, name: string) => {
  const item = await cluster.find('items', name)
  return item !== undefined && isReady(item)
}

/** Whether a Secret has that password. */
export const hasPassword = (secret: KubeObject | undefined, value: string) =>
  secret !== undefined && textsOf(secret)['password'] === `${CANARY}${value}`

/** A resource, and seven workloads that use its Secret. */
export async function withUsers(site: Site, name: string): Promise<void> {
  const { cluster } = site
  await site.item(name, name, { annotations: OPTED_IN })
  for (const user of FIVE) {
    await cluster.create('deployments', aWorkload(user, usesAsEnv(name), { spec: NONE }))
  }
  const stateful = { ...NONE, serviceName: 'db' }
  await cluster.create('statefulsets', aWorkload('store', usesAsEnv(name), { spec: stateful }))
  await cluster.create('daemonsets', aWorkload('agent', usesAsEnv(name)))
}

/** Whether the resource is ready, the Secret has the value and its users run with it. */
export async function isRolledOut(site: Site, name: string, value: string): Promise<boolean> {
  const { cluster } = site
  const secret = await cluster.find('secrets', name)
  if (!hasPassword(secret, value) || !(await ready(site, name))) return false
  const workloads = await Promise.all([
    ...FIVE.map((user) => cluster.get('deployments', user)),
    cluster.get('statefulsets', 'store'),
    cluster.get('daemonsets', 'agent'),
  ])
  const digest = digestOf(secret as KubeObject)
  return workloads.every((workload) => restartedFor(workload).includes(digest))
}

/** A resource changes, whose Secret a workload uses. */
export function edited(
  patch: object,
  isDone: (site: Site) => Promise<boolean>,
  spec: Record<string, unknown> = {},
): Scenario {
  return (site) => ({
    async prepare() {
      anItem(site, 'db')
      await site.item('db', 'db', { annotations: OPTED_IN, spec })
      const user = aWorkload('web', usesAsEnv('db'), { spec: NONE })
      await site.cluster.create('deployments', user)
    },
    isPrepared: () => ready(site, 'db'),
    act: () => site.cluster.patch('items', 'db', patch),
    isDone: async () => (await ready(site, 'db')) && isDone(site),
  })
}

/** Somebody spoils a Secret, or deletes it. */
export function drift(spoil: (site: Site) => Promise<unknown>): Scenario {
  return (site) => ({
    prepare() {
      anItem(site, 'db')
      return withUsers(site, 'db')
    },
    isPrepared: () => ready(site, 'db'),
    act: () => spoil(site),
    async isDone() {
      const { cluster } = site
      const [item, secret] = [await cluster.get('items', 'db'), await cluster.find('secrets', 'db')]
      const known = item['status'].secretResourceVersion === secret?.metadata.resourceVersion
      return known && hasPassword(secret, 'one') && isReady(item)
    },
  })
}

/** A workload that asks for the Secret by annotations. */
export function anAsker({ vaultName, labels }: Site, name: string) {
  const annotations = {
    ...OPTED_IN,
    'operator.1password.io/item-path': `vaults/${vaultName}/items/db`,
    'operator.1password.io/item-name': 'db',
  }
  const metadata = { name, annotations, labels }
  return aWorkload(name, usesAsEnv('db'), { spec: NONE, metadata })
}
