import { mkdtemp, readFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { request } from 'undici'
import { PLANTED } from './leaks.ts'
import { type Daemon, freePort, startDaemon, untilReady } from './processes.ts'

/** The token of operators under test, which must show nowhere. */
export const TOKEN = `${PLANTED}token-d41c8f`

/** Milliseconds for a page. */
const PAGE_MS = 5_000

/** A running operator process: the bundle that users get. */
export interface OperatorProcess extends Daemon {
  /** What `/healthz` or `/readyz` answers: status and text. */
  probe(page: '/healthz' | '/readyz'): Promise<string>
  /** Its metrics, as text. */
  metrics(): Promise<string>
  /** Origin of its status page. */
  readonly page: string
  logs(): Promise<string>
}

/** Starts the operator and waits until its caches are complete. */
export async function startOperator(options: {
  readonly kubeconfig: string
  readonly connect: string
  readonly namespace: string
  readonly env?: Readonly<Record<string, string>>
  /** Of Node. */
  readonly flags?: readonly string[]
  /** Without it the start is not waited for. */
  readonly ready?: boolean
}): Promise<OperatorProcess> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-operator-'))
  const [probe, metrics, page] = [await freePort(), await freePort(), await freePort()]
  const args = [...(options.flags ?? []), 'dist/keyferry.mjs', 'operator']
  const daemon = startDaemon(process.execPath, args, {
    logFile: path.join(folder, 'operator.log'),
    env: {
      PATH: process.env['PATH'],
      KUBECONFIG: options.kubeconfig,
      OP_CONNECT_HOST: options.connect,
      OP_CONNECT_TOKEN: TOKEN,
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
      STATUS_ADDRESS: `127.0.0.1:${page}`,
      ...options.env,
    },
  })
  const get = async (port: number, page: string) => {
    // A process that a test has frozen takes connections and answers none.
    const signal = AbortSignal.timeout(PAGE_MS)
    const { statusCode, body } = await request(`http://127.0.0.1:${port}${page}`, { signal })
    return { status: statusCode, text: await body.text() }
  }
  const good = async (port: number, page: string) => {
    const { status, text } = await get(port, page)
    return status === 200 ? text : undefined
  }
  if (options.ready !== false) {
    await untilReady(daemon, 'the operator', () => good(probe, '/readyz')).catch(
      (error: unknown) => {
        daemon.signal('SIGKILL')
        throw error
      },
    )
  }
  return {
    ...daemon,
    async probe(page) {
      const { status, text } = await get(probe, page)
      return `${status} ${text.trimEnd()}`
    },
    metrics: async () => (await good(metrics, '/metrics')) ?? '',
    page: `http://${options.env?.['STATUS_ADDRESS'] ?? `127.0.0.1:${page}`}`,
    logs: () => readFile(daemon.logFile, 'utf8'),
  }
}
