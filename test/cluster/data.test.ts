/**
 * Keys of one's own: what `spec.data` may say, and what comes of it.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import * as fc from 'fast-check'
import { isDeepStrictEqual } from 'node:util'
import { beforeAll, expect, test } from 'vitest'
import { contentOfItem } from '../../src/operator/plan/content.ts'
import { isLegalKey, keyOfLabel } from '../../src/operator/plan/names.ts'
import { anyContent, anyLabel } from '../builders/arbitrary.ts'
import {
  condition,
  hasReason,
  isReady,
  type KubeObject,
  textsOf,
  valueOf,
} from '../support/cluster.ts'
import { eventually, timeout } from '../support/eventually.ts'
import { isFull, SEED, tally } from '../support/gates.ts'
import { setStage, type Stage } from '../support/stage.ts'

let stage: Stage

/** Bytes that are no text. */
const BINARY = Buffer.from([0, 255, 128, 10, 13, 0])
const OTP = 'otpauth://totp/example?secret=JBSWY3DPEHPK3PXP'
const { privateKey } = generateKeyPairSync('ed25519')
const PEM = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

beforeAll(async () => {
  stage = await setStage()
  const { connect, vault } = stage
  connect.add(vault, {
    title: 'Argo CD',
    sections: [
      { id: 'sec1', label: 'Admin' },
      { id: 'sec2', label: 'Reader' },
    ],
    fields: [
      { label: 'username', value: 'app' },
      { label: 'password', value: 'p@ss/w rd"' },
      { label: 'padded', value: '  two words\n' },
      { label: 'encoded', value: 'aGk=' },
      { label: 'token', value: 'admin-token', section: { id: 'sec1' } },
      { label: 'token', value: 'reader-token', section: { id: 'sec2' } },
      { label: 'one-time password', value: OTP, type: 'OTP' },
      { label: 'private key', value: PEM, type: 'SSHKEY' },
      { label: 'empty', value: '' },
    ],
    urls: [{ href: 'https://argo.example', label: 'website', primary: true }],
    files: [
      { name: 'store.p12', content: BINARY },
      { name: 'ca.pem', content: Buffer.from('pem'), section: { id: 'sec1' } },
    ],
  })
  connect.add(vault, { title: 'Other', fields: [{ label: 'host', value: 'db' }] })
  await stage.operator()
  return stage.close
})

const encoded = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')

/** A resource of nothing but `data`, unless `more` says otherwise. */
function withData(name: string, data: Record<string, string>, more: Record<string, unknown> = {}) {
  return stage.item(name, '', { spec: { itemPath: undefined, data, ...more } })
}

async function secretOf(name: string, data: Record<string, string>): Promise<KubeObject> {
  await withData(name, data)
  await stage.cluster.until('items', name, isReady)
  return stage.cluster.get('secrets', name)
}

test('texts hold literals, references, pipes and braces that are meant as such', async () => {
  const item = 'op://Production/Argo CD'
  const secret = await secretOf('texts', {
    type: 'git',
    nothing: '',
    whole: `${item}/username`,
    url: `postgres://{{ ${item}/username }}:{{ ${item}/password | urlencode }}@{{op://Production/Other/host}}:5432`,
    braces: `\\{{ {{ ${item}/username }} }} \\\\{{`,
    base64: `{{ ${item}/username | base64 }}`,
    base64decode: `{{ ${item}/encoded | base64decode }}`,
    json: `{"password": {{ ${item}/password | json }}}`,
    trim: `{{ ${item}/padded | trim }}`,
    chain: `{{ ${item}/padded | trim | base64 | urlencode }}`,
    untrimmed: `${item}/padded`,
  })
  expect(textsOf(secret)).toEqual({
    type: 'git',
    nothing: '',
    whole: 'app',
    url: 'postgres://app:p%40ss%2Fw%20rd%22@db:5432',
    braces: '{{ app }} \\{{',
    base64: 'YXBw',
    base64decode: 'hi',
    json: '{"password": "p@ss/w rd\\""}',
    trim: 'two words',
    chain: 'dHdvIHdvcmRz',
    untrimmed: '  two words\n',
  })
})

test('sections, files, URLs, OTP seeds and attributes are found by reference', async () => {
  const item = 'op://production/Argo CD'
  const secret = await secretOf('things', {
    admin: `${item}/Admin/token`,
    reader: `${item}/sec2/token`,
    ca: `${item}/Admin/ca.pem`,
    site: `${item}/website`,
    seed: `${item}/one-time password`,
    kind: `${item}/one-time password?attribute=type`,
    size: `${item}/store.p12?attribute=size`,
    inText: `{{ ${item}/store.p12 | base64 }}`,
  })
  expect(textsOf(secret)).toEqual({
    admin: 'admin-token',
    reader: 'reader-token',
    ca: 'pem',
    site: 'https://argo.example',
    seed: OTP,
    kind: 'OTP',
    size: '6',
    inText: BINARY.toString('base64'),
  })
})

test('a bare reference to a file gives its bytes', async () => {
  const secret = await secretOf('bytes', { 'store.p12': 'op://Production/Argo CD/store.p12' })
  expect(secret['data']['store.p12']).toBe(BINARY.toString('base64'))
})

test('an SSH key comes in OpenSSH form when asked for, and is the same key', async () => {
  const reference = 'op://Production/Argo CD/private key?ssh-format=openssh'
  const secret = await secretOf('ssh', {
    key: reference,
    pem: 'op://Production/Argo CD/private key',
  })
  const text = valueOf(secret, 'key') ?? ''
  expect(text).toMatch(/^-----BEGIN OPENSSH PRIVATE KEY-----\n/)
  expect(valueOf(secret, 'pem')).toBe(PEM)
  const raw = createPublicKey(createPrivateKey(PEM)).export({ type: 'spki', format: 'der' })
  const body = Buffer.from(text.split('\n').slice(1, -2).join(''), 'base64')
  // The last 32 bytes of the public key's DER are the key itself.
  expect(body.includes(raw.subarray(-32))).toBe(true)
})

test('data wins over keys of itemPath, and an empty reference takes the key away', async () => {
  await stage.item('wins', 'Other', {
    spec: { data: { host: 'op://Production/Argo CD/username', more: 'literal' } },
  })
  await stage.cluster.until('items', 'wins', isReady)
  expect(textsOf(await stage.cluster.get('secrets', 'wins'))).toEqual({
    host: 'app',
    more: 'literal',
  })
  await stage.cluster.patch('items', 'wins', {
    spec: { data: { host: 'op://Production/Argo CD/empty' } },
  })
  const gone = (secret: KubeObject) => valueOf(secret, 'host') === undefined
  const secret = await stage.cluster.until('secrets', 'wins', gone)
  expect(textsOf(secret)).toEqual({ more: 'literal' })
  await stage.cluster.patch('items', 'wins', { spec: { emptyValues: 'Include' } })
  await stage.cluster.until('secrets', 'wins', (one) => valueOf(one, 'host') === '')
})

test('a change of any of the items updates the Secret, and each is read once', async () => {
  const { cluster, connect, vault } = stage
  const user = connect.add(vault, { title: 'User', fields: [{ label: 'name', value: 'u1' }] })
  const host = connect.add(vault, {
    title: 'Host',
    fields: [
      { label: 'name', value: 'h1' },
      { label: 'port', value: '1' },
    ],
  })
  const [a, b] = ['op://Production/User/name', 'op://Production/Host']
  await withData('several', {
    url: `{{ ${a} }}@{{ ${b}/name }}:{{ ${b}/port }}`,
    host: `${b}/name`,
  })
  const item = await cluster.until('items', 'several', isReady)
  expect(item['status'].items.map(({ path }: { path: string }) => path).toSorted()).toEqual([
    'op://Production/Host',
    'op://Production/User',
  ])
  connect.requests.length = 0
  connect.set(host, 'port', '2')
  await cluster.until('secrets', 'several', (secret) => valueOf(secret, 'url') === 'u1@h1:2')
  expect(connect.requests.filter((one) => one.endsWith(`/items/${host}`))).toHaveLength(1)
  connect.set(user, 'name', 'u2')
  const secret = await cluster.until('secrets', 'several', (one) => {
    return valueOf(one, 'url') === 'u2@h1:2'
  })
  expect(valueOf(secret, 'host')).toBe('h1')
})

test('an item that itemPath and references name together is read once', async () => {
  const { cluster, connect, vault } = stage
  const id = connect.add(vault, { title: 'Once', fields: [{ label: 'a', value: '1' }] })
  await stage.item('once', 'Once', {
    spec: { data: { b: 'op://Production/Once/a', c: `op://${vault}/${id}/a` } },
  })
  await cluster.until('items', 'once', isReady)
  expect(textsOf(await cluster.get('secrets', 'once'))).toEqual({ a: '1', b: '1', c: '1' })
  expect(connect.requests.filter((one) => one.endsWith(`/items/${id}`))).toHaveLength(1)
})

test.each([
  ['op://Production/Argo CD', 'InvalidReference', 'op://vault/item/field'],
  ['op://a/b/c/d/e', 'InvalidReference', 'op://vault/item/field'],
  ['{{ op://Production/Argo CD/username', 'InvalidReference', 'has no }}'],
  ['{{ username }}', 'InvalidReference', 'does not begin with op://'],
  ['{{ op://Production/Argo CD/username | upper }}', 'InvalidReference', 'no pipe "upper"'],
  ['op://Production/Argo CD/username?attribute=color', 'InvalidReference', 'attribute=color'],
  ['op://Production/Argo CD/one-time password?attribute=otp', 'VolatileReference', '30 seconds'],
  ['{{ op://Production/Argo CD/x?attribute=otp }}', 'VolatileReference', '30 seconds'],
  ['op://Production/Argo CD/nothing', 'FieldNotFound', 'it has "ca.pem"'],
  ['op://Production/Argo CD/token', 'FieldNotFound', 'more than one field or file "token"'],
  ['op://Production/Argo CD/Nowhere/token', 'FieldNotFound', 'in section "Nowhere"'],
  ['op://Production/Argo CD/username?attribute=size', 'FieldNotFound', 'no attribute size'],
  ['{{ op://Production/Argo CD/password | base64decode }}', 'InvalidValue', 'not base64'],
  ['{{ op://Production/Argo CD/store.p12 | json }}', 'InvalidValue', 'not UTF-8'],
  ['op://Production/Argo CD/username?ssh-format=openssh', 'InvalidValue', 'Key "key"'],
  ['op://Nowhere/Argo CD/username', 'VaultNotFound', 'Vault "Nowhere"'],
  ['op://Production/Nothing/username', 'ItemNotFound', 'item "Nothing"'],
])('%s gives %s and says why', async (text, reason, message) => {
  const name = `bad-${Buffer.from(text).toString('hex').slice(-40)}-${text.length}`
  await withData(name, { key: text, fine: 'literal' })
  const item = await stage.cluster.until('items', name, hasReason(reason))
  const ready = condition(item, 'Ready')
  expect(ready?.status).toBe('False')
  expect(ready?.message).toContain(message)
  expect(condition(item, 'Stalled')?.status).toBe('True')
  expect(JSON.stringify(item['status'])).not.toContain('p@ss')
  expect(await stage.cluster.find('secrets', name)).toBeUndefined()
  const event = await eventually('an Event tells the remedy', async () => {
    const all = await stage.cluster.list('events')
    return all.find((one) => one['regarding'].name === name && one['reason'] === reason)
  })
  expect(event['note'].length).toBeGreaterThan((ready?.message ?? '').length)
})

test('a key that no Secret can have is refused by name', async () => {
  await withData('illegal', { 'a b': 'x' })
  const item = await stage.cluster.until('items', 'illegal', hasReason('InvalidReference'))
  expect(condition(item, 'Ready')?.message).toContain('"a b" in spec.data')
})

test('a reference that breaks later leaves the Secret as it was', async () => {
  const { cluster, connect, vault } = stage
  const id = connect.add(vault, {
    title: 'Breaks',
    fields: [
      { label: 'a', value: 'kept' },
      { label: 'b', value: 'one' },
    ],
  })
  await withData('breaks', { a: 'op://Production/Breaks/a', b: 'op://Production/Breaks/b' })
  await cluster.until('items', 'breaks', isReady)
  connect.edit(id, { fields: [{ label: 'b', value: 'two' }] })
  await cluster.until('items', 'breaks', hasReason('FieldNotFound'))
  expect(textsOf(await cluster.get('secrets', 'breaks'))).toEqual({ a: 'kept', b: 'one' })
})

test('keys that labels of all kinds give are keys to the API server, and no others', async () => {
  const { cluster } = stage
  const labels = fc.sample(anyLabel, 5_000)
  const keys = new Set(labels.map(keyOfLabel).filter((key) => key !== undefined))
  expect(keys.size).toBeGreaterThan(300)
  const tryKeys = (all: Iterable<string>) =>
    cluster.rest.send(
      {
        method: 'POST',
        path: `/api/v1/namespaces/${cluster.namespace}/secrets`,
        query: { dryRun: 'All' },
        body: {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { generateName: 'keys-' },
          data: Object.fromEntries([...all].map((key) => [key, 'eA=='])),
        },
      },
      timeout(20_000),
    )
  await tryKeys(keys)
  const illegal = [...new Set(labels)].filter((label) => !isLegalKey(label)).slice(0, 40)
  const refused = await Promise.allSettled(illegal.map((label) => tryKeys([label])))
  expect(refused.filter(({ status }) => status === 'fulfilled')).toEqual([])
})

test('what any item maps to is taken by the API server, byte for byte', async () => {
  const { cluster } = stage
  const contents = fc.sample(anyContent, { numRuns: isFull ? 500 : 60, seed: SEED })
  const path = `/api/v1/namespaces/${cluster.namespace}/secrets`
  const wrong: string[] = []
  const trySecret = async (data: Record<string, string>) => {
    const metadata = { generateName: 'mapped-' }
    const body = { apiVersion: 'v1', kind: 'Secret', metadata, data }
    const request = { method: 'POST', path, query: { dryRun: 'All' }, body } as const
    const answer = await cluster.rest.send(request, timeout(60_000))
    return (answer as { data?: Record<string, string> }).data ?? {}
  }
  const mapped = contents.map((content) => {
    const pairs = [...contentOfItem(content, true).data]
    return Object.fromEntries(pairs.map(([key, value]) => [key, encoded(value.reveal())]))
  })
  // Some at a time; the order does not matter.
  for (let n = 0; n < mapped.length; n += 20) {
    await Promise.all(
      mapped.slice(n, n + 20).map(async (data) => {
        const taken = await trySecret(data).catch((error: unknown) => ({ refused: String(error) }))
        if (!isDeepStrictEqual(taken, data)) wrong.push(JSON.stringify({ data, taken }))
      }),
    )
  }
  const what = 'mapped Secrets, dry-run on the API server'
  const violations = wrong.length
  await tally({ gate: 10, what, trials: mapped.length, violations, seed: SEED })
  expect(wrong, `again: KEYFERRY_SEED=${SEED} npm run test:cluster -- data -t maps`).toEqual([])
  expect(mapped.filter((data) => Object.keys(data).length > 0).length).toBeGreaterThan(
    mapped.length / 2,
  )
})

test('whatever a path holds, it is looked up and never part of a URL', async () => {
  const { cluster, connect } = stage
  const odd = ['..', '%2e%2e', 'a%2Fb', '" or title eq "', 'a?b#c', 'ＡrgoCD', '*', '\\..\\']
  for (const [n, name] of odd.entries()) {
    await stage.item(`odd-${n}`, '', { spec: { itemPath: `vaults/${name}/items/${name}` } })
    await stage.item(`odd-item-${n}`, name)
  }
  for (const n of odd.keys()) {
    await cluster.until('items', `odd-${n}`, hasReason('VaultNotFound'))
    await cluster.until('items', `odd-item-${n}`, hasReason('ItemNotFound'))
  }
  const urls =
    /^GET \/v1\/vaults(?:\/[a-z0-9]{26}\/items(?:\/[a-z0-9]{26}(?:\/files\/[a-z0-9]{26}\/content)?)?)?$/
  expect(connect.requests.filter((one) => !urls.test(one))).toEqual([])
})
