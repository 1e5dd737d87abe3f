/**
 * Replicas of an operator that share a Lease, each under a user of its own, so that the audit log
 * tells whose write is whose.
 */
import { expect, inject } from 'vitest'
import { grant, logInAs, type Login, type Rule } from './accounts.ts'
import { type AuditRecord, isWrite, readAudit, termsOf } from './audit.ts'
import { isReady, type KubeObject, textsOf } from './cluster.ts'
import { eventually } from './eventually.ts'
import type { OperatorProcess } from './operator.ts'
import { aWorkload, debtOf, digestOf, OPTED_IN, restartedFor, usesAsEnv } from './restarts.ts'
import type { Stage } from './stage.ts'

/** Name of the Lease: the default of INSTANCE. */
export const LEASE = 'keyferry'

const ALL = ['*']
/** Rights of a replica in a namespace: they are not what these tests are about. */
export const RIGHTS: readonly Rule[] = [
  {
    apiGroups: ['', 'apps', 'onepassword.com', 'events.k8s.io', 'coordination.k8s.io'],
    resources: ALL,
    verbs: ALL,
  },
]

/** One replica; its process may be replaced, its user stays. */
export interface Replica {
  readonly name: string
  readonly login: Login
  process: OperatorProcess
}

/** Starts a replica in the stage's namespace and waits until its caches are complete. */
export async function startReplica(
  stage: Stage,
  name: string,
  options: {
    readonly env?: Readonly<Record<string, string>>
    /** Leads it past something that may hold its requests up. */
    readonly through?: { kubeconfigFor(file: string): Promise<string> }
  } = {},
): Promise<Replica> {
  const { cluster } = stage
  await grant(cluster, name, RIGHTS)
  const login = await logInAs(cluster, name, inject('kubeconfig'))
  const kubeconfig = (await options.through?.kubeconfigFor(login.kubeconfig)) ?? login.kubeconfig
  const env = { LEADER_ELECTION: 'true', KUBECONFIG: kubeconfig, POD_NAME: name, ...options.env }
  return { name, login, process: await stage.operator(env) }
}

/** The process behind a replica that ended is replaced, as its Deployment does it. */
export async function restart(stage: Stage, replica: Replica): Promise<void> {
  const { login, name } = replica
  const env = { LEADER_ELECTION: 'true', KUBECONFIG: login.kubeconfig, POD_NAME: name }
  replica.process = await stage.operator(env)
}

/** Who holds the Lease, as `<replica>_<uuid>`; empty when nobody does. */
export async function holderOf({ cluster }: Stage): Promise<string> {
  const lease = await cluster.find('leases', LEASE)
  return lease?.['spec'].holderIdentity ?? ''
}

/** Waits until one of these replicas holds the Lease. */
export function untilLeads(stage: Stage, among: readonly Replica[]): Promise<Replica> {
  return eventually('a replica holds the Lease', async () => {
    const holder = await holderOf(stage)
    return among.find(({ name }) => holder.startsWith(`${name}_`))
  })
}

/** The replica of two that is not this one. */
export function otherThan(replica: Replica, replicas: readonly Replica[]): Replica {
  const other = replicas.find((one) => one !== replica)
  if (!other) throw new Error('there is no other replica')
  return other
}

/** Secrets with workloads that restart for them, and a stream of changes of both sides. */
export interface Load {
  /** Changes items and edits Secrets, all at once. */
  burst(): Promise<void>
  /** Ends the stream and waits until everything is as it should be. */
  settle(): Promise<void>
}

const SECRETS = 8
const BURST = 4
/** Starts the load: resources, workloads, and a change every so many milliseconds. */
export async function startLoad(stage: Stage, changeMs = 1_000): Promise<Load> {
  const { cluster, connect, vault } = stage
  const names = Array.from({ length: SECRETS }, (_, n) => `load-${n}`)
  const wanted = new Map<string, string>()
  const ids = new Map<string, string>()
  for (const name of names) {
    wanted.set(name, 'at first')
    const fields = [{ label: 'password', value: 'at first' }]
    ids.set(name, connect.add(vault, { title: name, fields }))
    await stage.item(name, name, { annotations: OPTED_IN })
    const spec = { replicas: 0 }
    await cluster.create('deployments', aWorkload(name, usesAsEnv(name), { spec }))
  }
  // What changes before it was ever synced owes no restart.
  for (const name of names) await cluster.until('items', name, isReady)
  let changes = 0
  const next = () => names[changes++ % names.length] ?? ''
  function changeItem(): void {
    const name = next()
    wanted.set(name, `change ${changes}`)
    connect.set(ids.get(name) ?? '', 'password', `change ${changes}`)
  }
  /** In turn, because a Secret that is edited more than three times a minute has to wait. */
  async function editSecret(): Promise<void> {
    const data = { password: Buffer.from('edited').toString('base64') }
    // While nobody works there may be no Secret yet.
    await cluster.patch('secrets', next(), { data }).catch(() => undefined)
  }
  const change = () => (changes % 4 === 3 ? editSecret() : Promise.resolve(changeItem()))
  let changing: Promise<unknown> = Promise.resolve()
  const timer = setInterval(() => {
    changing = change()
  }, changeMs)
  return {
    async burst() {
      const edits = Array.from({ length: BURST / 2 }, editSecret)
      for (let n = 0; n < BURST; n += 1) changeItem()
      await Promise.all(edits)
    },
    async settle() {
      clearInterval(timer)
      await changing
      for (const name of names) await untilRight(stage, name, wanted.get(name) ?? '')
    },
  }
}

/** Waits until the Secret has the value and its workload was restarted for it. */
async function untilRight({ cluster }: Stage, name: string, value: string): Promise<void> {
  await eventually(
    `${name} is as it should be`,
    async () => {
      const [secret, workload, item] = await Promise.all([
        cluster.get('secrets', name),
        cluster.get('deployments', name),
        cluster.get('items', name),
      ])
      const restarted = restartedFor(workload)
      // What was never changed needs no restart.
      const fresh = value === 'at first' && restarted.length === 0
      const settled = debtOf(secret) === undefined || restarted.includes(digestOf(secret))
      const right = textsOf(secret)['password'] === value && isReady(item)
      return right && settled && (fresh || restarted.includes(digestOf(secret)))
    },
    async () => {
      const [secret, workload, item] = await Promise.all([
        cluster.get('secrets', name),
        cluster.get('deployments', name),
        cluster.get('items', name),
      ])
      const is = [textsOf(secret), digestOf(secret), debtOf(secret), restartedFor(workload)]
      return JSON.stringify([value, ...is, workload['status'], item['status']])
    },
  )
}

/** What the audit log says of a Lease and its replicas. */
export async function judge(stage: Stage, replicas: readonly Replica[]) {
  const records = await readAudit(inject('auditLog'), stage.cluster.namespace)
  const terms = termsOf(records, LEASE)
  return { records, terms, users: replicas.map(({ login }) => login.user) }
}

/** Each workload was patched at most once for each content. */
export function expectOneRestartPerContent(records: readonly AuditRecord[]): void {
  const restarts = records
    .filter((one) => one.resource === 'deployments' && one.verb === 'patch' && isWrite(one))
    .filter(({ versionBefore, versionAfter }) => versionBefore !== versionAfter)
    .map(({ name, response }) => `${name} ${restartedFor(response as KubeObject).join()}`)
  expect(restarts.filter((one, n) => restarts.indexOf(one) !== n)).toEqual([])
}
