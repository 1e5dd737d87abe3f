/**
 * What the crash matrix interrupts: each plot once, from the first write to the last. Here something
 * happens to a resource or to its Secret.
 */
import { hasReason } from '../support/cluster.ts'
import { CANARY, FOREIGN, type Scenario, type Site } from '../support/crash.ts'
import { aWorkload, digestOf, OPTED_IN, restartedFor, usesAsEnv } from '../support/restarts.ts'
import {
  anAsker,
  anItem,
  drift,
  edited,
  fieldsOf,
  hasPassword,
  isRolledOut,
  NONE,
  ready,
  withUsers,
} from './props.ts'

const FINALIZER = 'onepassword.com/finalizer.secret'

/** The first start of an installation, with a resource there already. */
export const firstStart: Scenario = (site) => ({
  async prepare() {
    anItem(site, 'db')
    await site.item('db', 'db')
  },
  isDone: () => ready(site, 'db'),
})

/** An item changes, and seven workloads use its Secret. */
export const change: Scenario = (site) => {
  const id = anItem(site, 'db')
  return {
    prepare: () => withUsers(site, 'db'),
    isPrepared: () => ready(site, 'db'),
    act: () => site.connect.set(id, 'password', `${CANARY}two`),
    isDone: () => isRolledOut(site, 'db', 'two'),
  }
}

/** What the former operator left: its annotations and its finalizers. */
export const takeOver: Scenario = (site) => {
  const { cluster, vault } = site
  const id = anItem(site, 'db')
  return {
    async prepare() {
      const item = await cluster.create('items', {
        metadata: { name: 'db', finalizers: [FINALIZER], labels: site.labels },
        spec: { itemPath: `vaults/${site.vaultName}/items/db` },
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
        metadata: { ...web, finalizers: [FINALIZER], labels: site.labels },
      })
    },
    async isDone() {
      const web = await cluster.get('deployments', 'web')
      const item = await cluster.get('items', 'db')
      const free = [web, item].every(({ metadata }) => !metadata.finalizers?.length)
      return free && (await ready(site, 'db'))
    },
  }
}

/** A Secret of somebody who gives it away, with other content. */
export const adoption: Scenario = (site) => ({
  async prepare() {
    anItem(site, 'db')
    await site.cluster.create('secrets', {
      metadata: { name: 'db', annotations: { 'keyferry.dev/adopt': 'true' }, labels: { a: 'b' } },
      stringData: { password: `${CANARY}theirs`, extra: `${CANARY}extra` },
    })
    const user = aWorkload('web', usesAsEnv('db'), { spec: NONE })
    await site.cluster.create('deployments', user)
    await site.item('db', 'db', { spec: { existingSecret: 'Adopt' }, annotations: OPTED_IN })
  },
  isDone: () => ready(site, 'db'),
})

const BASIC = 'kubernetes.io/basic-auth'

/** The type changes: the Secret is deleted and made anew. */
export const typeChange = edited({ type: BASIC }, async ({ cluster }) => {
  return (await cluster.find('secrets', 'db'))?.['type'] === BASIC
})

/** The Secret gets another name, and nobody uses the old one. */
export const rename: Scenario = (site) => ({
  async prepare() {
    anItem(site, 'db')
    await site.item('db', 'db')
  },
  isPrepared: () => ready(site, 'db'),
  act: () => site.cluster.patch('items', 'db', { spec: { secretName: 'db-new' } }),
  async isDone() {
    const old = await site.cluster.find('secrets', 'db')
    return old === undefined && (await ready(site, 'db'))
  },
})

/** The Secret is to outlive its resource. */
export const retain = edited({ spec: { deletionPolicy: 'Retain' } }, async ({ cluster }) => {
  return (await cluster.get('secrets', 'db')).metadata.ownerReferences === undefined
})

/** A key of the resource's own comes, and a workload uses the Secret. */
export const template: Scenario = (site) => {
  const URL = `db://{{ op://${site.vaultName}/db/password | urlencode }}`
  return edited({ spec: { data: { URL } } }, async ({ cluster }) => {
    const [secret, web] = [
      await cluster.get('secrets', 'db'),
      await cluster.get('deployments', 'web'),
    ]
    return restartedFor(web).includes(digestOf(secret))
  })(site)
}

/** The item goes, and the Secret is to go with it. */
export const itemGone: Scenario = (site) => {
  const id = anItem(site, 'db')
  return {
    prepare: () => site.item('db', 'db', { spec: { onItemMissing: 'Delete' } }),
    isPrepared: () => ready(site, 'db'),
    act: () => site.connect.remove(id),
    async isDone() {
      const { cluster } = site
      const [item, secret] = [await cluster.get('items', 'db'), await cluster.find('secrets', 'db')]
      const told = hasReason('ItemNotFound')(item) && item['status'].digest === undefined
      return secret === undefined && told
    },
  }
}

const SPOILT = { password: Buffer.from('spoilt').toString('base64') }
/** See {@link drift}. */
export const spoilt = drift(({ cluster }) => cluster.patch('secrets', 'db', { data: SPOILT }))
/** See {@link drift}. */
export const deleted = drift(({ cluster }) => cluster.delete('secrets', 'db'))

/** A workload asks for a Secret. */
export const workloadAsks: Scenario = (site) => ({
  prepare() {
    anItem(site, 'db')
    return site.cluster.create('deployments', anAsker(site, 'web'))
  },
  isDone: async () => hasPassword(await site.cluster.find('secrets', 'db'), 'one'),
})

/** The only workload that asked for a Secret does so no more. */
export const workloadLeaves: Scenario = (site) => ({
  ...workloadAsks(site),
  isPrepared: async () => hasPassword(await site.cluster.find('secrets', 'db'), 'one'),
  act: () =>
    site.cluster.patch('deployments', 'web', {
      metadata: { annotations: { 'operator.1password.io/item-name': null } },
    }),
  isDone: async () => (await site.cluster.find('secrets', 'db')) === undefined,
})

/** Two resources that cannot have their Secrets. */
export const refused: Scenario = (site) => ({
  async prepare() {
    anItem(site, 'db')
    await site.item(FOREIGN, 'db')
    await site.item('picky', 'db', { spec: { requiredKeys: ['absent'] } })
  },
  async isDone() {
    const { cluster } = site
    const [one, two] = [await cluster.get('items', FOREIGN), await cluster.get('items', 'picky')]
    return hasReason('NotOurSecret')(one) && hasReason('MissingKeys')(two)
  },
})

/** The Secret's owner is taken off it. */
export const disowned = drift(({ cluster }) =>
  cluster.patch('secrets', 'db', { metadata: { ownerReferences: null } }),
)

/** Two resources ask for one Secret. */
export const claimedTwice: Scenario = (site) => ({
  async prepare() {
    for (const name of ['one', 'two']) anItem(site, name)
    await site.item('one', 'one', { spec: { secretName: 'shared' } })
  },
  isPrepared: () => ready(site, 'one'),
  act: () => site.item('two', 'two', { spec: { secretName: 'shared' } }),
  isDone: async () => hasReason('SecretClaimedTwice')(await site.cluster.get('items', 'two')),
})

const isMissed = async ({ cluster }: Site) =>
  hasReason('ItemNotFound')(await cluster.get('items', 'db'))

/** A resource has no item. */
export const absent: Scenario = (site) => ({
  prepare: () => site.item('db', 'db'),
  isDone: () => isMissed(site),
})

/** A resource is there before its item. */
export const appears: Scenario = (site) => ({
  prepare: () => site.item('db', 'db'),
  isPrepared: () => isMissed(site),
  act: () => anItem(site, 'db'),
  isDone: () => ready(site, 'db'),
})

/** A resource whose Secret outlives it is deleted and made again. */
export const takenBack: Scenario = (site) => {
  const make = () => site.item('db', 'db', { spec: { deletionPolicy: 'Retain' } })
  return {
    prepare() {
      anItem(site, 'db')
      return make()
    },
    isPrepared: () => ready(site, 'db'),
    async act() {
      await site.cluster.delete('items', 'db')
      await make()
    },
    isDone: () => ready(site, 'db'),
  }
}

/** Labels and annotations that the Secret is to have change. */
export const relabelled = edited(
  {
    metadata: { labels: { team: 'a' } },
    spec: { secretMetadata: { annotations: { 'example.com/team': 'a' } } },
  },
  async ({ cluster }) => {
    const { labels, annotations } = (await cluster.get('secrets', 'db')).metadata
    return labels?.['team'] === 'a' && annotations?.['example.com/team'] === 'a'
  },
)
