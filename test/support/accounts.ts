/**
 * ServiceAccounts with rights of their own, and kubeconfigs that log in as them.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import type { Cluster } from './cluster.ts'

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
    AbortSignal.timeout(10_000),
  )) as { status: { token: string } }
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-login-'))
  const config = JSON.parse(await readFile(admin, 'utf8'))
  config.users = [{ name: 'user', user: { token: answer.status.token } }]
  config.contexts[0].context.namespace = namespace
  const kubeconfig = path.join(folder, 'kubeconfig')
  await writeFile(kubeconfig, JSON.stringify(config), { mode: 0o600 })
  return {
    kubeconfig,
    user: `system:serviceaccount:${namespace}:${name}`,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
}

/** Gives a ServiceAccount of the cluster's namespace rights in that namespace. */
export async function grant(cluster: Cluster, name: string, rules: readonly Rule[]): Promise<void> {
  const { namespace } = cluster
  await cluster.apply('roles', { metadata: { name }, rules })
  await cluster.apply('rolebindings', {
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
    subjects: [{ kind: 'ServiceAccount', name, namespace }],
  })
}
