/**
 * What the containers of a pod would run, as processes of this machine: files from its volumes,
 * environment and arguments, with the paths that they have here.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Cluster, KubeObject } from './cluster.ts'

interface Mount {
  readonly name: string
  readonly mountPath: string
}

interface Container {
  readonly name: string
  readonly args?: readonly string[]
  readonly env?: readonly {
    readonly name: string
    readonly value?: string
    readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } }
  }[]
  readonly volumeMounts?: readonly Mount[]
}

interface Items {
  readonly items?: readonly { readonly key: string; readonly path: string }[]
}

interface Volume {
  readonly name: string
  readonly secret?: Items & { readonly secretName: string }
  readonly configMap?: Items & { readonly name: string }
}

/** A container's command, for a process. */
export interface LocalCommand {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/**
 * Mounts the volumes below `folder`, from the Secrets and ConfigMaps that the cluster has.
 *
 * @param workload a Deployment, StatefulSet or Job, or anything with a pod template
 */
export async function localPod(
  cluster: Cluster,
  workload: KubeObject,
  folder: string,
): Promise<(container: string) => LocalCommand> {
  const { spec } = workload['spec'].template as { spec: Record<string, unknown> }
  for (const volume of (spec['volumes'] ?? []) as Volume[]) {
    await mount(cluster, volume, path.join(folder, volume.name))
  }
  const all = [spec['initContainers'] ?? [], spec['containers']].flat() as Container[]
  return (name) => {
    const container = all.find((one) => one.name === name)
    if (container === undefined) throw new Error(`there is no container ${name}`)
    const here = (text: string) =>
      (container.volumeMounts ?? []).reduce(
        (changed, { name: volume, mountPath }) =>
          changed.replaceAll(mountPath, path.join(folder, volume)),
        text,
      )
    const env = (container.env ?? []).map(({ name: key, value, valueFrom }) => {
      const isNamespace = valueFrom?.fieldRef.fieldPath === 'metadata.namespace'
      return [key, valueFrom ? (isNamespace ? cluster.namespace : 'local') : here(value ?? '')]
    })
    return { args: (container.args ?? []).map(here), env: Object.fromEntries(env) }
  }
}

async function mount(cluster: Cluster, volume: Volume, folder: string): Promise<void> {
  const { secret, configMap } = volume
  await mkdir(folder, { recursive: true })
  const encoding = secret ? 'base64' : 'utf8'
  const source = secret
    ? await cluster.get('secrets', secret.secretName)
    : configMap && (await cluster.get('configmaps', configMap.name))
  const data = (source?.['data'] ?? {}) as Record<string, string>
  const items = (secret ?? configMap)?.items ?? Object.keys(data).map((key) => ({ key, path: key }))
  for (const { key, path: file } of items) {
    const value = data[key]
    if (value === undefined) throw new Error(`${volume.name} has no key ${key}`)
    await writeFile(path.join(folder, file), Buffer.from(value, encoding), { mode: 0o600 })
  }
}
