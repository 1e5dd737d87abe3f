import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { which } from '../processes.ts'
import type { ControlPlane } from './start.ts'

const IMAGE = 'rancher/k3s:v1.36.3-k3s1'

/** K3s in a container: the last rung, for machines without Go but with a Docker that can pull. */
export async function startK3s(): Promise<ControlPlane> {
  const { K3sContainer } = await import('@testcontainers/k3s')
  const container = await new K3sContainer(IMAGE).start()
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-k3s-'))
  const kubeconfig = path.join(folder, 'kubeconfig')
  const text = container.getKubeConfig()
  await writeFile(kubeconfig, text, { mode: 0o600 })
  return {
    server: /server: (\S+)/.exec(text)?.[1] ?? '',
    kubeconfig,
    kubectl: await which('kubectl'),
    auditLog: undefined,
    processes: undefined,
    async stop() {
      await container.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
