/**
 * What a machine must be able to do for the suites that run containers. Both start daemons as
 * root; whoever asks for one of them by its name is told by its failure what is missing.
 */
import { existsSync } from 'node:fs'
import { mkdir, rmdir } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { aptInstall } from './apt.ts'
import { dockerAnswers } from './docker.ts'
import { which } from './processes.ts'
import { runToEnd } from './run.ts'

/** Why the image cannot be tested on this machine; undefined where it can. */
export async function whyNoImage(): Promise<string | undefined> {
  return (await dockerAnswers()) ? undefined : whyNoContainers()
}

/** Why no node can be started on this machine; undefined where one can. */
export async function whyNoNode(): Promise<string | undefined> {
  const reason = await whyNoContainers()
  if (reason !== undefined) return reason
  if (!(await which('go'))) return 'there is no Go to build a kubelet with'
  if (!(await which('iptables'))) await aptInstall('iptables', 'run the tests as root')
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
  try {
    await mkdir(group)
    await rmdir(group)
  } catch (error) {
    return `control groups: ${(error as Error).message}`
  }
  return undefined
}
