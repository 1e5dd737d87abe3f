/**
 * Once for all tests of a project on a cluster: builds the program, starts a control plane, applies the CRD and the
 * operator's admission policies; at the end the audit log is asked whether any operator wanted more
 * than its rights.
 */
import type { TestProject } from 'vitest/node'
import { installPolicies } from './accounts.ts'
import { readAudit } from './audit.ts'
import { adminRest, applyCrd, clusterOf } from './cluster.ts'
import { type ControlPlane, startControlPlane } from './control-plane/start.ts'
import { run } from './processes.ts'
import { overreach, rightOf } from './rights.ts'

declare module 'vitest' {
  interface ProvidedContext {
    kubeconfig: string
    auditLog: string
    kubectl: string
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  await run(process.execPath, ['.ci/build.mjs'])
  // Who judges what replicas wrote must see what they wrote.
  const audit = project.name === 'reliability' ? 'bodies' : 'metadata'
  const plane = await startControlPlane({ audit })
  await applyCrd(plane.kubeconfig)
  const rest = adminRest(plane.kubeconfig)
  await installPolicies(clusterOf(rest, ''), OPERATORS)
  await rest.close()
  project.provide('kubeconfig', plane.kubeconfig)
  project.provide('auditLog', plane.auditLog ?? '')
  project.provide('kubectl', plane.kubectl ?? '')
  return async () => {
    const wanted = await overreachOf(plane)
    await plane.stop()
    if (wanted.length > 0) throw new Error(`operators asked for more:\n${wanted.join('\n')}`)
  }
}

/** Accounts of operators in tests; those of tenants are called so. */
const OPERATORS =
  "request.userInfo.username.startsWith('system:serviceaccount:test-') && " +
  "!request.userInfo.username.contains(':tenant')"

/** Requests of operators beyond the rights of the manifests, as text. */
async function overreachOf({ auditLog }: ControlPlane): Promise<string[]> {
  // A control plane in a container keeps its log to itself.
  if (auditLog === undefined) return []
  const records = overreach(await readAudit(auditLog))
  return records.map((one) => `${one.user}: ${rightOf(one)} ${one.namespace}/${one.name}`)
}
