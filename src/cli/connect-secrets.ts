import { randomBytes } from 'node:crypto'
import { Command } from 'commander'
import { KeyferryError } from '../errors.ts'
import { objectPath, type Resource } from '../kube/resource.ts'
import type { KubeRest } from '../kube/rest.ts'
import { isNotFound } from '../kube/status.ts'
import type { CommandFactory } from './connect-admin.ts'
import { type OutputFlags, outputOption, tell } from './output.ts'

const SECRETS: Resource = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret' }
const TIMEOUT_MS = 30_000
const CERTIFICATE_DAYS = 3_650

const HELP = `
Secrets that exist stay as they are; it takes get, create and patch on secrets of these names.
  token        key "token": accepted by keyferry connect token create --from-file
  store key    key "store.key": for OP_STORE_KEY_FILE
  certificate  keys "tls.crt", "tls.key", and "ca.crt" for clients; valid for ten years

Example:
  $ keyferry connect secrets --namespace vault --token-secret token --tls-secret tls --dns connect.vault.svc`

interface Flags extends OutputFlags {
  readonly kubeconfig?: string
  readonly namespace?: string
  readonly tokenSecret?: string
  readonly keySecret?: string
  readonly tlsSecret?: string
  readonly dns: readonly string[]
}

/** A Secret, and whether this run made it. */
interface Ensured {
  readonly namespace: string
  readonly name: string
  readonly made: boolean
}

/** What one Secret is to hold. */
interface Wanted {
  readonly name: string
  readonly type: string
  /** Keys that are asked for. */
  readonly keys: readonly string[]
  make(): Promise<Readonly<Record<string, Uint8Array>>>
}

/** `keyferry connect secrets`: token, store key and certificate of a server in Kubernetes. */
export const secretsCommand: CommandFactory = () =>
  new Command('secrets')
    .description('make the Kubernetes Secrets that a server in a cluster needs, where they lack')
    .option('--kubeconfig <file>', 'kubeconfig to use outside a cluster')
    .option('--namespace <name>', 'default: that of the ServiceAccount or kubeconfig')
    .option('--token-secret <name>', 'make a token')
    .option('--key-secret <name>', 'make a key for the store')
    .option('--tls-secret <name>', 'make a certificate that signs itself')
    .option('--dns <name>', 'name that the certificate is for; repeatable', collect, [])
    .addOption(outputOption())
    .addHelpText('after', HELP)
    .action(async (flags: Flags) => {
      const { loadAccess } = await import('../kube/config.ts')
      const { createRest } = await import('../kube/rest.ts')
      const { systemClock } = await import('../kube/clock.ts')
      const access = loadAccess(flags.kubeconfig)
      const namespace = flags.namespace ?? access.namespace
      const rest = createRest({ access, clock: systemClock, userAgent: 'keyferry' })
      try {
        const secrets: Ensured[] = []
        for (const wanted of wantedBy(flags)) {
          const { name } = wanted
          secrets.push({ namespace, name, made: await ensure(rest, namespace, wanted) })
        }
        const line = ({ name, made }: Ensured) =>
          `Secret ${namespace}/${name} ${made ? 'is made' : 'is there'}`
        tell(flags, { secrets }, secrets.map(line).join('\n'))
      } finally {
        await rest.close()
      }
    })

const collect = (value: string, all: readonly string[]): string[] => [...all, value]

function wantedBy({ tokenSecret, keySecret, tlsSecret, dns }: Flags): Wanted[] {
  if (tlsSecret !== undefined && dns.length === 0) {
    throw invalid('--tls-secret goes with --dns', 'Name what clients call the server.')
  }
  const random = async (key: string) => ({
    [key]: Buffer.from(randomBytes(32).toString('hex')),
  })
  const opaque = (name: string | undefined, key: string): Wanted[] =>
    name === undefined ? [] : [{ name, type: 'Opaque', keys: [key], make: () => random(key) }]
  const certificate = async () => {
    const { selfSigned } = await import('../server/certificate.ts')
    const { certificate, privateKey } = selfSigned(dns, Date.now(), CERTIFICATE_DAYS)
    const pem = Buffer.from(certificate)
    return { 'tls.crt': pem, 'ca.crt': pem, 'tls.key': privateKey.reveal() }
  }
  return [
    ...opaque(tokenSecret, 'token'),
    ...opaque(keySecret, 'store.key'),
    ...(tlsSecret === undefined
      ? []
      : [
          {
            name: tlsSecret,
            type: 'kubernetes.io/tls',
            keys: ['tls.crt', 'tls.key'],
            make: certificate,
          },
        ]),
  ]
}

/**
 * Makes a Secret that is not there, by server-side apply: unlike POST it can be allowed for one name.
 *
 * @returns whether it was made
 */
async function ensure(rest: KubeRest, namespace: string, wanted: Wanted): Promise<boolean> {
  const { name, type, keys } = wanted
  const path = objectPath(SECRETS, { namespace, name })
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  const there = await keysOf(rest, path, signal)
  if (there !== undefined) {
    const missing = keys.filter((key) => !there.includes(key))
    if (missing.length === 0) return false
    throw invalid(
      `Secret ${namespace}/${name} is there without ${missing.join(', ')}`,
      'Add what is missing, or delete the Secret: a new one is then made.',
    )
  }
  const entries = Object.entries(await wanted.make())
  const data = Object.fromEntries(
    entries.map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  )
  const metadata = { name, namespace, labels: { 'app.kubernetes.io/part-of': 'keyferry' } }
  await rest.send(
    {
      method: 'PATCH',
      patch: 'apply',
      path,
      query: { fieldManager: 'keyferry' },
      body: { apiVersion: 'v1', kind: 'Secret', metadata, type, data },
      metadataOnly: 'object',
    },
    signal,
  )
  return true
}

async function keysOf(
  rest: KubeRest,
  path: string,
  signal: AbortSignal,
): Promise<string[] | undefined> {
  try {
    const { data = {} } = (await rest.send({ method: 'GET', path }, signal)) as { data?: object }
    return Object.keys(data)
  } catch (error) {
    if (isNotFound(error)) return undefined
    throw error
  }
}

function invalid(message: string, remedy: string): KeyferryError {
  return new KeyferryError('INPUT_INVALID', { message, remedy, retry: 'on-change' })
}
