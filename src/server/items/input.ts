import type { FieldInput, ItemInput } from '../api.ts'
import { newId } from '../ids.ts'
import { badInput } from '../refusals.ts'
import { dateValue, monthYearValue } from './dates.ts'
import { estimateEntropy, generate } from './generate.ts'
import type { ItemContent, Purpose, StoredField, StoredSection, StoredUrl } from './model.ts'

/**
 * Field types: the eight documented ones, OTP as it is on the wire, and the others that
 * 1Password's own clients know. Source: connect-sdk-go onepassword/items.go
 */
const FIELD_TYPES: ReadonlySet<string> = new Set([
  'STRING',
  'EMAIL',
  'CONCEALED',
  'URL',
  'OTP',
  'DATE',
  'MONTH_YEAR',
  'MENU',
  'ADDRESS',
  'CREDIT_CARD_NUMBER',
  'CREDIT_CARD_TYPE',
  'FILE',
  'GENDER',
  'PHONE',
  'REFERENCE',
  'SSHKEY',
  'UNKNOWN',
])

/** Ids and labels of the fields that 1Password builds into an item, by purpose. */
const BUILT_IN: Readonly<Record<Purpose, string>> = {
  USERNAME: 'username',
  PASSWORD: 'password',
  NOTES: 'notesPlain',
}

/** Built-in fields that items of a category always have, in order. */
const CATEGORY_FIELDS: Readonly<Record<string, readonly Purpose[]>> = {
  LOGIN: ['USERNAME', 'PASSWORD', 'NOTES'],
  PASSWORD: ['PASSWORD', 'NOTES'],
}

/** Connect refuses to create these. Source: 1Password/connect CHANGELOG, 1.2.0 and 1.7.0 */
const NOT_CREATABLE: ReadonlySet<string> = new Set(['CUSTOM', 'DOCUMENT'])

/** @throws KeyferryError REQUEST_REFUSED 400 when items of this category cannot be created */
export function assertCreatable(category: string): void {
  if (NOT_CREATABLE.has(category)) throw badInput('Invalid item category')
}

/**
 * What a client means by an item: empty and null members are absent, ids are made up where
 * missing, values are generated where asked for, dates brought into form, built-in fields added.
 * The input has the shape of the document's ItemInput.
 * @throws KeyferryError REQUEST_REFUSED 400
 */
export function readItem(input: ItemInput): ItemContent {
  const sections = readSections(input)
  const fields = withBuiltIns(
    (input.fields ?? []).map((field) => readField(field)),
    input.category,
  )
  assertDistinct(fields)
  return {
    title: input.title ?? '',
    category: input.category,
    favorite: input.favorite ?? false,
    tags: [...new Set((input.tags ?? []).filter((tag) => tag !== ''))],
    urls: withOnePrimary((input.urls ?? []).flatMap(readUrl)),
    sections,
    fields,
  }
}

/** @throws KeyferryError REQUEST_REFUSED 400 when the body names another vault than the path */
export function assertVault(input: ItemInput, vault: string): void {
  const named = input.vault?.id
  if (named && named !== vault) throw badInput('The vault of the item is not the vault of the path')
}

function readUrl(url: NonNullable<ItemInput['urls']>[number]): StoredUrl[] {
  if (url.href === '') return []
  const label = url.label ? { label: url.label } : {}
  return [{ href: url.href, ...label, ...(url.primary ? { primary: true } : {}) }]
}

/** The last URL marked primary is it. Source: connect-sdk-js, ItemBuilder.addUrl */
function withOnePrimary(urls: readonly StoredUrl[]): StoredUrl[] {
  const last = urls.findLastIndex(({ primary }) => primary)
  return urls.map(({ primary, ...url }, index) =>
    primary && index === last ? { ...url, primary } : url,
  )
}

/** The sections of the item, and those that only fields name. */
function readSections(input: ItemInput): StoredSection[] {
  const sections = new Map<string, StoredSection>()
  for (const { id, label } of input.sections ?? []) {
    if (!id && !label) continue
    const known = id || newId()
    sections.set(known, { id: known, ...(label ? { label } : {}) })
  }
  for (const { section } of input.fields ?? []) {
    if (!section?.id || sections.has(section.id)) continue
    sections.set(section.id, { id: section.id, ...(section.label ? { label: section.label } : {}) })
  }
  return [...sections.values()]
}

function readField(input: FieldInput): StoredField {
  const purpose = input.purpose || undefined
  const type = readType(input.type, purpose)
  const id = input.id || (purpose ? BUILT_IN[purpose] : newId())
  const label = input.label || (purpose ? BUILT_IN[purpose] : '')
  const { value, entropy } = readValue(input, type, purpose)
  return {
    id,
    type,
    label,
    ...(purpose ? { purpose } : {}),
    ...(value ? { value } : {}),
    ...(input.section?.id ? { section: input.section.id } : {}),
    ...(value && entropy !== undefined ? { entropy } : {}),
  }
}

function readType(type: string | null | undefined, purpose: Purpose | undefined): string {
  if (!type) return purpose === 'PASSWORD' ? 'CONCEALED' : 'STRING'
  const upper = type.toUpperCase()
  const known = upper === 'TOTP' ? 'OTP' : upper
  if (!FIELD_TYPES.has(known)) throw badInput('Invalid field type')
  return known
}

function readValue(
  input: FieldInput,
  type: string,
  purpose: Purpose | undefined,
): { value?: string; entropy?: number } {
  if (!input.value && input.generate) {
    const { value, entropy } = generate(input.recipe ?? undefined)
    return purpose === 'PASSWORD' ? { value, entropy } : { value }
  }
  if (!input.value) return {}
  if (type === 'DATE') return { value: dateValue(input.value) }
  if (type === 'MONTH_YEAR') return { value: monthYearValue(input.value) }
  if (purpose !== 'PASSWORD') return { value: input.value }
  return { value: input.value, entropy: estimateEntropy(input.value) }
}

/** Adds the empty built-in fields that items of the category have anyway. */
function withBuiltIns(fields: StoredField[], category: string): StoredField[] {
  const missing = (CATEGORY_FIELDS[category] ?? []).filter(
    (purpose) => !fields.some((field) => field.purpose === purpose),
  )
  const taken = new Set(fields.map(({ id }) => id))
  const added = missing.map((purpose): StoredField => {
    const label = BUILT_IN[purpose]
    const type = purpose === 'PASSWORD' ? 'CONCEALED' : 'STRING'
    // A labelled field without purpose may already use the usual id.
    return { id: taken.has(label) ? newId() : label, type, label, purpose }
  })
  return [...fields, ...added]
}

function assertDistinct(fields: readonly StoredField[]): void {
  const ids = new Set<string>()
  const purposes = new Set<Purpose>()
  for (const { id, purpose } of fields) {
    if (purpose && purposes.has(purpose)) {
      throw badInput(`The item has too many "${BUILT_IN[purpose]}" fields`)
    }
    if (ids.has(id)) throw badInput('The item has two fields with the same id')
    if (purpose) purposes.add(purpose)
    ids.add(id)
  }
}
