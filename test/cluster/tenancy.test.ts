/**
 * What a tenant can reach who may do everything in one namespace, its Secrets and statuses included,
 * and nothing elsewhere: no more than the vault policy gives that namespace. The attempts are made
 * with the tenant's own account; another namespace draws from the vault that is not the tenant's,
 * so that the operator knows it well.
 */
import { rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { beforeAll, describe, expect, inject, test } from 'vitest'
import { objectPath } from '../../src/kube/resource.ts'
import { grant, logInAs } from '../support/accounts.ts'
import { isWrite, readAudit } from '../support/audit.ts'
import {
  adminRest,
  type Cluster,
  clusterOf,
  condition,
  hasReason,
  isReady,
  type KubeObject,
  RESOURCES,
  textsOf,
  valueOf,
} from '../support/cluster.ts'
import { eventually, timeout } from '../support/eventually.ts'
import { tally } from '../support/gates.ts'
import { aDeployment, setStage, type Stage } from '../support/stage.ts'

let stage: Stage
/** The tenant's namespace, as the tenant sees it. */
let tenant: Cluster
/** The same by the administrator. */
let estate: Cluster
/** Of somebody else. */
let victim: Cluster
/** Ids of the vault and item that are not the tenant's. */
let hidden: { readonly vault: string; readonly item: string }
/** Requests to Connect before the tenant began. */
let before: number
/** Answered requests to the API server before the tenant began. */
let began: number

beforeAll(async () => {
  stage = await setStage()
  const { connect, cluster } = stage
  ;[estate, victim] = [await stage.another(), await stage.another()]
  const file = path.join(os.tmpdir(), `keyferry-policy-${cluster.namespace}`)
  const rules = [
    { namespaces: [estate.namespace], vaults: ['Team'] },
    { namespaces: [victim.namespace], vaults: ['Payments'] },
    { namespaces: [cluster.namespace], vaults: ['Team'] },
  ]
  await writeFile(file, JSON.stringify({ mode: 'closed', rules }))
  const card = { title: 'Card', fields: [{ label: 'number', value: 'not for tenants' }] }
  const vault = connect.vault('Payments')
  hidden = { vault, item: connect.add(vault, card) }
  const team = connect.vault('Team')
  for (const title of ['Ours', 'Gone']) {
    connect.add(team, { title, fields: [{ label: 'password', value: 'ours' }] })
  }
  await stage.operator({
    VAULT_POLICY_FILE: file,
    WATCH_NAMESPACE: [cluster, estate, victim].map(({ namespace }) => namespace).join(),
  })
  await victim.create('items', aResource('card', 'vaults/Payments/items/Card'))
  await victim.until('items', 'card', isReady)
  const close = await becomeTenant()
  before = connect.requests.length
  began = (await readAudit(inject('auditLog'))).length
  return async () => {
    await close()
    await stage.close()
    await rm(file)
  }
})

/** Logs in as the tenant, once its rights hold. */
async function becomeTenant(): Promise<() => Promise<void>> {
  const all = ['*']
  await grant(estate, 'tenant', [{ apiGroups: all, resources: all, verbs: all }])
  const login = await logInAs(estate, 'tenant', inject('kubeconfig'))
  const rest = adminRest(login.kubeconfig)
  tenant = clusterOf(rest, estate.namespace)
  await eventually('the tenant has its rights', () => tenant.list('items'))
  await expect(clusterOf(rest, victim.namespace).list('secrets')).rejects.toThrow('forbidden')
  return async () => {
    await rest.close()
    await login[Symbol.asyncDispose]()
  }
}

const aResource = (name: string, itemPath: string, more: object = {}) => ({
  metadata: { name },
  spec: { itemPath, ...more },
})

/** Requests to Connect, since the tenant began, that name what is not the tenant's. */
function reads(): string[] {
  const { vault, item } = hidden
  return stage.connect.requests
    .slice(before)
    .filter((one) => one.includes(vault) || one.includes(item))
}

const reasonOf = (item: KubeObject) => condition(item, 'Ready')?.reason ?? ''
const settled = (item: KubeObject) => condition(item, 'Ready')?.status === 'False'

/** Other ways to say the same, and ways that somebody may hope to be taken for the same. */
const SPELLINGS: readonly (() => string)[] = [
  () => 'vaults/Payments/items/Card',
  () => 'vaults/payments/items/Card',
  () => 'vaults/PAYMENTS/items/Card',
  () => `vaults/${hidden.vault}/items/Card`,
  () => `vaults/${hidden.vault.toUpperCase()}/items/Card`,
  () => `vaults/${hidden.vault}/items/${hidden.item}`,
  () => `vaults/Payments/items/${hidden.item}`,
  () => `vaults/Team/items/${hidden.item}`,
  () => 'vaults/Team/items/Card',
  () => 'op://Payments/Card',
  () => 'op://payments/Card',
  () => `op://${hidden.vault}/${hidden.item}`,
  () => `op://Team/${hidden.item}`,
  () => `vaults/Team/../${hidden.vault}/items/Card`,
  () => `vaults/Team/items/../../${hidden.vault}/items/${hidden.item}`,
  () => `vaults/Team%2F..%2F${hidden.vault}/items/Card`,
  () => `vaults/Team/items/..%2F..%2F${hidden.vault}%2Fitems%2F${hidden.item}`,
  () => 'vaults/Payments%20/items/Card',
  () => 'vaults/ Payments /items/Card',
  () => 'vaults/Pay\u200bments/items/Card',
  () => 'vaults/\u0420ayments/items/Card',
  () => 'vaults/P*/items/Card',
  () => 'vaults/Payments" or name eq "Team/items/Card',
  () => `vaults/Team?x=/../${hidden.vault}/items/Card`,
  () => `vaults/Team#/items/../${hidden.vault}`,
]

describe.concurrent('a vault that is not the tenant’s', () => {
  test('is not reached by any spelling of its path', async () => {
    const names = SPELLINGS.map((_spelling, n) => `spelled-${n}`)
    for (const [n, spelling] of SPELLINGS.entries()) {
      await tenant.create('items', aResource(`spelled-${n}`, spelling()))
    }
    const reasons = new Set<string>()
    for (const name of names) reasons.add(reasonOf(await tenant.until('items', name, settled)))
    expect([...reasons].toSorted()).toEqual(['InvalidItemPath', 'ItemNotFound', 'VaultNotFound'])
    for (const name of names) expect(await tenant.find('secrets', name)).toBeUndefined()
    expect(reads()).toEqual([])
    const what = 'spellings of the path of a vault that is another tenant’s'
    await tally({ gate: 18, what, trials: names.length, violations: 0 })
  })

  test('is not reached by references, texts and workloads', async () => {
    const field = () => `op://Payments/Card/number`
    const byId = () => `op://${hidden.vault}/${hidden.item}/number`
    const data: Record<string, string> = {
      bare: field(),
      id: byId(),
      text: `x{{ ${field()} }}y`,
      pipe: `{{ ${byId()} | base64 }}`,
      attribute: `${field()}?attribute=content`,
    }
    for (const [name, text] of Object.entries(data)) {
      // What is the tenant's own does not help what is not.
      const spec = { itemPath: 'vaults/Team/items/Ours', data: { a: text } }
      await tenant.create('items', { metadata: { name: `data-${name}` }, spec })
    }
    for (const item of ['Card', hidden.item]) {
      const annotations = {
        'operator.1password.io/item-path': `vaults/${hidden.vault}/items/${item}`,
        'operator.1password.io/item-name': `asked-${item.toLowerCase()}`,
      }
      const name = `app-${item.toLowerCase()}`
      await tenant.create('deployments', aDeployment(name, [], annotations))
    }
    for (const name of Object.keys(data)) {
      await tenant.until('items', `data-${name}`, hasReason('VaultNotFound'))
    }
    await sentinel('after-workloads')
    const secrets = (await tenant.list('secrets')).map(({ metadata }) => metadata.name)
    expect(secrets.filter((name) => /^(data|asked)-/.test(name))).toEqual([])
    expect(reads()).toEqual([])
  })

  test('reads like one that does not exist, also to who writes the status', async () => {
    const message = (item: KubeObject) => condition(item, 'Ready')?.message
    const had = (itemPath: string, vaultId: string) => [
      { path: itemPath, vaultId, itemId: 'i'.repeat(26), version: 1 },
    ]
    for (const vault of ['Payments', 'Nothing']) {
      const name = vault.toLowerCase()
      const itemPath = `vaults/${vault}/items/Card`
      await tenant.create('items', aResource(name, itemPath))
      await tenant.until('items', name, hasReason('VaultNotFound'))
      await writeStatus(name, { items: had(itemPath, 'v'.repeat(26)) })
      await refresh(name)
      await sentinel(`after-${name}`)
    }
    const [one, other] = await Promise.all(
      ['payments', 'nothing'].map((name) => tenant.get('items', name)),
    )
    expect(reasonOf(one as KubeObject)).toBe('VaultNotFound')
    expect(message(one as KubeObject)?.replace('Payments', 'Nothing')).toBe(
      message(other as KubeObject),
    )
  })

  test('is asked nothing about an item that a status names', async () => {
    const itemPath = 'vaults/Team/items/Gone'
    await tenant.create('items', aResource('forged', itemPath, { onItemMissing: 'Delete' }))
    const { status } = await tenant.until('items', 'forged', isReady)
    const forged = { ...status.items[0], vaultId: hidden.vault, itemId: hidden.item }
    stage.connect.remove(status.items[0].itemId)
    await writeStatus('forged', { items: [forged] })
    await tenant.until('items', 'forged', hasReason('ItemNotFound'))
    await writeStatus('forged', { items: [forged] })
    await refresh('forged')
    await sentinel('after-forged')
    expect(reads()).toEqual([])
    expect(await tenant.find('secrets', 'forged')).toBeDefined()
  })
})

describe.concurrent('Secrets', () => {
  test('with our annotations cause nothing: neither a read nor a write', async () => {
    const theirs = await victim.get('secrets', 'card')
    const { labels, annotations } = theirs.metadata
    const forged = await tenant.create('secrets', {
      metadata: {
        name: 'forged-secret',
        labels: { ...labels, 'keyferry.dev/managed': 'true' },
        annotations: {
          ...annotations,
          'operator.1password.io/item-path': `vaults/${hidden.vault}/items/${hidden.item}`,
          'operator.1password.io/item-version': '0',
        },
      },
      stringData: { number: 'mine' },
    })
    await sentinel('after-secret')
    expect(await tenant.get('secrets', 'forged-secret')).toEqual(forged)
    expect(reads()).toEqual([])
  })

  test('with a proof that was copied from another Secret are not ours', async () => {
    await sentinel('proven')
    const { labels, annotations } = (await tenant.get('secrets', 'proven')).metadata
    const proof = Object.entries(annotations ?? {}).filter(([name]) => name.startsWith('keyferry'))
    const copy = await tenant.create('secrets', {
      metadata: { name: 'copied', labels, annotations: Object.fromEntries(proof) },
      stringData: { password: 'mine' },
    })
    await tenant.create('items', aResource('copied', 'vaults/Team/items/Ours'))
    await tenant.until('items', 'copied', hasReason('NotOurSecret'))
    expect(await tenant.get('secrets', 'copied')).toEqual(copy)
  })

  test('of others in the namespace are not won by a resource of their name', async () => {
    const foreign = await estate.create('secrets', {
      metadata: { name: 'squatted', labels: { app: 'platform' } },
      stringData: { password: 'platform' },
    })
    const squat = (name: string, more: object) =>
      tenant.create('items', aResource(name, 'vaults/Team/items/Ours', more))
    await squat('squatted', { existingSecret: 'Adopt' })
    await squat('squatter', { secretName: 'squatted', onItemMissing: 'Delete' })
    await tenant.until('items', 'squatted', hasReason('NotOurSecret'))
    await tenant.until('items', 'squatter', settled)
    for (const name of ['squatted', 'squatter']) {
      await tenant.delete('items', name)
      await tenant.untilGone('items', name)
    }
    await sentinel('after-squatting')
    expect(await estate.get('secrets', 'squatted')).toEqual(foreign)
  })

  test('of the operator itself are not won by anybody', async () => {
    const { cluster } = stage
    const adopt = { metadata: { annotations: { 'keyferry.dev/adopt': 'true' } } }
    const key = await cluster.patch('secrets', 'keyferry-digest-key', adopt)
    await cluster.create(
      'items',
      aResource('key', 'vaults/Team/items/Ours', {
        secretName: 'keyferry-digest-key',
        existingSecret: 'Adopt',
      }),
    )
    await cluster.until('items', 'key', hasReason('NotOurSecret'))
    expect(await cluster.get('secrets', 'keyferry-digest-key')).toEqual(key)
  })

  test.each([
    ['kubernetes.io/service-account-token'],
    ['bootstrap.kubernetes.io/token'],
    ['helm.sh/release.v1'],
  ])('of type %s are not made', async (type) => {
    const name = `mint-${type.split('/')[0]}`
    await tenant.create('items', {
      ...aResource(name, 'vaults/Team/items/Ours', {
        secretMetadata: { annotations: { 'kubernetes.io/service-account.name': 'default' } },
      }),
      type,
    })
    await tenant.until('items', name, hasReason('TypeRefused'))
    expect(await tenant.find('secrets', name)).toBeUndefined()
  })

  test.each([
    'kubernetes.io/service-account.name',
    'kubernetes.io/service-account.uid',
    'kubectl.kubernetes.io/last-applied-configuration',
    'meta.helm.sh/release-name',
    'helm.sh/resource-policy',
    'argocd.argoproj.io/tracking-id',
    'config.k8s.io/owning-inventory',
    'keyferry.dev/owner',
    'keyferry.dev/digest',
    'keyferry.dev/adopt',
    'operator.1password.io/item-path',
  ])('do not get the annotation %s', async (annotation) => {
    const name = `annotated-${annotation.replaceAll('/', '.')}`
    const secretMetadata = { annotations: { [annotation]: 'x' } }
    await tenant.create('items', aResource(name, 'vaults/Team/items/Ours', { secretMetadata }))
    await tenant.until('items', name, hasReason('InvalidMetadata'))
    expect(await tenant.find('secrets', name)).toBeUndefined()
  })
})

test('names that mean something to JavaScript are names like others', async () => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'prototype']
  const data = JSON.parse(`{${names.map((name) => `"${name}":"polluted"`).join()}}`)
  const spec = { itemPath: 'vaults/Team/items/Ours', data }
  await tenant.create('items', { metadata: { name: 'odd-names' }, spec })
  await tenant.until('items', 'odd-names', isReady)
  const texts = textsOf(await tenant.get('secrets', 'odd-names'))
  expect(Object.keys(texts).toSorted()).toEqual([...names, 'password'].toSorted())
  await sentinel('after-odd-names')
  const plain = textsOf(await tenant.get('secrets', 'after-odd-names'))
  expect(Object.entries(plain)).toEqual([['password', 'ours']])
})

test('texts made to be slow to read hold up nobody', async () => {
  const slow = ['{{ '.repeat(5_000), '{{ op://a/b/c | '.repeat(1_000), `op://${'/'.repeat(16_000)}`]
  for (const [n, text] of slow.entries()) {
    const spec = { data: { a: text } }
    await tenant.create('items', { metadata: { name: `slow-${n}` }, spec })
  }
  for (const n of slow.keys()) await tenant.until('items', `slow-${n}`, settled)
  await tenant.create('items', aResource('slow-path', `vaults/${' /'.repeat(1_000)}`))
  expect(reasonOf(await tenant.until('items', 'slow-path', settled))).toBe('InvalidItemPath')
})

test('nothing of all this reached the other namespace', async () => {
  const user = `system:serviceaccount:${stage.cluster.namespace}:keyferry`
  const since = (await readAudit(inject('auditLog'))).slice(began)
  const writes = since.filter((one) => one.user === user && isWrite(one))
  const inVictim = writes.filter(({ namespace }) => namespace === victim.namespace)
  expect(inVictim).toEqual([])
  expect(writes.length).toBeGreaterThan(SPELLINGS.length)
  expect(valueOf(await victim.get('secrets', 'card'), 'number')).toBe('not for tenants')
  const all = await estate.list('secrets')
  expect(JSON.stringify(all)).not.toContain(Buffer.from('not for tenants').toString('base64'))
})

/** Waits until the operator has synced a resource that came after all that the test did. */
async function sentinel(name: string): Promise<void> {
  await tenant.create('items', aResource(name, 'vaults/Team/items/Ours'))
  await tenant.until('items', name, isReady)
}

async function refresh(name: string): Promise<void> {
  const annotations = { 'keyferry.dev/refresh': `${stage.connect.requests.length}` }
  await tenant.patch('items', name, { metadata: { annotations } })
}

/** The tenant has the right to write statuses, too. */
async function writeStatus(name: string, status: object): Promise<void> {
  const { namespace, rest } = tenant
  const target = `${objectPath(RESOURCES.items, { namespace, name })}/status`
  await rest.send(
    { method: 'PATCH', patch: 'merge', path: target, body: { status } },
    timeout(10_000),
  )
}
