/**
 * Secrets of types that demand certain keys, built from the fields that such items usually have. A
 * builder adds demanded keys that are not there yet, and removes none.
 * Source: Kubernetes documentation, "Types of Secret"; `ValidateSecret` of the API server.
 */
import type { Item } from '../../connect/model.ts'
import { SecretValue } from '../../connect/secret-value.ts'
import { isKeyferryError } from '../../errors.ts'
import type { ItemContent } from './content.ts'
import { toOpenSsh } from './openssh.ts'

type Data = ReadonlyMap<string, SecretValue>

/** Finds a value by the names it usually has. */
type Find = (...names: readonly string[]) => SecretValue | undefined

interface Builder {
  /** Keys without which the API server refuses the type; of `anyOf` one is enough. */
  readonly demands: readonly string[]
  readonly anyOf?: true
  readonly build: (find: Find) => Readonly<Record<string, SecretValue | undefined>>
}

const USERNAME = ['username', 'user', 'login', 'client id'] as const
const PASSWORD = ['password', 'token', 'credential', 'secret', 'api key', 'access token'] as const
const REGISTRY = ['registry', 'server', 'hostname', 'host', 'url', 'website'] as const
const PRIVATE_KEY = ['private key', 'private_key', 'privatekey', 'ssh-privatekey', 'key'] as const
const CERTIFICATE = [
  'certificate',
  'cert',
  'certificate chain',
  'fullchain',
  'fullchain.pem',
  'cert.pem',
  'crt',
] as const
const TLS_KEY = ['private key', 'private_key', 'key', 'privkey.pem', 'key.pem'] as const
/** Where Docker looks when no registry is named. */
const DOCKER_HUB = 'https://index.docker.io/v1/'

const BUILDERS: Readonly<Record<string, Builder>> = {
  'kubernetes.io/basic-auth': {
    demands: ['username', 'password'],
    anyOf: true,
    build: (find) => ({ username: find(...USERNAME), password: find(...PASSWORD) }),
  },
  'kubernetes.io/ssh-auth': {
    demands: ['ssh-privatekey'],
    build(find) {
      const key = find(...PRIVATE_KEY, 'id_ed25519', 'id_ecdsa', 'id_rsa')
      return { 'ssh-privatekey': key && readable(key) }
    },
  },
  'kubernetes.io/tls': {
    demands: ['tls.crt', 'tls.key'],
    build: (find) => ({ 'tls.crt': find(...CERTIFICATE), 'tls.key': find(...TLS_KEY) }),
  },
  'kubernetes.io/dockerconfigjson': {
    demands: ['.dockerconfigjson'],
    build(find) {
      const auths = dockerAuths(find)
      return { '.dockerconfigjson': auths && jsonOf({ auths }) }
    },
  },
  'kubernetes.io/dockercfg': {
    demands: ['.dockercfg'],
    build(find) {
      const auths = dockerAuths(find)
      return { '.dockercfg': auths && jsonOf(auths) }
    },
  },
}

/**
 * The data with the keys that the type demands, as far as they can be built.
 *
 * @returns the demanded keys that are still missing besides
 */
export function completeForType(
  type: string,
  data: Data,
  items: readonly ItemContent[],
): { readonly data: Data; readonly missing: readonly string[] } {
  const builder = isBuiltType(type) ? BUILDERS[type] : undefined
  if (builder === undefined) return { data, missing: [] }
  const complete = new Map(data)
  const lacks = builder.demands.filter((key) => !complete.has(key))
  if (lacks.length > 0) {
    const built = builder.build(finder(data, items))
    for (const key of lacks) {
      const value = built[key]
      if (value) complete.set(key, value)
    }
  }
  const missing = builder.demands.filter((key) => !complete.has(key))
  const enough = builder.anyOf && missing.length < builder.demands.length
  return { data: complete, missing: enough ? [] : missing }
}

/** Looks in the keys made so far, then in fields by purpose and label, files by name, URLs. */
function finder(data: Data, items: readonly ItemContent[]): Find {
  return (...names) => {
    for (const name of names) {
      const key = [...data.keys()].find((one) => sameName(one, name))
      const found = key === undefined ? inItems(items, name) : data.get(key)
      if (found && found.byteLength > 0) return found
    }
    return undefined
  }
}

function inItems(items: readonly ItemContent[], name: string): SecretValue | undefined {
  for (const { item, files } of items) {
    const field =
      item.fields.find(({ purpose }) => purpose?.toLowerCase() === name) ??
      item.fields.find(({ label, id }) => sameName(label, name) || sameName(id, name))
    if (field?.value && field.value.byteLength > 0) return field.value
    const file = item.files.find((one) => sameName(one.name, name))
    if (file) return files.get(file.id)
    const url = urlNamed(item, name)
    if (url) return url
  }
  return undefined
}

function urlNamed({ urls }: Item, name: string): SecretValue | undefined {
  const named = urls.find(({ label }) => sameName(label, name))
  const any = name === 'url' ? (urls.find(({ primary }) => primary) ?? urls[0]) : undefined
  return (named ?? any)?.href
}

/** `private_key`, `Private Key` and `private-key` are one name. */
function sameName(a: string, b: string): boolean {
  const plain = (text: string) => text.toLowerCase().replaceAll(/[\s_-]+/g, ' ')
  return plain(a) === plain(b)
}

function dockerAuths(find: Find): Record<string, unknown> | undefined {
  const [username, password] = [find(...USERNAME), find(...PASSWORD)]
  if (username === undefined || password === undefined) return undefined
  const [user, secret] = [textOf(username), textOf(password)]
  const auth = Buffer.from(`${user}:${secret}`).toString('base64')
  const email = find('email', 'e-mail')
  const entry = {
    username: user,
    password: secret,
    ...(email ? { email: textOf(email) } : {}),
    auth,
  }
  const registry = find(...REGISTRY)
  return { [registry ? textOf(registry) : DOCKER_HUB]: entry }
}

function jsonOf(value: unknown): SecretValue {
  return SecretValue.fromText(JSON.stringify(value))
}

function textOf(value: SecretValue): string {
  return Buffer.from(value.reveal()).toString('utf8')
}

/** In OpenSSH form where the key has one; else as it is. */
function readable(key: SecretValue): SecretValue {
  try {
    return SecretValue.fromBytes(toOpenSsh(key.reveal()))
  } catch (error) {
    if (isKeyferryError(error, 'VALUE_UNFIT')) return key
    throw error
  }
}

/** Whether Secrets of this type are completed by a builder. */
export function isBuiltType(type: string): boolean {
  // A type is any text, also `constructor`, which every object has by nature.
  return Object.hasOwn(BUILDERS, type)
}

/** Types by which a Secret would mint credentials or steer other tools: never written. */
const REFUSED = ['kubernetes.io/service-account-token', 'bootstrap.kubernetes.io/token']

/** Whether no Secret of this type is ever written. */
export function isRefusedType(type: string): boolean {
  return REFUSED.includes(type) || type.startsWith('helm.sh/')
}
