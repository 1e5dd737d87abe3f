/**
 * ServiceAccounts with rights of their own, and kubeconfigs that log in as them. Operators under
 * test have exactly the rights that the repository's manifests give.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { parseAllDocuments } from 'yaml'
import { type Cluster, clusterOf, type Kind, type KubeObject, RESOURCES } from './cluster.ts'
import { eventually, timeout } from './eventually.ts'

/** One rule of a Role. */
export interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly verbs: readonly string[]
  readonly resourceNames?: readonly string[]
}

const TOKEN_SECONDS = 3_600

/** A kubeconfig, gone at the end. */
export interface Login extends AsyncDisposable {
  readonly kubeconfig: string
  /** As the audit log names it. */
  readonly user: string
}

/**
 * Logs in as a ServiceAccount of the cluster's namespace, which it creates when it is not there.
 *
 * @param admin kubeconfig of the administrator
 */
export async function logInAs(cluster: Cluster, name: string, admin: string): Promise<Login> {
  const { namespace, rest } = cluster
  if (!(await cluster.find('serviceaccounts', name))) {
    await cluster.create('serviceaccounts', { metadata: { name } })
  }
  const answer = (await rest.send(
    {
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`,
      body: {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { expirationSeconds: TOKEN_SECONDS },
      },
    },
    timeout(10_000),
  )) as { status: { token: string } }
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-login-'))
  const config = JSON.parse(await readFile(admin, 'utf8'))
  config.users = [{ name: 'user', user: { token: answer.status.token } }]
  config.contexts[0].context.namespace = namespace
  const kubeconfig = path.join(folder, 'kubeconfig')
  await writeFile(kubeconfig, JSON.stringify(config), { mode: 0o600 })
  return {
    kubeconfig,
    user: userOf(namespace, name),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
}

/** As the audit log and reviews name a ServiceAccount. */
export function userOf(namespace: string, name: string): string {
  return `system:serviceaccount:${namespace}:${name}`
}

/** Gives a ServiceAccount, of the cluster's namespace unless told, rights in that namespace. */
export async function grant(
  cluster: Cluster,
  name: string,
  rules: readonly Rule[],
  namespace = cluster.namespace,
): Promise<void> {
  await cluster.apply('roles', { metadata: { name }, rules })
  await cluster.apply('rolebindings', {
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
    subjects: [{ kind: 'ServiceAccount', name, namespace }],
  })
}

/** The manifests of an installation's rights. */
const RIGHTS = {
  /** That serves all namespaces. */
  cluster: 'deploy/base/rbac.yaml',
  /** That serves some: in its own namespace, and in each that it serves. */
  own: 'deploy/overlays/namespaced/own.yaml',
  served: 'deploy/overlays/namespaced/served.yaml',
} as const

/** One right for each of {@link RIGHTS} that says whether its binding has taken effect. */
const PROBES = {
  cluster: { group: '', resource: 'secrets', verb: 'list', everywhere: true },
  own: { group: 'coordination.k8s.io', resource: 'leases', verb: 'create' },
  served: { group: '', resource: 'secrets', verb: 'list' },
} as const

/** An installation that is to get its rights. */
export interface Installation {
  /** Of its Lease and its roles. */
  readonly name: string
  /** Its ServiceAccount; default: of the same name. Replicas have one each where the audit log is to tell them apart. */
  readonly account?: string
  /** Undefined: all. */
  readonly namespaces: readonly string[] | undefined
}

/**
 * Gives an installation in the cluster's namespace exactly the rights of `deploy/`, by Roles alone
 * where it serves some namespaces, and waits until they hold.
 */
export async function installRights(cluster: Cluster, installation: Installation): Promise<void> {
  const { namespace: home, rest } = cluster
  const { namespaces, name, account = name } = installation
  const served = (namespaces ?? []).map((one) => ['served', one] as const)
  const grants = namespaces ? ([['own', home], ...served] as const) : ([['cluster', home]] as const)
  for (const [rights, namespace] of grants) {
    const target = clusterOf(rest, namespace)
    for (const { kind, object } of await readRights(rights, { name, account, home })) {
      await target.apply(kind, object)
    }
  }
  await eventually('the rights hold', async () => {
    const checks = grants.map(([rights, namespace]) => {
      return isAllowed(cluster, userOf(home, account), { ...PROBES[rights], namespace })
    })
    return (await Promise.all(checks)).every(Boolean) || undefined
  })
}

/** The rules that an installation has, by manifest. */
export async function rulesOf(rights: keyof typeof RIGHTS): Promise<Rule[]> {
  const name = 'keyferry'
  const objects = await readRights(rights, { name, account: name, home: name })
  return objects.flatMap(({ object }) => (object['rules'] ?? []) as Rule[])
}

/**
 * Sets the admission policies of `deploy/` in force for other accounts than the one they name.
 *
 * @param who CEL over `request.userInfo.username`
 */
export async function installPolicies(cluster: Cluster, who: string): Promise<void> {
  const text = await readFile('deploy/base/admission-policy.yaml', 'utf8')
  const condition = "request.userInfo.username == 'system:serviceaccount:keyferry:keyferry'"
  const renamed = text.replaceAll(condition, who)
  for (const { kind, object } of objectsIn(renamed)) await cluster.apply(kind, object)
}

/** The objects of a manifest, for an account of an installation of that name in that namespace. */
async function readRights(
  rights: keyof typeof RIGHTS,
  { name, account, home }: Readonly<Record<'name' | 'account' | 'home', string>>,
): Promise<{ readonly kind: Kind; readonly object: KubeObject }[]> {
  const text = await readFile(RIGHTS[rights], 'utf8')
  const renamed = text.replaceAll(/(?<=name: |resourceNames: \[)keyferry\b/g, name)
  const objects = objectsIn(renamed)
  for (const { kind, object } of objects) {
    if (kind === 'serviceaccounts') object.metadata.name = account
    if (kind !== 'rolebindings' && kind !== 'clusterrolebindings') continue
    object.metadata.name = `${object.metadata.name}-${home}-${account}`
    object['subjects'] = [{ kind: 'ServiceAccount', name: account, namespace: home }]
  }
  return objects
}

function objectsIn(manifest: string): { readonly kind: Kind; readonly object: KubeObject }[] {
  return parseAllDocuments(manifest).map((document) => {
    const object = document.toJS() as KubeObject
    const found = Object.entries(RESOURCES).find(([, { kind }]) => kind === object['kind'])
    if (!found) throw new Error(`${object['kind']} is no kind that tests know`)
    return { kind: found[0] as Kind, object }
  })
}

interface Right {
  readonly group: string
  readonly resource: string
  readonly verb: string
  readonly namespace: string
  readonly everywhere?: true
}

async function isAllowed({ rest }: Cluster, user: string, right: Right): Promise<boolean> {
  const { everywhere, namespace, ...attributes } = right
  const answer = await rest.send(
    {
      method: 'POST',
      path: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
      body: {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: {
          user,
          resourceAttributes: { ...attributes, ...(everywhere ? {} : { namespace }) },
        },
      },
    },
    timeout(10_000),
  )
  return (answer as { status: { allowed: boolean } }).status.allowed
}
