/**
 * The Connect server in memory: it serves what a history makes of its vault, remembers all that it
 * served, and can be down, refuse the token, ask for less, or lag behind.
 */
import type { ConnectRequest, Transport } from '../../src/connect/transport.ts'
import { type ErrorCode, KeyferryError } from '../../src/errors.ts'
import type { Random } from './random.ts'
import type { Host, Scheduler } from './scheduler.ts'

/** An item at one version. */
export interface SimulatedItem {
  readonly id: string
  readonly title: string
  readonly version: number
  /** Number of its content: a change of the title leaves it as it is. */
  readonly content: number
  readonly tags: readonly string[]
}

/** What is the matter with the server. */
export type ConnectFault =
  | 'unreachable'
  | 'unavailable'
  | 'unauthorized'
  | 'forbidden'
  | 'limited'
  | 'malformed'

/** See the head of this file. */
export interface SimulatedConnect {
  /** Present items, by id. */
  readonly items: ReadonlyMap<string, SimulatedItem>
  /** Contents that were served, as `<item id> <content>`. */
  readonly served: ReadonlySet<string>
  fault: ConnectFault | undefined
  /** When an item came last. Virtual milliseconds. */
  addedAt: number
  add(title: string): SimulatedItem
  /** New content. */
  edit(id: string): void
  /** A new version with the same content. */
  touch(id: string): void
  rename(id: string, title: string): void
  remove(id: string): void
  /** The way of one process to it. */
  transportFor(host: Host): Transport
}

/** Title of the only vault, and its id. */
export const VAULT = { title: 'Production', id: `v${'0'.repeat(25)}` } as const
/** Begins every value: nothing but Secrets may hold it. */
export const CANARY = 'canary-'

/** The value of a field of an item, which names item, content and field. */
export function valueOf(field: string, id: string, content: number): string {
  return `${CANARY}${field} ${id} ${content}`
}

const CREATED = '2023-01-01T00:00:00Z'

/** An empty vault. */
export function createSimulatedConnect(scheduler: Scheduler, random: Random): SimulatedConnect {
  const items = new Map<string, SimulatedItem>()
  const served = new Set<string>()
  let contentVersion = 1
  let ids = 0

  function keep(item: SimulatedItem): SimulatedItem {
    items.set(item.id, item)
    contentVersion += 1
    return item
  }

  const present = (id: string) => items.get(id) as SimulatedItem

  function change(id: string, by: (item: SimulatedItem) => Partial<SimulatedItem>): void {
    const item = present(id)
    keep({ ...item, ...by(item), version: item.version + 1 })
  }

  function answer({ operation, path }: ConnectRequest): unknown {
    const [, , , vaultId, , itemId] = path.split('/')
    if (connect.fault !== undefined) return failure(operation, connect.fault)
    if (vaultId === undefined) return [vaultBody(contentVersion, items.size)]
    if (vaultId !== VAULT.id) throw errorOf(operation, 'CONNECT_FORBIDDEN')
    if (itemId === undefined) return [...items.values()].map(summaryOf)
    const item = items.get(itemId)
    if (item === undefined) throw errorOf(operation, 'CONNECT_NOT_FOUND')
    served.add(`${item.id} ${item.content}`)
    return wholeOf(item)
  }

  const connect: SimulatedConnect = {
    items,
    served,
    fault: undefined,
    addedAt: Number.NEGATIVE_INFINITY,
    add(title) {
      ids += 1
      connect.addedAt = scheduler.now()
      const id = `i${String(ids).padStart(25, '0')}`
      return keep({ id, title, version: 1, content: 1, tags: [] })
    },
    edit: (id) => change(id, ({ content }) => ({ content: content + 1 })),
    touch: (id) => change(id, ({ version }) => ({ tags: [`t${version}`] })),
    rename: (id, title) => change(id, () => ({ title })),
    remove(id) {
      items.delete(id)
      contentVersion += 1
    },
    transportFor: (host) => ({
      send: (request, signal) =>
        new Promise((resolve, reject) => {
          if (signal.aborted) return reject(signal.reason)
          const giveUp = () => reject(signal.reason)
          signal.addEventListener('abort', giveUp, { once: true })
          const ms = random.chance(0.03) ? random.between(50, 4_000) : random.between(2, 30)
          scheduler.after(
            ms,
            () => {
              signal.removeEventListener('abort', giveUp)
              try {
                const body = Buffer.from(JSON.stringify(answer(request)))
                resolve({ status: 200, headers: {}, body })
              } catch (error) {
                reject(error)
              }
            },
            host,
          )
        }),
      close: () => Promise.resolve(),
    }),
  }
  return connect
}

const CODES: Readonly<Record<Exclude<ConnectFault, 'malformed'>, ErrorCode>> = {
  unreachable: 'CONNECT_UNREACHABLE',
  unavailable: 'CONNECT_UNAVAILABLE',
  unauthorized: 'CONNECT_UNAUTHORIZED',
  forbidden: 'CONNECT_FORBIDDEN',
  limited: 'CONNECT_RATE_LIMITED',
}

function failure(operation: string, fault: ConnectFault): unknown {
  // JSON, but nothing that was asked for.
  if (fault === 'malformed') return { message: 'come back later' }
  throw errorOf(operation, CODES[fault])
}

function errorOf(operation: string, code: ErrorCode): KeyferryError {
  return new KeyferryError(code, {
    message: `${operation}: failed`,
    remedy: 'None in a simulation.',
    retry: 'soon',
  })
}

function vaultBody(contentVersion: number, items: number) {
  const { id, title: name } = VAULT
  return { id, name, contentVersion, attributeVersion: 1, items, createdAt: CREATED }
}

function summaryOf({ id, title, version, tags }: SimulatedItem) {
  return {
    id,
    title,
    version,
    tags,
    vault: { id: VAULT.id },
    category: 'LOGIN',
    createdAt: CREATED,
  }
}

function wholeOf(item: SimulatedItem) {
  const { id, content } = item
  const field = (label: string) => ({
    id: label,
    type: 'STRING',
    label,
    value: valueOf(label, id, content),
  })
  return { ...summaryOf(item), fields: [field('username'), field('password')] }
}
