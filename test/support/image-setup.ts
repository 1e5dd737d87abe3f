/** For all tests of the image: a Docker daemon, and the image built by it. */
import type { TestProject } from 'vitest/node'
import { setup as setupCluster } from './cluster-setup.ts'
import { startDocker } from './docker.ts'
import { buildImage } from './image.ts'

declare module 'vitest' {
  interface ProvidedContext {
    dockerHost: string
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const docker = await startDocker()
  await buildImage(docker)
  project.provide('dockerHost', docker.host)
  const tearDown = await setupCluster(project)
  return async () => {
    await tearDown()
    await docker[Symbol.asyncDispose]()
  }
}
