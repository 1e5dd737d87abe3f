/**
 * A forwarded port, by kubectl: whoever looks after a cluster has it, and it knows every way to an
 * API server and to a pod behind it. See docs/decisions/0061-the-status-page.md.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { KeyferryError } from '../errors.ts'

/** Which kubectl, and how it finds the cluster. */
export interface Kubectl {
  readonly command: string
  /** For every call, such as `--context`. */
  readonly args: readonly string[]
}

/** A port of this machine that leads to one of a pod. */
export interface Forward {
  readonly port: number
  /** Resolves when kubectl has ended. */
  readonly ended: Promise<void>
}

/** A line of kubectl once it listens. */
const FORWARDING = /^Forwarding from 127\.0\.0\.1:(\d+) -> /m
/** Characters that are kept of what it says: of each connection it says something. */
const MOST_WORDS = 4_096

/**
 * Opens a way to a port of a pod until `signal` aborts.
 *
 * @param target as kubectl takes it: `pod/x`, `deployment/x`
 * @param port of this machine; 0: any that is free
 * @throws KeyferryError KUBE_UNREACHABLE when kubectl ends before it listens
 */
export function forward(
  kubectl: Kubectl,
  { target, port, podPort }: { target: string; port: number; podPort: number },
  signal: AbortSignal,
): Promise<Forward> {
  const ports = `${port === 0 ? '' : port}:${podPort}`
  const args = ['port-forward', '--address', '127.0.0.1', target, ports]
  const { child, words } = start(kubectl, args, signal)
  const ended = words.ended.then(() => undefined)
  return new Promise((resolve, reject) => {
    child.stdout?.on('data', () => {
      const [, found] = FORWARDING.exec(words.out()) ?? []
      if (found !== undefined) resolve({ port: Number(found), ended })
    })
    // After it has listened that changes nothing.
    ended.then(() => reject(failure(words.err())), reject)
  })
}

/**
 * What kubectl prints.
 *
 * @throws KeyferryError KUBE_UNREACHABLE when it fails, also because `signal` aborts
 */
export async function ask(
  kubectl: Kubectl,
  args: readonly string[],
  signal: AbortSignal,
): Promise<string> {
  const { words } = start(kubectl, args, signal)
  const code = await words.ended
  if (code !== 0) throw failure(words.err())
  return words.out()
}

/** Starts kubectl, which ends when `signal` aborts. */
function start({ command, args }: Kubectl, more: readonly string[], signal: AbortSignal) {
  const child = spawn(command, [...args, ...more], { stdio: ['ignore', 'pipe', 'pipe'] })
  const stop = () => void child.kill()
  if (signal.aborted) stop()
  else signal.addEventListener('abort', stop)
  child.on('close', () => signal.removeEventListener('abort', stop))
  return { child, words: gather(child) }
}

interface Words {
  out(): string
  err(): string
  /** Resolves with the exit code; rejects when it could not be started. */
  readonly ended: Promise<number | null>
}

function gather(child: ChildProcess): Words {
  let [out, err] = ['', '']
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out = (out + text).slice(-MOST_WORDS)
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    err = (err + text).slice(-MOST_WORDS)
  })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', () => reject(missing(child.spawnfile)))
    child.on('close', resolve)
  })
  return { out: () => out, err: () => err.trim(), ended }
}

function missing(command: string): KeyferryError {
  return new KeyferryError('INPUT_INVALID', {
    message: `${command} cannot be started`,
    remedy: 'Install kubectl, or name it with --kubectl: it forwards the port.',
    retry: 'on-change',
  })
}

function failure(words: string): KeyferryError {
  const last = words.split('\n').at(-1) || 'it said nothing'
  return new KeyferryError('KUBE_UNREACHABLE', {
    message: `kubectl failed: ${last}`,
    remedy:
      'Check --namespace, --instance and --context, that a pod of the operator runs there, and that ' +
      'you may create pods/portforward in its namespace.',
    retry: 'soon',
  })
}
