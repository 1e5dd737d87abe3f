import { spawn } from 'node:child_process'

/** A program that prints credentials: the member `exec` of a kubeconfig's user. */
export interface ExecPlugin {
  readonly apiVersion: string
  /** A name for PATH, or an absolute path. */
  readonly command: string
  readonly args: readonly string[]
  /** Besides the environment of this process. */
  readonly env: Readonly<Record<string, string>>
  readonly installHint: string | undefined
  /** Whether the plugin is told about the cluster. */
  readonly wantsCluster: boolean
}

/** What a plugin printed. Certificate and key are PEM. */
export interface ExecCredential {
  readonly token?: string
  readonly clientCertificateData?: string
  readonly clientKeyData?: string
  /** RFC 3339; absent: until the server says 401. */
  readonly expirationTimestamp?: string
}

const OUTPUT_LIMIT = 1 << 20

/**
 * Runs a credential plugin, without a terminal.
 *
 * @param cluster its members in a kubeconfig's names, for plugins that want them
 * @throws Error whose message quotes nothing that the plugin gave as credentials
 * Source: kubernetes.io/docs/reference/config-api/client-authentication.v1
 */
export async function runPlugin(plugin: ExecPlugin, cluster: object): Promise<ExecCredential> {
  const info = {
    apiVersion: plugin.apiVersion,
    kind: 'ExecCredential',
    spec: { interactive: false, ...(plugin.wantsCluster ? { cluster } : {}) },
  }
  const text = await output(plugin, JSON.stringify(info))
  let printed: { readonly status?: ExecCredential } | null
  try {
    printed = JSON.parse(text) as typeof printed
  } catch {
    throw new Error(`the credential plugin ${plugin.command} printed no JSON`)
  }
  const status = printed?.status
  if (!status?.token && !(status?.clientCertificateData && status.clientKeyData)) {
    throw new Error(`the credential plugin ${plugin.command} gave neither token nor certificate`)
  }
  return status
}

function output(plugin: ExecPlugin, info: string): Promise<string> {
  const { command, args, env } = plugin
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { ...process.env, ...env, KUBERNETES_EXEC_INFO: info },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let text = ''
    let complaint = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text = (text + chunk).slice(0, OUTPUT_LIMIT)
    })
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      complaint = (complaint + chunk).slice(0, OUTPUT_LIMIT)
    })
    child.on('error', (error) => {
      const hint = plugin.installHint?.trim().split('\n', 1)[0]
      const tail = hint ? `: ${hint}` : ''
      reject(new Error(`the credential plugin cannot be started (${error.message})${tail}`))
    })
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(text)
      const line = complaint.trim().split('\n', 1)[0]
      const tail = line ? `: ${line}` : ''
      reject(new Error(`the credential plugin ${command} ended with ${code ?? signal}${tail}`))
    })
  })
}
