/**
 * Two releases of one name in one cluster, with real rights and admission policies: what one serves
 * the other leaves alone, and what they made outlives them.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { logInAs } from '../support/accounts.ts'
import { adminRest, type Cluster, clusterOf, isReady, textsOf } from '../support/cluster.ts'
import { startControlPlane } from '../support/control-plane/start.ts'
import { definition } from '../support/definitions.ts'
import { eventually } from '../support/eventually.ts'
import { CHART, helm, withValues } from '../support/helm.ts'
import { type OperatorProcess, startOperator } from '../support/operator.ts'
import { localPod } from '../support/pod.ts'
import { keyferry } from '../support/program.ts'
import { type ScriptedConnect, startScriptedConnect } from '../support/scripted-connect.ts'
import { aDeployment } from '../support/stage.ts'

const cleanUp = new AsyncDisposableStack()
let kubeconfig: string
let connect: ScriptedConnect
let vault: string
let shop: Cluster

beforeAll(async () => {
  const plane = await startControlPlane()
  cleanUp.defer(() => plane.stop())
  kubeconfig = plane.kubeconfig
  const rest = adminRest(kubeconfig)
  cleanUp.defer(() => rest.close())
  connect = await startScriptedConnect()
  cleanUp.defer(() => connect.close())
  vault = connect.vault('Production')
  shop = clusterOf(rest, 'shop')
  for (const name of ['one', 'two', 'shop']) {
    await shop.create('namespaces', { metadata: { name } })
  }
  // From a third source, before any release.
  await shop.create('crds', await definition('onepassworditems'))
  const applied = await keyferry(['crd', 'apply', '--kubeconfig', kubeconfig])
  if (applied.code !== 0) throw new Error(applied.err)
})

afterAll(() => cleanUp.disposeAsync())

async function helmIn(namespace: string, ...args: readonly string[]): Promise<void> {
  const { code, err } = await helm([...args, '--namespace', namespace, '--no-hooks'], kubeconfig)
  expect(code, err).toBe(0)
}

/** Installs the chart and runs its operator with its account. */
async function release(namespace: string, more: object): Promise<OperatorProcess> {
  const values = {
    'vaultPolicy.mode': 'open',
    'connect.host': connect.url,
    'connect.token.value': 'test-token',
    settings: { POLLING_INTERVAL: 1, RESTART_DELAY: 0.2, AUTO_RESTART: true },
    ...more,
  }
  await withValues(values, (args) =>
    helmIn(namespace, 'install', 'keyferry', CHART, '--wait=false', ...args),
  )
  const cluster = clusterOf(shop.rest, namespace)
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-release-'))
  cleanUp.defer(() => rm(folder, { recursive: true }))
  const local = await localPod(cluster, await cluster.get('deployments', 'keyferry'), folder)
  const { PROBE_ADDRESS: _, METRICS_ADDRESS: __, ...env } = local('operator').env
  const login = cleanUp.use(await logInAs(cluster, 'keyferry', kubeconfig))
  const operator = await startOperator({
    kubeconfig: login.kubeconfig,
    connect: connect.url,
    namespace,
    env: { WATCH_NAMESPACE: '*', ...env, LEADER_ELECTION: 'true' },
  })
  cleanUp.defer(async () => void (await operator.stop()))
  return operator
}

/** Waits until an operator has polled `n` times more. */
async function polled(operator: OperatorProcess, n: number): Promise<void> {
  const count = async () =>
    Number(/^keyferry_poll_seconds_count (\d+)$/m.exec(await operator.metrics())?.[1] ?? 0)
  const until = (await count()) + n
  await eventually('it has polled', async () => (await count()) >= until)
}

const versions = async (names: readonly string[]) =>
  Promise.all(
    names.flatMap((name) => [
      shop.get('secrets', name).then(({ metadata }) => metadata.resourceVersion),
      shop.get('items', name).then(({ metadata }) => metadata.resourceVersion),
    ]),
  )

test('two releases with overlapping selectors do not disturb each other', async () => {
  const item = async (name: string, labels: Record<string, string>) => {
    const id = connect.add(vault, { title: name, fields: [{ label: 'password', value: 'first' }] })
    const spec = { itemPath: `vaults/Production/items/${name}` }
    await shop.create('items', { metadata: { name, labels }, spec })
    return id
  }
  const id = await item('shared', { team: 'a' })
  await item('plain', {})
  await shop.create('deployments', aDeployment('app', ['shared']))

  const one = await release('one', {})
  await shop.until('items', 'shared', isReady)
  await shop.until('items', 'plain', isReady)
  const two = await release('two', { itemSelector: 'team in (a, b)' })
  await eventually('the second release has seen the first', async () =>
    (await two.metrics()).includes('reason="OtherInstance"'),
  )
  expect(isReady(await shop.get('items', 'shared'))).toBe(true)

  connect.set(id, 'password', 'second')
  await shop.until('secrets', 'shared', (secret) => textsOf(secret)['password'] === 'second')
  await shop.until('deployments', 'app', ({ metadata }) => metadata.generation === 2)
  const { metadata } = await shop.get('secrets', 'shared')
  expect(metadata.annotations?.['keyferry.dev/instance']).toBe('one/keyferry')

  // Once both have seen the change, nobody writes any more.
  await Promise.all([polled(one, 3), polled(two, 3)])
  const before = await versions(['shared', 'plain'])
  await Promise.all([polled(one, 3), polled(two, 3)])
  expect(await versions(['shared', 'plain'])).toEqual(before)

  // The one that serves goes: the other takes over what both are asked for, and only that.
  await one.stop()
  await helmIn('one', 'uninstall', 'keyferry')
  await shop.patch('items', 'shared', {
    metadata: { annotations: { 'keyferry.dev/refresh': 'now' } },
  })
  await shop.until('secrets', 'shared', (secret) => {
    return secret.metadata.annotations?.['keyferry.dev/instance'] === 'two/keyferry'
  })
  await shop.until('items', 'shared', isReady)
  expect((await shop.get('deployments', 'app')).metadata.generation).toBe(2)
})

test('an uninstall leaves the definition, the resources, the Secrets, and no rights', async () => {
  await helmIn('two', 'uninstall', 'keyferry')
  for (const name of ['shared', 'plain']) {
    expect(textsOf(await shop.get('secrets', name))['password']).toBeDefined()
    expect(await shop.find('items', name)).toBeDefined()
  }
  expect(await shop.find('crds', 'onepassworditems.onepassword.com')).toBeDefined()
  const left = [...(await shop.list('clusterroles')), ...(await shop.list('clusterrolebindings'))]
  const names = left.map(({ metadata }) => metadata.name)
  expect(names.filter((name) => name.startsWith('keyferry'))).toEqual([])
})
