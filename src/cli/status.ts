import { spawn } from 'node:child_process'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { Command, InvalidArgumentError } from 'commander'
import { isKeyferryError } from '../errors.ts'
import { asJson } from '../tools/report/text.ts'
import { type OutputFlags, outputOption } from './output.ts'
import { ask, forward, type Kubectl } from './port-forward.ts'
import type { Io } from './usage.ts'

/** Milliseconds after which a port that is no longer forwarded is forwarded again. */
const RETRY_MS = 1_000

/** What the command is told. */
export interface StatusFlags extends OutputFlags {
  readonly namespace: string
  readonly instance: string
  readonly context?: string
  readonly kubeconfig?: string
  readonly kubectl: string
  readonly port: number
  readonly podPort: number
  readonly open: boolean
}

const EXAMPLES = `
The page is served on the loopback of the operator's pod. This forwards a port to the replica that
works, by kubectl, opens a browser, and goes on until it is interrupted; when that replica ends, the
next one takes its place. In the operator's namespace it takes the rights to get pods and to create
pods/portforward, and to get leases; without that one, and where the work is divided, it takes any
replica, and the rights to get deployments and to list pods.

Examples:
  $ keyferry status
  $ kubectl keyferry status --namespace platform --instance my-keyferry --no-open`

/** `keyferry status` */
export function statusCommand(io: Io = process): Command {
  return new Command('status')
    .option('-n, --namespace <name>', 'namespace of the operator', 'keyferry')
    .option('--instance <name>', 'name of its Deployment and of its Lease', 'keyferry')
    .option('--context <name>', 'context of the kubeconfig')
    .option('--kubeconfig <file>', 'kubeconfig instead of the usual one')
    .option('--kubectl <command>', 'kubectl to forward the port with', 'kubectl')
    .option('--port <number>', 'port of this machine; 0: any that is free', portOf, 0)
    .option('--pod-port <number>', 'port of STATUS_ADDRESS', portOf, 8082)
    .option('--no-open', 'print the address and open no browser')
    .addOption(outputOption())
    .addHelpText('after', EXAMPLES)
    .action(async (flags: StatusFlags) => {
      const end = new AbortController()
      for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => end.abort())
      await followStatus(io, flags, end.signal)
    })
}

function portOf(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text)
  throw new InvalidArgumentError('It is not a number between 0 and 65535.')
}

/**
 * Forwards until `signal` aborts, always the same port: the page finds the next replica there.
 *
 * @throws KeyferryError INPUT_INVALID without kubectl, KUBE_UNREACHABLE when there is no way at first
 */
export async function followStatus(io: Io, flags: StatusFlags, signal: AbortSignal): Promise<void> {
  const kubectl = kubectlOf(flags)
  const { podPort } = flags
  let { port } = flags
  let isOpen = false
  let told = ''
  while (!signal.aborted) {
    try {
      const target = await replicaOf(kubectl, flags, signal)
      const way = await forward(kubectl, { target, port, podPort }, signal)
      if (!isOpen) {
        // What opens the browser may last for as long as that does.
        void present(io, `http://127.0.0.1:${way.port}/`, flags)
        isOpen = true
      }
      port = way.port
      told = ''
      await way.ended
      if (!signal.aborted) io.stderr.write(`${target} is gone; looking for the next one\n`)
    } catch (error) {
      if (signal.aborted) return
      // Between two replicas there may be none for a while.
      if (!isOpen || !isKeyferryError(error)) throw error
      if (error.message !== told) io.stderr.write(`${error.message}; trying again\n`)
      told = error.message
    }
    await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined)
  }
}

function kubectlOf({ kubectl, namespace, context, kubeconfig }: StatusFlags): Kubectl {
  const args = [
    `--namespace=${namespace}`,
    ...(context === undefined ? [] : [`--context=${context}`]),
    ...(kubeconfig === undefined ? [] : [`--kubeconfig=${kubeconfig}`]),
  ]
  return { command: kubectl, args }
}

/** Name of a Pod in `<pod>_<uuid>`, see `electionOf` in src/operator/terms.ts. */
const POD = /^([a-z0-9.-]+)_/

/** The replica that works, as its Lease says; any one where that cannot be told. */
async function replicaOf(
  kubectl: Kubectl,
  { instance }: StatusFlags,
  signal: AbortSignal,
): Promise<string> {
  const query = ['get', 'lease', instance, '--output=jsonpath={.spec.holderIdentity}']
  const holder = await ask(kubectl, query, signal).catch((error: unknown) => {
    if (isKeyferryError(error, 'KUBE_UNREACHABLE')) return ''
    throw error
  })
  // Where the work is divided all hold it, and it names none: see src/kube/shards.ts.
  const [, pod] = POD.exec(holder) ?? []
  return pod === undefined ? `deployment/${instance}` : `pod/${pod}`
}

/** Opens a browser, or leaves that to whoever reads the address. */
async function present(io: Io, url: string, { open, output }: StatusFlags): Promise<void> {
  io.stdout.write(output === 'json' ? asJson({ url }) : `${url}\n`)
  if (!open || (await openBrowser(url, io.env))) return
  io.stderr.write('No browser could be opened: open that address in one.\n')
}

/** @returns whether a program of the desktop took the address */
function openBrowser(url: string, env: Io['env']): Promise<boolean> {
  const opener = openerOf(env)
  if (opener === undefined) return Promise.resolve(false)
  const [command = '', ...args] = opener
  return new Promise((resolve) => {
    const child = spawn(command, [...args, url], { stdio: 'ignore', detached: true })
    child.on('error', () => resolve(false))
    child.on('exit', (code) => resolve(code === 0))
    child.unref()
  })
}

/** The desktop's own way to open an address; undefined where there is no desktop. */
function openerOf(env: Io['env']): readonly string[] | undefined {
  switch (process.platform) {
    case 'darwin':
      return ['open']
    case 'win32':
      return ['rundll32', 'url.dll,FileProtocolHandler']
    default:
      return env['DISPLAY'] || env['WAYLAND_DISPLAY'] ? ['xdg-open'] : undefined
  }
}
