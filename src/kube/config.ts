import { readFileSync } from 'node:fs'
import { KeyferryError } from '../errors.ts'
import { type ExecCredential, type ExecPlugin, runPlugin } from './exec.ts'
import {
  type Cluster,
  type Kubeconfig,
  readKubeconfig,
  type Source,
  type User,
} from './kubeconfig.ts'

/** How to reach an API server and who we are there. */
export interface Access {
  /** Origin and path prefix, without a slash at the end. */
  readonly server: string
  /** The namespace of the kubeconfig's context or of the ServiceAccount; `default` without. */
  readonly namespace: string
  /**
   * Headers and TLS material of this moment. Files are read each time, a credential plugin runs
   * when what it gave has expired; `fresh` reads and runs everything again, for use after a 401.
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
  let plugins = pluginCache()
  return {
    server: config.cluster.server.replace(/\/+$/, ''),
    namespace: config.namespace ?? 'default',
    async credentials(fresh) {
      if (fresh) {
        config = loadConfig(path)
        plugins = pluginCache()
      }
      try {
        return await readCredentials(config, plugins)
      } catch (cause) {
        throw configError(`cannot read the cluster credentials: ${reasonOf(cause)}`)
      }
    },
  }
}

function loadConfig(path: string | undefined): Kubeconfig {
  let config: Kubeconfig | undefined
  try {
    config = readKubeconfig(path)
  } catch (cause) {
    throw configError(`cannot read the kubeconfig: ${reasonOf(cause)}`)
  }
  if (config) return config
  throw configError('there is no kubeconfig, and this is not a pod with a ServiceAccount token')
}

type Plugins = (plugin: ExecPlugin, cluster: Cluster) => Promise<ExecCredential>

/** Runs a plugin again when what it gave has expired. */
function pluginCache(): Plugins {
  let last: Promise<ExecCredential> | undefined
  return async (plugin, cluster) => {
    const expires = Date.parse((await last?.catch(() => undefined))?.expirationTimestamp ?? '')
    if (last === undefined || expires <= Date.now()) last = runPlugin(plugin, infoOf(cluster))
    const current = last
    return current.catch((error: unknown) => {
      if (last === current) last = undefined
      throw error
    })
  }
}

/** A cluster as plugins are told about it: with its certificates, not with their file. */
function infoOf({ server, ca, serverName, isInsecure }: Cluster): object {
  return {
    server,
    ...(ca ? { 'certificate-authority-data': bytesOf(ca).toString('base64') } : {}),
    ...(serverName ? { 'tls-server-name': serverName } : {}),
    ...(isInsecure ? { 'insecure-skip-tls-verify': true } : {}),
  }
}

async function readCredentials(
  { cluster, user }: Kubeconfig,
  plugins: Plugins,
): Promise<Credentials> {
  const given = user.exec ? await plugins(user.exec, cluster) : {}
  const authorization = authorizationOf(user, given.token)
  const cert = given.clientCertificateData ?? (user.cert && bytesOf(user.cert))
  const key = given.clientKeyData ?? (user.key && bytesOf(user.key))
  return {
    headers: {
      ...(authorization ? { authorization } : {}),
      ...(user.as ? { 'impersonate-user': user.as } : {}),
    },
    tls: {
      ...(cluster.ca ? { ca: bytesOf(cluster.ca) } : {}),
      ...(cert ? { cert } : {}),
      ...(key ? { key } : {}),
      ...(cluster.serverName ? { servername: cluster.serverName } : {}),
      ...(cluster.isInsecure ? { rejectUnauthorized: false } : {}),
    },
  }
}

/** A name and a password go before a token of the kubeconfig, and that before all other tokens. */
function authorizationOf({ basic, token, idToken }: User, given?: string): string | undefined {
  if (basic) return `Basic ${Buffer.from(`${basic.name}:${basic.password}`).toString('base64')}`
  if (token) return `Bearer ${bytesOf(token).toString('utf8').trim()}`
  if (given) return `Bearer ${given.trim()}`
  if (idToken === undefined) return undefined
  if (expiryOf(idToken) > Date.now()) return `Bearer ${idToken}`
  throw new Error('the token of the auth-provider oidc has expired: kubectl renews it when it runs')
}

/** When a JWT expires, in milliseconds since the epoch; in the past if it does not say. */
function expiryOf(token: string): number {
  try {
    const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')
    return Number((JSON.parse(payload) as { exp?: unknown }).exp ?? 0) * 1000
  } catch {
    return 0
  }
}

function bytesOf(source: Source): Buffer {
  return 'file' in source ? readFileSync(source.file) : source.data
}

function reasonOf(cause: unknown): string {
  const { name, message } = cause as Error
  return message.split('\n', 1)[0] ?? name
}

function configError(message: string): KeyferryError {
  return new KeyferryError('KUBE_CONFIG', {
    message,
    remedy: 'Set KUBECONFIG to a working kubeconfig, or run in a pod that mounts its token.',
    retry: 'soon',
  })
}
