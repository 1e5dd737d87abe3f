import { KubeConfig } from '@kubernetes/client-node'
import type { RequestOptions } from 'node:https'
import { KeyferryError } from '../errors.ts'

/** How to reach an API server and who we are there. */
export interface Access {
  /** Origin and path prefix, without a slash at the end. */
  readonly server: string
  /** The namespace of the kubeconfig's context or of the ServiceAccount; `default` without. */
  readonly namespace: string
  /**
   * Headers and TLS material of this moment. Certificates are read each time, tokens at most once
   * a minute; `fresh` reads the whole configuration again, for use after a 401.
   */
  credentials(fresh: boolean): Promise<Credentials>
}

/** Authorization headers and TLS options of one moment. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string>>
  readonly tls: {
    readonly ca?: string | Buffer
    readonly cert?: string | Buffer
    readonly key?: string | Buffer
    readonly servername?: string
    readonly rejectUnauthorized?: boolean
  }
}

/**
 * Access by the usual rules: the kubeconfig at `path`, else KUBECONFIG, `~/.kube/config`, and
 * the mounted ServiceAccount inside a cluster.
 *
 * @throws KeyferryError KUBE_CONFIG when no usable configuration is found
 */
export function loadAccess(path?: string): Access {
  let config = loadConfig(path)
  const cluster = config.getCurrentCluster()
  if (!cluster) throw configError('the kubeconfig has no current context')
  return {
    server: cluster.server.replace(/\/+$/, ''),
    namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? 'default',
    credentials(fresh) {
      if (fresh) config = loadConfig(path)
      return readCredentials(config)
    },
  }
}

function loadConfig(path: string | undefined): KubeConfig {
  const config = new KubeConfig()
  try {
    if (path === undefined) config.loadFromDefault()
    else config.loadFromFile(path)
  } catch (cause) {
    throw configError(`cannot read the kubeconfig: ${reasonOf(cause)}`)
  }
  // What loadFromDefault() makes up when it finds nothing.
  if (config.currentContext === 'loaded-context') {
    throw configError('there is no kubeconfig, and this is not a pod with a ServiceAccount token')
  }
  return config
}

async function readCredentials(config: KubeConfig): Promise<Credentials> {
  const options: RequestOptions = {}
  try {
    await config.applyToHTTPSOptions(options)
  } catch (cause) {
    throw configError(`cannot read the cluster credentials: ${reasonOf(cause)}`)
  }
  const { ca, cert, key, servername, rejectUnauthorized, auth } = options
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    headers[name.toLowerCase()] = String(value).trim()
  }
  if (auth) headers['authorization'] = `Basic ${Buffer.from(auth).toString('base64')}`
  return {
    headers,
    tls: {
      ...(ca ? { ca: ca as string | Buffer } : {}),
      ...(cert ? { cert: cert as string | Buffer } : {}),
      ...(key ? { key: key as string | Buffer } : {}),
      ...(servername ? { servername } : {}),
      ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
    },
  }
}

/** What may be told of a failure: parsers quote the text around the fault, tokens included. */
function reasonOf(cause: unknown): string {
  const { name, message, mark } = cause as Error & { readonly mark?: { readonly line: number } }
  if (mark) return `line ${mark.line + 1} is no YAML`
  if (name === 'SyntaxError') return 'it is no JSON'
  return message.split('\n', 1)[0] ?? name
}

function configError(message: string): KeyferryError {
  return new KeyferryError('KUBE_CONFIG', {
    message,
    remedy: 'Set KUBECONFIG to a working kubeconfig, or run in a pod that mounts its token.',
    retry: 'soon',
  })
}
