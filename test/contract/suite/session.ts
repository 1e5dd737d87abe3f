import { expect } from 'vitest'
import { type Answer, call, type CallOptions } from '../../support/http.ts'

/** The server under test, and what it may be expected to hold. */
export interface Target {
  readonly host: string
  /** A vault that `rw` may read and write, and its name. */
  readonly vault: string
  readonly vaultName: string
  readonly rw: string
  /** Tokens with less; absent where the server cannot issue them for the test. */
  readonly readOnly?: string
  readonly writeOnly?: string
  /** A vault that no token may see. */
  readonly forbiddenVault: string
  /** Adds a file to an item of the vault; the API itself cannot. */
  readonly addFile?: (item: string, name: string, content: Buffer) => Promise<string>
  /** Bytes that are answered inline at most. */
  readonly inlineLimit?: number
  /** Milliseconds a write may take until reads show it: the real server synchronises. */
  readonly settleMs: number
}

export interface Item {
  id: string
  title: string
  version: number
  vault: { id: string }
  category: string
  createdAt: string
  updatedAt: string
  tags?: string[]
  urls?: { href: string; primary?: boolean; label?: string }[]
  favorite?: boolean
  sections?: { id: string; label?: string }[]
  fields: {
    id: string
    label: string
    type: string
    purpose?: string
    value?: string
    totp?: string
    section?: { id: string }
    entropy?: number
  }[]
  files?: { id: string; name: string; size: number; content_path: string }[]
  lastEditedBy?: string
}

export interface Vault {
  id: string
  name: string
  contentVersion: number
  attributeVersion: number
  items: number
  type: string
  createdAt: string
  updatedAt: string
}

export const ID = /^[a-z0-9]{26}$/
export const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/
/** Has the form of an id, and is none. */
export const UNKNOWN = 'aaaaaaaaaaaaaaaaaaaaaaaaaa'

/** Requests to the server under test, with what must hold for every answer already checked. */
export interface Session {
  readonly target: Target
  /** With the token that may do everything, unless the options say otherwise. */
  send(method: string, path: string, options?: CallOptions): Promise<Answer>
  /** Path of the items of the vault. */
  readonly items: string
  /** Creates an item of category SERVER unless the body says otherwise. */
  create(body: object): Promise<Item>
  read(id: string): Promise<Item>
  /** What `probe` gives once it `holds`, or at last. */
  eventually<T>(probe: () => Promise<T>, holds: (value: T) => boolean): Promise<T>
}

/** @param target as it is once the suite runs */
export function createSession(target: () => Target): Session {
  const send: Session['send'] = async (method, path, options = {}) => {
    const answer = await call(target().host, method, path, { token: target().rw, ...options })
    expect(answer.headers['1password-connect-version']).toMatch(/^\d+\.\d+\.\d+$/)
    if (answer.status >= 400) {
      const message: unknown = expect.any(String)
      expect(answer.json()).toEqual({ status: answer.status, message })
    }
    return answer
  }
  return {
    get target() {
      return target()
    },
    get items() {
      return `/v1/vaults/${target().vault}/items`
    },
    send,
    async create(body) {
      const answer = await send('POST', this.items, { body: { category: 'SERVER', ...body } })
      if (answer.status !== 200) throw new Error(`POST answered ${answer.status}: ${answer.text}`)
      return answer.json<Item>()
    },
    read: async (id) =>
      (await send('GET', `/v1/vaults/${target().vault}/items/${id}`)).json<Item>(),
    async eventually(probe, holds) {
      const deadline = Date.now() + target().settleMs
      for (;;) {
        const value = await probe()
        if (holds(value) || Date.now() > deadline) return value
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    },
  }
}

/** A title that no other item has. */
export function unique(text: string): string {
  return `${text} ${Math.random().toString(36).slice(2, 10)}`
}
