/**
 * What a machine must be able to do for the suites that run containers, which start daemons as
 * root, and for that of the browser; whoever asks for one of them by its name is told by its failure
 * what is missing.
 */
import { existsSync } from 'node:fs'
import { mkdir, rmdir } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { findChromium } from './chromium.ts'
import { dockerAnswers, startDocker } from './docker.ts'
import { installNodePrograms } from './node.ts'
import { which } from './processes.ts'
import { runToEnd } from './run.ts'

/** Why there is no browser on this machine; undefined where there is one, perhaps since now. */
export function whyNoBrowser(): Promise<string | undefined> {
  return failureOf(findChromium)
}

/** Why the image cannot be tested on this machine; undefined where it can. */
export async function whyNoImage(): Promise<string | undefined> {
  if (await dockerAnswers()) return undefined
  return (
    (await whyNoContainers()) ?? failureOf(async () => (await startDocker())[Symbol.asyncDispose]())
  )
}

/** Why no node can be started on this machine; undefined where one can. */
export async function whyNoNode(): Promise<string | undefined> {
  const reason = (await whyNoContainers()) ?? (await whyNoImage())
  if (reason !== undefined) return reason
  if (!(await which('go'))) return 'there is no Go to build a kubelet with'
  const missing = await failureOf(installNodePrograms)
  if (missing !== undefined) return missing
  const rules = await runToEnd('iptables', ['--table', 'nat', '--list', 'PREROUTING'])
  return rules.code === 0 ? undefined : `iptables: ${rules.err.trim()}`
}

async function whyNoContainers(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'this is not root'
  if (!(await which('apt-get'))) return 'there is no apt to install a container runtime with'
  const kinds = ['--mount', '--net', '--pid', '--ipc', '--uts', '--fork']
  const namespaces = await runToEnd('unshare', [...kinds, 'true'])
  if (namespaces.code !== 0) return `namespaces: ${namespaces.err.trim()}`
  // Version 1 has a hierarchy for each controller.
  const root = existsSync('/sys/fs/cgroup/memory') ? '/sys/fs/cgroup/memory' : '/sys/fs/cgroup'
  const group = path.join(root, `keyferry-${process.pid}`)
  return failureOf(async () => {
    await mkdir(group)
    await rmdir(group)
  })
}

async function failureOf(attempt: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await attempt()
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}
