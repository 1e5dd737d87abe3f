import type { ApiField, ApiFile, ApiVault, FullItem, ItemSummary } from '../api.ts'
import type { Summary } from '../store/summaries.ts'
import type { Item, StoredField, StoredFile, Vault } from './model.ts'
import { currentCode } from './otp.ts'

/** A vault as the API answers it. */
export function vaultBody(vault: Vault): ApiVault {
  const { id, name, description, attributeVersion, contentVersion, active, type } = vault
  return {
    id,
    name,
    ...(description ? { description } : {}),
    attributeVersion,
    contentVersion,
    items: active,
    type,
    createdAt: vault.createdAt,
    updatedAt: vault.updatedAt,
  }
}

/** A vault as a token sees it that may only write there: what it was issued for. */
export function vaultIdentity({ id, name }: Vault): ApiVault {
  return { id, name }
}

/** An item as lists answer it: without fields, sections and files. Empty members are left out. */
function summaryBody(item: Item): ItemSummary {
  const { id, title, vault, category, urls, favorite, tags, version, state } = item
  return {
    id,
    title,
    vault: { id: vault },
    category: category as ItemSummary['category'],
    ...(urls.length > 0 ? { urls: [...urls] } : {}),
    ...(favorite ? { favorite } : {}),
    ...(tags.length > 0 ? { tags: [...tags] } : {}),
    version,
    ...(state ? { state } : {}),
    createdAt: item.createdAt,
    updatedAt: item.updatedAt,
    lastEditedBy: item.lastEditedBy,
  }
}

/** What the store keeps in memory of an item, to list it. */
export function summarise(item: Item): Summary {
  const { id, version, title, tags, state } = item
  const json = JSON.stringify(summaryBody(item))
  return { id, version, title, tags, active: state === undefined, json }
}

/** A whole item as the API answers it. @param nowMs for one-time passwords */
export function itemBody(item: Item, nowMs: number): FullItem {
  const { sections, fields, files } = item
  return {
    ...summaryBody(item),
    ...(sections.length > 0 ? { sections: [...sections] } : {}),
    // Ansible's collection indexes `fields` and every `label`: both are always there.
    fields: fields.map((field) => fieldBody(field, nowMs)),
    ...(files.length > 0 ? { files: files.map((file) => fileBody(item, file)) } : {}),
  }
}

/** Texts of items that are in memory anyway, without one-time passwords, which change. */
const texts = new WeakMap<Item, string>()

/** A whole item as the text of its answer. @param nowMs for one-time passwords */
export function itemText(item: Item, nowMs: number): string {
  const known = texts.get(item)
  if (known !== undefined) return known
  const text = JSON.stringify(itemBody(item, nowMs))
  if (!item.fields.some(({ type }) => type === 'OTP')) texts.set(item, text)
  return text
}

function fieldBody(field: StoredField, nowMs: number): ApiField {
  const { id, type, label, purpose, value, section, entropy } = field
  const totp = type === 'OTP' && value ? currentCode(value, nowMs) : undefined
  return {
    id,
    ...(section ? { section: { id: section } } : {}),
    type: type as ApiField['type'],
    ...(purpose ? { purpose } : {}),
    label,
    ...(value ? { value } : {}),
    ...(entropy === undefined ? {} : { entropy }),
    ...(totp ? { totp } : {}),
  }
}

/** The path that a file's content is downloaded from; clients append it to the host. */
function contentPath(item: Pick<Item, 'vault' | 'id'>, file: string): string {
  return `/v1/vaults/${item.vault}/items/${item.id}/files/${file}/content`
}

/** A file as the API answers it, without its content. */
export function fileBody(item: Item, file: StoredFile): ApiFile {
  return {
    id: file.id,
    name: file.name,
    size: file.size,
    ...(file.section ? { section: { id: file.section } } : {}),
    content_path: contentPath(item, file.id),
  }
}
