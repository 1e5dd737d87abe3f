import { readFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { ConnectionOptions } from 'node:tls'
import { KeyferryError } from '../../errors.ts'

/** Where a database is, and how to be let in. */
export interface PostgresTarget {
  readonly host: string
  readonly port: number
  /** The server's socket, instead of host and port. */
  readonly socketPath: string | undefined
  readonly user: string
  readonly password: string
  readonly database: string
  /** Absent: nothing is encrypted. */
  readonly tls: ConnectionOptions | undefined
}

const PARAMETERS = ['host', 'port', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey']
/** Each of these encrypts and checks the certificate with the name, also where libpq would not. */
const CHECKED = ['allow', 'prefer', 'require', 'verify-ca', 'verify-full']

/**
 * The target that a URL names: `postgres://user:password@host:port/database?sslmode=…`. Files of
 * `sslrootcert`, `sslcert` and `sslkey` are read now.
 *
 * @throws KeyferryError SETTING_INVALID, which quotes nothing of the URL but names of parameters
 */
export function postgresTarget(text: string): PostgresTarget {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined) throw invalid('is no URL; escape what a URL cannot hold')
  const parameters = url.searchParams
  const unknown = [...parameters.keys()].find((name) => !PARAMETERS.includes(name))
  if (unknown !== undefined) {
    throw invalid(`has the parameter ${unknown}, not one of ${PARAMETERS.join(', ')}`)
  }
  // A host that is a folder holds the server's socket.
  const host = parameters.get('host') ?? decoded(url.hostname)
  const port = Number(parameters.get('port') ?? (url.port || 5432))
  const user = decoded(url.username) || os.userInfo().username
  return {
    host: host.replace(/^\[|\]$/g, '') || 'localhost',
    port,
    socketPath: host.startsWith('/') ? path.join(host, `.s.PGSQL.${port}`) : undefined,
    user,
    password: decoded(url.password),
    database: decoded(url.pathname.slice(1)) || user,
    tls: tlsOf(parameters),
  }
}

function tlsOf(parameters: URLSearchParams): ConnectionOptions | undefined {
  const files = {
    ca: fileOf(parameters, 'sslrootcert'),
    cert: fileOf(parameters, 'sslcert'),
    key: fileOf(parameters, 'sslkey'),
  }
  // Who names a certificate means to use it.
  const usual = Object.values(files).some(Boolean) ? 'verify-full' : 'disable'
  const mode = parameters.get('sslmode') ?? usual
  if (mode === 'disable') return undefined
  if (mode === 'no-verify') return { ...files, rejectUnauthorized: false }
  if (CHECKED.includes(mode)) return files
  throw invalid(`has an sslmode that is not one of ${CHECKED.join(', ')}, no-verify`)
}

function fileOf(parameters: URLSearchParams, name: string): Buffer | undefined {
  const file = parameters.get(name)
  if (file === null) return undefined
  try {
    return readFileSync(file)
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException
    throw invalid(`names a file in ${name} that cannot be read (${code})`, error)
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (error) {
    throw invalid('has a % that stands for no character: write %25', error)
  }
}

function invalid(why: string, cause?: unknown): KeyferryError {
  return new KeyferryError('SETTING_INVALID', {
    message: `--store (OP_STORE_URL) ${why}`,
    remedy:
      'Write postgres://user:password@host:5432/database?sslmode=verify-full&sslrootcert=FILE.',
    retry: 'on-change',
    cause,
  })
}
