/** For all tests on a node: the program, the image, built by Docker, and a node that has it. */
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import type { TestProject } from 'vitest/node'
import { startDocker } from './docker.ts'
import { APP_IMAGE, buildImage, buildPause, IMAGE } from './image.ts'
import { PAUSE_IMAGE, startNode } from './node.ts'
import { buildProgram } from './program.ts'
import { tell } from './skip.ts'

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  await buildProgram()
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-images-'))
  const archive = path.join(folder, 'images.tar')
  {
    await using docker = await startDocker()
    await buildImage(docker)
    await buildPause(docker, PAUSE_IMAGE)
    await docker.run(['save', '--output', archive, IMAGE, APP_IMAGE, PAUSE_IMAGE])
  }
  tell('starting a node')
  const node = await startNode()
  await node.importImage(archive)
  await rm(folder, { recursive: true })
  project.provide('kubeconfig', node.plane.kubeconfig)
  return async () => node[Symbol.asyncDispose]()
}
