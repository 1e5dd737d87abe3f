/**
 * Once for all cluster tests: builds the program, starts a control plane, applies the CRD.
 */
import type { TestProject } from 'vitest/node'
import { run } from './processes.ts'
import { startControlPlane } from './control-plane/start.ts'
import { applyCrd } from './cluster.ts'

declare module 'vitest' {
  interface ProvidedContext {
    kubeconfig: string
    auditLog: string
    kubectl: string
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  await run(process.execPath, ['.ci/build.mjs'])
  const plane = await startControlPlane()
  await applyCrd(plane.kubeconfig)
  project.provide('kubeconfig', plane.kubeconfig)
  project.provide('auditLog', plane.auditLog ?? '')
  project.provide('kubectl', plane.kubectl ?? '')
  return plane.stop
}
