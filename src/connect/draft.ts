/**
 * Items as they are sent. Values may be texts or {@link SecretValue}s: what was read can be sent
 * back as it is.
 */
import { SecretValue } from './secret-value.ts'

/** A text to be sent: plain, or one that was read and does not print itself. */
export type Text = string | SecretValue

/** How the server is to generate a value. Source: Connect API, `GeneratorRecipe`. */
export interface Recipe {
  /** 1 to 64; 32 unless told. */
  readonly length?: number
  readonly characterSets?: readonly ('LETTERS' | 'DIGITS' | 'SYMBOLS')[]
  readonly excludeCharacters?: string
}

/** A field to be sent. Source: Connect API, `Field`. */
export interface FieldDraft {
  readonly id?: string | undefined
  /** `STRING` unless told. */
  readonly type?: string | undefined
  readonly purpose?: string | undefined
  readonly label?: string | undefined
  readonly section?: { readonly id: string } | undefined
  readonly value?: Text | undefined
  /** Whether the server makes a value; it does so only where there is none. */
  readonly generate?: boolean | undefined
  readonly recipe?: Recipe | undefined
}

/**
 * An item to be sent; an item that was read is one. Source: Connect API, `FullItem`. Members that
 * the server decides (version, dates, files) are not sent.
 */
export interface ItemDraft {
  readonly title?: string
  /** `LOGIN`, `DATABASE`, … */
  readonly category: string
  readonly favorite?: boolean
  readonly tags?: readonly string[]
  readonly urls?: readonly {
    readonly href: Text
    readonly label?: string | undefined
    readonly primary?: boolean | undefined
  }[]
  readonly sections?: readonly { readonly id: string; readonly label?: string | undefined }[]
  readonly fields?: readonly FieldDraft[]
}

/** One step of a patch: RFC 6902, with `/fields/<id>/<member>` as path. */
export interface PatchOperation {
  readonly op: 'add' | 'remove' | 'replace'
  readonly path: string
  /** Any JSON; texts in it may be {@link SecretValue}s. */
  readonly value?: unknown
}

/** The body of a request that creates or replaces the item. */
export function itemBody(draft: ItemDraft, ids: { vaultId: string; itemId?: string }): unknown {
  const { title, category, favorite, tags, urls, sections, fields } = draft
  return revealed({
    ...(ids.itemId === undefined ? {} : { id: ids.itemId }),
    vault: { id: ids.vaultId },
    title,
    category,
    favorite,
    tags,
    urls,
    sections,
    fields: fields?.map(({ id, type, purpose, label, section, value, generate, recipe }) => {
      return { id, type, purpose, label, section, value, generate, recipe }
    }),
  })
}

/** The body of a patch. */
export function patchBody(operations: readonly PatchOperation[]): unknown {
  return revealed(operations)
}

/** The same JSON with texts in the place of secret values, which do not print themselves. */
function revealed(value: unknown): unknown {
  if (value instanceof SecretValue) return Buffer.from(value.reveal()).toString('utf8')
  if (Array.isArray(value)) return value.map(revealed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, revealed(part)]))
}
