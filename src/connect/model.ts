/**
 * The objects of the Connect API as Keyferry reads them: schema and type in one.
 *
 * Readers are lenient towards what they do not need (unknown members, unknown enum values,
 * absent optional members) and strict about what they act on: ids, versions, values.
 * Source: 1Password Connect API 1.5.7, `components.schemas`.
 */
import * as z from 'zod/mini'
import { SecretValue } from './secret-value.ts'

/** Vault, item and file ids: 26 lower-case letters and digits. Source: Connect API, `Item.id`. */
export const ID_PATTERN = /^[a-z0-9]{26}$/

/** Whether `text` has the form of an id; says nothing about whether such an object exists. */
export function isId(text: string): boolean {
  return ID_PATTERN.test(text)
}

const id = z.string().check(z.regex(ID_PATTERN))
const version = z.int().check(z.nonnegative())
const secret = z.pipe(
  z.string(),
  z.transform((value) => SecretValue.fromText(value)),
)
/** Go programs send null for an absent member, so servers that are written in Go may too. */
const maybe = <T extends z.core.SomeType>(schema: T) =>
  z.pipe(
    z.nullish(schema),
    z.transform((value) => value ?? undefined),
  )
const or = <T extends z.core.SomeType>(schema: T, fallback: z.core.output<T>) =>
  z.pipe(
    z.nullish(schema),
    z.transform((value) => value ?? fallback),
  )
const list = <T extends z.core.SomeType>(schema: T) => or(z.array(schema), [])
const text = or(z.string(), '')
const sectionRef = maybe(z.object({ id: text }))

/** Bytes that an answer carries in base64. */
const bytes = z.pipe(
  z.string(),
  z.transform((value) => SecretValue.fromBytes(Buffer.from(value, 'base64'))),
)

/** A vault. `contentVersion` moves with its items, `attributeVersion` with its own name. */
export const vaultSchema = z.object({
  id,
  name: text,
  description: maybe(z.string()),
  contentVersion: or(version, 0),
  attributeVersion: or(version, 0),
  /** Number of its items. */
  items: maybe(version),
  type: maybe(z.string()),
  createdAt: text,
  updatedAt: maybe(z.string()),
})
export type Vault = z.infer<typeof vaultSchema>

/** A URL of an item. */
const urlSchema = z.object({
  href: secret,
  label: text,
  primary: or(z.boolean(), false),
})
export type Url = z.infer<typeof urlSchema>

/** An item as lists show it: no fields, no files. */
export const itemSummarySchema = z.object({
  id,
  title: text,
  vault: z.object({ id }),
  category: text,
  version: or(version, 0),
  favorite: or(z.boolean(), false),
  tags: list(z.string()),
  urls: list(urlSchema),
  /** `ARCHIVED` or `DELETED`; absent while the item is active. */
  state: maybe(z.string()),
  createdAt: text,
  updatedAt: maybe(z.string()),
  lastEditedBy: maybe(z.string()),
})
export type ItemSummary = z.infer<typeof itemSummarySchema>
/** What finds an item in a list and shows that it moved. */
export type ItemHead = Pick<
  ItemSummary,
  'id' | 'title' | 'vault' | 'version' | 'createdAt' | 'tags' | 'state'
>

/** A field of an item. Types other than the eight documented ones occur, so `type` is open. */
const fieldSchema = z.object({
  id: text,
  type: or(z.string(), 'STRING'),
  purpose: maybe(z.string()),
  label: text,
  section: sectionRef,
  value: maybe(secret),
  /** Bits of a generated password. */
  entropy: maybe(z.number()),
  /** The code of a one-time password at the time of the answer. */
  totp: maybe(secret),
})
export type Field = z.infer<typeof fieldSchema>

/** A file of an item. `size` is in bytes; `content` is there when it was asked for and is small. */
export const fileSchema = z.object({
  id,
  name: text,
  size: or(version, 0),
  section: sectionRef,
  content: maybe(bytes),
})
export type File = z.infer<typeof fileSchema>

/** A section of an item: fields and files name it by id. */
const sectionSchema = z.object({ id: text, label: text })

/** A whole item. */
export const itemSchema = z.extend(itemSummarySchema, {
  fields: list(fieldSchema),
  files: list(fileSchema),
  sections: list(sectionSchema),
})
export type Item = z.infer<typeof itemSchema>

/** A whole item from JSON of the Connect API or of `op item get`; undefined when it is none. */
export function parseItem(json: unknown): Item | undefined {
  return parse(itemSchema, json)
}

/** One request of the past, as the server recorded it. */
export const activitySchema = z.object({
  requestId: text,
  timestamp: text,
  /** `READ`, `CREATE`, `UPDATE` or `DELETE`. */
  action: text,
  /** `SUCCESS` or `DENY`. */
  result: text,
  actor: maybe(z.object({ id: text, account: text, jti: text, userAgent: text, requestIp: text })),
  resource: maybe(
    z.object({
      type: text,
      vault: maybe(z.object({ id: text })),
      item: maybe(z.object({ id: text })),
      itemVersion: maybe(version),
    }),
  ),
})
export type Activity = z.infer<typeof activitySchema>

/** What the server says of itself. */
export const healthSchema = z.object({
  name: text,
  version: text,
  dependencies: list(z.object({ service: text, status: text, message: maybe(z.string()) })),
})
export type Health = z.infer<typeof healthSchema>

/** Body of an error answer. */
export const errorBodySchema = z.object({ status: z.optional(z.int()), message: text })

/** `value` parsed by `schema`, or `undefined` when it does not fit. */
export function parse<T extends z.ZodMiniType>(schema: T, value: unknown): z.infer<T> | undefined {
  const result = z.safeParse(schema, value)
  return result.success ? result.data : undefined
}
