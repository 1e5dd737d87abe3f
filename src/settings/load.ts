/**
 * From flags and environment to Settings: the only reader of the environment. A text that makes no
 * sense stops the start with one sentence that names the setting and the remedy.
 */
import { KeyferryError } from '../errors.ts'
import {
  type Address,
  AUTO_RESTARTS,
  flagOf,
  type KeyOf,
  LOG_FORMATS,
  LOG_LEVELS,
  SETTINGS,
  type SettingInfo,
  type SettingKey,
  type Settings,
} from './settings.ts'

type Texts = Readonly<Record<string, string | undefined>>

/**
 * @param flags values by {@link SettingKey}; a flag goes before the environment
 * @throws KeyferryError SETTING_INVALID
 */
export function loadSettings(
  flags: Partial<Record<SettingKey, string>>,
  environment: Texts = process.env,
): Settings {
  const text = (key: SettingKey): string | undefined => {
    const info: SettingInfo = SETTINGS[key]
    return flags[key] || environment[info.name] || info.fallback
  }
  const read = createReader(text)
  const leaderElection = read.boolean('leaderElection')
  const connectHost = text('connectHost')
  if (connectHost === undefined) {
    throw missing('connectHost', 'the address of the Connect server')
  }
  const connectToken = text('connectToken')
  const connectTokenFile = text('connectTokenFile')
  if (connectToken === undefined && connectTokenFile === undefined) {
    throw missing('connectTokenFile', 'the file with the Connect token, or OP_CONNECT_TOKEN')
  }
  return {
    connectHost,
    connectToken: connectTokenFile === undefined ? connectToken : undefined,
    connectTokenFile,
    connectCaFile: text('connectCaFile'),
    pollingIntervalMs: read.number('pollingInterval') * 1000,
    watchNamespaces: read.namespaces('watchNamespace'),
    itemSelector: text('itemSelector') ?? '',
    vaultPolicyFile: text('vaultPolicyFile'),
    autoRestart: read.autoRestart('autoRestart'),
    restartOnRemap: read.boolean('restartOnRemap'),
    restartDelayMs: read.number('restartDelay') * 1000,
    restartsPerMinute: read.number('restartsPerMinute'),
    emptyValues: read.boolean('allowEmptyValues'),
    staleAfterMs: read.number('staleAfter') * 1000,
    concurrency: read.integer('concurrency'),
    labelsNotCopied: read.list('labelsNotCopied'),
    logLevel: read.choice('logLevel', LOG_LEVELS),
    logFormat: read.choice('logFormat', LOG_FORMATS),
    metricsAddress: read.address('metricsAddress'),
    probeAddress: read.address('probeAddress'),
    statusAddress: read.loopback('statusAddress'),
    kubeconfig: flags.kubeconfig || undefined,
    ownNamespace: text('ownNamespace'),
    podName: text('podName'),
    instance: text('instance') ?? '',
    leaderElection,
    shards: readShards(read, leaderElection),
    dryRun: read.boolean('dryRun'),
  }
}

/** @throws KeyferryError SETTING_INVALID for shards that nothing would divide */
function readShards(read: ReturnType<typeof createReader>, leaderElection: boolean): number {
  const shards = read.integer('shards')
  if (shards === 1 || leaderElection) return shards
  throw new KeyferryError('SETTING_INVALID', {
    message: `SHARDS is ${shards}, but LEADER_ELECTION is false`,
    remedy: 'Leave LEADER_ELECTION out: replicas divide the shards by Leases.',
    retry: 'on-change',
  })
}

const LOOPBACK = ['127.0.0.1', '::1']

function createReader(text: (key: SettingKey) => string | undefined) {
  const list = (key: KeyOf<'list'>) =>
    (text(key) ?? '')
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '')
  const number = (key: KeyOf<'number'>): number => {
    const { min, max, unit } = SETTINGS[key].kind
    const value = /^\d+(\.\d+)?$/.test(text(key) ?? '') ? Number(text(key)) : Number.NaN
    if (value >= min && value <= max) return value
    throw invalid(key, `a number of ${unit} between ${min} and ${max}`)
  }
  return {
    list,
    number,
    integer: (key: KeyOf<'number'>): number => Math.trunc(number(key)),
    boolean(key: KeyOf<'boolean'>): boolean {
      const value = booleanOf(text(key))
      if (value === undefined) throw invalid(key, 'true or false')
      return value
    },
    autoRestart(key: 'autoRestart'): Settings['autoRestart'] {
      if (text(key)?.toLowerCase() === 'notify') return 'notify'
      const value = booleanOf(text(key))
      if (value === undefined) throw invalid(key, `one of ${AUTO_RESTARTS.join(', ')}`)
      return value ? 'true' : 'false'
    },
    choice<T extends string>(key: KeyOf<'choice'>, of: readonly T[]): T {
      const value = of.find((one) => one === text(key))
      if (value === undefined) throw invalid(key, `one of ${of.join(', ')}`)
      return value
    },
    address(key: KeyOf<'address'>): Address | undefined {
      return addressOf(text(key), () => invalid(key, 'host:port, :port or off'))
    },
    /** What is not guarded by a password must not be bound to the network by a typing error. */
    loopback(key: KeyOf<'loopback'>): Address | undefined {
      const failure = () => invalid(key, '127.0.0.1:port, [::1]:port, :port or off')
      const address = addressOf(text(key), failure)
      if (address === undefined) return undefined
      const host = address.host || '127.0.0.1'
      if (!LOOPBACK.includes(host)) throw failure()
      return { ...address, host }
    },
    /** A typing error must not widen the scope to all namespaces. */
    namespaces(key: KeyOf<'list'>): readonly string[] | undefined {
      const value = text(key)
      if (value === undefined || value.trim() === '*') return undefined
      const found = [...new Set(list(key))]
      const legal = found.every((one) => /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(one))
      if (found.length > 0 && legal) return found
      throw invalid(key, 'names of namespaces separated by commas, or * for all')
    },
  }
}

/** @throws what `failure` makes */
function addressOf(value = 'off', failure: () => KeyferryError): Address | undefined {
  // YAML may take `off` for a boolean.
  if (['off', 'false', '0'].includes(value)) return undefined
  const [, host = '', port = ''] = /^(.*):(\d{1,5})$/.exec(value) ?? []
  if (port === '' || Number(port) > 65_535) throw failure()
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) }
}

/** A boolean as the incumbent takes it; undefined for anything else. */
function booleanOf(text = ''): boolean | undefined {
  const value = text.toLowerCase()
  if (['true', 't', '1'].includes(value)) return true
  return ['false', 'f', '0'].includes(value) ? false : undefined
}

function invalid(key: SettingKey, wanted: string): KeyferryError {
  const info = SETTINGS[key]
  return new KeyferryError('SETTING_INVALID', {
    message: `${info.name} (${flagOf(info)}) is not ${wanted}`,
    remedy: `Set it to ${wanted}, or leave it out.`,
    retry: 'on-change',
  })
}

function missing(key: SettingKey, what: string): KeyferryError {
  const info = SETTINGS[key]
  return new KeyferryError('SETTING_INVALID', {
    message: `${info.name} (${flagOf(info)}) is not set`,
    remedy: `Set it to ${what}.`,
    retry: 'on-change',
  })
}
