import { once } from 'node:events'
import process from 'node:process'
import { Command, Option } from 'commander'
import type { ConnectFlags } from './connect-settings.ts'
import { serverOptions } from './connect-settings.ts'
import { keyCommands } from './connect-keys.ts'
import { secretsCommand } from './connect-secrets.ts'
import { tokenCommand } from './connect-tokens.ts'
import { transferCommands } from './connect-transfer.ts'
import { fileCommand, vaultCommand } from './connect-vaults.ts'

const EXAMPLES = `
Examples:
  Serve on port 8080 of this machine, with the data in ./data:
    $ keyferry connect --data ./data
  While it runs, make a vault and a token that may read and write it:
    $ keyferry connect vault create --data ./data Production
    $ keyferry connect token create --data ./data --vault Production=rw
  Serve from PostgreSQL, with a key that is not stored with the data:
    $ OP_STORE_URL=postgres://keyferry@db/keyferry OP_STORE_KEY_FILE=/run/keys/store keyferry connect

The key file, the data directory and exports hold everything: keep them as safe as the secrets.`

/**
 * `keyferry connect`: the Connect server, and the commands about its store.
 * @param env where OP_STORE_KEY is looked up: a key must not be a flag, flags are public
 */
export function connectCommand(env: NodeJS.ProcessEnv): Command {
  const command = new Command('connect')
    .addHelpText('after', EXAMPLES)
    .configureHelp({ showGlobalOptions: true })
  for (const option of storeOptions()) command.addOption(option)
  for (const option of listenOptions()) command.addOption(option)
  command.action(async (flags: ConnectFlags) => {
    const options = serverOptions(flags, env)
    const { startServer } = await import('../server/listen.ts')
    const stop = new AbortController()
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort())
    const server = await startServer(options, stop.signal)
    process.stdout.write(`keyferry connect: listening on ${server.url}\n`)
    if (!stop.signal.aborted) {
      await once(stop.signal, 'abort')
    }
    await server.close()
  })
  const parts = [vaultCommand, tokenCommand, fileCommand, ...transferCommands, ...keyCommands]
  for (const part of parts) command.addCommand(withStoreHelp(part(env)))
  // It works on a cluster and on no store.
  return command.addCommand(secretsCommand(env).configureHelp({ showGlobalOptions: false }))
}

/** Shows, in the help of a sub-command, which store it works on; how to listen is not its matter. */
function withStoreHelp(command: Command): Command {
  const names = new Set(storeOptions().map(({ long }) => long))
  command.configureHelp({
    showGlobalOptions: true,
    visibleGlobalOptions: (sub) =>
      (sub.parent?.parent?.name() === 'connect' ? sub.parent.parent : sub.parent)?.options.filter(
        ({ long }) => names.has(long),
      ) ?? [],
  })
  for (const sub of command.commands) withStoreHelp(sub)
  return command
}

function storeOptions(): Option[] {
  return [
    new Option('--data <dir>', 'directory of the store').env('OP_DATA_DIR'),
    new Option('--store <url>', 'keep the data in PostgreSQL instead: postgres://…').env(
      'OP_STORE_URL',
    ),
    new Option('--store-key-file <file>', 'key of the store; default: store.key in --data').env(
      'OP_STORE_KEY_FILE',
    ),
    new Option(
      '--head-file <file>',
      'remembers how far the store has come, to find roll-backs',
    ).env('OP_STORE_HEAD_FILE'),
    new Option('--accept-rollback', 'take an older state of the store for current, this once'),
  ]
}

function listenOptions(): Option[] {
  return [
    new Option('--host <address>', 'address to listen on').env('OP_HTTP_HOST').default('127.0.0.1'),
    new Option('--port <number>', 'port to listen on, 0 for any free one (default: 8080)').env(
      'OP_HTTP_PORT',
    ),
    new Option('--https-port <number>', 'port to listen on with TLS (default: 8443)').env(
      'OP_HTTPS_PORT',
    ),
    new Option(
      '--tls-cert-file <file>',
      'certificate with its chain, PEM; read again when it changes',
    ).env('OP_TLS_CERT_FILE'),
    new Option('--tls-key-file <file>', 'private key of the certificate, PEM').env(
      'OP_TLS_KEY_FILE',
    ),
    new Option('--log-level <level>', 'trace, debug, info, warn or error')
      .env('OP_LOG_LEVEL')
      .default('info'),
    new Option('--max-inline-file-size-kb <number>', 'largest file answered inline')
      .env('OP_MAX_INLINE_FILE_SIZE_KB')
      .default('100'),
    new Option('--max-body-kb <number>', 'largest request body')
      .env('OP_MAX_BODY_KB')
      .default('4096'),
    new Option('--max-connections <number>', 'most connections at a time')
      .env('OP_MAX_CONNECTIONS')
      .default('1024'),
  ]
}
