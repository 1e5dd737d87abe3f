/**
 * More of what the crash matrix interrupts: items change, and workloads use what is made of them.
 */
import { type KubeObject, valueOf } from '../support/cluster.ts'
import { CANARY, type Scenario, type Site } from '../support/crash.ts'
import { aWorkload, digestOf, OPTED_IN, restartedFor, usesAsEnv } from '../support/restarts.ts'
import { anAsker, anItem, fieldsOf, hasPassword, NONE, ready } from './props.ts'

/** Three Secrets change at once, and one workload uses them all. */
export const several: Scenario = (site) => {
  const names = ['a', 'b', 'c']
  const ids = names.map((name) => anItem(site, name))
  const { cluster, connect } = site
  return {
    async prepare() {
      for (const name of names) await site.item(name, name, { annotations: OPTED_IN })
      const envFrom = names.map((name) => ({ secretRef: { name } }))
      const containers = [{ name: 'app', image: 'example.invalid/app', envFrom }]
      await cluster.create('deployments', aWorkload('web', { containers }, { spec: NONE }))
    },
    isPrepared: async () =>
      (await Promise.all(names.map((name) => ready(site, name)))).every(Boolean),
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

/** Whether a Secret is as wanted, and these Deployments run with it. */
async function isUsed(
  { cluster }: Site,
  holds: (secret: KubeObject) => boolean,
  users: readonly string[] = ['web'],
): Promise<boolean> {
  const secret = await cluster.find('secrets', 'db')
  if (!secret || !holds(secret)) return false
  const workloads = await Promise.all(users.map((user) => cluster.get('deployments', user)))
  return workloads.every((workload) => restartedFor(workload).includes(digestOf(secret)))
}

/** A change of an item or of several, whose Secret workloads use. */
interface Turn {
  /** Of the resource; its item is `db`. */
  readonly spec?: (site: Site) => Record<string, unknown>
  readonly annotations?: Readonly<Record<string, string>>
  /** Pods of Deployments, by name. */
  readonly pods?: Readonly<Record<string, Record<string, unknown>>>
  /** Of all of them. */
  readonly deployment?: object
  /** Adds what is needed besides. */
  readonly before?: (site: Site) => void
  /** @param id of the item */
  readonly change: (site: Site, id: string) => unknown
  readonly isDone: (site: Site) => Promise<boolean>
}

function turn({
  spec,
  annotations = OPTED_IN,
  pods,
  deployment,
  before,
  change,
  isDone,
}: Turn): Scenario {
  return (site) => {
    const id = anItem(site, 'db')
    before?.(site)
    return {
      async prepare() {
        await site.item('db', 'db', { annotations, spec: spec?.(site) ?? {} })
        for (const [name, pod] of Object.entries(pods ?? { web: usesAsEnv('db') })) {
          const workload = aWorkload(name, pod, { spec: { ...NONE, ...deployment } })
          await site.cluster.create('deployments', workload)
        }
      },
      isPrepared: () => ready(site, 'db'),
      act: () => change(site, id),
      isDone: async () => (await ready(site, 'db')) && isDone(site),
    }
  }
}

const setTwo = ({ connect }: Site, id: string) => connect.set(id, 'password', `${CANARY}two`)
const isTwo = (secret: KubeObject) => hasPassword(secret, 'two')

/** A paused Deployment gets the new template and rolls out later. */
export const paused = turn({
  deployment: { paused: true },
  change: setTwo,
  isDone: (site) => isUsed(site, isTwo),
})

const container = { name: 'app', image: 'example.invalid/app' }
const secretVolume = { name: 'v', secret: { secretName: 'db' } }
const projected = { name: 'v', projected: { sources: [{ secret: { name: 'db' } }] } }
const env = [{ name: 'P', valueFrom: { secretKeyRef: { name: 'db', key: 'password' } } }]

/** Pods use the Secret in all ways that there are. */
export const mounted = turn({
  pods: {
    volume: { containers: [container], volumes: [secretVolume] },
    projected: { containers: [container], volumes: [projected] },
    key: { containers: [{ ...container, env }] },
    init: { containers: [container], initContainers: [{ ...container, name: 'init', env }] },
  },
  change: setTwo,
  isDone: (site) => isUsed(site, isTwo, ['volume', 'projected', 'key', 'init']),
})

const AUTO_RESTART = 'operator.1password.io/auto-restart'

/** One workload wants restarts, one to be told, and one says what nobody understands. */
export const levels: Scenario = (site) => {
  const { cluster } = site
  const plot = turn({ annotations: {}, change: setTwo, isDone: (at) => isUsed(at, isTwo) })(site)
  return {
    ...plot,
    async prepare() {
      await plot.prepare()
      for (const text of ['notify', 'maybe']) {
        const more = { spec: NONE, annotations: { [AUTO_RESTART]: text } }
        await cluster.create('deployments', aWorkload(text, usesAsEnv('db'), more))
      }
    },
    async isDone() {
      const events = await cluster.list('events')
      const reasons = events.map(({ reason }) => reason)
      const told = ['RestartDue', 'RestartUnclear'].every((one) => reasons.includes(one))
      return told && plot.isDone()
    },
  }
}

/** The version of an item rises, and its content is as it was: nobody is restarted. */
export const bumped = turn({
  change: ({ connect }, id) => connect.edit(id, { tags: ['noted'] }),
  async isDone({ cluster }) {
    const { metadata } = await cluster.get('secrets', 'db')
    return metadata.annotations?.['operator.1password.io/item-version'] === '2'
  },
})

/** The item goes, and another one of its name comes. */
export const recreated = turn({
  change({ connect, vault }, id) {
    connect.remove(id)
    connect.add(vault, { title: 'db', fields: fieldsOf('two') })
  },
  isDone: (site) => isUsed(site, isTwo),
})

/** The item loses a field. */
export const keyGone = turn({
  change: ({ connect }, id) => connect.edit(id, { fields: fieldsOf('one').slice(0, 1) }),
  isDone: (site) => isUsed(site, (secret) => valueOf(secret, 'password') === undefined),
})

/** The resource is to have the item of that name in another vault. */
export const moved: Scenario = (site) => {
  const { id, name } = site.anotherVault()
  site.connect.add(id, { title: 'db', fields: fieldsOf('two') })
  const itemPath = `vaults/${name}/items/db`
  return turn({
    change: ({ cluster }) => cluster.patch('items', 'db', { spec: { itemPath } }),
    isDone: (at) => isUsed(at, isTwo),
  })(site)
}

/** A Secret of five items in two vaults, of which two change. */
export const gathered: Scenario = (site) => {
  const more = site.anotherVault()
  const near = ['a', 'b'].map((title) => anItem(site, title))
  const far = ['c', 'd'].map((title) =>
    site.connect.add(more.id, { title, fields: fieldsOf('one') }),
  )
  const of = (vault: string, title: string) => `op://${vault}/${title}/password`
  const data = {
    A: of(site.vaultName, 'a'),
    B: of(site.vaultName, 'b'),
    C: of(more.name, 'c'),
    D: `d:{{ ${of(more.name, 'd')} }}`,
  }
  const isChanged = (secret: KubeObject) =>
    ['A', 'C'].every((key) => valueOf(secret, key) === `${CANARY}two`)
  return turn({
    spec: () => ({ data }),
    change: ({ connect }) => {
      for (const id of [near[0], far[0]]) connect.set(id ?? '', 'password', `${CANARY}two`)
    },
    isDone: (at) => isUsed(at, isChanged),
  })(site)
}

const filesOf = (value: string) =>
  ['ca.pem', 'tls.pem', 'key.pem'].map((name) => ({
    name,
    content: Buffer.from(`${CANARY}${name}-${value}`),
  }))

/** An item with files, which change. */
export const files: Scenario = (site) => {
  const isNew = (secret: KubeObject) => valueOf(secret, 'key.pem') === `${CANARY}key.pem-two`
  return turn({
    change: ({ connect }, id) => connect.edit(id, { files: filesOf('two') }),
    isDone: (at) => isUsed(at, isNew),
  })(site)
}

/** An item whose Secret a workload asked for changes. */
export const asksChange: Scenario = (site) => {
  const { cluster, connect } = site
  const id = anItem(site, 'db')
  return {
    prepare: () => cluster.create('deployments', anAsker(site, 'web')),
    isPrepared: async () => hasPassword(await cluster.find('secrets', 'db'), 'one'),
    act: () => connect.set(id, 'password', `${CANARY}two`),
    isDone: () => isUsed(site, isTwo),
  }
}

/** Of two workloads that ask for one Secret, one does so no more. */
export const oneLeaves: Scenario = (site) => {
  const { cluster } = site
  const owners = async () =>
    (await cluster.find('secrets', 'db'))?.metadata.ownerReferences?.length ?? 0
  return {
    async prepare() {
      anItem(site, 'db')
      for (const name of ['web', 'api']) await cluster.create('deployments', anAsker(site, name))
    },
    isPrepared: async () => (await owners()) === 2,
    act: () =>
      cluster.patch('deployments', 'web', {
        metadata: { annotations: { 'operator.1password.io/item-name': null } },
      }),
    isDone: async () => (await owners()) === 1,
  }
}

/** Files of an item, so many. */
const filed = (many: number, value: string) =>
  Array.from({ length: many }, (_, n) => ({
    name: `file-${n}`,
    content: Buffer.from(`${CANARY}${n}-${value}`),
  }))

/** The first start with a Secret of twelve items in two vaults, three of them with files. */
export const gatheredFirst: Scenario = (site) => {
  const more = site.anotherVault()
  const [near, far] = [
    ['a', 'b', 'c', 'd', 'e', 'f'],
    ['g', 'h', 'i', 'j', 'k', 'l'],
  ] as const
  const withFiles = near.slice(0, 3)
  const add = (vault: string, title: string, files = filed(0, '')) =>
    site.connect.add(vault, { title, fields: fieldsOf('one'), files })
  for (const title of near) add(site.vault, title, filed(withFiles.includes(title) ? 4 : 0, title))
  for (const title of far) add(more.id, title)
  const of = (vault: string) => (title: string) => [title, `op://${vault}/${title}/password`]
  const files = withFiles.flatMap((title) =>
    filed(4, title).map(({ name }) => [
      `${title}-${name}`,
      `op://${site.vaultName}/${title}/${name}`,
    ]),
  )
  const data = [...near.map(of(site.vaultName)), ...far.map(of(more.name)), ...files]
  return {
    prepare: () => site.item('db', 'a', { spec: { data: Object.fromEntries(data) } }),
    isDone: () => ready(site, 'db'),
  }
}

/** An item with many files changes. */
export const manyFiles: Scenario = (site) => {
  const isNew = (secret: KubeObject) => valueOf(secret, 'file-9') === `${CANARY}9-two`
  return turn({
    change: ({ connect }, id) => connect.edit(id, { files: filed(10, 'two') }),
    isDone: (at) => isUsed(at, isNew),
  })(site)
}

/** A Secret of items in four vaults, all of which change. */
export const manyVaults: Scenario = (site) => {
  const vaults = ['b', 'c', 'd'].map((title) => ({ title, ...site.anotherVault() }))
  const ids = vaults.map(({ title, id }) =>
    site.connect.add(id, { title, fields: fieldsOf('one') }),
  )
  const data = Object.fromEntries(
    vaults.map(({ title, name }) => [title, `op://${name}/${title}/password`]),
  )
  const isNew = (secret: KubeObject) =>
    ['password', 'b', 'c', 'd'].every((key) => valueOf(secret, key) === `${CANARY}two`)
  return turn({
    spec: () => ({ data }),
    change: ({ connect }, id) => {
      for (const one of [id, ...ids]) connect.set(one, 'password', `${CANARY}two`)
    },
    isDone: (at) => isUsed(at, isNew),
  })(site)
}

/** Six resources whose items change at once, and nobody uses their Secrets. */
export const six: Scenario = (site) => {
  const { cluster, connect } = site
  const names = ['a', 'b', 'c', 'd', 'e', 'f']
  const ids = names.map((name) => anItem(site, name))
  const all = async (holds: (name: string) => Promise<boolean>) =>
    (await Promise.all(names.map(holds))).every(Boolean)
  const isSynced = async (name: string) =>
    isTwo(await cluster.get('secrets', name)) && (await ready(site, name))
  return {
    async prepare() {
      for (const name of names) await site.item(name, name)
    },
    isPrepared: () => all((name) => ready(site, name)),
    act: () => ids.map((id) => connect.set(id, 'password', `${CANARY}two`)),
    isDone: () => all(isSynced),
  }
}

/** Somebody asks that the item be looked at anew, and finds it as it was. */
export const refreshed = turn({
  change: ({ cluster }) =>
    cluster.patch('items', 'db', { metadata: { annotations: { 'keyferry.dev/refresh': '1' } } }),
  isDone: async ({ cluster }) => (await cluster.get('items', 'db'))['status'].refresh === '1',
})
