import * as z from 'zod/mini'
import { SecretValue } from '../../connect/secret-value.ts'
import type { Progress } from '../store/rotate.ts'
import type { Admin } from './admin.ts'

/** A call of one method of Admin, as it travels between two processes of one user. */
export interface Call {
  readonly method: string
  readonly args: readonly unknown[]
}

/** JSON with bytes and secrets: the socket is the one place where a secret is meant to travel. */
export function encode(value: unknown): string {
  return JSON.stringify(packed(value))
}

/** Before JSON.stringify sees it: a Buffer makes itself a list of numbers, ten times its size. */
function packed(value: unknown): unknown {
  if (value instanceof SecretValue) return { $secret: base64(value.reveal()) }
  if (value instanceof Uint8Array) return { $bytes: base64(value) }
  if (Array.isArray(value)) return value.map(packed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, packed(inner)]))
}

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')

/** What encode wrote. */
export function decode(text: string): unknown {
  return JSON.parse(text, (_, value: unknown) => {
    if (typeof value !== 'object' || value === null) return value
    const { $secret, $bytes } = value as { $secret?: unknown; $bytes?: unknown }
    if (typeof $secret === 'string') return SecretValue.fromBytes(Buffer.from($secret, 'base64'))
    if (typeof $bytes === 'string') return Buffer.from($bytes, 'base64')
    return value
  })
}

const text = z.string()
const bytes = z.instanceof(Uint8Array)
const secret = z.custom<SecretValue>((value) => value instanceof SecretValue)
const right = z.enum(['r', 'w', 'rw'])
const newToken = z.object({
  name: z.optional(text),
  vaults: z.record(text, right),
  expires: z.optional(z.number()),
  form: z.union([z.literal('jwt'), z.literal('opaque'), z.object({ given: secret })]),
})
const upload = z.object({
  vault: text,
  item: text,
  name: text,
  section: z.optional(text),
  content: bytes,
})
const importVault = z.object({
  id: z.optional(text),
  name: text,
  description: z.optional(text),
  items: z.array(
    z.object({
      id: z.optional(text),
      version: z.optional(z.int()),
      state: z.optional(z.literal('ARCHIVED')),
      createdAt: z.optional(text),
      updatedAt: z.optional(text),
      input: z.unknown(),
      files: z.array(z.object({ name: text, section: z.optional(text), content: bytes })),
    }),
  ),
})

/** Drops members that are `undefined`, as zod leaves them and exact types do not take them. */
const exact = <T extends object>(value: T): T =>
  Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as T

type Method = (admin: Admin, args: readonly unknown[], progress: Progress) => Promise<unknown>

const methods: Readonly<Record<string, Method>> = {
  ping: async () => true,
  createVault: (admin, [name, description]) =>
    admin.createVault(text.parse(name), z.optional(text).parse(description ?? undefined)),
  vaults: (admin) => admin.vaults(),
  renameVault: (admin, [vault, name]) => admin.renameVault(text.parse(vault), text.parse(name)),
  deleteVault: (admin, [vault, force]) =>
    admin.deleteVault(text.parse(vault), z.boolean().parse(force)),
  createToken: (admin, [token]) =>
    admin.createToken(exact(newToken.parse(token)) as Parameters<Admin['createToken']>[0]),
  tokens: (admin) => admin.tokens(),
  revokeToken: (admin, [id]) => admin.revokeToken(text.parse(id)),
  addFile: (admin, [file]) =>
    admin.addFile(exact(upload.parse(file)) as Parameters<Admin['addFile']>[0]),
  removeFile: (admin, [vault, item, file]) =>
    admin.removeFile(text.parse(vault), text.parse(item), text.parse(file)),
  importVaults: (admin, [vaults, replace]) => {
    const parsed = z.array(importVault).parse(vaults)
    const cleaned = parsed.map((vault) =>
      exact({
        ...vault,
        items: vault.items.map((item) => exact({ ...item, files: item.files.map(exact) })),
      }),
    )
    return admin.importVaults(
      cleaned as Parameters<Admin['importVaults']>[0],
      z.boolean().parse(replace),
    )
  },
  exportVaults: (admin, [vault]) => admin.exportVaults(z.optional(text).parse(vault ?? undefined)),
  backup: (admin, [file]) => admin.backup(text.parse(file)),
  rotateKey: (admin, [next], progress) =>
    admin.rotateKey(z.optional(secret).parse(next ?? undefined), progress),
  verify: (admin) => admin.verify(),
}

/** Carries out a call. @throws Error for an unknown method or arguments of another shape */
export function callAdmin(admin: Admin, call: Call, progress: Progress): Promise<unknown> {
  const method = Object.hasOwn(methods, call.method) ? methods[call.method] : undefined
  if (method === undefined) throw new Error(`there is no administration method ${call.method}`)
  return method(admin, call.args, progress)
}

/** Administration through `send`, with the types of Admin. */
export function adminProxy(send: (call: Call) => Promise<unknown>): Admin {
  const via =
    (method: string) =>
    (...args: unknown[]) =>
      send({ method, args: args.filter((arg) => typeof arg !== 'function') })
  const proxy = Object.fromEntries(Object.keys(methods).map((method) => [method, via(method)]))
  return proxy as unknown as Admin
}
