/**
 * The image as users build it, from the repository's Dockerfile. Only what it builds on differs, so
 * that nothing has to be pulled: Node, the libraries that it needs and, for the first stage, npm are
 * made into images on the spot.
 */
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import type { Docker } from './docker.ts'
import { which } from './processes.ts'
import { run } from './run.ts'
import { tell } from './skip.ts'

/** Name of the image under test. */
export const IMAGE = 'keyferry-test:built'
/** Name of an image with Node and a shell, for the pods of tests. */
export const APP_IMAGE = 'keyferry-test:build'

const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt'

/** Builds it. */
export async function buildImage(docker: Docker): Promise<void> {
  tell('building the image')
  const [build, base] = [await buildStage(docker), await finalStage(docker)]
  const stages = ['--build-arg', `BUILD_IMAGE=${build}`, '--build-arg', `BASE_IMAGE=${base}`]
  await docker.run(['build', '--network=host', ...stages, '--tag', IMAGE, '.'])
}

/** Node where the distroless image has it, and nothing else. */
function finalStage(docker: Docker): Promise<string> {
  return importRoot(docker, 'keyferry-test:base', async (root) => {
    await place(root, process.execPath, '/nodejs/bin/node')
  })
}

/** Node with npm and a shell. */
function buildStage(docker: Docker): Promise<string> {
  return importRoot(docker, APP_IMAGE, async (root) => {
    await place(root, process.execPath, '/usr/bin/node')
    for (const program of ['sh', 'env']) {
      await place(root, (await which(program)) ?? '', `/bin/${program}`)
    }
    await symlink('../../bin/env', path.join(root, 'usr/bin/env'))
    await cp(await folderOfNpm(), path.join(root, 'usr/lib/npm'), { recursive: true })
    await symlink('../lib/npm/bin/npm-cli.js', path.join(root, 'usr/bin/npm'))
  })
}

/** As npm itself tells it: it need not be where the Node that runs it has its global packages. */
async function folderOfNpm(): Promise<string> {
  const program = (await run('npm', ['exec', '--call', 'printenv npm_execpath'])).trim()
  return path.dirname(path.dirname(program))
}

/** Builds an image that sleeps until it is killed. */
export function buildPause(docker: Docker, name: string): Promise<string> {
  const fill = async (root: string) => place(root, (await which('sleep')) ?? '', '/bin/sleep')
  return importRoot(docker, name, fill, ['ENTRYPOINT ["/bin/sleep", "infinity"]'])
}

/** Makes an image of one layer out of a folder. @returns its name */
async function importRoot(
  docker: Docker,
  name: string,
  fill: (root: string) => Promise<void>,
  more: readonly string[] = [],
): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-image-'))
  const root = path.join(folder, 'root')
  await mkdir(path.join(root, 'etc'), { recursive: true })
  await mkdir(path.join(root, 'tmp'), { mode: 0o777 })
  await writeFile(
    path.join(root, 'etc/passwd'),
    'root:x:0:0::/root:/bin/sh\nnonroot:x:65532:65532::/home/nonroot:/\n',
  )
  await writeFile(path.join(root, 'etc/group'), 'root:x:0:\nnonroot:x:65532:\n')
  if (existsSync(CERTIFICATES)) await place(root, CERTIFICATES, CERTIFICATES)
  await fill(root)
  const archive = path.join(folder, 'root.tar')
  await run('tar', ['--create', '--file', archive, '--owner=0', '--group=0', '-C', root, '.'])
  const registry = (await run('npm', ['config', 'get', 'registry'])).trim()
  const changes = [
    `ENV NODE_EXTRA_CA_CERTS=${CERTIFICATES}`,
    `ENV npm_config_registry=${registry}`,
    ...more,
  ]
  await docker.run(['import', ...changes.flatMap((one) => ['--change', one]), archive, name])
  await rm(folder, { recursive: true })
  return name
}

/** Copies a file, and for a program the libraries that it is linked with. */
async function place(root: string, from: string, to: string): Promise<void> {
  await copyInto(root, from, to)
  for (const library of await librariesOf(from)) await copyInto(root, library, library)
}

async function copyInto(root: string, from: string, to: string): Promise<void> {
  const target = path.join(root, to)
  await mkdir(path.dirname(target), { recursive: true })
  await cp(from, target, { dereference: true, force: true })
}

/** Paths of shared libraries, the loader among them; none for what is no program. */
async function librariesOf(file: string): Promise<string[]> {
  const text = await run('ldd', [file]).catch(() => '')
  return text.split('\n').flatMap((line) => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1] ?? [])
}
