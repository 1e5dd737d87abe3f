/**
 * A Docker daemon: the one that answers, or one of the tests' own, with its own folders and socket.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { eventually } from './eventually.ts'
import { startDaemon, which } from './processes.ts'
import { run, runToEnd } from './run.ts'
import { tell } from './skip.ts'

/** See the head of this file. */
export interface Docker extends AsyncDisposable {
  /** As the environment variable DOCKER_HOST. */
  readonly host: string
  /** Runs a command of the client. @returns what it printed @throws Error with what it said */
  run(args: readonly string[]): Promise<string>
}

const SYSTEM = 'unix:///var/run/docker.sock'

/** @throws Error that says what is missing, where neither a daemon answers nor one can be started */
export async function startDocker(): Promise<Docker> {
  const host = process.env['DOCKER_HOST'] ?? SYSTEM
  if ((await which('docker')) && (await answers(host))) {
    return { ...clientOf(host), [Symbol.asyncDispose]: () => Promise.resolve() }
  }
  if (process.getuid?.() !== 0) {
    throw new Error(`these tests need a Docker daemon (none answers at ${host}), or root`)
  }
  await installDocker()
  return startOwn()
}

const environment = (host: string) => ({ ...process.env, DOCKER_HOST: host })

function clientOf(host: string) {
  return {
    host,
    run: (args: readonly string[]) => run('docker', args, { env: environment(host) }),
  }
}

async function answers(host: string): Promise<boolean> {
  const { code } = await runToEnd('docker', ['version'], { env: environment(host) })
  return code === 0
}

async function installDocker(): Promise<void> {
  if ((await which('dockerd')) && (await which('docker'))) return
  if (!(await which('apt-get'))) throw new Error('these tests need docker and dockerd on PATH')
  tell('installing Docker (apt-get)')
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  await run('apt-get', ['update', '-q'], { env })
  await run('apt-get', ['install', '-qy', '--no-install-recommends', 'docker.io'], { env })
}

async function startOwn(): Promise<Docker> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-docker-'))
  const host = `unix://${path.join(folder, 'docker.sock')}`
  const flags = [
    `--host=${host}`,
    `--data-root=${path.join(folder, 'data')}`,
    `--exec-root=${path.join(folder, 'exec')}`,
    `--pidfile=${path.join(folder, 'pid')}`,
    // Containers use the network of the machine, on which the tests' API server listens.
    '--bridge=none',
    '--iptables=false',
  ]
  const daemon = startDaemon('dockerd', flags, { logFile: path.join(folder, 'log') })
  await eventually('the Docker daemon answers', () => answers(host))
  return {
    ...clientOf(host),
    async [Symbol.asyncDispose]() {
      await daemon.stop(30_000)
      // It leaves its own network namespace mounted.
      await runToEnd('umount', [path.join(folder, 'exec', 'netns', 'default')])
      await rm(folder, { recursive: true, force: true })
    },
  }
}
