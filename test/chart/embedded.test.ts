/**
 * The embedded Connect server as the chart makes it, from the Job's Secrets to the Secret of an
 * item; each container as a process of this machine, with the rights that the chart gives it.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { applyHookRights } from './hooks.ts'
import { logInAs } from '../support/accounts.ts'
import { adminRest, type Cluster, clusterOf, isReady, textsOf } from '../support/cluster.ts'
import { find, helm, CHART, template, withValues } from '../support/helm.ts'
import { startOperator } from '../support/operator.ts'
import { localPod } from '../support/pod.ts'
import { keyferry, type ServerProcess, startProgram } from '../support/program.ts'

const kubeconfig = inject('kubeconfig')
const NAMESPACE = `embedded-${randomBytes(4).toString('hex')}`
const RELEASE = {
  name: 'shop',
  namespace: NAMESPACE,
  values: {
    'vaultPolicy.mode': 'open',
    'connect.embedded.enabled': true,
    'connect.embedded.storage.size': '',
    watchNamespaces: [NAMESPACE],
    settings: { POLLING_INTERVAL: 1 },
  },
}
const SECRETS = ['token', 'key', 'tls'].map((name) => `shop-keyferry-connect-${name}`)
const ITEMS = `
vault: Production
items:
  - title: Database
    fields: { username: app, password: planted-s3cret }
`

const cleanUp = new AsyncDisposableStack()
let cluster: Cluster
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-embedded-'))
  cleanUp.defer(() => rm(folder, { recursive: true }))
  cluster = clusterOf(adminRest(kubeconfig), NAMESPACE)
  cleanUp.defer(() => cluster.rest.close())
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' }
  await cluster.create('namespaces', { metadata: { name: NAMESPACE, labels } })
  cleanUp.defer(() => cluster.delete('namespaces', NAMESPACE))
})

afterAll(() => cleanUp.disposeAsync())

async function versions(): Promise<string[]> {
  const all = await Promise.all(SECRETS.map((name) => cluster.get('secrets', name)))
  return all.map(({ metadata }) => metadata.resourceVersion)
}

/** As the server's pod does it: first its init container, then the server. */
async function startConnect(): Promise<ServerProcess> {
  const pod = await cluster.get('statefulsets', 'shop-keyferry-connect')
  const local = await localPod(cluster, pod, path.join(folder, 'connect'))
  const token = local('token')
  const accepted = await keyferry(token.args, { env: { ...token.env } })
  expect(accepted).toMatchObject({ code: 0, err: '' })
  const { args, env } = local('connect')
  expect(args).toEqual(['connect'])
  return startProgram([], { ...env, OP_HTTP_HOST: '127.0.0.1', OP_HTTPS_PORT: '0' })
}

test('an item of the embedded server becomes a Secret', async () => {
  // 1. The Job, with its account.
  const objects = await template(RELEASE)
  await applyHookRights(kubeconfig, objects)
  const job = await localPod(cluster, find(objects, 'Job', 'shop-keyferry-connect-secrets'), folder)
  await using login = await logInAs(cluster, 'shop-keyferry-connect-secrets', kubeconfig)
  const env = { KUBECONFIG: login.kubeconfig }
  const made = await keyferry(job('keyferry').args, { env })
  expect(made).toMatchObject({ code: 0, err: '' })
  expect(made.out).toMatch(/^(Secret .* is made\n){3}$/)
  const before = await versions()
  const again = await keyferry(job('keyferry').args, { env })
  expect(again.out).toMatch(/^(Secret .* is there\n){3}$/)
  expect(await versions()).toEqual(before)
  const more = await keyferry(['connect', 'secrets', '--token-secret', 'other'], { env })
  expect(more).toMatchObject({ code: 1, err: expect.stringContaining('403') })

  // 2. The release itself.
  const installed = await withValues(RELEASE.values, (args) => {
    const flags = ['--namespace', NAMESPACE, '--no-hooks', '--wait=false']
    return helm(['install', RELEASE.name, CHART, ...flags, ...args], kubeconfig)
  })
  expect(installed, installed.err).toMatchObject({ code: 0 })
  // The controllers make pods of it, in a namespace that takes restricted ones only.
  await cluster.until(
    'statefulsets',
    'shop-keyferry-connect',
    ({ status }) => status?.replicas === 1,
  )
  await cluster.until('deployments', 'shop-keyferry', ({ status }) => status?.replicas === 1)

  // 3. The server, an item in it, the operator.
  const server = await startConnect()
  cleanUp.defer(async () => void (await server.stop()))
  const file = path.join(folder, 'vaults.yaml')
  await writeFile(file, ITEMS)
  const data = path.join(folder, 'connect', 'data')
  const key = path.join(folder, 'connect', 'key', 'store.key')
  const import_ = await keyferry([
    'connect',
    'import',
    '--data',
    data,
    '--store-key-file',
    key,
    file,
  ])
  expect(import_, import_.err).toMatchObject({ code: 0 })
  const deployment = await cluster.get('deployments', 'shop-keyferry')
  const local = await localPod(cluster, deployment, path.join(folder, 'operator'))
  await using account = await logInAs(cluster, 'shop-keyferry', kubeconfig)
  const {
    PROBE_ADDRESS: _,
    METRICS_ADDRESS: __,
    OP_CONNECT_HOST: host,
    ...rest
  } = local('operator').env
  expect(host).toBe(`https://shop-keyferry-connect.${NAMESPACE}.svc:8443`)
  const operator = await startOperator({
    kubeconfig: account.kubeconfig,
    connect: server.url.replace('127.0.0.1', 'localhost'),
    namespace: NAMESPACE,
    env: { ...rest, LEADER_ELECTION: 'true' },
  })
  cleanUp.defer(async () => void (await operator.stop()))
  await cluster.create('items', {
    metadata: { name: 'database' },
    spec: { itemPath: 'vaults/Production/items/Database' },
  })
  await cluster.until('items', 'database', isReady)
  const secret = await cluster.get('secrets', 'database')
  expect(textsOf(secret)).toEqual({ username: 'app', password: 'planted-s3cret' })
  expect(await operator.logs()).not.toContain('planted-s3cret')
})
