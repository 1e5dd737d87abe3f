/**
 * CustomResourceDefinitions of others, as their projects release them inside of Go modules.
 */
import path from 'node:path'
import process from 'node:process'
import { type Cluster, type KubeObject } from './cluster.ts'
import { eventually, timeout } from './eventually.ts'
import { objectsIn } from './helm.ts'
import { run } from './run.ts'

interface Source {
  readonly module: string
  /** As `go mod download -json` prints it. */
  readonly sum: string
  readonly file: string
}

const SOURCES = {
  /** The resource of 1Password's own operator, as that operator has it. */
  onepassworditems: {
    module: 'github.com/1Password/onepassword-operator@v1.12.0',
    sum: 'h1:UKlU+LMCQNL9KN2z4O/3YmQUw5/UTjcPDv1oOL3VoEM=',
    file: 'config/crd/bases/onepassword.com_onepassworditems.yaml',
  },
  servicemonitors: {
    module: 'github.com/prometheus-operator/prometheus-operator@v0.86.1',
    sum: 'h1:pHUuiRErcFb3nFDox7RxoxpEN0FyT24GtYOkr2GBu04=',
    file: 'example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml',
  },
  prometheusrules: {
    module: 'github.com/prometheus-operator/prometheus-operator@v0.86.1',
    sum: 'h1:pHUuiRErcFb3nFDox7RxoxpEN0FyT24GtYOkr2GBu04=',
    file: 'example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml',
  },
  helmreleases: {
    module: 'github.com/fluxcd/helm-controller@v1.4.0',
    sum: 'h1:rkm8rmB6Na7eNc4pJOnvtXEaJ19iKluRtayHKjBxcUM=',
    file: 'config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml',
  },
  gitrepositories: {
    module: 'github.com/fluxcd/source-controller@v1.7.0',
    sum: 'h1:/fBgS4CSmT5Jj/fjQDF92y+pC3gst1GJjgNSzY8Ff9I=',
    file: 'config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml',
  },
  applications: {
    module: 'github.com/argoproj/argo-cd/v3@v3.1.0',
    sum: 'h1:2+gPskQKCyPC9DzRSWQ1AvmS3WiIlRR7bKz/FO3DozI=',
    file: 'manifests/crds/application-crd.yaml',
  },
} as const satisfies Record<string, Source>

/** A definition that can be had. */
export type Definition = keyof typeof SOURCES

/** The definition as its project releases it. */
export async function definition(name: Definition): Promise<KubeObject> {
  const { module, sum, file } = SOURCES[name]
  // The sum is compared here: a proxy need not carry the checksum database.
  const env = { ...process.env, GOSUMDB: 'off', GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local' }
  const out = await run('go', ['mod', 'download', '-json', module], { env, cwd: '/' })
  const { Dir, Sum } = JSON.parse(out) as { Dir: string; Sum: string }
  if (Sum !== sum) throw new Error(`${module} is not what it was`)
  const [object] = await objectsIn(path.join(Dir, file))
  if (object === undefined) throw new Error(`${file} is empty`)
  return object
}

/** Installs definitions and waits until they are served. */
export async function install(cluster: Cluster, names: readonly Definition[]): Promise<void> {
  const objects = await Promise.all(names.map(definition))
  for (const object of objects) await cluster.apply('crds', object)
  for (const { metadata } of objects) {
    await cluster.until('crds', metadata.name, isEstablished)
    await eventually(`${metadata.name} is served`, async () => {
      const { spec } = await cluster.get('crds', metadata.name)
      const path = `/apis/${spec.group}/${spec.versions[0].name}/${spec.names.plural}`
      return cluster.rest.send({ method: 'GET', path }, timeout(5_000))
    })
  }
}

/** Whether the API server has accepted a definition. */
export function isEstablished({ status }: KubeObject): boolean {
  const all = (status?.conditions ?? []) as { type: string; status: string }[]
  return all.some((one) => one.type === 'Established' && one.status === 'True')
}
