/**
 * Finds or builds the binaries of a real control plane. In this order: KUBEBUILDER_ASSETS, the
 * cache, a build with Go. The caller goes on to K3s in a container when none of these works.
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

const MODULE = path.join(import.meta.dirname, 'go')

const ETCD = './cmd/etcd'
const PACKAGES: Readonly<Record<string, string>> = {
  etcd: ETCD,
  'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver',
  'kube-controller-manager': 'k8s.io/kubernetes/cmd/kube-controller-manager',
  kubectl: 'k8s.io/kubernetes/cmd/kubectl',
}

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
  const folder = path.join(CACHE, `control-plane-${await contentHash()}`)
  if (existsSync(folder)) return assetsIn(folder)
  if (!(await which('go'))) return undefined
  await build(folder)
  return assetsIn(folder)
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
async function contentHash(): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([PACKAGES, KUBERNETES_VERSION]))
  for (const file of ['go.mod', 'go.sum', 'cmd/etcd/main.go']) {
    hash.update(await readFile(path.join(MODULE, file)))
  }
  return hash.digest('hex').slice(0, 16)
}

async function build(folder: string): Promise<void> {
  await mkdir(CACHE, { recursive: true })
  const draft = await mkdtemp(path.join(CACHE, 'build-'))
  const [, major, minor] = /^v(\d+)\.(\d+)/.exec(KUBERNETES_VERSION) ?? []
  const version = 'k8s.io/component-base/version'
  const flags = [
    '-s -w',
    `-X ${version}.gitVersion=${KUBERNETES_VERSION}`,
    `-X ${version}.gitMajor=${major} -X ${version}.gitMinor=${minor}`,
  ].join(' ')
  for (const [name, target] of Object.entries(PACKAGES)) {
    await step(`building ${name} ${target === ETCD ? '' : KUBERNETES_VERSION} (once)`, () =>
      run('go', ['build', '-trimpath', '-ldflags', flags, '-o', path.join(draft, name), target], {
        cwd: MODULE,
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
