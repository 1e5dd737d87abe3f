/**
 * Once for all tests of a project on a cluster: builds the program, starts a control plane, applies the CRD and the
 * operator's admission policies; at the end the audit log is asked whether any operator wanted more
 * than its rights, or put a secret value into a request's line.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import type { TestProject } from 'vitest/node'
import { installPolicies } from './accounts.ts'
import { readAudit } from './audit.ts'
import { adminRest, applyCrd, clusterOf } from './cluster.ts'
import { type ControlPlane, startControlPlane } from './control-plane/start.ts'
import { scan } from './leaks.ts'
import { run } from './processes.ts'
import { overreach, rightOf } from './rights.ts'

declare module 'vitest' {
  interface ProvidedContext {
    kubeconfig: string
    auditLog: string
    kubectl: string
    /** A file to which each stage adds the secret values of its Connect server, a JSON text a line. */
    secretsFile: string
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
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-served-'))
  const served = path.join(folder, 'secrets')
  await writeFile(served, '')
  project.provide('secretsFile', served)
  return async () => {
    const wanted = await overreachOf(plane)
    const leaks = await leaksOf(plane, served)
    await plane.stop()
    await rm(folder, { recursive: true })
    if (wanted.length > 0) throw new Error(`operators asked for more:\n${wanted.join('\n')}`)
    if (leaks.length > 0) throw new Error(`secret values show:\n${leaks.join('\n')}`)
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

/** Secret values in the audit log, but in the data of Secrets, which it has where it has bodies. */
async function leaksOf({ auditLog }: ControlPlane, served: string): Promise<string[]> {
  if (auditLog === undefined) return []
  const values = (await readFile(served, 'utf8')).split('\n').filter(Boolean)
  const lines = (await readFile(auditLog, 'utf8')).split('\n').filter(Boolean)
  return scan(
    { 'the audit log': lines.map(withoutData).join('\n') },
    values.map((line) => JSON.parse(line) as string),
  )
}

interface AuditEvent {
  readonly objectRef?: { readonly resource?: string }
  readonly requestObject?: { readonly data?: unknown; readonly stringData?: unknown }
  readonly responseObject?: { readonly data?: unknown }
}

function withoutData(line: string): string {
  if (!line.includes('"resource":"secrets"')) return line
  const { requestObject, responseObject, ...event } = JSON.parse(line) as AuditEvent
  if (event.objectRef?.resource !== 'secrets') return line
  const { data: _asked, stringData: _text, ...asked } = requestObject ?? {}
  const { data: _given, ...given } = responseObject ?? {}
  return JSON.stringify({ ...event, asked, given })
}
