import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { applyCrd, adminRest, type Cluster, clusterOf } from '../support/cluster.ts'
import { startControlPlane } from '../support/control-plane/start.ts'
import { eventually } from '../support/eventually.ts'
import { forEach } from '../support/for-each.ts'
import { type OperatorProcess, startOperator } from '../support/operator.ts'
import { run } from '../support/processes.ts'
import { tell } from '../support/skip.ts'

/** A control plane for measurements: without controllers, whose work would be measured too. */
export interface BenchCluster extends AsyncDisposable {
  readonly kubeconfig: string
  namespace(name: string): Promise<Cluster>
}

/** Builds the program that is measured. */
export async function buildMeasured(): Promise<void> {
  tell('building the program')
  await run(process.execPath, ['.ci/build.mjs'])
}

/** Starts the control plane. */
export async function startBenchCluster(): Promise<BenchCluster> {
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
    async [Symbol.asyncDispose]() {
      await rest.close()
      await plane.stop()
    },
  }
}

/** What the Connect server of a benchmark can be told. */
export type ConnectCommand =
  /** Gives an item, or all, a new password. */
  | `change ${number | 'all'}`
  /** Makes every answer about a vault take so many milliseconds; a negative number: fail at once. */
  | `slow ${number} ${number}`
  /** When the first poll after the last change came, in milliseconds since the epoch; or nothing. */
  | 'polled'

/** A Connect server in a process of its own. */
export interface BenchConnect extends Disposable {
  readonly url: string
  ask(command: ConnectCommand): Promise<string>
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
    [Symbol.dispose]: () => void child.kill('SIGKILL'),
  }
}

/**
 * One resource for each item of the Connect server, whose items are spread over its vaults, in
 * these namespaces by turns.
 */
export async function createResources(
  namespaces: readonly Cluster[],
  { count, vaults }: { readonly count: number; readonly vaults: number },
): Promise<void> {
  const numbers = Array.from({ length: count }, (_, n) => n)
  await forEach(numbers, 32, async (n) => {
    const namespace = namespaces[n % namespaces.length]
    if (namespace) await createResource(namespace, n, n % vaults)
  })
}

/** The resource for the item of that number. */
export function createResource(cluster: Cluster, n: number, vault: number, name = `item-${n}`) {
  return cluster.create('items', {
    metadata: { name },
    spec: { itemPath: `vaults/Vault ${vault}/items/Item ${n}` },
  })
}

export const CONCURRENCY = 16

/** The operator as the image runs it. */
export async function startMeasured(
  kubeconfig: string,
  connect: BenchConnect,
  namespace: string,
  options: {
    readonly env?: Readonly<Record<string, string>>
    /** Of Node, besides the image's. */
    readonly flags?: readonly string[]
    readonly ready?: boolean
  } = {},
): Promise<OperatorProcess> {
  const { flags, env } = await imageSettings()
  return startOperator({
    kubeconfig,
    connect: connect.url,
    namespace,
    flags: [...flags, ...(options.flags ?? [])],
    env: { ...env, CONCURRENCY: String(CONCURRENCY), LOG_LEVEL: 'warn', ...options.env },
    ready: options.ready ?? true,
  })
}

/** Flags for Node and environment that the image has, from the Dockerfile. */
async function imageSettings() {
  const text = await readFile('Dockerfile', 'utf8')
  const [, entry = '[]'] = /^ENTRYPOINT (.+)$/m.exec(text) ?? []
  const [, pairs = ''] = /^ENV (.+)$/m.exec(text) ?? []
  const flags = (JSON.parse(entry) as string[]).filter((word) => word.startsWith('--'))
  if (flags.length === 0 || pairs === '') throw new Error('the Dockerfile has another form')
  return { flags, env: Object.fromEntries(pairs.split(' ').map((pair) => pair.split('='))) }
}

/** The sum of a metric over all of its labels that hold `labels`, as Prometheus writes them. */
export function metric(text: string, name: string, labels = ''): number {
  const lines = text.split('\n').filter((line) => /^[^ {]+/.exec(line)?.[0] === name)
  const values = lines.filter((line) => line.includes(labels)).map((line) => line.split(' ').at(-1))
  return values.reduce((sum, value) => sum + Number(value), 0)
}

/** How many resources are Ready. */
export async function syncedOf(operator: OperatorProcess): Promise<number> {
  const text = await operator.metrics().catch(() => '')
  return metric(text, 'keyferry_resources', 'ready="True",reason="Synced"')
}

/** Waits until the operator says that so many resources are Ready. */
export async function untilSynced(operator: OperatorProcess, count: number): Promise<void> {
  await eventually(`${count} resources are synced`, async () => (await syncedOf(operator)) >= count)
}

/** Megabytes (10^6 bytes) that a process has in memory. */
export async function residentMegabytes(pid: number): Promise<number> {
  const [, kib] = /^VmRSS:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? []
  return (Number(kib) * 1024) / 1e6
}

/** Milliseconds of processor time that a process has taken. */
export async function processorMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // After the name, which may hold anything: utime and stime are the 12th and 13th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

/** The total. */
export const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)

/** The middle value. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return sorted.length % 2 === 1
    ? (sorted[Math.floor(middle)] ?? 0)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

/** The value that 99 of 100 do not exceed. */
export function p99(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(values.length * 0.99) - 1] ?? 0
}
