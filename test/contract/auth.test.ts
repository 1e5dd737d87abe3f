import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Right } from '../../src/server/items/model.ts'
import { type OperationId, operations } from '../../src/server/http/operations.ts'
import { tally } from '../support/gates.ts'
import { type TestServer, testServer, textOf } from '../support/server.ts'
import { testStore } from '../support/store.ts'

const UNKNOWN = 'a'.repeat(26)
/** Parts of what is stored, which a token that may only write must never see. */
const CANARIES = [
  'canary-title',
  'canary-value',
  'canary-label',
  'canary-tag',
  'canary-file',
  'canary-url',
  'canary-section',
]

interface Kind {
  readonly token: string | undefined
  /** Rights in vault A; `undefined`: the token is not valid. */
  readonly right: Right | undefined
}

type Relation = 'own' | 'other' | 'unknown' | 'malformed'

const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

describe('every operation with every kind of token', () => {
  let server: TestServer
  let vaults: Record<Relation, string>
  let kinds: Map<string, Kind>
  let itemId: string
  let fileId: string

  beforeAll(async () => {
    const store = await testStore()
    const { signingKey } = store.opened
    await store.close()
    const { dir } = store
    server = await testServer({ store: { dir, key: { kind: 'managed', dir } } })
    const own = await server.admin.createVault('A')
    const other = await server.admin.createVault('B')
    vaults = { own: own.id, other: other.id, unknown: UNKNOWN, malformed: 'Not-an-id' }
    const form = 'jwt' as const
    const issue = async (right: Right, more: object = {}) =>
      textOf((await server.admin.createToken({ vaults: { A: right }, form, ...more })).token)
    const rw = await issue('rw')
    const revoked = await server.admin.createToken({ vaults: { A: 'rw' }, form })
    await server.admin.revokeToken(revoked.id)
    const forged = await forgeries(rw, signingKey)
    await using elsewhere = await testServer()
    await elsewhere.admin.createVault('A')
    const invalid = (token: string | undefined): Kind => ({ token, right: undefined })
    kinds = new Map<string, Kind>([
      ['read', { token: await issue('r'), right: 'r' }],
      ['write', { token: await issue('w'), right: 'w' }],
      ['read and write', { token: rw, right: 'rw' }],
      ['opaque', { token: await issue('rw', { form: 'opaque' }), right: 'rw' }],
      ['none', invalid(undefined)],
      ['nonsense', invalid('nonsense')],
      ['expired', invalid(await issue('rw', { expires: Math.floor(Date.now() / 1000) - 1 }))],
      ['revoked', invalid(textOf(revoked.token))],
      ['of another server', invalid(await elsewhere.token({ A: 'rw' }))],
      ...Object.entries(forged).map(([name, token]) => [name, invalid(token)] as const),
    ])
    const made = await create()
    itemId = made.item
    fileId = made.file
  })
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
    await rm(server.dir, { recursive: true, force: true })
  })

  /** An item full of canaries, with a file. */
  const create = async () => {
    const token = kinds.get('read and write')?.token
    const body = {
      title: 'canary-title',
      category: 'SERVER',
      tags: ['canary-tag'],
      urls: [{ href: 'canary-url' }],
      sections: [{ id: 's', label: 'canary-section' }],
      fields: [{ id: 'f', label: 'canary-label', value: 'canary-value' }],
    }
    const answer = await server.call('POST', `/v1/vaults/${vaults.own}/items`, { token, body })
    const item = answer.json<{ id: string }>().id
    const content = Buffer.from('canary-file')
    const upload = { vault: vaults.own, item, name: 'canary-file', content }
    return { item, file: (await server.admin.addFile(upload)).id }
  }

  const call = async (id: OperationId, vault: string, token: string | undefined) => {
    const needsOwn = id === 'Items_delete' && vault === vaults.own
    const item = needsOwn ? (await create()).item : itemId
    const [method, path, body] = request(id, vault, item, fileId)
    return server.call(method, path, { token, ...(body === undefined ? {} : { body }) })
  }

  const expected = (id: OperationId, relation: Relation, { right }: Kind): number => {
    const { need, action } = operations[id]
    if (need === 'public') return 200
    if (right === undefined) return 401
    if (need === 'token') return 200
    if (relation === 'malformed') return 400
    if (relation !== 'own') return 403
    if (need === 'read' && !right.includes('r')) return 403
    if (need === 'write' && !right.includes('w')) return 403
    return action === 'DELETE' ? 204 : 200
  }

  const ids = Object.keys(operations) as OperationId[]
  test.each(ids)('%s answers each as it should', async (id) => {
    const wrong: string[] = []
    let cells = 0
    for (const [name, kind] of kinds) {
      for (const [relation, vault] of Object.entries(vaults)) {
        const { status } = await call(id, vault, kind.token)
        const wanted = expected(id, relation as Relation, kind)
        cells += 1
        if (status !== wanted) wrong.push(`${name}, vault ${relation}: ${status}, not ${wanted}`)
      }
    }
    await tally({
      gate: 13,
      what: 'operation × token × vault',
      trials: cells,
      violations: wrong.length,
    })
    expect(wrong).toEqual([])
    expect([kinds.size >= 12, cells]).toEqual([true, kinds.size * 4])
  })

  test('a token that may only write learns nothing by any operation', async () => {
    const token = kinds.get('write')?.token
    const patches = [
      [],
      [{ op: 'replace', path: '/title', value: 'x' }],
      [{ op: 'replace', path: '/fields/f/value', value: 'x' }],
      [{ op: 'remove', path: '/fields/f/label' }],
      [{ op: 'add', path: '/fields/f/type', value: 'DATE' }],
      [{ op: 'replace', path: '/tags/0', value: 'x' }],
      [{ op: 'replace', path: '/nothing', value: 'x' }],
      [{ op: 'replace', path: '/', value: {} }],
    ]
    const answers = []
    for (const id of ids) answers.push(await call(id, vaults.own, token))
    for (const body of patches) {
      const path = `/v1/vaults/${vaults.own}/items/${(await create()).item}`
      answers.push(await server.call('PATCH', path, { token, body }))
    }
    expect(answers.length).toBe(ids.length + patches.length)
    for (const { text, headers } of answers) {
      const all = text + JSON.stringify(headers)
      for (const canary of CANARIES) expect(all).not.toContain(canary)
    }
    const seen = await server.call('GET', '/v1/vaults', { token })
    expect(seen.json()).toEqual([{ id: vaults.own, name: 'A' }])
  })

  test('a token that may only write is told only what it sent and what it did', async () => {
    const token = kinds.get('write')?.token
    const body = {
      title: 'mine',
      category: 'LOGIN',
      fields: [{ purpose: 'PASSWORD', label: 'password', generate: true }],
    }
    const made = await server.call('POST', `/v1/vaults/${vaults.own}/items`, { token, body })
    const { id, ...rest } = made.json()
    expect(id).toMatch(/^[a-z0-9]{26}$/)
    const receipt = { vault: { id: vaults.own }, title: 'mine', category: 'LOGIN', version: 1 }
    expect(rest).toEqual({ ...receipt, updatedAt: expect.any(String) })
    const activity = await server.call('GET', '/v1/activity', { token })
    const [newest] = activity.json<{ actor: { jti: string } }[]>()
    const jtis = new Set(
      activity.json<{ actor: { jti: string } }[]>().map(({ actor }) => actor.jti),
    )
    expect(jtis).toEqual(new Set([newest?.actor.jti]))
  })

  test('a vault out of scope answers like one that does not exist', async () => {
    const token = kinds.get('read')?.token
    const scoped = ids.filter((id) => !['public', 'token'].includes(operations[id].need))
    expect(scoped.length).toBe(10)
    for (const id of scoped) {
      const texts = []
      for (const vault of [vaults.other, vaults.unknown]) {
        const { status, text } = await call(id, vault, token)
        texts.push(`${status} ${text.replaceAll(vault, 'VAULT')}`)
      }
      expect(texts[0]).toBe(texts[1])
    }
  })

  test('no token with one character changed is valid (500 of them)', async () => {
    const token = kinds.get('read and write')?.token ?? ''
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.'
    const tried = new Set<string>()
    let valid = 0
    for (let n = 0; n < 500; n++) {
      const at = Math.floor((n / 500) * token.length)
      const other = alphabet[(alphabet.indexOf(token[at] ?? '') + 1 + (n % 60)) % alphabet.length]
      const changed = token.slice(0, at) + other + token.slice(at + 1)
      tried.add(changed)
      const { status } = await server.call('GET', '/v1/vaults', { token: changed })
      if (status !== 401) valid += 1
    }
    // The spare bits of the last character of each part are part of the token too.
    for (const last of alphabet) {
      const changed = token.slice(0, -1) + last
      if (changed !== token) tried.add(changed)
      const { status } = await server.call('GET', '/v1/vaults', { token: changed })
      if (status !== 401 && changed !== token) valid += 1
    }
    await tally({ gate: 13, what: 'changed tokens', trials: tried.size, violations: valid })
    expect(valid).toBe(0)
    expect(tried.size).toBeGreaterThanOrEqual(500)
  })

  test('a revoked token ends at once', async () => {
    const { id, token } = await server.admin.createToken({ vaults: { A: 'r' }, form: 'jwt' })
    const status = async () =>
      (await server.call('GET', '/v1/vaults', { token: textOf(token) })).status
    expect(await status()).toBe(200)
    expect(await server.admin.revokeToken(id)).toBe(true)
    expect(await status()).toBe(401)
    expect(await server.admin.revokeToken(id)).toBe(false)
    await server.restart()
    expect(await status()).toBe(401)
  })
})

/** Method, path and body that succeed where the token allows. */
function request(
  id: OperationId,
  vault: string,
  item: string,
  file: string,
): [string, string, object?] {
  const items = `/v1/vaults/${vault}/items`
  const body = { title: 'canary-title', category: 'SERVER' }
  const table: Record<OperationId, [string, string, object?]> = {
    Activity_getApiRequests: ['GET', '/v1/activity'],
    Vaults_listAll: ['GET', '/v1/vaults'],
    Vaults_getDetailsById: ['GET', `/v1/vaults/${vault}`],
    Items_getAll: ['GET', items],
    Items_createNewItem: ['POST', items, { ...body, title: 'made' }],
    Items_getDetails: ['GET', `${items}/${item}`],
    Items_updateItemDetails: ['PUT', `${items}/${item}`, { ...body, title: 'put' }],
    Items_delete: ['DELETE', `${items}/${item}`],
    Items_patchDetails: ['PATCH', `${items}/${item}`, []],
    Files_getAllFilesInsideItem: ['GET', `${items}/${item}/files`],
    Files_getDetailsById: ['GET', `${items}/${item}/files/${file}?inline_files=true`],
    Files_getContent: ['GET', `${items}/${item}/files/${file}/content`],
    Health_checkLiveness: ['GET', '/heartbeat'],
    Health_serverStateCheck: ['GET', '/health'],
    Metrics_queryServerMetrics: ['GET', '/metrics'],
  }
  return table[id]
}

/** Tokens that look like `token` and were not issued. */
async function forgeries(token: string, signingKey: Buffer): Promise<Record<string, string>> {
  const [head = '', claims = '', signature = ''] = token.split('.')
  const header = JSON.parse(Buffer.from(head, 'base64url').toString()) as Record<string, string>
  const payload = JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<string, unknown>
  const own = createPrivateKey({ key: signingKey, format: 'der', type: 'pkcs8' })
  const publicKey = createPublicKey(own).export({ type: 'spki', format: 'pem' })
  const mac = (text: string) => createHmac('sha256', publicKey).update(text).digest('base64url')
  const hs256 = `${base64({ ...header, alg: 'HS256' })}.${claims}`
  const { privateKey: foreign } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const sign = (change: object, heading: object = {}, key = own) =>
    new SignJWT({ ...payload, ...change })
      .setProtectedHeader({ alg: 'ES256', ...header, ...heading })
      .sign(key)
  return {
    'alg none': `${base64({ ...header, alg: 'none' })}.${claims}.`,
    'alg none with a signature': `${base64({ ...header, alg: 'none' })}.${claims}.${signature}`,
    'alg HS256 with the public key': `${hs256}.${mac(hs256)}`,
    'signed by another key': await sign({}, {}, foreign),
    'of another key id': await sign({}, { kid: '../../etc/passwd' }),
    'without a key id': await sign({}, { kid: undefined }),
    'for another audience': await sign({ aud: ['com.1password.secretservice'] }),
    'of another issuer': await sign({ iss: 'com.1password.b5' }),
    'for another server': await sign({ sub: 'A'.repeat(26) }),
    'of a jti that was not issued': await sign({ jti: 'b'.repeat(26) }),
    'with more rights and the old signature': `${head}.${base64({ ...payload, '1password.com/vts': [] })}.${signature}`,
  }
}
