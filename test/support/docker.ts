/**
 * A Docker daemon: the one that answers, or one of the tests' own, with its own folders and socket.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { aptInstall } from './apt.ts'
import { eventually } from './eventually.ts'
import { startDaemon, which } from './processes.ts'
import { run, runToEnd } from './run.ts'

/** The client of a daemon. */
export interface DockerClient {
  /** As the environment variable DOCKER_HOST. */
  readonly host: string
  /** Runs a command. @returns what it printed @throws Error with what it said */
  run(args: readonly string[]): Promise<string>
}

/** See the head of this file. */
export type Docker = DockerClient & AsyncDisposable

const SYSTEM = 'unix:///var/run/docker.sock'

/** @throws Error that says what is missing, where neither a daemon answers nor one can be started */
export async function startDocker(): Promise<Docker> {
  const host = systemHost()
  if (await dockerAnswers()) {
    return { ...dockerAt(host), [Symbol.asyncDispose]: () => Promise.resolve() }
  }
  const instead = `install and start it (none answers at ${host}), or run the tests as root`
  if (!(await which('dockerd')) || !(await which('docker'))) await aptInstall('docker.io', instead)
  return startOwn()
}

const systemHost = () => process.env['DOCKER_HOST'] ?? SYSTEM

/** Whether a daemon runs here already. */
export async function dockerAnswers(): Promise<boolean> {
  return (await which('docker')) !== undefined && (await answers(systemHost()))
}

export function dockerAt(host: string): DockerClient {
  const env = { ...process.env, DOCKER_HOST: host }
  return { host, run: (args) => run('docker', args, { env }) }
}

async function answers(host: string): Promise<boolean> {
  return dockerAt(host)
    .run(['version'])
    .then(
      () => true,
      () => false,
    )
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
    ...dockerAt(host),
    async [Symbol.asyncDispose]() {
      await daemon.stop(30_000)
      // It leaves its own network namespace mounted.
      await runToEnd('umount', [path.join(folder, 'exec', 'netns', 'default')])
      await rm(folder, { recursive: true, force: true })
    },
  }
}
