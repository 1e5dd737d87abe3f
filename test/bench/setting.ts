import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { applyCrd, adminRest, type Cluster, clusterOf } from '../support/cluster.ts'
import { startControlPlane } from '../support/control-plane/start.ts'
import { run } from '../support/processes.ts'
import { tell } from '../support/skip.ts'

/** A control plane for measurements: without controllers, whose work would be measured too. */
export interface BenchCluster {
  readonly kubeconfig: string
  namespace(name: string): Promise<Cluster>
  stop(): Promise<void>
}

/** Builds the program and starts the control plane. */
export async function startBenchCluster(): Promise<BenchCluster> {
  tell('building the program and starting a control plane')
  await run(process.execPath, ['.ci/build.mjs'])
  const plane = await startControlPlane({ controllers: false })
  await applyCrd(plane.kubeconfig)
  const rest = adminRest(plane.kubeconfig)
  return {
    kubeconfig: plane.kubeconfig,
    async namespace(name) {
      const cluster = clusterOf(rest, name)
      await cluster.create('namespaces', { metadata: { name } })
      return cluster
    },
    async stop() {
      await rest.close()
      await plane.stop()
    },
  }
}

/** A Connect server in a process of its own. */
export interface BenchConnect {
  readonly url: string
  ask(command: string): Promise<string>
  stop(): void
}

/** @param latencyMs milliseconds each answer takes */
export async function startBenchConnect(
  items: number,
  vaults: number,
  latencyMs: number,
): Promise<BenchConnect> {
  const args = ['test/bench/connect-server.ts', items, vaults, latencyMs].map(String)
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const read = async () => String((await lines.next()).value)
  return {
    url: await read(),
    ask(command) {
      child.stdin.write(`${command}\n`)
      return read()
    },
    stop: () => void child.kill('SIGKILL'),
  }
}

/** The middle value. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return sorted.length % 2 === 1
    ? (sorted[Math.floor(middle)] ?? 0)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}
