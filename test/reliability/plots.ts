/**
 * What the crash matrix interrupts: each plot once, from the first write to the last.
 */
import { hasReason, isReady, type KubeObject, textsOf } from '../support/cluster.ts'
import { CANARY, type Scenario } from '../support/crash.ts'
import { aWorkload, digestOf, OPTED_IN, restartedFor, usesAsEnv } from '../support/restarts.ts'
import type { Stage } from '../support/stage.ts'

const FINALIZER = 'onepassword.com/finalizer.secret'
const NONE = { replicas: 0 }
/** Deployments that use one Secret. */
const FIVE = ['web-1', 'web-2', 'web-3', 'web-4', 'web-5']
const fieldsOf = (value: string) => [
  { label: 'username', value: `${CANARY}user` },
  { label: 'password', value: `${CANARY}${value}` },
]

const anItem = ({ connect, vault }: Stage, title: string) =>
  connect.add(vault, { title, fields: fieldsOf('one') })

const ready = async ({ cluster }: Stage, name: string) => {
  const item = await cluster.find('items', name)
  return item !== undefined && isReady(item)
}

const hasPassword = (secret: KubeObject | undefined, value: string) =>
  secret !== undefined && textsOf(secret)['password'] === `${CANARY}${value}`

async function withUsers(stage: Stage, name: string): Promise<void> {
  const { cluster } = stage
  await stage.item(name, name, { annotations: OPTED_IN })
  for (const user of FIVE) {
    await cluster.create('deployments', aWorkload(user, usesAsEnv(name), { spec: NONE }))
  }
  const stateful = { ...NONE, serviceName: 'db' }
  await cluster.create('statefulsets', aWorkload('store', usesAsEnv(name), { spec: stateful }))
  await cluster.create('daemonsets', aWorkload('agent', usesAsEnv(name)))
}

/** Whether the resource is ready, the Secret has the value and its users run with it. */
async function isRolledOut(stage: Stage, name: string, value: string): Promise<boolean> {
  const { cluster } = stage
  const secret = await cluster.find('secrets', name)
  if (!hasPassword(secret, value) || !(await ready(stage, name))) return false
  const workloads = await Promise.all([
    ...FIVE.map((user) => cluster.get('deployments', user)),
    cluster.get('statefulsets', 'store'),
    cluster.get('daemonsets', 'agent'),
  ])
  const digest = digestOf(secret as KubeObject)
  return workloads.every((workload) => restartedFor(workload).includes(digest))
}

/** The first start of an installation, with a resource there already. */
export const firstStart: Scenario = (stage) => ({
  async prepare() {
    anItem(stage, 'db')
    await stage.item('db', 'db')
  },
  isDone: () => ready(stage, 'db'),
})

/** An item changes, and seven workloads use its Secret. */
export const change: Scenario = (stage) => {
  const id = anItem(stage, 'db')
  return {
    prepare: () => withUsers(stage, 'db'),
    isPrepared: () => ready(stage, 'db'),
    act: () => stage.connect.set(id, 'password', `${CANARY}two`),
    isDone: () => isRolledOut(stage, 'db', 'two'),
  }
}

/** What the former operator left: its annotations and its finalizers. */
export const takeOver: Scenario = (stage) => {
  const { cluster, vault } = stage
  const id = anItem(stage, 'db')
  return {
    async prepare() {
      const item = await cluster.create('items', {
        metadata: { name: 'db', finalizers: [FINALIZER] },
        spec: { itemPath: 'vaults/Production/items/db' },
      })
      const annotations = {
        'operator.1password.io/item-path': `vaults/${vault}/items/${id}`,
        'operator.1password.io/item-version': '1',
      }
      const { apiVersion, kind, metadata } = item
      const owner = { apiVersion, kind, name: 'db', uid: metadata.uid }
      await cluster.create('secrets', {
        metadata: { name: 'db', annotations, ownerReferences: [owner] },
        stringData: Object.fromEntries(fieldsOf('one').map(({ label, value }) => [label, value])),
      })
      const user = aWorkload('web', usesAsEnv('db'), { spec: NONE })
      const { metadata: web } = user
      await cluster.create('deployments', {
        ...user,
        metadata: { ...web, finalizers: [FINALIZER] },
      })
    },
    async isDone() {
      const web = await cluster.get('deployments', 'web')
      const item = await cluster.get('items', 'db')
      const free = [web, item].every(({ metadata }) => !metadata.finalizers?.length)
      return free && (await ready(stage, 'db'))
    },
  }
}

/** A Secret of somebody who gives it away, with other content. */
export const adoption: Scenario = (stage) => ({
  async prepare() {
    anItem(stage, 'db')
    await stage.cluster.create('secrets', {
      metadata: { name: 'db', annotations: { 'keyferry.dev/adopt': 'true' }, labels: { a: 'b' } },
      stringData: { password: `${CANARY}theirs`, extra: `${CANARY}extra` },
    })
    const user = aWorkload('web', usesAsEnv('db'), { spec: NONE })
    await stage.cluster.create('deployments', user)
    await stage.item('db', 'db', { spec: { existingSecret: 'Adopt' }, annotations: OPTED_IN })
  },
  isDone: () => ready(stage, 'db'),
})

/** A resource changes, whose Secret a workload uses. */
function edited(
  patch: object,
  isDone: (stage: Stage) => Promise<boolean>,
  spec: Record<string, unknown> = {},
): Scenario {
  return (stage) => ({
    async prepare() {
      anItem(stage, 'db')
      await stage.item('db', 'db', { annotations: OPTED_IN, spec })
      const user = aWorkload('web', usesAsEnv('db'), { spec: NONE })
      await stage.cluster.create('deployments', user)
    },
    isPrepared: () => ready(stage, 'db'),
    act: () => stage.cluster.patch('items', 'db', patch),
    isDone: async () => (await ready(stage, 'db')) && isDone(stage),
  })
}

const BASIC = 'kubernetes.io/basic-auth'

/** The type changes: the Secret is deleted and made anew. */
export const typeChange = edited({ type: BASIC }, async ({ cluster }) => {
  return (await cluster.find('secrets', 'db'))?.['type'] === BASIC
})

/** The Secret gets another name, and nobody uses the old one. */
export const rename: Scenario = (stage) => ({
  async prepare() {
    anItem(stage, 'db')
    await stage.item('db', 'db')
  },
  isPrepared: () => ready(stage, 'db'),
  act: () => stage.cluster.patch('items', 'db', { spec: { secretName: 'db-new' } }),
  async isDone() {
    const old = await stage.cluster.find('secrets', 'db')
    return old === undefined && (await ready(stage, 'db'))
  },
})

/** The Secret is to outlive its resource. */
export const retain = edited({ spec: { deletionPolicy: 'Retain' } }, async ({ cluster }) => {
  return (await cluster.get('secrets', 'db')).metadata.ownerReferences === undefined
})

/** A key of the resource's own comes, and a workload uses the Secret. */
export const template = edited(
  { spec: { data: { URL: 'db://{{ op://Production/db/password | urlencode }}' } } },
  async ({ cluster }) => {
    const [secret, web] = [
      await cluster.get('secrets', 'db'),
      await cluster.get('deployments', 'web'),
    ]
    return restartedFor(web).includes(digestOf(secret))
  },
)

/** The item goes, and the Secret is to go with it. */
export const itemGone: Scenario = (stage) => {
  const id = anItem(stage, 'db')
  return {
    prepare: () => stage.item('db', 'db', { spec: { onItemMissing: 'Delete' } }),
    isPrepared: () => ready(stage, 'db'),
    act: () => stage.connect.remove(id),
    async isDone() {
      const { cluster } = stage
      const [item, secret] = [await cluster.get('items', 'db'), await cluster.find('secrets', 'db')]
      const told = hasReason('ItemNotFound')(item) && item['status'].digest === undefined
      return secret === undefined && told
    },
  }
}

/** Somebody spoils a Secret, or deletes it. */
export function drift(spoil: (stage: Stage) => Promise<unknown>): Scenario {
  return (stage) => ({
    prepare() {
      anItem(stage, 'db')
      return withUsers(stage, 'db')
    },
    isPrepared: () => ready(stage, 'db'),
    act: () => spoil(stage),
    async isDone() {
      const { cluster } = stage
      const [item, secret] = [await cluster.get('items', 'db'), await cluster.find('secrets', 'db')]
      const known = item['status'].secretResourceVersion === secret?.metadata.resourceVersion
      return known && hasPassword(secret, 'one') && isReady(item)
    },
  })
}

const SPOILT = { password: Buffer.from('spoilt').toString('base64') }
/** See {@link drift}. */
export const spoilt = drift(({ cluster }) => cluster.patch('secrets', 'db', { data: SPOILT }))
/** See {@link drift}. */
export const deleted = drift(({ cluster }) => cluster.delete('secrets', 'db'))

const ASKS = {
  'operator.1password.io/item-path': 'vaults/Production/items/db',
  'operator.1password.io/item-name': 'db',
}

/** A workload asks for a Secret. */
export const workloadAsks: Scenario = (stage) => ({
  prepare() {
    anItem(stage, 'db')
    const user = aWorkload('web', usesAsEnv('db'), { spec: NONE, annotations: ASKS })
    return stage.cluster.create('deployments', user)
  },
  isDone: async () => hasPassword(await stage.cluster.find('secrets', 'db'), 'one'),
})

/** The only workload that asked for a Secret does so no more. */
export const workloadLeaves: Scenario = (stage) => ({
  ...workloadAsks(stage),
  isPrepared: async () => hasPassword(await stage.cluster.find('secrets', 'db'), 'one'),
  act: () =>
    stage.cluster.patch('deployments', 'web', {
      metadata: { annotations: { 'operator.1password.io/item-name': null } },
    }),
  isDone: async () => (await stage.cluster.find('secrets', 'db')) === undefined,
})

/** Two resources that cannot have their Secrets. */
export const refused: Scenario = (stage) => ({
  async prepare() {
    anItem(stage, 'db')
    await stage.item(FOREIGN, 'db')
    await stage.item('picky', 'db', { spec: { requiredKeys: ['absent'] } })
  },
  async isDone() {
    const { cluster } = stage
    const [one, two] = [await cluster.get('items', FOREIGN), await cluster.get('items', 'picky')]
    return hasReason('NotOurSecret')(one) && hasReason('MissingKeys')(two)
  },
})

const FOREIGN = 'foreign'

/** Three Secrets change at once, and one workload uses them all. */
export const several: Scenario = (stage) => {
  const names = ['a', 'b', 'c']
  const ids = names.map((name) => anItem(stage, name))
  const { cluster, connect } = stage
  return {
    async prepare() {
      for (const name of names) await stage.item(name, name, { annotations: OPTED_IN })
      const envFrom = names.map((name) => ({ secretRef: { name } }))
      const containers = [{ name: 'app', image: 'example.invalid/app', envFrom }]
      await cluster.create('deployments', aWorkload('web', { containers }, { spec: NONE }))
    },
    isPrepared: async () =>
      (await Promise.all(names.map((name) => ready(stage, name)))).every(Boolean),
    act: () => ids.map((id) => connect.set(id, 'password', `${CANARY}two`)),
    async isDone() {
      const restarted = restartedFor(await cluster.get('deployments', 'web'))
      const secrets = await Promise.all(names.map((name) => cluster.get('secrets', name)))
      return secrets.every(
        (secret) => hasPassword(secret, 'two') && restarted.includes(digestOf(secret)),
      )
    },
  }
}
