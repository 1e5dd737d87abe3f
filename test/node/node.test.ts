/**
 * The chart on a real node, as its users install it: pods of the image that was built, real
 * volumes, real probes, real DNS. The tests stand on each other, in this order.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { request } from 'undici'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import {
  adminRest,
  type Cluster,
  clusterOf,
  condition,
  isReady,
  type KubeObject,
} from '../support/cluster.ts'
import type { Snapshot } from '../../src/status/model.ts'
import { eventually } from '../support/eventually.ts'
import { startDaemon } from '../support/processes.ts'
import { APP_IMAGE, IMAGE } from '../support/image.ts'
import { CHART, helm, tools, withValues } from '../support/helm.ts'
import { run } from '../support/run.ts'

const kubeconfig = inject('kubeconfig')
const NAMESPACE = 'keyferry'
const RELEASE = 'shop'
const OPERATOR = 'shop-keyferry'
const [REPOSITORY, TAG] = IMAGE.split(':')
const VALUES = {
  'vaultPolicy.mode': 'open',
  'image.repository': REPOSITORY,
  'image.tag': TAG,
  'image.pullPolicy': 'Never',
  'connect.embedded.enabled': true,
  replicas: 2,
  settings: { POLLING_INTERVAL: 1 },
}

const cleanUp = new AsyncDisposableStack()
let release: Cluster
/** Where the app is. */
let shop: Cluster

beforeAll(async () => {
  const rest = adminRest(kubeconfig)
  cleanUp.defer(() => rest.close())
  release = clusterOf(rest, NAMESPACE)
  shop = clusterOf(rest, 'shop')
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' }
  for (const { namespace } of [release, shop]) {
    await release.create('namespaces', { metadata: { name: namespace, labels } })
    // Its pods end in good order while the node is there.
    cleanUp.defer(() => removed(namespace))
  }
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-volume-'))
  cleanUp.defer(() => rm(folder, { recursive: true }))
  await release.create('persistentvolumes', volumeIn(folder))
})

afterAll(() => cleanUp.disposeAsync())

async function removed(namespace: string): Promise<void> {
  await release.delete('namespaces', namespace)
  await release.untilGone('namespaces', namespace)
}

/** What a cluster of a cloud would make for the claim of the Connect server. */
function volumeIn(folder: string) {
  const term = { key: 'kubernetes.io/hostname', operator: 'In', values: ['node'] }
  return {
    metadata: { name: 'store' },
    spec: {
      capacity: { storage: '1Gi' },
      accessModes: ['ReadWriteOnce'],
      local: { path: folder },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [term] }] } },
    },
  }
}

async function kubectl(args: readonly string[], input = ''): Promise<string> {
  const env = { ...process.env, KUBECONFIG: kubeconfig }
  return run((await tools()).kubectl, args, { env, input })
}

/** @throws Error with what Helm said */
async function helmed(args: readonly string[], values = {}): Promise<string> {
  const flags = ['--namespace', NAMESPACE, '--timeout', '10m']
  const { code, out, err } = await withValues(values, (set) =>
    helm([...args, ...flags, ...set], kubeconfig),
  )
  if (code === 0) return out
  const pods = await kubectl(['get', 'pods,events', '--all-namespaces', '--output=wide'])
  throw new Error(`${err}\n${pods}`)
}

/** `keyferry status` with its forwarded port. */
async function forwardedPage() {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-status-'))
  const logFile = path.join(folder, 'log')
  const names = ['--namespace', NAMESPACE, '--instance', OPERATOR, '--kubeconfig', kubeconfig]
  const more = ['--kubectl', (await tools()).kubectl, '--no-open']
  const args = ['dist/keyferry.mjs', 'status', ...names, ...more]
  const daemon = startDaemon(process.execPath, args, { logFile })
  const address = await eventually('the address is printed', async () => {
    return /^http:.*$/m.exec(await readFile(logFile, 'utf8').catch(() => ''))?.[0]
  })
  return {
    async status(): Promise<Snapshot> {
      const { body } = await request(`${address}api/status`)
      return (await body.json()) as Snapshot
    },
    end() {
      daemon.signal('SIGINT')
      return daemon.exited
    },
    async [Symbol.asyncDispose]() {
      await daemon.stop()
      await rm(folder, { recursive: true })
    },
  }
}

/** Puts the item into the embedded server, as the notes of the chart say. */
async function importItem(password: string): Promise<void> {
  const file = `vault: Production\nitems:\n  - title: Database\n    fields: { password: ${password} }\n`
  const command = ['/nodejs/bin/node', '/keyferry.mjs', 'connect', 'import', '--replace', '-']
  const pod = `${OPERATOR}-connect-0`
  await kubectl(['exec', '--namespace', NAMESPACE, '--stdin', pod, '--', ...command], file)
}

/** What the pods of the app that run have, as their environment and file, by the pod's name. */
async function seen(): Promise<Map<string, string>> {
  const pods = await shop.list('pods')
  const running = pods.filter(
    ({ metadata, status }) => status?.phase === 'Running' && !metadata.deletionTimestamp,
  )
  const told = running.map(async ({ metadata: { name } }) => {
    const text = await kubectl(['logs', '--namespace', 'shop', name])
    return [name, text.trim()] as const
  })
  return new Map(await Promise.all(told))
}

/** Waits until one pod of the app runs, and that has the value. @returns its name */
function untilSeen(value: string): Promise<string> {
  return eventually(
    `the app's pod has ${value}`,
    async () => {
      const [one, ...others] = await seen()
      return one?.[1] === `${value} ${value}` && others.length === 0 && one[0]
    },
    async () => JSON.stringify([...(await seen())]),
  )
}

async function uidOf(cluster: Cluster, name: string): Promise<string> {
  return (await cluster.get('secrets', name)).metadata.uid
}

const SAY = `
const { readFileSync } = require('node:fs')
console.log(process.env.password, readFileSync('/secret/password', 'utf8'))
process.on('SIGTERM', () => process.exit())
setInterval(() => undefined, 60_000)
`

/** Says what it has as its environment and as a file. */
const APP = {
  metadata: { name: 'app', annotations: { 'operator.1password.io/auto-restart': 'true' } },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: 'app' } },
    template: {
      metadata: { labels: { app: 'app' } },
      spec: {
        securityContext: {
          runAsNonRoot: true,
          runAsUser: 65_532,
          seccompProfile: { type: 'RuntimeDefault' },
        },
        containers: [
          {
            name: 'app',
            image: APP_IMAGE,
            imagePullPolicy: 'Never',
            command: ['node', '-e', SAY],
            envFrom: [{ secretRef: { name: 'database' } }],
            volumeMounts: [{ name: 'secret', mountPath: '/secret' }],
            securityContext: {
              allowPrivilegeEscalation: false,
              capabilities: { drop: ['ALL'] },
            },
          },
        ],
        volumes: [{ name: 'secret', secret: { secretName: 'database' } }],
      },
    },
  },
}

test('the chart installs, and its own test passes', async () => {
  await helmed(['install', RELEASE, CHART, '--wait'], VALUES)
  const pods = await release.list('pods')
  const restarts = pods.flatMap(({ status }) =>
    (status.containerStatuses as { restartCount: number }[]).map((one) => one.restartCount),
  )
  expect(restarts).toEqual([0, 0, 0])
  await helmed(['test', RELEASE])
})

test('the doctor of its notes finds nothing wrong', async () => {
  const command = ['/nodejs/bin/node', '/keyferry.mjs', 'doctor']
  const said = await kubectl(['exec', '-n', NAMESPACE, `deployment/${OPERATOR}`, '--', ...command])
  const findings = said.split('\n').filter(Boolean)
  expect(findings.length).toBeGreaterThan(5)
  expect(findings.filter((line) => !line.startsWith('ok '))).toEqual([])
})

test('keyferry status leads to the page of the replica that works, and on to the next one', async () => {
  await using page = await forwardedPage()
  const { health } = await page.status()
  expect(health).toMatchObject({
    installation: `${NAMESPACE}/${OPERATOR}`,
    phase: 'working',
    shards: { held: 1, all: 1 },
  })
  const lease = await release.get('leases', OPERATOR)
  expect(lease['spec'].holderIdentity).toMatch(new RegExp(`^${health.pod}_`))
  await release.delete('pods', health.pod ?? '')
  const next = await eventually('another replica tells that it works', async () => {
    const seen = await page.status().catch(() => undefined)
    return seen?.health.phase === 'working' && seen.health.pod !== health.pod && seen.health
  })
  expect((await release.get('leases', OPERATOR))['spec'].holderIdentity).toContain(next.pod)
  expect(await page.end()).toBe(0)
})

test('an app has an item as its environment and as a file', async () => {
  await importItem('first')
  await shop.create('items', {
    metadata: { name: 'database' },
    spec: { itemPath: 'vaults/Production/items/Database' },
  })
  await shop.create('deployments', APP)
  await untilSeen('first')
  await shop.until('items', 'database', isReady)
})

test('the pod is replaced when the item changes', async () => {
  const before = await untilSeen('first')
  await importItem('second')
  expect(await untilSeen('second')).not.toBe(before)
})

test('work goes on when the pod of the leader is killed', async () => {
  const { spec } = await release.get('leases', OPERATOR)
  const leader = (await release.list('pods')).find(({ metadata }) =>
    String(spec.holderIdentity).includes(metadata.name),
  ) as KubeObject
  await kubectl([
    'delete',
    'pod',
    '-n',
    NAMESPACE,
    leader.metadata.name,
    '--grace-period=0',
    '--force',
  ])
  await importItem('third')
  await untilSeen('third')
  const after = await release.get('leases', OPERATOR)
  expect(after['spec'].holderIdentity).not.toBe(spec.holderIdentity)
})

test('the store outlives the pod of the Connect server', async () => {
  const name = `${OPERATOR}-connect-0`
  const { metadata } = await release.get('pods', name)
  await release.delete('pods', name)
  await release.until(
    'pods',
    name,
    (pod) => pod.metadata.uid !== metadata.uid && condition(pod, 'Ready')?.status === 'True',
  )
  await importItem('fourth')
  await untilSeen('fourth')
})

test('an upgrade keeps Secrets, pods of apps and items', async () => {
  const [uid, pod] = [await uidOf(shop, 'database'), await untilSeen('fourth')]
  const values = { ...VALUES, settings: { POLLING_INTERVAL: 2 } }
  await helmed(['upgrade', RELEASE, CHART, '--wait'], values)
  await shop.until('items', 'database', isReady)
  expect(await uidOf(shop, 'database')).toBe(uid)
  expect(await untilSeen('fourth')).toBe(pod)
  await importItem('fifth')
  await untilSeen('fifth')
})

test('an uninstall keeps Secrets and the resources', async () => {
  const [uid, pod] = [await uidOf(shop, 'database'), await untilSeen('fifth')]
  await helmed(['uninstall', RELEASE, '--wait'])
  await eventually('the pods are gone', async () => (await release.list('pods')).length === 0)
  expect(await uidOf(shop, 'database')).toBe(uid)
  expect(await untilSeen('fifth')).toBe(pod)
  await shop.get('items', 'database')
  const names = (await release.list('secrets')).map(({ metadata: { name } }) => name)
  // The store is kept, too, and with it what it is opened and reached with.
  const ofStore = ['token', 'key', 'tls'].map((name) => `${OPERATOR}-connect-${name}`)
  expect(names).toEqual(expect.arrayContaining(ofStore))
})
