/**
 * The rights of the manifests are enough and none is idle: operators that meet every situation in
 * which they use one, judged by the audit log. On control planes of their own, because they have
 * Argo Rollouts, no streaming lists (else nothing is ever listed), and the admission plugin by which
 * a change of owners needs the right to delete.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { grant, installPolicies, logInAs, rulesOf } from '../support/accounts.ts'
import { installRollouts } from '../support/argo.ts'
import { type AuditRecord, readAudit } from '../support/audit.ts'
import {
  adminRest,
  applyCrd,
  type Cluster,
  clusterOf,
  hasReason,
  isReady,
} from '../support/cluster.ts'
import { type ControlPlane, startControlPlane } from '../support/control-plane/start.ts'
import { eventually } from '../support/eventually.ts'
import { tally } from '../support/gates.ts'
import { aWorkload, OPTED_IN, untilRestarted, untilValue, usesAsEnv } from '../support/restarts.ts'
import { rightOf, rightsOf } from '../support/rights.ts'
import { json } from '../support/scripted-connect.ts'
import { setStage, type Stage } from '../support/stage.ts'

let plane: ControlPlane
beforeAll(async () => {
  plane = await startControlPlane({
    apiserverArgs: [
      '--enable-admission-plugins=OwnerReferencesPermissionEnforcement',
      '--feature-gates=WatchList=false',
    ],
  })
  await applyCrd(plane.kubeconfig)
  const rest = adminRest(plane.kubeconfig)
  const cluster = clusterOf(rest, '')
  await installRollouts(cluster)
  await installPolicies(
    cluster,
    "request.userInfo.username.startsWith('system:serviceaccount:test-') && request.userInfo.username.endsWith(':keyferry')",
  )
  await rest.close()
})
afterAll(() => plane?.stop())

/** Requests of the operator in the stage's namespace. */
async function asked({ cluster }: Stage): Promise<AuditRecord[]> {
  const user = `system:serviceaccount:${cluster.namespace}:keyferry`
  const all = await readAudit(plane.auditLog ?? '')
  // Discovery is everybody's.
  return all.filter((record) => record.user === user && record.resource !== '')
}

test('an operator of all namespaces uses each right of its ClusterRole and asks for no other', async () => {
  await using stage = await setStage(plane.kubeconfig)
  await live(stage, stage.cluster, '*')
  const records = await asked(stage)
  expect(records.filter(({ denied }) => denied).map(rightOf)).toEqual([])
  const used = [...new Set(records.map(rightOf))].toSorted()
  expect(used).toEqual(rightsOf(await rulesOf('cluster')))
  await tally({ gate: 18, what: 'rights granted and used', trials: used.length, violations: 0 })
})

test('an operator of one namespace uses each right of its Roles and asks for no other', async () => {
  await using stage = await setStage(plane.kubeconfig)
  const served = await stage.another(OPTED_IN)
  await live(stage, served, served.namespace)
  const records = await asked(stage)
  expect(records.filter(({ denied }) => denied).map(rightOf)).toEqual([])
  const usedIn = (namespace: string) => [
    ...new Set(records.filter((one) => one.namespace === namespace).map(rightOf)),
  ]
  expect(usedIn(stage.cluster.namespace).toSorted()).toEqual(rightsOf(await rulesOf('own')))
  expect(usedIn(served.namespace).toSorted()).toEqual(rightsOf(await rulesOf('served')))
  const namespaces = new Set(records.map(({ namespace }) => namespace))
  expect(namespaces).toEqual(new Set([stage.cluster.namespace, served.namespace]))
  const trials = [...namespaces].flatMap(usedIn).length
  await tally({ gate: 18, what: 'rights granted and used', trials, violations: 0 })
})

test('the plugin is on: without the right to delete nobody changes owners', async () => {
  await using stage = await setStage(plane.kubeconfig)
  const { cluster } = stage
  await grant(cluster, 'weak', [
    { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'update'] },
  ])
  await using login = await logInAs(cluster, 'weak', plane.kubeconfig)
  const { metadata } = await cluster.create('configmaps', { metadata: { name: 'owner' } })
  const secret = await cluster.create('secrets', { metadata: { name: 'owned' } })
  const weak = adminRest(login.kubeconfig)
  const put = (object: unknown) =>
    clusterOf(weak, cluster.namespace)
      .replace('secrets', object as typeof secret)
      .then(
        () => 'done',
        ({ message }: Error) => message,
      )
  await eventually('the right to update holds', async () => {
    return (await put({ ...secret, metadata: { name: 'owned' } })) === 'done' || undefined
  })
  const { name, uid } = metadata
  const owner = { apiVersion: 'v1', kind: 'ConfigMap', name, uid }
  expect(await put({ ...secret, metadata: { name: 'owned', ownerReferences: [owner] } })).toContain(
    'cannot set an ownerRef on a resource you can',
  )
  await weak.close()
})

const WORKLOADS = ['deployments', 'statefulsets', 'daemonsets', 'rollouts'] as const

/** Everything that an operator ever does. */
async function live(stage: Stage, served: Cluster, scope: string): Promise<void> {
  const { connect, vault, cluster } = stage
  const itemPath = 'vaults/Production/items/x'
  const id = connect.add(vault, { title: 'x', fields: [{ label: 'password', value: 'one' }] })
  const resource = (name: string, more: Record<string, unknown> = {}) =>
    served.create('items', {
      metadata: { name, annotations: OPTED_IN },
      spec: { itemPath },
      ...more,
    })
  // Of 1Password's own operator: a finalizer on a resource; a Secret whose other owner lives.
  await resource('other')
  await served.patch('items', 'other', {
    metadata: { finalizers: ['onepassword.com/finalizer.secret'] },
  })
  const { uid } = (await served.get('items', 'other')).metadata
  const owner = { apiVersion: 'onepassword.com/v1', kind: 'OnePasswordItem', name: 'other', uid }
  await served.create('secrets', { metadata: { name: 'owned', ownerReferences: [owner] } })
  await resource('owned')
  await resource('x')
  await stage.operator({
    WATCH_NAMESPACE: scope,
    LEADER_ELECTION: 'true',
    POD_NAME: 'keyferry-0',
  })
  await served.until('items', 'x', isReady)
  await served.until('items', 'other', isReady)
  await served.until('items', 'owned', hasReason('NotOurSecret'))
  await served.until('items', 'other', ({ metadata }) => !metadata.finalizers?.length)
  await restartAll(served, () => connect.set(id, 'password', 'two'))
  await anotherType(served)
  await tellOutage(stage, cluster)
  await cluster.until('leases', 'keyferry', ({ spec }) => spec.renewTime !== spec.acquireTime)
}

async function restartAll(served: Cluster, change: () => void): Promise<void> {
  for (const kind of WORKLOADS) {
    const spec = kind === 'statefulsets' ? { serviceName: 'none' } : {}
    await served.create(kind, aWorkload('app', usesAsEnv('x'), { spec }))
  }
  change()
  const secret = await untilValue(served, 'x', 'two')
  for (const kind of WORKLOADS) await untilRestarted(served, [kind, 'app'], secret)
}

async function anotherType(served: Cluster): Promise<void> {
  const { uid } = (await served.get('secrets', 'other')).metadata
  await served.patch('items', 'other', { type: 'example.com/other' })
  await served.until('secrets', 'other', ({ metadata }) => metadata.uid !== uid)
}

/** That Connect fails is told on the operator's own Pod. */
async function tellOutage({ connect }: Stage, cluster: Cluster): Promise<void> {
  connect.intercept = (_request, response) => {
    json(response, 503, { status: 503, message: 'down' })
    return true
  }
  await eventually('the outage is told', async () => {
    const events = await cluster.list('events')
    return events.some(({ regarding }) => regarding.name === 'keyferry-0') || undefined
  })
}
