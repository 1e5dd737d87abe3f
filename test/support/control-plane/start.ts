/**
 * Starts a real control plane on loopback: etcd, kube-apiserver and, unless told otherwise,
 * kube-controller-manager. About four seconds; no root, no containers.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { Agent, request } from 'undici'
import { type Daemon, freePort, startDaemon, untilReady } from '../processes.ts'
import { type Assets, findAssets } from './assets.ts'
import { startK3s } from './k3s.ts'

/** A running control plane. */
export interface ControlPlane {
  readonly server: string
  /** Kubeconfig of the administrator. */
  readonly kubeconfig: string
  /** kubectl, if one is at hand. */
  readonly kubectl: string | undefined
  /** The audit log, one JSON object a line; undefined where it cannot be had. */
  readonly auditLog: string | undefined
  stop(): Promise<void>
}

/** What a control plane is started with. */
export interface StartOptions {
  /** Without controllers nothing is garbage-collected or rolled out. Default true. */
  readonly controllers?: boolean
  /** Users besides the administrator, by token. */
  readonly tokens?: Readonly<Record<string, string>>
  readonly apiserverArgs?: readonly string[]
}

/** @throws Error with one sentence that says what to install, when no control plane can be had */
export async function startControlPlane(options: StartOptions = {}): Promise<ControlPlane> {
  const assets = await findAssets()
  if (assets) return startBinaries(assets, options)
  return startK3s().catch((error: unknown) => {
    throw new Error(
      'no Kubernetes control plane can be had: install Go 1.26 or later (it is then built once, ' +
        'in some 7 minutes), set KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver, or ' +
        `start Docker so that K3s can be pulled (${error instanceof Error ? error.message : 'unknown'})`,
    )
  })
}

async function startBinaries(assets: Assets, options: StartOptions): Promise<ControlPlane> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-control-plane-'))
  const daemons: Daemon[] = []
  const stop = async () => {
    for (const daemon of daemons.toReversed()) await daemon.stop(5_000)
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const etcd = await startEtcd(assets, folder, daemons)
    const api = await startApiserver(assets, { folder, etcd, options }, daemons)
    if (options.controllers !== false) await startControllers(assets, { folder, api }, daemons)
    const { server, kubeconfig, auditLog } = api
    return { server, kubeconfig, kubectl: assets.kubectl, auditLog, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function startEtcd({ etcd }: Assets, folder: string, daemons: Daemon[]): Promise<string> {
  const [client, peer] = [await freePort(), await freePort()].map(
    (port) => `http://127.0.0.1:${port}`,
  )
  const args = [
    `--data-dir=${path.join(folder, 'etcd')}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    '--unsafe-no-fsync',
    '--log-level=warn',
  ]
  daemons.push(startDaemon(etcd, args, { logFile: path.join(folder, 'etcd.log') }))
  return client ?? ''
}

interface Api {
  readonly server: string
  readonly token: string
  readonly kubeconfig: string
  readonly serviceAccountKey: string
  readonly auditLog: string
}

async function startApiserver(
  { apiserver }: Assets,
  { folder, etcd, options }: { folder: string; etcd: string; options: StartOptions },
  daemons: Daemon[],
): Promise<Api> {
  const token = randomBytes(16).toString('hex')
  const port = await freePort()
  const server = `https://127.0.0.1:${port}`
  const file = (name: string) => path.join(folder, name)
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  await writeFile(file('sa.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const users = Object.entries(options.tokens ?? {}).map(
    ([text, user]) => `${text},${user},${user}`,
  )
  await writeFile(
    file('tokens.csv'),
    [`${token},admin,admin,"system:masters"`, ...users].join('\n'),
  )
  await writeFile(file('audit.yaml'), AUDIT_POLICY)
  await mkdir(file('certs'))
  const args = [
    `--etcd-servers=${etcd}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    `--cert-dir=${file('certs')}`,
    `--token-auth-file=${file('tokens.csv')}`,
    '--authorization-mode=RBAC',
    '--service-cluster-ip-range=10.96.0.0/16',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${file('sa.key')}`,
    `--service-account-signing-key-file=${file('sa.key')}`,
    '--disable-admission-plugins=ServiceAccount',
    `--audit-policy-file=${file('audit.yaml')}`,
    `--audit-log-path=${file('audit.log')}`,
    ...(options.apiserverArgs ?? []),
  ]
  const daemon = startDaemon(apiserver, args, { logFile: file('apiserver.log') })
  daemons.push(daemon)
  const insecure = new Agent({ connect: { rejectUnauthorized: false } })
  await untilReady(daemon, 'kube-apiserver', async () => {
    const headers = { authorization: `Bearer ${token}` }
    const { statusCode, body } = await request(`${server}/readyz`, {
      dispatcher: insecure,
      headers,
    })
    await body.dump()
    return statusCode === 200 || undefined
  })
  await insecure.close()
  const certificate = path.join(file('certs'), 'apiserver.crt')
  const kubeconfig = await writeKubeconfig(file('admin.kubeconfig'), { server, certificate, token })
  return {
    server,
    token,
    kubeconfig,
    serviceAccountKey: file('sa.key'),
    auditLog: file('audit.log'),
  }
}

/** Metadata only: an audit log must not hold Secrets. */
const AUDIT_POLICY = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
`

/** Controllers whose work the operator's own work meets. */
const CONTROLLERS = [
  'deployment-controller',
  'replicaset-controller',
  'statefulset-controller',
  'daemonset-controller',
  'garbage-collector-controller',
  'namespace-controller',
  'serviceaccount-controller',
  'root-ca-certificate-publisher-controller',
]

async function startControllers(
  { controllerManager }: Assets,
  { folder, api }: { folder: string; api: Api },
  daemons: Daemon[],
): Promise<void> {
  if (!controllerManager) {
    throw new Error('KUBEBUILDER_ASSETS has no kube-controller-manager, which these tests need')
  }
  const port = await freePort()
  const args = [
    `--kubeconfig=${api.kubeconfig}`,
    `--authentication-kubeconfig=${api.kubeconfig}`,
    `--authorization-kubeconfig=${api.kubeconfig}`,
    `--service-account-private-key-file=${api.serviceAccountKey}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    `--cert-dir=${path.join(folder, 'controller-certs')}`,
    '--leader-elect=false',
    `--controllers=${CONTROLLERS.join(',')}`,
    '--concurrent-deployment-syncs=10',
    '--kube-api-qps=200',
    '--kube-api-burst=400',
  ]
  daemons.push(
    startDaemon(controllerManager, args, { logFile: path.join(folder, 'controllers.log') }),
  )
}

/** Writes a kubeconfig of one user and gives its path. */
export async function writeKubeconfig(
  file: string,
  { server, certificate, token }: { server: string; certificate: string; token: string },
): Promise<string> {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'local', cluster: { server, 'certificate-authority': certificate } }],
    users: [{ name: 'user', user: { token } }],
    contexts: [
      { name: 'local', context: { cluster: 'local', user: 'user', namespace: 'default' } },
    ],
    'current-context': 'local',
  }
  await writeFile(file, JSON.stringify(config, undefined, 2), { mode: 0o600 })
  return file
}
