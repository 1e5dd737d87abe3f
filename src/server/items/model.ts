/**
 * Vaults, items and tokens as the store keeps them. Ids, versions and dates are the server's;
 * everything else is what clients sent, normalised.
 */

/** What a token may do in a vault. */
export type Right = 'r' | 'w' | 'rw'

/** Kinds of vaults that Connect knows; those made here are USER_CREATED. */
export type VaultType = 'USER_CREATED' | 'PERSONAL' | 'EVERYONE' | 'TRANSFER'

/** A vault and what is counted about it. */
export interface Vault {
  readonly id: string
  readonly name: string
  readonly description?: string
  readonly type: VaultType
  /** RFC 3339 in UTC with seconds, like every date here. */
  readonly createdAt: string
  readonly updatedAt: string
  /** Rises with name and description. */
  readonly attributeVersion: number
  /** Rises with every write to an item of the vault. */
  readonly contentVersion: number
  /** Number of items that are not archived. */
  readonly active: number
}

/** What a built-in field is for. */
export type Purpose = 'USERNAME' | 'PASSWORD' | 'NOTES'

/** A field; empty members are absent. */
export interface StoredField {
  readonly id: string
  readonly type: string
  readonly label: string
  readonly purpose?: Purpose
  readonly value?: string
  /** Id of the section. */
  readonly section?: string
  /** Bits; only for a purpose of PASSWORD. */
  readonly entropy?: number
}

/** A URL of an item; at most one is primary. */
export interface StoredUrl {
  readonly href: string
  readonly label?: string
  readonly primary?: boolean
}

/** A section that fields and files belong to. */
export interface StoredSection {
  readonly id: string
  readonly label?: string
}

/** A file; its content is stored in parts of its own. */
export interface StoredFile {
  readonly id: string
  readonly name: string
  /** Bytes. */
  readonly size: number
  /** SHA-256 of the content in base64: ties the chunks to the item. */
  readonly sha256: string
  /** Number of chunks the content is stored in. */
  readonly chunks: number
  /** Id of the section. */
  readonly section?: string
}

/** What clients decide about an item. */
export interface ItemContent {
  readonly title: string
  readonly category: string
  readonly favorite: boolean
  readonly tags: readonly string[]
  readonly urls: readonly StoredUrl[]
  readonly sections: readonly StoredSection[]
  readonly fields: readonly StoredField[]
}

/** An item, with what the server decides about it. */
export interface Item extends ItemContent {
  readonly id: string
  readonly vault: string
  readonly version: number
  readonly files: readonly StoredFile[]
  readonly createdAt: string
  readonly updatedAt: string
  readonly lastEditedBy: string
  /** Absent while the item is active. */
  readonly state?: 'ARCHIVED' | 'DELETED'
}

/** A token, without the token itself. */
export interface Token {
  /** Also the JWT's `jti`: 26 characters. */
  readonly id: string
  readonly name: string
  readonly kind: 'jwt' | 'opaque'
  /** SHA-256 of an opaque token in base64. */
  readonly hash?: string
  readonly rights: Readonly<Record<string, Right>>
  /** UUID under which activity names the holder. */
  readonly actor: string
  readonly createdAt: string
  /** Unix seconds. */
  readonly expires?: number
  readonly revokedAt?: string
}

/** RFC 3339 in UTC with seconds, as Connect writes dates. @param ms Unix milliseconds */
export function timestamp(ms: number): string {
  const second = Math.floor(ms / 1000)
  if (second !== latest.second) {
    latest = { second, text: `${new Date(second * 1000).toISOString().slice(0, 19)}Z` }
  }
  return latest.text
}

/** Every request needs the current second, thousands of times in each. */
let latest = { second: 0, text: '1970-01-01T00:00:00Z' }
