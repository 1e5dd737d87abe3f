/**
 * What a kubeconfig says, by kubectl's rules. Source: kubernetes.io/docs/reference/config-api
 * (kubeconfig v1) and client-go's clientcmd; a test compares it with @kubernetes/client-node.
 */
import { existsSync, readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { LineCounter, parseDocument } from 'yaml'
import type { ExecPlugin } from './exec.ts'

/** Bytes that stand in the kubeconfig, or a file with them, which changes as they rotate. */
export type Source = { readonly file: string } | { readonly data: Buffer }

/** What the current context of a kubeconfig names. Paths are absolute. */
export interface Kubeconfig {
  readonly namespace: string | undefined
  readonly cluster: Cluster
  readonly user: User
}

/** An API server and how it proves who it is. */
export interface Cluster {
  readonly server: string
  readonly ca: Source | undefined
  readonly serverName: string | undefined
  /** Its certificate is not looked at. */
  readonly isInsecure: boolean
}

/** How we prove who we are; all members may be undefined. */
export interface User {
  readonly cert: Source | undefined
  readonly key: Source | undefined
  readonly token: Source | undefined
  readonly basic: { readonly name: string; readonly password: string } | undefined
  readonly exec: ExecPlugin | undefined
  /** Of the provider `oidc`, as kubectl last stored it. */
  readonly idToken: string | undefined
  /** Whom we act as. */
  readonly as: string | undefined
}

type Members = Readonly<Record<string, unknown>>

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'

/**
 * The kubeconfig in a file; without a path, those that KUBECONFIG lists, else `~/.kube/config`,
 * else the mounted ServiceAccount of a pod.
 *
 * @returns undefined when there is none
 * @throws Error whose message quotes nothing of a file
 */
export function readKubeconfig(file: string | undefined): Kubeconfig | undefined {
  if (file !== undefined) return currentOf([readDraft(file)])
  const listed = (process.env['KUBECONFIG'] ?? '').split(path.delimiter).filter(Boolean)
  // As kubectl: of several, those that are not there are passed over.
  const files = listed.length > 1 ? listed.filter((one) => existsSync(one)) : listed
  if (files.length > 0) return currentOf(files.map(readDraft))
  const home = path.join(os.homedir(), '.kube', 'config')
  if (listed.length === 0 && existsSync(home)) return currentOf([readDraft(home)])
  return inCluster(process.env, SERVICE_ACCOUNT)
}

/**
 * The API server and the ServiceAccount of the pod that this is.
 *
 * @param folder where the ServiceAccount is mounted
 * @returns undefined outside of a pod, or without a token
 */
export function inCluster(env: NodeJS.ProcessEnv, folder: string): Kubeconfig | undefined {
  const host = env['KUBERNETES_SERVICE_HOST']
  const token = path.join(folder, 'token')
  if (!host || !existsSync(token)) return undefined
  const namespace = path.join(folder, 'namespace')
  return {
    namespace: existsSync(namespace) ? readFileSync(namespace, 'utf8').trim() : undefined,
    cluster: {
      server: `https://${isIPv6(host) ? `[${host}]` : host}:${env['KUBERNETES_SERVICE_PORT'] ?? 443}`,
      ca: { file: path.join(folder, 'ca.crt') },
      serverName: undefined,
      isInsecure: false,
    },
    user: { ...NOBODY, token: { file: token } },
  }
}

const NOBODY: User = {
  cert: undefined,
  key: undefined,
  token: undefined,
  basic: undefined,
  exec: undefined,
  idToken: undefined,
  as: undefined,
}

/** One file: its parts by name, each with the folder that relative paths start from. */
interface Draft {
  readonly current: string | undefined
  readonly clusters: ReadonlyMap<string, Part>
  readonly users: ReadonlyMap<string, Part>
  readonly contexts: ReadonlyMap<string, Part>
}

interface Part {
  readonly members: Members
  readonly folder: string
}

function readDraft(file: string): Draft {
  const content = membersOf(parseYaml(readFileSync(file, 'utf8')))
  const folder = path.dirname(path.resolve(file))
  const parts = (list: string, member: string) => {
    const entries = content[list]
    if (entries === undefined || entries === null) return new Map<string, Part>()
    if (!Array.isArray(entries)) throw new Error(`its ${list} are no list`)
    return new Map(
      entries.toReversed().map((entry, index): [string, Part] => {
        const name = textOf(membersOf(entry)['name'])
        if (!name)
          throw new Error(`an entry of its ${list} has no name (${index + 1} from the end)`)
        return [name, { members: membersOf(membersOf(entry)[member]), folder }]
      }),
    )
  }
  return {
    current: textOf(content['current-context']),
    clusters: parts('clusters', 'cluster'),
    users: parts('users', 'user'),
    contexts: parts('contexts', 'context'),
  }
}

/** Parsers quote the text around a fault, tokens included: only the line is told. */
function parseYaml(text: string): unknown {
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { lineCounter, prettyErrors: false, logLevel: 'silent' })
  const [fault] = document.errors
  if (fault) throw new Error(`line ${lineCounter.linePos(fault.pos[0]).line} is no YAML`)
  try {
    return document.toJS()
  } catch {
    throw new Error('it is no YAML: an alias leads nowhere')
  }
}

/** The current context; of files that name something twice, the first one counts. */
function currentOf(drafts: readonly Draft[]): Kubeconfig {
  const first = <T>(of: (draft: Draft) => T | undefined): T | undefined => {
    for (const draft of drafts) {
      const found = of(draft)
      if (found !== undefined) return found
    }
    return undefined
  }
  const current = first((draft) => draft.current || undefined)
  const context = current === undefined ? undefined : first((draft) => draft.contexts.get(current))
  const clusterName = textOf(context?.members['cluster'])
  if (context === undefined || !clusterName) throw new Error('it has no current context')
  const cluster = first((draft) => draft.clusters.get(clusterName))
  if (cluster === undefined)
    throw new Error('its current context names a cluster that is not there')
  const userName = textOf(context.members['user'])
  const user = userName ? first((draft) => draft.users.get(userName)) : undefined
  if (userName && user === undefined) {
    throw new Error('its current context names a user that is not there')
  }
  const where = clusterOf(cluster)
  return {
    namespace: textOf(context.members['namespace']) || undefined,
    cluster: where,
    user: user === undefined ? NOBODY : userOf(user),
  }
}

function clusterOf(part: Part): Cluster {
  const { members } = part
  const server = textOf(members['server'])
  if (!server || !URL.canParse(server)) throw new Error('its cluster has no server that is a URL')
  const isInsecure = members['insecure-skip-tls-verify'] === true
  if (new URL(server).protocol !== 'https:' && !isInsecure) {
    throw new Error('its server is not https, and insecure-skip-tls-verify is not set')
  }
  return {
    server,
    ca: sourceOf(part, 'certificate-authority'),
    serverName: textOf(members['tls-server-name']) || undefined,
    isInsecure,
  }
}

function userOf(part: Part): User {
  const { members, folder } = part
  const token = textOf(members['token'])
  const name = textOf(members['username'])
  return {
    cert: sourceOf(part, 'client-certificate'),
    key: sourceOf(part, 'client-key'),
    // The file wins: it is the one that rotates.
    token: fileOf(part, 'tokenFile') ?? (token ? { data: Buffer.from(token) } : undefined),
    basic: name ? { name, password: textOf(members['password']) ?? '' } : undefined,
    exec: members['exec'] ? pluginOf(membersOf(members['exec']), folder) : undefined,
    idToken: idTokenOf(membersOf(members['auth-provider'])),
    as: textOf(members['as']) || undefined,
  }
}

/** Content in the kubeconfig wins over the file. */
function sourceOf(part: Part, member: string): Source | undefined {
  const data = textOf(part.members[`${member}-data`])
  return data ? { data: Buffer.from(data, 'base64') } : fileOf(part, member)
}

function fileOf({ members, folder }: Part, member: string): { readonly file: string } | undefined {
  const file = textOf(members[member])
  return file ? { file: path.resolve(folder, file) } : undefined
}

function pluginOf(members: Members, folder: string): ExecPlugin {
  const command = textOf(members['command'])
  if (!command) throw new Error('its credential plugin has no command')
  const list = (member: string): readonly unknown[] =>
    Array.isArray(members[member]) ? members[member] : []
  return {
    apiVersion: textOf(members['apiVersion']) ?? 'client.authentication.k8s.io/v1',
    // A bare name is looked for in PATH, a path starts where the kubeconfig is.
    command: /[/\\]/.test(command) ? path.resolve(folder, command) : command,
    args: list('args').map((one) => textOf(one) ?? ''),
    env: Object.fromEntries(
      list('env').map((one) => {
        const { name, value } = membersOf(one)
        return [textOf(name) ?? '', textOf(value) ?? '']
      }),
    ),
    installHint: textOf(members['installHint']),
    wantsCluster: members['provideClusterInfo'] === true,
  }
}

/** Kubernetes 1.26 took all providers but oidc away. */
function idTokenOf(provider: Members): string | undefined {
  const name = textOf(provider['name'])
  if (name === undefined) return undefined
  const token = textOf(membersOf(provider['config'])['id-token'])
  if (name === 'oidc' && token) return token
  throw new Error(`its auth-provider ${name} gives no token: use a credential plugin (exec)`)
}

function membersOf(value: unknown): Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Members)
    : {}
}

function textOf(value: unknown): string | undefined {
  return ['string', 'number', 'boolean'].includes(typeof value) ? String(value) : undefined
}
