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
  /** Its processes, for tests that let them fail; undefined where they run in a container. */
  readonly processes: Processes | undefined
  stop(): Promise<void>
}

/** See {@link ControlPlane.processes}. */
export interface Processes {
  readonly etcd: Service
  readonly apiserver: Service
  /** Where etcd keeps its data: may be copied or put back while it is stopped. */
  readonly data: string
  /** Where etcd is served, as host and port. */
  readonly etcdAddress: string
  /**
   * Starts one more API server of the same cluster.
   *
   * @param etcd where it finds etcd, as host and port
   * @returns kubeconfig of the administrator
   */
  another(etcd: string): Promise<string>
}

/** A process that can be stopped and started again. */
export interface Service {
  /** @param graceMs time to end in good order; 0 kills it */
  stop(graceMs?: number): Promise<void>
  /** Resolves when it is ready. */
  start(): Promise<void>
}

/** What a control plane is started with. */
export interface StartOptions {
  /** Without controllers nothing is garbage-collected or rolled out. Default true. */
  readonly controllers?: boolean
  /** Users besides the administrator, by token. */
  readonly tokens?: Readonly<Record<string, string>>
  readonly apiserverArgs?: readonly string[]
  /** Whether memory may be had for processor time: where hundreds of namespaces are busy at once. */
  readonly roomy?: boolean
  /**
   * What the audit log holds: who asked for what; with `bodies` also the objects that were sent and
   * answered, of the kinds that the operator writes. Default `metadata`.
   */
  readonly audit?: 'metadata' | 'bodies'
  /**
   * For a cluster with nodes: the address of this machine by which pods reach the API server.
   * All controllers run, and service accounts are given to pods.
   */
  readonly gateway?: string
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
  const services: Service[] = []
  const stop = async () => {
    for (const service of services.toReversed()) await service.stop(5_000)
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const etcd = await createEtcd(assets, folder, options)
    services.push(etcd.service)
    await etcd.service.start()
    const api = await createApiserver(assets, { folder, etcd: etcd.url, options })
    services.push(api.service)
    await api.service.start()
    if (options.controllers !== false) {
      const names = options.gateway ? ['*'] : CONTROLLERS
      const controllers = await createControllers(assets, { folder, api, names })
      services.push(controllers)
      await controllers.start()
    }
    const { server, kubeconfig, auditLog } = api
    const processes: Processes = {
      etcd: etcd.service,
      apiserver: api.service,
      data: etcd.data,
      etcdAddress: new URL(etcd.url).host,
      async another(address) {
        const own = path.join(folder, `another-${services.length}`)
        await mkdir(own)
        const known = { token: api.token, etcd: `http://${address}`, options }
        const other = await createApiserver(assets, { folder: own, ...known })
        services.push(other.service)
        await other.service.start()
        return other.kubeconfig
      },
    }
    return { server, kubeconfig, kubectl: assets.kubectl, auditLog, processes, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Of programs in Go: they collect garbage when they use five times what they need, not twice. */
const ROOMY = { GOGC: '400' }

/** @param ready asked until it says yes */
function createService(
  command: string,
  args: readonly string[],
  { logFile, roomy }: { readonly logFile: string; readonly roomy?: boolean | undefined },
  ready: () => Promise<boolean>,
): Service {
  let daemon: Daemon | undefined
  return {
    async start() {
      daemon = startDaemon(command, args, {
        logFile,
        env: { ...process.env, ...(roomy ? ROOMY : {}) },
      })
      const name = path.basename(command)
      await untilReady(daemon, name, async () => (await ready()) || undefined)
    },
    async stop(graceMs = 0) {
      if (graceMs === 0) daemon?.signal('SIGKILL')
      await daemon?.stop(graceMs)
      daemon = undefined
    },
  }
}

async function createEtcd({ etcd }: Assets, folder: string, { roomy }: StartOptions) {
  const [url = '', peer = ''] = [await freePort(), await freePort()].map(
    (port) => `http://127.0.0.1:${port}`,
  )
  const data = path.join(folder, 'etcd')
  const args = [
    `--data-dir=${data}`,
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    '--unsafe-no-fsync',
    '--log-level=warn',
  ]
  // The API server waits for it.
  const logFile = path.join(folder, 'etcd.log')
  const service = createService(etcd, args, { logFile, roomy }, async () => true)
  return { service, url, data }
}

interface Api {
  readonly service: Service
  readonly server: string
  readonly token: string
  readonly kubeconfig: string
  readonly serviceAccountKey: string
  readonly auditLog: string
  readonly certificate: string
}

interface ApiOptions {
  readonly folder: string
  readonly etcd: string
  readonly options: StartOptions
  /** The administrator's; another one by chance. */
  readonly token?: string
}

async function createApiserver(
  { apiserver }: Assets,
  { folder, etcd, options, token = randomBytes(16).toString('hex') }: ApiOptions,
): Promise<Api> {
  const port = await freePort()
  const address = options.gateway ?? '127.0.0.1'
  const server = `https://${address}:${port}`
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
  await writeFile(file('audit.yaml'), AUDIT_POLICIES[options.audit ?? 'metadata'])
  await mkdir(file('certs'))
  const args = [
    `--etcd-servers=${etcd}`,
    `--bind-address=${address}`,
    `--secure-port=${port}`,
    `--cert-dir=${file('certs')}`,
    `--token-auth-file=${file('tokens.csv')}`,
    '--authorization-mode=RBAC',
    '--service-cluster-ip-range=10.96.0.0/16',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${file('sa.key')}`,
    `--service-account-signing-key-file=${file('sa.key')}`,
    ...(options.gateway
      ? [`--advertise-address=${address}`, '--kubelet-preferred-address-types=InternalIP']
      : ['--disable-admission-plugins=ServiceAccount']),
    `--audit-policy-file=${file('audit.yaml')}`,
    `--audit-log-path=${file('audit.log')}`,
    // In megabytes. By default it would begin anew after 100.
    '--audit-log-maxsize=100000',
    ...(options.apiserverArgs ?? []),
  ]
  const output = { logFile: file('apiserver.log'), roomy: options.roomy }
  const service = createService(apiserver, args, output, () => isReady(`${server}/readyz`, token))
  // The server makes the certificate when it starts.
  const certificate = path.join(file('certs'), 'apiserver.crt')
  const kubeconfig = await writeKubeconfig(file('admin.kubeconfig'), { server, certificate, token })
  return {
    service,
    server,
    token,
    kubeconfig,
    serviceAccountKey: file('sa.key'),
    auditLog: file('audit.log'),
    certificate,
  }
}

async function isReady(url: string, token: string): Promise<boolean> {
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false } })
  try {
    const headers = { authorization: `Bearer ${token}` }
    const { statusCode, body } = await request(url, { dispatcher, headers })
    await body.dump()
    return statusCode === 200
  } finally {
    await dispatcher.close()
  }
}

const AUDIT_HEAD = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
`

/** Metadata only unless a test asks for more: an audit log must not hold Secrets. */
const AUDIT_POLICIES = {
  metadata: `${AUDIT_HEAD}
  - level: Metadata
`,
  bodies: `${AUDIT_HEAD}
  - level: RequestResponse
    verbs: [create, update, patch, delete]
    resources:
      - group: ""
        resources: [secrets]
      - group: apps
      - group: onepassword.com
      - group: coordination.k8s.io
  - level: Metadata
`,
} as const

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

async function createControllers(
  { controllerManager }: Assets,
  { folder, api, names }: { folder: string; api: Api; names: readonly string[] },
): Promise<Service> {
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
    `--controllers=${names.join(',')}`,
    // What pods trust the API server by.
    `--root-ca-file=${api.certificate}`,
    '--concurrent-deployment-syncs=10',
    '--kube-api-qps=200',
    '--kube-api-burst=400',
  ]
  const logFile = path.join(folder, 'controllers.log')
  return createService(controllerManager, args, { logFile }, async () => true)
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
