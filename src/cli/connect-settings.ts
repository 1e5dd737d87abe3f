import os from 'node:os'
import path from 'node:path'
import { SecretValue } from '../connect/secret-value.ts'
import { KeyferryError } from '../errors.ts'
import type { ServerOptions, StoreOptions } from '../server/listen.ts'

/** Flags of `keyferry connect` as the command line or the environment gave them. */
export interface ConnectFlags {
  readonly data?: string
  readonly store?: string
  readonly storeKeyFile?: string
  readonly headFile?: string
  readonly acceptRollback?: boolean
  readonly host: string
  readonly port?: string
  readonly httpsPort?: string
  readonly tlsCertFile?: string
  readonly tlsKeyFile?: string
  readonly logLevel: string
  readonly maxInlineFileSizeKb: string
  readonly maxBodyKb: string
  readonly maxConnections: string
}

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const

/** @throws KeyferryError SETTING_INVALID, naming the setting */
export function serverOptions(flags: ConnectFlags, env: NodeJS.ProcessEnv): ServerOptions {
  const { tlsCertFile, tlsKeyFile, host } = flags
  if (Boolean(tlsCertFile) !== Boolean(tlsKeyFile)) {
    throw invalid('OP_TLS_CERT_FILE and OP_TLS_KEY_FILE', 'go together: set both or none')
  }
  const tls = tlsCertFile && tlsKeyFile ? { certFile: tlsCertFile, keyFile: tlsKeyFile } : undefined
  const plainPort = integer('--port (OP_HTTP_PORT)', flags.port || '8080', 0, 65_535)
  const tlsPort = integer('--https-port (OP_HTTPS_PORT)', flags.httpsPort || '8443', 0, 65_535)
  const logLevel = LEVELS.find((level) => level === flags.logLevel.toLowerCase())
  if (logLevel === undefined) {
    throw invalid('--log-level (OP_LOG_LEVEL)', `must be one of ${LEVELS.join(', ')}`)
  }
  const kib = (name: string, text: string) => integer(name, text, 0, 1024 * 1024) * 1024
  return {
    store: storeOptions(flags, env),
    host: host || '127.0.0.1',
    port: tls ? tlsPort : plainPort,
    ...(tls ? { tls } : {}),
    logLevel,
    maxInlineBytes: kib('OP_MAX_INLINE_FILE_SIZE_KB', flags.maxInlineFileSizeKb),
    maxBodyBytes: kib('--max-body-kb (OP_MAX_BODY_KB)', flags.maxBodyKb),
    maxConnections: integer('--max-connections', flags.maxConnections, 1, 1_000_000),
  }
}

/** @throws KeyferryError SETTING_INVALID, naming the setting */
export function storeOptions(
  flags: Pick<ConnectFlags, 'data' | 'store' | 'storeKeyFile' | 'headFile' | 'acceptRollback'>,
  env: NodeJS.ProcessEnv,
): StoreOptions {
  const dir = path.resolve(flags.data || defaultDirectory(env))
  const keyText = env['OP_STORE_KEY']
  if (keyText && flags.storeKeyFile) {
    throw invalid('OP_STORE_KEY and OP_STORE_KEY_FILE', 'exclude each other: set one')
  }
  if (flags.store && !/^postgres(ql)?:\/\//.test(flags.store)) {
    throw invalid('--store (OP_STORE_URL)', 'must begin with postgres://')
  }
  return {
    dir,
    ...(flags.store ? { url: flags.store } : {}),
    key: keyText
      ? { kind: 'text', text: SecretValue.fromText(keyText) }
      : flags.storeKeyFile
        ? { kind: 'file', file: flags.storeKeyFile }
        : { kind: 'managed', dir },
    ...(flags.headFile ? { headFile: flags.headFile } : {}),
    ...(flags.acceptRollback ? { acceptRollback: true } : {}),
  }
}

function defaultDirectory(env: NodeJS.ProcessEnv): string {
  const base = env['XDG_DATA_HOME'] || path.join(os.homedir(), '.local', 'share')
  return path.join(base, 'keyferry', 'connect')
}

function integer(name: string, text: string, least: number, most: number): number {
  const value = /^\d{1,9}$/.test(text.trim()) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  throw invalid(name, `must be a whole number from ${least} to ${most}`)
}

function invalid(name: string, problem: string): KeyferryError {
  return new KeyferryError('SETTING_INVALID', {
    message: `${name} ${problem}`,
    remedy: 'keyferry connect --help lists the settings.',
    retry: 'on-change',
  })
}
