/**
 * Two tenants of one operator, each with a namespace, a vault that is the other's business as little
 * as its own is that of the other, and accounts of its own.
 */
import { rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { inject } from 'vitest'
import { grant, type Login, logInAs, type Rule } from './accounts.ts'
import { adminRest, type Cluster, clusterOf, isReady } from './cluster.ts'
import { eventually } from './eventually.ts'
import { PLANTED } from './leaks.ts'
import type { OperatorProcess } from './operator.ts'
import { setStage, type Stage } from './stage.ts'

/** Who attacks. */
export type Actor = 'owner' | 'author' | 'reader'

const ITEMS = { apiGroups: ['onepassword.com'], resources: ['onepassworditems'] } as const
const READ = ['get', 'list', 'watch']

/** What they may do in their namespace, and nowhere else. */
const RIGHTS: Readonly<Record<Actor, readonly Rule[]>> = {
  /** Everything. */
  owner: [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }],
  /** Write resources: no Secrets, no statuses, no workloads. */
  author: [{ ...ITEMS, verbs: [...READ, 'create', 'update', 'patch', 'delete'] }],
  /** Look at everything but Secrets. */
  reader: [
    { ...ITEMS, verbs: READ },
    { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: READ },
    { apiGroups: ['apps'], resources: ['deployments'], verbs: READ },
  ],
}

/** One tenant. */
export interface Tenant {
  readonly namespace: string
  /** Its namespace as the administrator sees it. */
  readonly estate: Cluster
  /** Its namespace as its own people see it. */
  readonly as: Readonly<Record<Actor, Cluster>>
  readonly logins: Readonly<Record<Actor, Login>>
  /** What is its own alone: name and id of the vault, id of the item `Card`, and its number. */
  readonly hidden: Readonly<Record<'name' | 'vault' | 'item' | 'number', string>>
}

/** The world of the tenants; the namespace of the stage is the operator's. */
export interface Tenants extends AsyncDisposable {
  readonly stage: Stage
  readonly operator: OperatorProcess
  readonly tenants: readonly [Tenant, Tenant]
}

/** Starts both tenants: each holds the Secret `card` of its own vault, and may draw from `Team`. */
export async function startTenants(): Promise<Tenants> {
  const stage = await setStage()
  const { cluster, connect } = stage
  const team = connect.vault('Team')
  connect.add(team, { title: 'Ours', fields: [{ label: 'password', value: 'weak-4711' }] })
  const [a, b] = [await startTenant(stage, 'PaymentsA'), await startTenant(stage, 'PaymentsB')]
  const rules = [a, b].map(({ namespace, hidden }) => ({
    namespaces: [namespace],
    vaults: ['Team', hidden.name],
  }))
  const file = path.join(os.tmpdir(), `keyferry-policy-${cluster.namespace}`)
  await writeFile(file, JSON.stringify({ mode: 'closed', rules }))
  const operator = await stage.operator({
    VAULT_POLICY_FILE: file,
    WATCH_NAMESPACE: [a.namespace, b.namespace].join(),
  })
  for (const { estate, hidden } of [a, b]) {
    const spec = { itemPath: `vaults/${hidden.name}/items/Card` }
    await estate.create('items', { metadata: { name: 'card' }, spec })
    await estate.until('items', 'card', isReady)
    const stringData = { password: 'of the platform' }
    await estate.create('secrets', { metadata: { name: 'platform' }, stringData })
  }
  return {
    stage,
    operator,
    tenants: [a, b],
    async [Symbol.asyncDispose]() {
      for (const { as, logins } of [a, b]) {
        for (const { rest } of Object.values(as)) await rest.close()
        for (const login of Object.values(logins)) await login[Symbol.asyncDispose]()
      }
      await stage.close()
      await rm(file)
    },
  }
}

async function startTenant(stage: Stage, name: string): Promise<Tenant> {
  const estate = await stage.another()
  const { namespace } = estate
  const vault = stage.connect.vault(name)
  const number = `${PLANTED}card-of-${name}`
  const fields = [{ label: 'number', value: number }]
  const item = stage.connect.add(vault, { title: 'Card', fields })
  const hidden = { name, vault, item, number }
  const [owner, author, reader] = [
    await account(estate, 'owner'),
    await account(estate, 'author'),
    await account(estate, 'reader'),
  ]
  return {
    namespace,
    estate,
    hidden,
    as: { owner: owner.cluster, author: author.cluster, reader: reader.cluster },
    logins: { owner: owner.login, author: author.login, reader: reader.login },
  }
}

/** The accounts of tenants are called so: the admission policies of operators do not concern them. */
async function account(estate: Cluster, actor: Actor) {
  const name = `tenant-${actor}`
  await grant(estate, name, RIGHTS[actor])
  const login = await logInAs(estate, name, inject('kubeconfig'))
  const cluster = clusterOf(adminRest(login.kubeconfig), estate.namespace)
  await eventually(`the ${actor} has its rights`, () => cluster.list('items'))
  return { login, cluster }
}
