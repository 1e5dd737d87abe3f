import { readFile } from 'node:fs/promises'
import type { Server as HttpServer } from 'node:http'
import { createSecureContext, type Server as TlsServer } from 'node:tls'
import { KeyferryError } from '../../errors.ts'
import type { Logger } from '../log.ts'

/** Milliseconds between two looks at the files; certificates are renewed days ahead. */
const LOOK_MS = 2_000

/** Where certificate and key are. */
export interface TlsFiles {
  /** Certificate with its whole chain, PEM. */
  readonly certFile: string
  /** Private key, PEM. */
  readonly keyFile: string
}

/** @throws KeyferryError SETTING_INVALID when the files cannot be read or do not fit together */
export async function readTls(files: TlsFiles): Promise<{ key: Buffer; cert: Buffer }> {
  try {
    const [cert, key] = await Promise.all([readFile(files.certFile), readFile(files.keyFile)])
    createSecureContext({ cert, key })
    return { cert, key }
  } catch (error) {
    throw new KeyferryError('SETTING_INVALID', {
      message: `cannot use ${files.certFile} and ${files.keyFile} for TLS`,
      remedy: 'OP_TLS_CERT_FILE and OP_TLS_KEY_FILE must name a PEM certificate and its key.',
      retry: 'on-change',
      cause: error,
    })
  }
}

/**
 * Takes a renewed certificate into use for new connections. The content is compared, not the
 * file's date: Kubernetes replaces mounted Secrets by exchanging a symbolic link. A pair that
 * does not fit (yet) leaves the old one in force.
 */
export function watchTls(
  files: TlsFiles,
  server: HttpServer,
  log: Logger,
  signal: AbortSignal,
): void {
  let current: string | undefined
  let broken = false
  const look = async () => {
    try {
      const { cert, key } = await readTls(files)
      const content = `${cert.toString('latin1')}\n${key.toString('latin1')}`
      if (current !== undefined && content !== current) {
        ;(server as unknown as TlsServer).setSecureContext({ cert, key, minVersion: 'TLSv1.2' })
        log.info('certificate reloaded')
      }
      current = content
      broken = false
    } catch {
      if (!broken) log.error('the new certificate and key cannot be used: keeping the old ones')
      broken = true
    }
  }
  void look()
  const timer = setInterval(() => void look(), LOOK_MS).unref()
  signal.addEventListener('abort', () => clearInterval(timer), { once: true })
}
