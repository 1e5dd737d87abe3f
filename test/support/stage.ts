/**
 * What nearly every cluster test needs: a namespace, a scripted Connect server with a vault, and
 * operators.
 */
import { randomBytes } from 'node:crypto'
import { appendFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { request } from 'undici'
import { inject } from 'vitest'
import type { Snapshot } from '../../src/status/model.ts'
import { installRights, type Login, logInAs } from './accounts.ts'
import { adminRest, type Cluster, clusterOf, type KubeObject } from './cluster.ts'
import { type Outputs, scan, shownBy, toldIn } from './leaks.ts'
import { type OperatorProcess, startOperator, TOKEN } from './operator.ts'
import { type ScriptedConnect, startScriptedConnect } from './scripted-connect.ts'

/** See the head of this file. */
export interface Stage extends AsyncDisposable {
  readonly cluster: Cluster
  readonly connect: ScriptedConnect
  /** Id of the vault `Production`. */
  readonly vault: string
  /** An operator with exactly the rights that the manifests give it; `KUBECONFIG` names others. */
  operator(env?: Readonly<Record<string, string>>): Promise<OperatorProcess>
  /** One more namespace. */
  another(annotations?: Readonly<Record<string, string>>): Promise<Cluster>
  /** A resource for an item of `Production`. */
  item(name: string, title: string, more?: ItemOptions): Promise<KubeObject>
  /**
   * What was told so far, in logs, metrics, objects, requests to Connect and by the processes:
   * everything but the data of Secrets.
   */
  outputs(): Promise<Outputs>
  /** Ends and removes all of it; fails if a secret value shows in what was told. */
  readonly close: () => Promise<void>
}

/** What a resource may have besides its path. */
export interface ItemOptions {
  readonly labels?: Record<string, string>
  readonly annotations?: Record<string, string>
  readonly type?: string
  readonly spec?: Record<string, unknown>
}

/**
 * Sets the stage for a test file, whose `beforeAll` gives back `close`.
 *
 * @param kubeconfig of a control plane of its own; the one that tests share without
 */
export async function setStage(kubeconfig = inject('kubeconfig')): Promise<Stage> {
  const rest = adminRest(kubeconfig)
  const namespaces: string[] = []
  const another = async (annotations = {}) => {
    const namespace = `test-${randomBytes(4).toString('hex')}`
    const cluster = clusterOf(rest, namespace)
    await cluster.create('namespaces', { metadata: { name: namespace, annotations } })
    namespaces.push(namespace)
    return cluster
  }
  const cluster = await another()
  const { namespace } = cluster
  const connect = await startScriptedConnect()
  const operators: OperatorProcess[] = []
  const logins = new Map<string, Promise<Login>>()
  async function logIn({ INSTANCE: name = 'keyferry', WATCH_NAMESPACE: scope = namespace }) {
    const namespaces = scope === '*' ? undefined : scope.split(',')
    await installRights(cluster, { name, namespaces })
    return logInAs(cluster, name, kubeconfig)
  }
  /** One login for all operators of an installation and scope. */
  function loginFor(env: Readonly<Record<string, string>>): Promise<Login> {
    const key = `${env['INSTANCE']} ${env['WATCH_NAMESPACE']}`
    const login = logins.get(key) ?? logIn(env)
    logins.set(key, login)
    return login
  }
  async function outputs(): Promise<Outputs> {
    const told = namespaces.map((one) => toldIn(clusterOf(rest, one)))
    const processes = operators.map(async (operator, n) => {
      const { command, environment } = await shownBy(operator.pid)
      return {
        [`log of operator ${n}`]: await operator.logs(),
        // One that was ended, or is frozen, tells nothing.
        [`metrics of operator ${n}`]: await operator.metrics().catch(() => ''),
        [`status page of operator ${n}`]: await toldByPage(operator).catch(() => ''),
        [`command line of operator ${n}`]: command,
        [`environment of operator ${n}`]: environment,
      }
    })
    const asked = { 'requests to Connect': connect.requests.join('\n') }
    return Object.assign(asked, ...(await Promise.all([...told, ...processes])))
  }
  let closed: Promise<void> | undefined
  const close = () => (closed ??= end())
  async function end(): Promise<void> {
    const secrets = [TOKEN, ...connect.secrets]
    const leaks = await scan(await outputs(), secrets)
    await appendFile(
      inject('secretsFile'),
      secrets.map((one) => `${JSON.stringify(one)}\n`).join(''),
    )
    for (const operator of operators) {
      await operator.stop()
      await rm(path.dirname(operator.logFile), { recursive: true })
    }
    for (const login of logins.values()) await (await login)[Symbol.asyncDispose]()
    for (const name of namespaces) await cluster.delete('namespaces', name)
    await connect.close()
    await rest.close()
    if (leaks.length > 0) throw new Error(`secret values show:\n${leaks.join('\n')}`)
  }
  return {
    cluster,
    connect,
    vault: connect.vault('Production'),
    async operator(env = {}) {
      const account = env['KUBECONFIG'] ?? (await loginFor(env)).kubeconfig
      const operator = await startOperator({
        kubeconfig: account,
        connect: connect.url,
        namespace,
        env,
      })
      operators.push(operator)
      return operator
    },
    another,
    item: (name, title, { spec, type, ...metadata } = {}) =>
      cluster.create('items', {
        metadata: { name, ...metadata },
        ...(type ? { type } : {}),
        spec: { itemPath: `vaults/Production/items/${title}`, ...spec },
      }),
    outputs,
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** Resources whose details are looked at: a flood of them tells the same. */
const MOST_DETAILS = 50

/** What the status page of an operator tells. */
async function toldByPage({ page }: OperatorProcess): Promise<string> {
  const get = async (path: string) => {
    const answer = await request(`${page}${path}`, { signal: AbortSignal.timeout(5_000) })
    return answer.body.text()
  }
  const table = await get('/api/status')
  const { rows } = JSON.parse(table) as Snapshot
  const details = rows
    .slice(0, MOST_DETAILS)
    .map(({ namespace, name }) => get(`/api/resources/${namespace}/${name}`))
  return [table, ...(await Promise.all(details))].join('\n')
}

/** A Deployment that uses Secrets as its environment. */
export function aDeployment(name: string, secrets: readonly string[], annotations = {}) {
  const labels = { app: name }
  const envFrom = secrets.map((secret) => ({ secretRef: { name: secret } }))
  return {
    metadata: { name, annotations },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { containers: [{ name: 'app', image: 'example.invalid/app', envFrom }] },
      },
    },
  }
}
