/**
 * The operator's settings: what each is called, what it means, its default and its bounds. Flags,
 * environment and help texts all come from this table.
 */

/** The settings as the operator uses them. */
export interface Settings {
  readonly connectHost: string
  /** Exactly one of token and tokenFile is set. */
  readonly connectToken: string | undefined
  readonly connectTokenFile: string | undefined
  readonly connectCaFile: string | undefined
  readonly pollingIntervalMs: number
  /** Undefined: all namespaces. */
  readonly watchNamespaces: readonly string[] | undefined
  /** Which resources and annotated workloads are served; empty: all. */
  readonly itemSelector: string
  readonly vaultPolicyFile: string | undefined
  readonly autoRestart: (typeof AUTO_RESTARTS)[number]
  readonly restartOnRemap: boolean
  readonly restartDelayMs: number
  readonly restartsPerMinute: number
  readonly emptyValues: boolean
  readonly staleAfterMs: number
  readonly concurrency: number
  readonly labelsNotCopied: readonly string[]
  readonly logLevel: LogLevel
  readonly logFormat: LogFormat
  /** Undefined: not served. */
  readonly metricsAddress: Address | undefined
  readonly probeAddress: Address | undefined
  /** Of this machine alone: Kubernetes' own rights guard the way there. */
  readonly statusAddress: Address | undefined
  readonly kubeconfig: string | undefined
  /** Namespace of the operator itself; undefined: that of the ServiceAccount or kubeconfig. */
  readonly ownNamespace: string | undefined
  /** Name of the operator's own Pod; undefined outside of a cluster. */
  readonly podName: string | undefined
  readonly instance: string
  readonly leaderElection: boolean
  readonly shards: number
  readonly dryRun: boolean
}

/** How much is logged. */
export type LogLevel = (typeof LOG_LEVELS)[number]
/** How it is logged. */
export type LogFormat = (typeof LOG_FORMATS)[number]

/** Levels from the quietest. */
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug', 'trace'] as const
/** `text` is for people. */
export const LOG_FORMATS = ['json', 'text'] as const

/** What happens to workloads when no annotation says otherwise. */
export const AUTO_RESTARTS = ['false', 'true', 'notify'] as const

/** A TCP address to listen on. */
export interface Address {
  /** Empty: all interfaces. */
  readonly host: string
  readonly port: number
}

/** How the text of a setting is read. */
export type SettingKind =
  | { readonly type: 'text' }
  | { readonly type: 'list' }
  | { readonly type: 'boolean' }
  | { readonly type: 'choice'; readonly of: readonly string[] }
  | { readonly type: 'address' }
  /** An address that only this machine, or this pod, can reach. */
  | { readonly type: 'loopback' }
  | NumberKind

/** A number between bounds; `unit` is what the text counts in. */
export interface NumberKind {
  readonly type: 'number'
  readonly min: number
  readonly max: number
  readonly unit: string
}

/** One setting as people see it. */
export interface SettingInfo {
  /** Name of the environment variable; the flag is its lower-case form with dashes. */
  readonly name: string
  readonly kind: SettingKind
  /** Text that stands when nothing is given; undefined: see the help. */
  readonly fallback?: string
  readonly help: string
}

const seconds = (min: number, max: number): NumberKind => ({
  type: 'number',
  min,
  max,
  unit: 'seconds',
})

/** Every setting. */
export const SETTINGS = {
  connectHost: {
    name: 'OP_CONNECT_HOST',
    kind: { type: 'text' },
    help: 'address of the Connect server, such as http://onepassword-connect:8080; required',
  },
  connectToken: {
    name: 'OP_CONNECT_TOKEN',
    kind: { type: 'text' },
    help: 'token of the Connect server; this or OP_CONNECT_TOKEN_FILE is required',
  },
  connectTokenFile: {
    name: 'OP_CONNECT_TOKEN_FILE',
    kind: { type: 'text' },
    help: 'file with the token; read again when it changes',
  },
  connectCaFile: {
    name: 'OP_CONNECT_CA_FILE',
    kind: { type: 'text' },
    help: 'file with the certificate authorities (PEM) that the Connect server is trusted by',
  },
  pollingInterval: {
    name: 'POLLING_INTERVAL',
    kind: seconds(1, 86_400),
    fallback: '30',
    help: 'time between two looks for changes; an idle look is one request',
  },
  watchNamespace: {
    name: 'WATCH_NAMESPACE',
    kind: { type: 'list' },
    help: 'namespaces to serve, separated by commas; all when unset or *',
  },
  itemSelector: {
    name: 'ITEM_SELECTOR',
    kind: { type: 'text' },
    help: 'label selector for the resources and annotated workloads to serve; all when unset',
  },
  vaultPolicyFile: {
    name: 'VAULT_POLICY_FILE',
    kind: { type: 'text' },
    help: 'file that says which namespaces may draw from which vaults; read again when it changes',
  },
  autoRestart: {
    name: 'AUTO_RESTART',
    kind: { type: 'choice', of: AUTO_RESTARTS },
    fallback: 'false',
    help: 'whether workloads restart, or are told by an Event, when no annotation says otherwise',
  },
  restartOnRemap: {
    name: 'RESTART_ON_REMAP',
    kind: { type: 'boolean' },
    fallback: 'false',
    help: 'whether a change of content by an update or a setting of Keyferry itself restarts, too',
  },
  restartDelay: {
    name: 'RESTART_DELAY',
    kind: seconds(0, 600),
    fallback: '2',
    help: 'time between a change and the restart, in which further changes join it',
  },
  restartsPerMinute: {
    name: 'RESTARTS_PER_MINUTE',
    kind: { type: 'number', min: 1, max: 60_000, unit: 'rollouts' },
    fallback: '60',
    help: 'most rollouts started in a minute, evenly spaced; with SHARDS each has its equal part',
  },
  allowEmptyValues: {
    name: 'ALLOW_EMPTY_VALUES',
    kind: { type: 'boolean' },
    fallback: 'false',
    help: 'whether empty fields become keys with empty values',
  },
  staleAfter: {
    name: 'STALE_AFTER',
    kind: seconds(120, 604_800),
    fallback: '3600',
    help: 'time without a successful look after which Ready turns False',
  },
  concurrency: {
    name: 'CONCURRENCY',
    kind: { type: 'number', min: 1, max: 128, unit: 'resources' },
    fallback: '32',
    help: 'resources worked at the same time, in each shard; one namespace has half of it at most in each urgency',
  },
  labelsNotCopied: {
    name: 'LABELS_NOT_COPIED',
    kind: { type: 'list' },
    help: 'labels of resources that are not copied to Secrets, besides the usual tracking labels; a name ending in * is a prefix',
  },
  logLevel: {
    name: 'LOG_LEVEL',
    kind: { type: 'choice', of: LOG_LEVELS },
    fallback: 'info',
    help: 'how much is logged',
  },
  logFormat: {
    name: 'LOG_FORMAT',
    kind: { type: 'choice', of: LOG_FORMATS },
    fallback: 'json',
    help: 'how it is logged',
  },
  metricsAddress: {
    name: 'METRICS_ADDRESS',
    kind: { type: 'address' },
    fallback: ':8080',
    help: 'where metrics are served; off: nowhere',
  },
  probeAddress: {
    name: 'PROBE_ADDRESS',
    kind: { type: 'address' },
    fallback: ':8081',
    help: 'where /healthz and /readyz are served; off: nowhere',
  },
  statusAddress: {
    name: 'STATUS_ADDRESS',
    kind: { type: 'loopback' },
    fallback: '127.0.0.1:8082',
    help: 'where the status page is served, for keyferry status and kubectl port-forward; off: nowhere',
  },
  kubeconfig: {
    name: 'KUBECONFIG',
    kind: { type: 'text' },
    help: 'kubeconfig to use outside a cluster',
  },
  ownNamespace: {
    name: 'POD_NAMESPACE',
    kind: { type: 'text' },
    help: 'namespace of the operator itself; that of its ServiceAccount when unset',
  },
  podName: {
    name: 'POD_NAME',
    kind: { type: 'text' },
    help: 'name of the operator’s own Pod, which Events about Connect are about',
  },
  leaderElection: {
    name: 'LEADER_ELECTION',
    kind: { type: 'boolean' },
    fallback: 'true',
    help: 'whether a Lease decides which of several replicas works',
  },
  shards: {
    name: 'SHARDS',
    kind: { type: 'number', min: 1, max: 64, unit: 'shards' },
    fallback: '1',
    help: 'parts that the namespaces are divided into, so that several replicas work at once; the same for all replicas',
  },
  dryRun: {
    name: 'DRY_RUN',
    kind: { type: 'boolean' },
    fallback: 'false',
    help: 'shadow mode: nothing at all is written; differences go to the log and to metrics',
  },
  instance: {
    name: 'INSTANCE',
    kind: { type: 'text' },
    fallback: 'keyferry',
    help: 'name of this installation, when there are several in one cluster',
  },
} as const satisfies Record<string, SettingInfo>

/** A key of {@link SETTINGS}. */
export type SettingKey = keyof typeof SETTINGS

/** The settings whose text is read in one way. */
export type KeyOf<T extends SettingKind['type']> = {
  [K in SettingKey]: (typeof SETTINGS)[K]['kind']['type'] extends T ? K : never
}[SettingKey]

/** The flag of a setting: `--polling-interval`. */
export function flagOf({ name }: SettingInfo): string {
  return `--${name.toLowerCase().replaceAll('_', '-')}`
}
