import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import type { SecretValue } from '../../src/connect/secret-value.ts'
import type { Admin } from '../../src/server/admin/admin.ts'
import type { Right } from '../../src/server/items/model.ts'
import { type ServerOptions, startServer } from '../../src/server/listen.ts'
import { type Answer, call, type CallOptions } from './http.ts'

/** A Connect server of this project in this process, in a directory of its own. */
export interface TestServer extends AsyncDisposable {
  readonly url: string
  readonly dir: string
  readonly admin: Admin
  /** Every line it logged. */
  readonly lines: readonly string[]
  call(method: string, path: string, options?: CallOptions): Promise<Answer>
  /** A token with rights by vault name or id. */
  token(vaults: Record<string, Right>): Promise<string>
  /** Stops the server and leaves its data. */
  stop(): Promise<void>
  /** Starts it again on the same data. */
  restart(options?: Partial<ServerOptions>): Promise<void>
}

/** A new directory under the system's own for temporary files. */
export function tempDir(): Promise<string> {
  return mkdtemp(path.join(os.tmpdir(), 'keyferry-server-'))
}

export async function testServer(options: Partial<ServerOptions> = {}): Promise<TestServer> {
  const dir = options.store?.dir ?? (await tempDir())
  const lines: string[] = []
  const start = (more: Partial<ServerOptions> = {}) =>
    startServer({
      store: { dir, key: { kind: 'managed', dir } },
      host: '127.0.0.1',
      port: 0,
      logLevel: 'trace',
      log: (line) => lines.push(line),
      ...options,
      ...more,
    })
  let running = await start()
  return {
    dir,
    lines,
    get url() {
      return running.url
    },
    get admin() {
      return running.admin
    },
    call: (method, target, more) => call(running.url, method, target, more),
    async token(vaults) {
      const { token } = await running.admin.createToken({ vaults, form: 'jwt' })
      return textOf(token)
    },
    stop: () => running.close(),
    async restart(more) {
      await running.close()
      running = await start(more)
    },
    async [Symbol.asyncDispose]() {
      await running.close()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** The text of a secret, for tests that use it. */
export function textOf(secret: SecretValue): string {
  return Buffer.from(secret.reveal()).toString('utf8')
}
