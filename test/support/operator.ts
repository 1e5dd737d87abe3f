import { mkdtemp, readFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { request } from 'undici'
import { type Daemon, freePort, startDaemon, untilReady } from './processes.ts'

/** A running operator process: the bundle that users get. */
export interface OperatorProcess extends Daemon {
  /** Its metrics, as text. */
  metrics(): Promise<string>
  logs(): Promise<string>
}

/** Starts the operator and waits until its caches are complete. */
export async function startOperator(options: {
  readonly kubeconfig: string
  readonly connect: string
  readonly namespace: string
  readonly env?: Readonly<Record<string, string>>
  /** Without it the start is not waited for. */
  readonly ready?: boolean
}): Promise<OperatorProcess> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-operator-'))
  const [probe, metrics] = [await freePort(), await freePort()]
  const daemon = startDaemon(process.execPath, ['dist/keyferry.mjs', 'operator'], {
    logFile: path.join(folder, 'operator.log'),
    env: {
      PATH: process.env['PATH'],
      KUBECONFIG: options.kubeconfig,
      OP_CONNECT_HOST: options.connect,
      OP_CONNECT_TOKEN: 'test-token',
      WATCH_NAMESPACE: options.namespace,
      POD_NAMESPACE: options.namespace,
      POLLING_INTERVAL: '1',
      RESTART_DELAY: '0.2',
      RESTARTS_PER_MINUTE: '6000',
      // A test that kills its operator would otherwise wait for the Lease to run out.
      LEADER_ELECTION: 'false',
      LOG_LEVEL: 'debug',
      PROBE_ADDRESS: `127.0.0.1:${probe}`,
      METRICS_ADDRESS: `127.0.0.1:${metrics}`,
      ...options.env,
    },
  })
  const get = async (port: number, page: string) => {
    const { statusCode, body } = await request(`http://127.0.0.1:${port}${page}`)
    const text = await body.text()
    return statusCode === 200 ? text : undefined
  }
  if (options.ready !== false) {
    await untilReady(daemon, 'the operator', () => get(probe, '/readyz')).catch(
      (error: unknown) => {
        daemon.signal('SIGKILL')
        throw error
      },
    )
  }
  return {
    ...daemon,
    metrics: async () => (await get(metrics, '/metrics')) ?? '',
    logs: () => readFile(daemon.logFile, 'utf8'),
  }
}
