/**
 * What an operator serves: which namespaces, which resources and workloads, from which vaults.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { readAudit } from '../support/audit.ts'
import {
  type Cluster,
  condition,
  hasReason,
  isReady,
  type KubeObject,
  valueOf,
} from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { startOperator } from '../support/operator.ts'
import { aDeployment, setStage, type Stage } from '../support/stage.ts'

const resource = (name: string, itemPath: string, metadata: object = {}) => ({
  metadata: { name, ...metadata },
  spec: { itemPath },
})

function anItem({ connect, vault }: Stage, title: string): string {
  return connect.add(vault, { title, fields: [{ label: 'password', value: 'one' }] })
}

const itemPath = (title: string) => `vaults/Production/items/${title}`
const isUntouched = ({ status }: KubeObject) => status.observedGeneration === -1

describe.concurrent('WATCH_NAMESPACE', () => {
  test('names the namespaces that are served; in others nothing is even read', async () => {
    await using stage = await setStage()
    anItem(stage, 'x')
    const [one, two, other] = [await stage.another(), await stage.another(), await stage.another()]
    for (const { create } of [one, two, other]) await create('items', resource('x', itemPath('x')))
    await stage.operator({ WATCH_NAMESPACE: `${one.namespace},${two.namespace}` })
    for (const { until } of [one, two]) await until('items', 'x', isReady)
    expect(isUntouched(await other.get('items', 'x'))).toBe(true)
    const user = `system:serviceaccount:${stage.cluster.namespace}:keyferry`
    const records = (await readAudit(inject('auditLog'))).filter((one) => one.user === user)
    const namespaces = new Set(records.map(({ namespace }) => namespace).filter(Boolean))
    expect([...namespaces].toSorted()).toEqual(
      [stage.cluster.namespace, one.namespace, two.namespace].toSorted(),
    )
  })

  test('with * serves all, also those made later', async () => {
    await using stage = await setStage()
    anItem(stage, 'x')
    // Other tests' resources are theirs.
    const labels = { served: stage.cluster.namespace }
    await stage.operator({ WATCH_NAMESPACE: '*', ITEM_SELECTOR: `served=${labels.served}` })
    const late = await stage.another()
    await late.create('items', resource('x', itemPath('x'), { labels }))
    await late.until('items', 'x', isReady)
    expect(valueOf(await late.get('secrets', 'x'), 'password')).toBe('one')
  })
})

describe.concurrent('ITEM_SELECTOR', () => {
  const ASKS = {
    'operator.1password.io/item-path': itemPath('x'),
    'operator.1password.io/item-name': 'asked',
  }
  const workload = (cluster: Cluster, name: string, labels: object, secret: string) => {
    const { metadata, ...rest } = aDeployment(name, [], {
      ...ASKS,
      'operator.1password.io/item-name': secret,
    })
    return cluster.create('deployments', { ...rest, metadata: { ...metadata, labels } })
  }

  test('chooses the resources and annotated workloads that are served', async () => {
    await using stage = await setStage()
    const { cluster } = stage
    anItem(stage, 'x')
    const labels = { team: 'a' }
    await stage.operator({ ITEM_SELECTOR: 'team in (a, b),!skip' })
    const skipped = { team: 'a', skip: 'yes' }
    await cluster.create('items', resource('skipped', itemPath('x'), { labels: skipped }))
    await cluster.create('items', resource('unlabelled', itemPath('x')))
    await workload(cluster, 'not-ours', { team: 'c' }, 'not-asked')
    await cluster.create('items', resource('chosen', itemPath('x'), { labels }))
    await workload(cluster, 'ours', labels, 'asked')
    await cluster.until('items', 'chosen', isReady)
    await cluster.until('secrets', 'asked', (secret) => valueOf(secret, 'password') === 'one')
    for (const name of ['skipped', 'unlabelled']) {
      expect(isUntouched(await cluster.get('items', name))).toBe(true)
    }
    expect(await cluster.find('secrets', 'not-asked')).toBeUndefined()
  })

  test('what leaves the selection keeps its Secret, and what enters is served', async () => {
    await using stage = await setStage()
    const { cluster, connect } = stage
    const [x, other] = [anItem(stage, 'x'), anItem(stage, 'other')]
    await stage.operator({ ITEM_SELECTOR: 'team=a' })
    await cluster.create('items', resource('leaves', itemPath('x'), { labels: { team: 'a' } }))
    await cluster.create('items', resource('enters', itemPath('other'), { labels: { team: 'b' } }))
    await workload(cluster, 'app', { team: 'a' }, 'asked')
    await cluster.until('items', 'leaves', isReady)
    await cluster.until('secrets', 'asked', () => true)
    const team = (name: string) => ({ metadata: { labels: { team: name } } })
    await cluster.patch('items', 'leaves', team('b'))
    await cluster.patch('deployments', 'app', team('b'))
    await cluster.patch('items', 'enters', team('a'))
    connect.set(x, 'password', 'two')
    connect.set(other, 'password', 'two')
    await cluster.until('secrets', 'enters', (secret) => valueOf(secret, 'password') === 'two')
    for (const name of ['leaves', 'asked']) {
      const secret = await cluster.get('secrets', name)
      expect(secret.metadata.deletionTimestamp).toBeUndefined()
      expect(valueOf(secret, 'password')).toBe('one')
    }
  })
})

describe.concurrent('VAULT_POLICY_FILE', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-policy-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  const ruled = (mode: string, vaults: readonly string[]) =>
    JSON.stringify({ mode, rules: [{ namespaces: ['test-*'], vaults }] })

  /** A stage whose operator has a policy, and the means to change it. */
  async function withPolicy(text: string) {
    const stage = await setStage()
    const file = path.join(folder, stage.cluster.namespace)
    const write = (now: string) => writeFile(file, now)
    await write(text)
    const operator = await stage.operator({ VAULT_POLICY_FILE: file })
    return { stage, write, operator, [Symbol.asyncDispose]: stage.close }
  }

  const readyMessage = (item: KubeObject) => condition(item, 'Ready')?.message

  test('keeps a vault from a namespace as if it did not exist, and never lists it', async () => {
    await using setting = await withPolicy(ruled('closed', ['production']))
    const { stage } = setting
    const { cluster, connect } = stage
    anItem(stage, 'x')
    const secretVault = connect.vault('Payments')
    connect.add(secretVault, { title: 'x', fields: [{ label: 'password', value: 'hidden' }] })
    await cluster.create('items', resource('hidden', 'vaults/Payments/items/x'))
    await cluster.create('items', resource('nowhere', 'vaults/Nothing/items/x'))
    await cluster.create('items', resource('allowed', itemPath('x')))
    await cluster.until('items', 'allowed', isReady)
    const hidden = await cluster.until('items', 'hidden', hasReason('VaultNotFound'))
    const nowhere = await cluster.until('items', 'nowhere', hasReason('VaultNotFound'))
    expect(readyMessage(hidden)?.replace('Payments', 'Nothing')).toBe(readyMessage(nowhere))
    expect(connect.requests.filter((one) => one.includes(secretVault))).toEqual([])
  })

  test('tightened freezes Secrets, loosened lets them go on', async () => {
    await using setting = await withPolicy(ruled('closed', ['Production']))
    const { stage, write } = setting
    const { cluster, connect, vault } = stage
    const id = anItem(stage, 'x')
    await cluster.create('items', resource('x', itemPath('x')))
    await cluster.until('items', 'x', isReady)
    await write(ruled('closed', ['Else']))
    const frozen = await cluster.until('items', 'x', hasReason('VaultNotAllowed'))
    expect(condition(frozen, 'Ready')?.status).toBe('False')
    connect.set(id, 'password', 'two')
    const asked = connect.requests.length
    await eventually('the vaults are polled', async () => {
      return connect.requests.slice(asked).filter((one) => one === 'GET /v1/vaults').length > 2
    })
    expect(connect.requests.slice(asked).filter((one) => one.includes(vault))).toEqual([])
    expect(valueOf(await cluster.get('secrets', 'x'), 'password')).toBe('one')
    await write(ruled('closed', ['Production']))
    await cluster.until('secrets', 'x', (secret) => valueOf(secret, 'password') === 'two')
    await cluster.until('items', 'x', isReady)
  })

  test('loosened is noticed by those who waited, also for a vault that nobody drew from', async () => {
    await using setting = await withPolicy(ruled('closed', ['Else']))
    const { stage, write } = setting
    const { cluster, connect } = stage
    anItem(stage, 'x')
    await cluster.create('items', resource('x', itemPath('x')))
    await cluster.create('items', resource('later', 'vaults/Else/items/x'))
    for (const name of ['x', 'later']) {
      await cluster.until('items', name, hasReason('VaultNotFound'))
    }
    await write(ruled('open', ['Else']))
    await cluster.until('items', 'x', isReady)
    const late = connect.vault('Else')
    connect.add(late, { title: 'x', fields: [{ label: 'password', value: 'late' }] })
    await cluster.until('items', 'later', isReady)
  })

  test('keeps the last good policy when the file turns bad, and says so', async () => {
    await using setting = await withPolicy(ruled('closed', ['Else']))
    const { stage, write, operator } = setting
    const { cluster } = stage
    anItem(stage, 'x')
    await cluster.create('items', resource('x', itemPath('x')))
    await cluster.until('items', 'x', hasReason('VaultNotFound'))
    await write('mode: open\nrules: everything')
    await eventually('the fault is logged', async () => {
      return (await operator.logs()).includes('VAULT_POLICY_FILE cannot be used: rules')
    })
    await cluster.create('items', resource('y', itemPath('x')))
    await cluster.until('items', 'y', hasReason('VaultNotFound'))
    expect(await cluster.find('secrets', 'y')).toBeUndefined()
  })

  test.each([
    ['bad', { VAULT_POLICY_FILE: 'package.json' }, 'VAULT_POLICY_FILE cannot be used'],
    ['absent', { VAULT_POLICY_FILE: 'no/such/file' }, 'VAULT_POLICY_FILE cannot be read'],
    ['odd', { ITEM_SELECTOR: 'a>1' }, 'ITEM_SELECTOR cannot be used'],
  ])('a setting that is %s stops the start: %o', async (_what, env, sentence) => {
    const operator = await startOperator({
      kubeconfig: inject('kubeconfig'),
      connect: 'http://127.0.0.1:9',
      namespace: 'default',
      env,
      ready: false,
    })
    expect(await operator.exited).toBe(1)
    expect(await operator.logs()).toContain(sentence)
  })
})
