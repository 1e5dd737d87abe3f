/** Attacks by what resources, Secrets and workloads may say. */
import { type Cluster, condition, hasReason, isReady, type KubeObject } from '../cluster.ts'
import { aDeployment } from '../stage.ts'
import type { Tenant } from '../tenants.ts'
import {
  aResource,
  type Attack,
  denied,
  isFalse,
  OURS,
  refresh,
  refused,
  served,
  within,
  won,
  writeStatus,
} from './attack.ts'

/** Paths by which a vault of somebody else is asked for. */
const PATHS: Readonly<Record<string, (hidden: Tenant['hidden']) => string>> = {
  'its name': ({ name }) => `vaults/${name}/items/Card`,
  'its ids': ({ vault, item }) => `vaults/${vault}/items/${item}`,
  'the id of its item in a vault of mine': ({ item }) => `vaults/Team/items/${item}`,
  'a reference in capital letters': ({ name }) => `op://${name.toUpperCase()}/Card`,
  'a way round through a vault of mine': ({ vault, item }) =>
    `vaults/Team/items/../../${vault}/items/${item}`,
  'a filter in its name': ({ name }) => `vaults/Team" or name eq "${name}/items/Card`,
  'a name that looks like it': ({ name }) => `vaults/${name.replace('a', '\u0430')}/items/Card`,
  'a name with a byte that ends texts': ({ name }) => `vaults/${name}\u0000/items/Card`,
}

/** Values by which a vault of somebody else is asked for, beside what is mine. */
const VALUES: typeof PATHS = {
  'a bare reference': ({ name }) => `op://${name}/Card/number`,
  'a reference by ids in a text': ({ vault, item }) => `x{{ op://${vault}/${item}/number }}`,
  'a reference through a pipe': ({ name }) => `{{ op://${name}/Card/number | base64 }}`,
}

const UNKNOWN = /^(?:VaultNotFound|ItemNotFound|InvalidItemPath)$/

const VAULTS: readonly Attack[] = [
  ...Object.entries(PATHS).map(
    ([what, path]): Attack => ({
      row: 1,
      who: 'author',
      tries: `the other’s vault by ${what}`,
      attempt: (scene) => {
        return denied(scene, UNKNOWN, { spec: { itemPath: path(scene.other.hidden) } })
      },
    }),
  ),
  ...Object.entries(VALUES).map(
    ([what, value]): Attack => ({
      row: 1,
      who: 'author',
      tries: `the other’s vault by ${what}`,
      attempt: (scene) => {
        const data = { stolen: value(scene.other.hidden) }
        return denied(scene, UNKNOWN, { spec: { itemPath: OURS, data } })
      },
    }),
  ),
  {
    row: 1,
    who: 'author',
    tries: 'to turn a resource that is good to the other’s vault',
    async attempt({ me, other, name }) {
      await me.as.author.create('items', aResource(name, { itemPath: OURS }))
      await me.estate.until('items', name, isReady)
      const before = await me.estate.get('secrets', name)
      const spec = { itemPath: `vaults/${other.hidden.name}/items/Card` }
      await me.as.author.patch('items', name, { spec })
      await me.estate.until('items', name, isFalse)
      const after = await me.estate.get('secrets', name)
      return won(JSON.stringify(after) !== JSON.stringify(before), 'the Secret changed')
    },
  },
  {
    row: 1,
    who: 'owner',
    tries: 'the other’s vault by annotations of a pod template',
    async attempt(scene) {
      const { me, other, name } = scene
      const annotations = {
        'operator.1password.io/item-path': `vaults/${other.hidden.vault}/items/Card`,
        'operator.1password.io/item-name': `${name}-asked`,
      }
      const { spec, ...workload } = aDeployment(name, [], {})
      Object.assign(spec.template.metadata, { annotations })
      await me.as.owner.create('deployments', { ...workload, spec })
      await served(me, `${name}-sentinel`)
      const secret = await me.estate.find('secrets', `${name}-asked`)
      return won(secret !== undefined, 'a Secret was made')
    },
  },
  {
    row: 1,
    who: 'owner',
    tries: 'to write the other’s ids into a status',
    async attempt({ me, other, name }) {
      await me.as.author.create('items', aResource(name, { itemPath: OURS }))
      const { status } = await me.estate.until('items', name, isReady)
      const { vault: vaultId, item: itemId } = other.hidden
      const items = [{ ...status.items[0], vaultId, itemId }]
      await writeStatus(me.as.owner, name, { items, secretResourceVersion: '1' })
      await refresh(me.as.owner, name)
      const after = await me.estate.until('items', name, (item) => item['status'].refresh === name)
      return won(after['status'].items[0].itemId === itemId, 'the status is believed')
    },
  },
  {
    row: 1,
    who: 'author',
    tries: 'to learn from the answer whether a vault is there',
    async attempt({ me, other, name }) {
      const asked = async (vault: string, n: number) => {
        const itemPath = `vaults/${vault}/items/Card`
        await me.as.author.create('items', aResource(`${name}-${n}`, { itemPath }))
        const item = await me.estate.until('items', `${name}-${n}`, isFalse)
        const { reason, message } = condition(item, 'Ready') ?? {}
        return `${reason} ${message?.replaceAll(vault, 'it')}`
      }
      const answers = [await asked(other.hidden.name, 1), await asked('NoSuchVault', 2)]
      return won(answers[0] !== answers[1], `they differ: ${answers.join(' and ')}`)
    },
  },
]

const NAMESPACES: readonly Attack[] = [
  {
    row: 2,
    who: 'author',
    tries: 'to make a resource in the other’s namespace',
    attempt: ({ me, other, name }) => {
      const there = within(me.as.author, other.namespace)
      return refused(there.create('items', aResource(name, { itemPath: OURS })), 403)
    },
  },
  {
    row: 2,
    who: 'author',
    tries: 'to name the other’s namespace in the body',
    attempt: ({ me, other, name }) => {
      const metadata = { name, namespace: other.namespace }
      return refused(me.as.author.create('items', { metadata, spec: { itemPath: OURS } }), 400)
    },
  },
  {
    row: 2,
    who: 'author',
    tries: 'a secretName with a namespace in it',
    attempt: ({ me, other, name }) => {
      const spec = { itemPath: OURS, secretName: `${other.namespace}/card` }
      return refused(me.as.author.create('items', aResource(name, spec)), 422)
    },
  },
  {
    row: 2,
    who: 'author',
    tries: 'members that name the other’s namespace',
    async attempt({ me, other, name }) {
      const more = { namespace: other.namespace, secretNamespace: other.namespace }
      await me.as.author.create('items', aResource(name, { itemPath: OURS, ...more }))
      await me.estate.until('items', name, isReady)
      return won((await other.estate.find('secrets', name)) !== undefined, 'it was written there')
    },
  },
  {
    row: 2,
    who: 'owner',
    tries: 'to own the other’s Secret by a resource of its name and uid',
    async attempt({ me, other, name }) {
      const { uid } = await idOf(other.estate, 'card')
      const owner = { apiVersion: 'onepassword.com/v1', kind: 'OnePasswordItem', name: 'card', uid }
      const metadata = {
        name,
        ownerReferences: [owner],
        labels: { 'keyferry.dev/managed': 'true' },
      }
      await me.as.owner.create('secrets', { metadata })
      await served(me, `${name}-sentinel`)
      return []
    },
  },
]

async function idOf(cluster: Cluster, name: string): Promise<KubeObject['metadata']> {
  return (await cluster.get('items', name)).metadata
}

const TYPES = [
  'kubernetes.io/service-account-token',
  'bootstrap.kubernetes.io/token',
  'helm.sh/release.v1',
]
const ANNOTATIONS = [
  'kubernetes.io/service-account.name',
  'keyferry.dev/restart',
  'keyferry.dev/instance',
]

const CREDENTIALS: readonly Attack[] = [
  ...TYPES.map(
    (type): Attack => ({
      row: 3,
      who: 'author',
      tries: `to turn a good Secret into one of type ${type}`,
      async attempt({ me, name }) {
        await me.as.author.create('items', aResource(name, { itemPath: OURS }))
        await me.estate.until('items', name, isReady)
        const { metadata } = await me.estate.get('secrets', name)
        await me.as.author.patch('items', name, { type })
        await me.estate.until('items', name, hasReason('TypeRefused'))
        const after = await me.estate.get('secrets', name)
        return won(after.metadata.resourceVersion !== metadata.resourceVersion, 'it changed')
      },
    }),
  ),
  ...ANNOTATIONS.map(
    (annotation): Attack => ({
      row: 3,
      who: 'author',
      tries: `the annotation ${annotation} on a Secret`,
      attempt: (scene) => {
        const secretMetadata = { annotations: { [annotation]: 'default' } }
        return denied(scene, /^InvalidMetadata$/, { spec: { itemPath: OURS, secretMetadata } })
      },
    }),
  ),
  {
    row: 3,
    who: 'author',
    tries: 'labels by which tools know what is theirs',
    async attempt({ me, name }) {
      const labels = { 'app.kubernetes.io/managed-by': 'Helm', 'keyferry.dev/managed': 'false' }
      await me.as.author.create('items', { metadata: { name, labels }, spec: { itemPath: OURS } })
      await me.estate.until('items', name, isReady)
      const { metadata } = await me.estate.get('secrets', name)
      const copied = Object.entries(labels).filter(
        ([key, value]) => metadata.labels?.[key] === value,
      )
      return won(copied.length > 0, `the Secret has ${copied.join()}`)
    },
  },
]

const SECRETS: readonly Attack[] = [
  {
    row: 4,
    who: 'owner',
    tries: 'marks of ours on a Secret of mine that asks for the other’s item',
    async attempt({ me, other, name }) {
      const { labels, annotations } = (await me.estate.get('secrets', 'card')).metadata
      const { vault, item } = other.hidden
      const asked = { 'operator.1password.io/item-path': `vaults/${vault}/items/${item}` }
      const version = { 'operator.1password.io/item-version': '0' }
      const metadata = { name, labels, annotations: { ...annotations, ...asked, ...version } }
      const before = await me.as.owner.create('secrets', { metadata, stringData: { a: 'mine' } })
      await served(me, `${name}-sentinel`)
      const after = await me.estate.get('secrets', name)
      return won(JSON.stringify(before) !== JSON.stringify(after), 'it was written to')
    },
  },
  {
    row: 4,
    who: 'owner',
    tries: 'to have a Secret taken for ours by a proof that was made up',
    async attempt({ me, name }) {
      const annotations = {
        'keyferry.dev/owner': `OnePasswordItem/${name} 00000000.${'0'.repeat(64)}`,
      }
      const metadata = { name, annotations, labels: { 'keyferry.dev/managed': 'true' } }
      const before = await me.as.owner.create('secrets', { metadata, stringData: { a: 'b' } })
      await me.as.author.create('items', aResource(name, { itemPath: OURS }))
      await me.estate.until('items', name, isFalse)
      const after = await me.estate.get('secrets', name)
      return won(JSON.stringify(before) !== JSON.stringify(after), 'it was written to')
    },
  },
  ...(['Refuse', 'Adopt'] as const).map(
    (existingSecret): Attack => ({
      row: 6,
      who: 'author',
      tries: `a Secret of others by its name, existingSecret: ${existingSecret}, and its deletion`,
      async attempt({ me, name }) {
        const spec = { itemPath: OURS, secretName: 'platform', existingSecret }
        await me.as.author.create('items', aResource(name, spec))
        await me.estate.until('items', name, isFalse)
        await me.as.author.delete('items', name)
        await me.estate.untilGone('items', name)
        await served(me, `${name}-sentinel`)
        return won((await me.estate.find('secrets', 'platform')) === undefined, 'it is gone')
      },
    }),
  ),
  {
    row: 6,
    who: 'author',
    tries: 'the Secret of another resource by its name',
    async attempt({ me, name }) {
      const spec = { itemPath: OURS, secretName: 'card' }
      await me.as.author.create('items', aResource(name, spec))
      const item = await me.estate.until('items', name, isFalse)
      const reason = condition(item, 'Ready')?.reason
      return won(reason !== 'SecretClaimedTwice', `it was told ${reason}`)
    },
  },
  {
    row: 6,
    who: 'author',
    tries: 'to offer a Secret of others for adoption',
    attempt: ({ me }) => {
      const metadata = { annotations: { 'keyferry.dev/adopt': 'true' } }
      return refused(me.as.author.patch('secrets', 'platform', { metadata }), 403)
    },
  },
  {
    row: 6,
    who: 'author',
    tries: 'to read the Secret that a resource made',
    attempt: ({ me }) => refused(me.as.author.get('secrets', 'card'), 403),
  },
]

/** All of them. */
export const REACH: readonly Attack[] = [...VAULTS, ...NAMESPACES, ...CREDENTIALS, ...SECRETS]
