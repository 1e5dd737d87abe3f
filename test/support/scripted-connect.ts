/**
 * A Connect server that a test scripts: it serves what it is told, remembers every version it
 * served, and misbehaves on demand. The embedded server is the real one; this one can lie.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Fault } from './connect-faults.ts'
import { PLANTED } from './leaks.ts'

/** A field as a test writes it. */
export interface ScriptedField {
  readonly label: string
  readonly value?: string
  readonly id?: string
  readonly type?: string
  readonly purpose?: string
  readonly section?: { readonly id: string }
}

/** An item as a test writes it. */
export interface ScriptedItem {
  readonly title: string
  readonly fields: readonly ScriptedField[]
  readonly tags?: readonly string[]
  readonly urls?: readonly {
    readonly href: string
    readonly label?: string
    readonly primary?: boolean
  }[]
  readonly files?: readonly {
    readonly name: string
    readonly content: Uint8Array
    readonly section?: { readonly id: string }
  }[]
  readonly sections?: readonly { readonly id: string; readonly label?: string }[]
  readonly createdAt?: string
}

interface Stored extends ScriptedItem {
  readonly id: string
  readonly vaultId: string
  version: number
}

interface ScriptedVault {
  readonly id: string
  name: string
  contentVersion: number
  attributeVersion: number
  readonly items: Map<string, Stored>
}

/** Of one vault. */
interface Replica {
  readonly vault: ScriptedVault
  /** Answers so far, by URL. */
  readonly turns: Map<string, number>
}

/** Takes an answer over; returning true means that it was given. */
export type Intercept = (
  request: IncomingMessage,
  response: ServerResponse,
) => boolean | Promise<boolean>

/** See the head of this file. */
export interface ScriptedConnect {
  readonly url: string
  /** Requests so far, as `GET /v1/vaults`. */
  readonly requests: string[]
  /** All secret values that its items have had: of fields, URLs, files, and one planted in each. */
  readonly secrets: Set<string>
  /** Items that were answered whole and right, as `<id>@<version>`. */
  readonly served: Set<string>
  /** Adds a vault and gives its id. */
  vault(name: string): string
  renameVault(vaultId: string, name: string): void
  removeVault(vaultId: string): void
  /** Adds an item and gives its id. */
  add(vaultId: string, item: ScriptedItem, id?: string): string
  /** Changes an item: its version and the vault's rise. */
  edit(itemId: string, change: Partial<ScriptedItem>): void
  /** Changes the value of one field. */
  set(itemId: string, label: string, value: string): void
  remove(itemId: string): void
  /** The version that an item has now. */
  versionOf(itemId: string): number
  /** Milliseconds each answer takes. */
  latencyMs: number
  /** Tokens that are taken; undefined: any. */
  tokens: Set<string> | undefined
  /** Asked before each answer. */
  intercept: Intercept | undefined
  /** Faults by the path that they befall, or its last part: `vaults`, `items`, an item's id, `content`. */
  readonly faults: Map<string, Fault>
  /** Ends the answers that are under way: those that never would. */
  release(): void
  /** Whether lists come in another order each time. */
  shuffled: boolean
  /**
   * From now on a second replica that stays as it is now gives every other answer about a vault, to
   * each question: the first list of items, the second list of vaults, the second look at an item.
   * @returns ends that
   */
  lag(vaultId: string): () => void
  /** Puts an item into another vault, with a new id as 1Password does, which it gives. */
  move(itemId: string, vaultId: string): string
  close(): Promise<void>
}

let counter = 0

/** A fresh id: 26 lower-case letters and digits. */
export function freshId(prefix = 'x'): string {
  counter += 1
  // Of fixed width, so that padding never makes two of them equal.
  const number = counter.toString(36).padStart(6, '0')
  const start = `${prefix}${process.pid.toString(36)}${Date.now().toString(36)}`
  return `${start.slice(0, 20).padEnd(20, '0')}${number}`
}

const CREATED = '2024-01-01T00:00:00Z'

/** Starts the server on a free port of the loopback interface. */
export async function startScriptedConnect(): Promise<ScriptedConnect> {
  const vaults = new Map<string, ScriptedVault>()
  const owner = (itemId: string) => {
    const vault = [...vaults.values()].find(({ items }) => items.has(itemId))
    const item = vault?.items.get(itemId)
    if (!vault || !item) throw new Error(`no item ${itemId}`)
    return { vault, item }
  }
  const under = new Set<ServerResponse>()
  const lagging = new Map<string, Replica>()
  const secrets = new Set<string>()
  const keep = (vault: ScriptedVault, item: Stored) => {
    vault.items.set(item.id, item)
    for (const value of secretsOf(item)) secrets.add(value)
  }
  const server = createServer((request, response) => void answer(request, response))

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    connect.requests.push(`${request.method} ${request.url}`)
    if (connect.latencyMs > 0)
      await new Promise((resolve) => setTimeout(resolve, connect.latencyMs))
    if (await connect.intercept?.(request, response)) return
    const token = request.headers.authorization?.replace(/^Bearer /, '') ?? ''
    if (connect.tokens && !connect.tokens.has(token)) {
      return json(response, 401, { status: 401, message: 'Invalid bearer token' })
    }
    const { status, body } = route(seenBy(request.url ?? ''), request.url ?? '')
    const { pathname } = new URL(request.url ?? '', 'http://connect')
    const last = pathname.slice(pathname.lastIndexOf('/') + 1)
    const fault = connect.faults.get(pathname) ?? connect.faults.get(last)
    if (fault) {
      under.add(response)
      response.on('close', () => under.delete(response))
      return fault(response, JSON.stringify(body))
    }
    if (isItem(body)) connect.served.add(`${body.id}@${body.version}`)
    if (body instanceof Uint8Array) {
      response.writeHead(status, { 'content-length': body.length, ...VERSION })
      response.end(body)
    } else json(response, status, connect.shuffled && Array.isArray(body) ? shuffle(body) : body)
  }

  /** The vaults as the replica has them that answers this request. */
  function seenBy(url: string): ReadonlyMap<string, ScriptedVault> {
    const behind = [...lagging].filter(([id, { turns }]) => {
      if (url.split('/').length > 3 && !url.includes(id)) return false
      const turn = turns.get(url) ?? (url.endsWith('/items') ? 1 : 0)
      turns.set(url, turn + 1)
      return turn % 2 === 1
    })
    return new Map([...vaults, ...behind.map(([id, { vault }]) => [id, vault] as const)])
  }

  const connect: ScriptedConnect = {
    url: '',
    requests: [],
    secrets,
    served: new Set(),
    latencyMs: 0,
    tokens: undefined,
    intercept: undefined,
    faults: new Map(),
    shuffled: false,
    release() {
      for (const response of under) response.destroy()
    },
    lag(vaultId) {
      const vault = vaults.get(vaultId)
      if (!vault) throw new Error(`no vault ${vaultId}`)
      const vaultThen = { ...vault, items: new Map(vault.items) }
      lagging.set(vaultId, { vault: vaultThen, turns: new Map() })
      return () => void lagging.delete(vaultId)
    },
    move(itemId, vaultId) {
      const { item } = owner(itemId)
      connect.remove(itemId)
      return connect.add(vaultId, item)
    },
    vault(name) {
      const id = freshId('v')
      vaults.set(id, { id, name, contentVersion: 1, attributeVersion: 1, items: new Map() })
      return id
    },
    renameVault(vaultId, name) {
      const vault = vaults.get(vaultId)
      if (!vault) throw new Error(`no vault ${vaultId}`)
      vault.name = name
      vault.attributeVersion += 1
    },
    removeVault: (vaultId) => void vaults.delete(vaultId),
    add(vaultId, item, id = freshId('i')) {
      const vault = vaults.get(vaultId)
      if (!vault) throw new Error(`no vault ${vaultId}`)
      keep(vault, { ...item, id, vaultId, version: 1 })
      vault.contentVersion += 1
      return id
    },
    edit(itemId, change) {
      const { vault, item } = owner(itemId)
      keep(vault, { ...item, ...change, version: item.version + 1 })
      vault.contentVersion += 1
    },
    set(itemId, label, value) {
      const { item } = owner(itemId)
      const fields = item.fields.map((field) =>
        field.label === label ? { ...field, value } : field,
      )
      connect.edit(itemId, { fields })
    },
    versionOf: (itemId) => owner(itemId).item.version,
    remove(itemId) {
      const { vault } = owner(itemId)
      vault.items.delete(itemId)
      vault.contentVersion += 1
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no address')
  return Object.assign(connect, { url: `http://127.0.0.1:${address.port}` })
}

function route(
  vaults: ReadonlyMap<string, ScriptedVault>,
  url: string,
): { readonly status: number; readonly body: unknown } {
  const { pathname, searchParams } = new URL(url, 'http://connect')
  const [, , , vaultId, , itemId, , fileId] = pathname.split('/')
  // What other clients filter by: `title eq "x"`.
  const named = /^(?:title|name) eq "(.*)"$/.exec(searchParams.get('filter') ?? '')?.[1]
  const bears = (name: string) => named === undefined || name.toLowerCase() === named.toLowerCase()
  const refuse = (status: number, message: string) => ({ status, body: { status, message } })
  const give = (body: unknown) => ({ status: 200, body })
  if (vaultId === undefined) {
    return give([...vaults.values()].filter(({ name }) => bears(name)).map(vaultBody))
  }
  const vault = vaults.get(vaultId)
  if (!vault) return refuse(403, 'Authorization: token does not have access')
  if (itemId === undefined) {
    return give([...vault.items.values()].filter(({ title }) => bears(title)).map(summary))
  }
  const item = vault.items.get(itemId)
  if (!item) return refuse(404, `item ${itemId} not found`)
  if (fileId === undefined) return give(whole(item))
  const file = item.files?.[Number.parseInt(fileId.slice(1, 3), 36)]
  return file ? give(file.content) : refuse(404, 'file not found')
}

function isItem(body: unknown): body is ReturnType<typeof whole> {
  return typeof body === 'object' && body !== null && 'fields' in body
}

function shuffle(list: readonly unknown[]): unknown[] {
  return list
    .map((one) => ({ one, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ one }) => one)
}

/** What must show nowhere but in Secrets. */
function secretsOf({ id, fields, urls = [], files = [] }: Stored): string[] {
  return [
    plantedIn(id),
    // Odd items have null for a value.
    ...fields.map(({ value }) => value ?? ''),
    ...urls.map(({ href }) => href),
    ...files.map(({ content }) => Buffer.from(content).toString()),
  ]
}

/** The one-time code that the first field of each item has: nobody asks for it. */
function plantedIn(id: string): string {
  return `${PLANTED}code-${id}`
}

/** Without it other clients refuse to read files. */
const VERSION = { '1Password-Connect-Version': '1.8.1' }

/** A whole JSON answer. */
export function json(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    ...VERSION,
  })
  response.end(text)
}

function vaultBody({ id, name, contentVersion, attributeVersion, items }: ScriptedVault) {
  return {
    id,
    name,
    contentVersion,
    attributeVersion,
    items: items.size,
    type: 'USER_CREATED',
    createdAt: CREATED,
    updatedAt: CREATED,
  }
}

function summary({ id, title, vaultId, version, tags, urls, createdAt }: Stored) {
  return {
    id,
    title,
    vault: { id: vaultId },
    category: 'LOGIN',
    version,
    createdAt: createdAt ?? CREATED,
    updatedAt: CREATED,
    ...(tags ? { tags } : {}),
    ...(urls ? { urls } : {}),
  }
}

function whole(item: Stored) {
  const fields = item.fields.map((field, n) => ({
    id: `field${n}`,
    type: 'STRING',
    ...(n === 0 ? { totp: plantedIn(item.id) } : {}),
    ...field,
  }))
  const files = (item.files ?? []).map(({ name, content, section }, n) => ({
    id: `f${n.toString(36).padStart(2, '0')}`.padEnd(26, '0'),
    name,
    size: content.length,
    ...(section ? { section } : {}),
  }))
  const { sections = [] } = item
  return { ...summary(item), fields, sections, ...(files.length > 0 ? { files } : {}) }
}
