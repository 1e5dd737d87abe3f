/**
 * Everything the demo stands on, started in order and stopped in reverse.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { request } from 'undici'
import { parse, stringify } from 'yaml'
import { step } from '../../.ci/progress.mjs'
import { adminRest, applyCrd, type Cluster, clusterOf } from '../support/cluster.ts'
import { startControlPlane } from '../support/control-plane/start.ts'
import { type OperatorProcess, startOperator } from '../support/operator.ts'
import { type Daemon, run, startDaemon, untilReady } from '../support/processes.ts'

/** See the head of this file. */
export interface Scene extends AsyncDisposable {
  readonly kubeconfig: string
  /** The namespace `default`. */
  readonly cluster: Cluster
  readonly connect: DemoConnect
  readonly operator: OperatorProcess
}

/** The demo's Connect server. */
export interface DemoConnect {
  readonly url: string
  readonly token: string
  /** Gives an item a new password over the API, and tells its new version. */
  changePassword(title: string): Promise<number>
}

const PROGRAM = 'dist/keyferry.mjs'

/** Starts control plane, Connect server and operator. */
export async function setScene(): Promise<Scene> {
  const stack = new AsyncDisposableStack()
  try {
    await step('bundling the program', () => run(process.execPath, ['.ci/build.mjs']))
    const plane = await step('starting the control plane', () => startControlPlane())
    stack.defer(() => plane.stop())
    const { kubeconfig } = plane
    await applyCrd(kubeconfig)
    const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-demo-'))
    stack.defer(() => rm(folder, { recursive: true, force: true }))
    const connect = await step('starting the Connect server', () => startConnect(folder, stack))
    const operator = await step('starting the operator', () =>
      startOperator({
        kubeconfig,
        connect: connect.url,
        namespace: 'default',
        env: { OP_CONNECT_TOKEN: connect.token, POLLING_INTERVAL: '2', LOG_LEVEL: 'info' },
      }),
    )
    stack.defer(async () => void (await operator.stop()))
    const rest = adminRest(kubeconfig)
    stack.defer(() => rest.close())
    const scene = { kubeconfig, connect, operator, cluster: clusterOf(rest, 'default') }
    const parts = stack.move()
    return { ...scene, [Symbol.asyncDispose]: () => parts.disposeAsync() }
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

async function startConnect(folder: string, stack: AsyncDisposableStack): Promise<DemoConnect> {
  const data = path.join(folder, 'connect')
  const daemon: Daemon = startDaemon(
    process.execPath,
    [PROGRAM, 'connect', '--data', data, '--port', '0', '--log-level', 'warn'],
    { logFile: path.join(folder, 'connect.log') },
  )
  stack.defer(async () => void (await daemon.stop()))
  const url = await untilReady(daemon, 'the Connect server', async () => {
    const log = await readFile(daemon.logFile, 'utf8')
    return /listening on (http:\S+)/.exec(log)?.[1]
  })
  const keyferry = (...args: string[]) =>
    run(process.execPath, [PROGRAM, 'connect', ...args, '--data', data])
  const vault = path.join(folder, 'vault.yaml')
  await writeFile(vault, await sampleVault(), { mode: 0o600 })
  await keyferry('import', vault)
  const token = (await keyferry('token', 'create', '--vault', 'Production=rw')).trim()
  return { url, token, changePassword: (title) => changePassword(url, token, title) }
}

/** The vault of vault.yaml, with a key pair made for this run. */
async function sampleVault(): Promise<string> {
  const sample = parse(await readFile(path.join(import.meta.dirname, 'vault.yaml'), 'utf8'))
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const fields = sample.vaults[0].items.find(
    (item: { title: string }) => item.title === 'Deploy key',
  ).fields
  fields[0].value = privateKey.export({ type: 'pkcs8', format: 'pem' })
  fields[1].value = publicKey.export({ type: 'spki', format: 'pem' })
  return stringify(sample)
}

async function changePassword(url: string, token: string, title: string): Promise<number> {
  const call = async (method: 'GET' | 'PUT', target: string, body?: unknown) => {
    const answer = await request(`${url}${target}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: body === undefined ? null : JSON.stringify(body),
    })
    if (answer.statusCode !== 200) throw new Error(`${method} ${target}: ${answer.statusCode}`)
    // oxlint-disable-next-line typescript/no-explicit-any
    return (await answer.body.json()) as any
  }
  const [vault] = await call('GET', '/v1/vaults')
  const filter = encodeURIComponent(`title eq "${title}"`)
  const [summary] = await call('GET', `/v1/vaults/${vault.id}/items?filter=${filter}`)
  const target = `/v1/vaults/${vault.id}/items/${summary.id}`
  const item = await call('GET', target)
  for (const field of item.fields) {
    if (field.label === 'password') field.value = randomBytes(18).toString('base64url')
  }
  await call('PUT', target, item)
  return (await call('GET', target)).version
}
