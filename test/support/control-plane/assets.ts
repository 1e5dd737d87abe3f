/**
 * Finds or builds the binaries of a real control plane. In this order: KUBEBUILDER_ASSETS, the
 * cache, a build with Go. The caller goes on to K3s in a container when none of these works. Those
 * of a node are in the cache or built.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { step } from '../../../.ci/progress.mjs'
import { run, which } from '../processes.ts'

/** Kubernetes version that the Go module pins. */
export const KUBERNETES_VERSION = 'v1.36.3'

/** Folder of everything that is built or fetched once and kept. */
export const CACHE = path.join(
  process.env['XDG_CACHE_HOME'] || path.join(os.homedir(), '.cache'),
  'keyferry',
)

/** What is built of a Go module. */
interface Build {
  /** Folder of the module, relative to this one. */
  readonly module: string
  /** Package of each binary. */
  readonly packages: Readonly<Record<string, string>>
  /** Linked in, as the releases have it. */
  readonly version?: string
}

const KUBERNETES = { module: 'go', version: KUBERNETES_VERSION } as const
const CONTROL_PLANE: Build = {
  ...KUBERNETES,
  packages: {
    etcd: './cmd/etcd',
    'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver',
    'kube-controller-manager': 'k8s.io/kubernetes/cmd/kube-controller-manager',
    kubectl: 'k8s.io/kubernetes/cmd/kubectl',
  },
}
const NODE: Build = {
  ...KUBERNETES,
  packages: {
    'kube-scheduler': 'k8s.io/kubernetes/cmd/kube-scheduler',
    'kube-proxy': 'k8s.io/kubernetes/cmd/kube-proxy',
    kubelet: 'k8s.io/kubernetes/cmd/kubelet',
  },
}
/** Its dependencies are not those of Kubernetes. */
const DNS: Build = { module: 'coredns', packages: { coredns: '.' } }

/** The binaries of a control plane. The controller manager is absent in ready-made assets. */
export interface Assets {
  readonly etcd: string
  readonly apiserver: string
  readonly controllerManager: string | undefined
  readonly kubectl: string | undefined
}

/** @returns undefined when there are no assets and no Go to build them with */
export async function findAssets(): Promise<Assets | undefined> {
  const given = process.env['KUBEBUILDER_ASSETS']
  if (given) return assetsIn(given)
  const folder = await built('control-plane', CONTROL_PLANE)
  return folder === undefined ? undefined : assetsIn(folder)
}

/** The binaries of a node, and of what a cluster with nodes has besides a control plane. */
export interface NodeAssets {
  readonly kubelet: string
  readonly scheduler: string
  readonly proxy: string
  readonly dns: string
}

/** @throws Error when they are not in the cache and there is no Go to build them with */
export async function findNodeAssets(): Promise<NodeAssets> {
  const node = await built('node', NODE)
  const dns = await built('coredns', DNS)
  if (node === undefined || dns === undefined) {
    throw new Error('a node cannot be had: install Go 1.26 or later, it is then built once')
  }
  return {
    kubelet: path.join(node, 'kubelet'),
    scheduler: path.join(node, 'kube-scheduler'),
    proxy: path.join(node, 'kube-proxy'),
    dns: path.join(dns, 'coredns'),
  }
}

/** @returns the folder of the binaries; undefined where they are not yet and Go is missing */
async function built(name: string, what: Build): Promise<string | undefined> {
  const folder = path.join(CACHE, `${name}-${await contentHash(what)}`)
  if (existsSync(folder)) return folder
  if (!(await which('go'))) return undefined
  await build(what, folder)
  return folder
}

function assetsIn(folder: string): Assets {
  const binary = (name: string) => path.join(folder, name)
  const optional = (name: string) => (existsSync(binary(name)) ? binary(name) : undefined)
  for (const name of ['etcd', 'kube-apiserver']) {
    if (!existsSync(binary(name))) throw new Error(`${folder} has no ${name}`)
  }
  return {
    etcd: binary('etcd'),
    apiserver: binary('kube-apiserver'),
    controllerManager: optional('kube-controller-manager'),
    kubectl: optional('kubectl'),
  }
}

/** Changes with whatever the binaries are built from. */
async function contentHash({ module, ...rest }: Build): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(rest))
  const folder = path.join(import.meta.dirname, module)
  for (const file of ['go.mod', 'go.sum', 'cmd/etcd/main.go', 'main.go']) {
    const isThere = existsSync(path.join(folder, file))
    if (isThere) hash.update(await readFile(path.join(folder, file)))
  }
  return hash.digest('hex').slice(0, 16)
}

async function build({ module, packages, version }: Build, folder: string): Promise<void> {
  await mkdir(CACHE, { recursive: true })
  const draft = await mkdtemp(path.join(CACHE, 'build-'))
  const flags = ['-s -w', ...(version ? versionFlags(version) : [])].join(' ')
  for (const [name, target] of Object.entries(packages)) {
    const title = target.startsWith('.') ? name : `${name} ${version}`
    await step(`building ${title} (once)`, () =>
      run('go', ['build', '-trimpath', '-ldflags', flags, '-o', path.join(draft, name), target], {
        cwd: path.join(import.meta.dirname, module),
        env: { ...process.env, CGO_ENABLED: '0' },
      }),
    )
  }
  // Another process may have built the same: the first to rename wins.
  await rename(draft, folder).catch(async (error: unknown) => {
    await rm(draft, { recursive: true, force: true })
    if (!(await readdir(folder).catch(() => undefined))) throw error
  })
}

function versionFlags(version: string): string[] {
  const [, major, minor] = /^v(\d+)\.(\d+)/.exec(version) ?? []
  const name = 'k8s.io/component-base/version'
  return [
    `-X ${name}.gitVersion=${version}`,
    `-X ${name}.gitMajor=${major} -X ${name}.gitMinor=${minor}`,
  ]
}
