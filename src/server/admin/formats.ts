import { parseAllDocuments } from 'yaml'
import * as z from 'zod/mini'
import { isId } from '../../connect/model.ts'
import type { FieldInput, ItemInput, RecipeInput } from '../api.ts'
import { timestamp } from '../items/model.ts'
import { invalid } from './names.ts'

/** Where the content of a file to be imported is. */
export type FileSource =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** Relative to the file that names it. */
  | { readonly kind: 'path'; readonly path: string }

/** A file of an item to be imported. */
export interface ReadFile {
  readonly name: string
  readonly section?: string
  readonly source: FileSource
}

/** An item to be imported. */
export interface ReadItem {
  readonly id?: string
  readonly version?: number
  readonly state?: 'ARCHIVED'
  readonly createdAt?: string
  readonly updatedAt?: string
  readonly input: ItemInput
  readonly files: readonly ReadFile[]
}

/** A vault to be imported. */
export interface ReadVault {
  readonly id?: string
  readonly name: string
  readonly description?: string
  readonly items: readonly ReadItem[]
}

/** What a text to be imported holds. */
export interface ReadImport {
  readonly vaults: readonly ReadVault[]
  /** Names of files that the text mentions without their content. */
  readonly filesWithoutContent: readonly string[]
  /** Titles of items that came without fields: `op item list` prints such. */
  readonly itemsWithoutFields: readonly string[]
}

const text = z.string()
const flag = z.union([z.boolean(), z.enum(['true', 'false'])])
const scalar = z.union([text, z.number(), z.boolean()])
const list = <T extends z.core.SomeType>(schema: T) => z.optional(z.nullable(z.array(schema)))
const number = z.union([z.number(), text])

const fieldSchema = z.object({
  id: z.optional(text),
  label: z.optional(text),
  type: z.optional(text),
  purpose: z.optional(text),
  value: z.optional(z.nullable(scalar)),
  section: z.optional(z.union([text, z.object({ id: text, label: z.optional(text) })])),
  generate: z.optional(
    z.union([
      flag,
      z.object({
        length: z.optional(number),
        characterSets: z.optional(z.array(text)),
        excludeCharacters: z.optional(text),
      }),
    ]),
  ),
})
type FieldText = z.infer<typeof fieldSchema>

const fileSchema = z.object({
  name: z.optional(text),
  section: z.optional(z.union([text, z.object({ id: text })])),
  text: z.optional(text),
  base64: z.optional(text),
  path: z.optional(text),
})

const itemSchema = z.object({
  id: z.optional(text),
  title: text,
  category: z.optional(text),
  favorite: z.optional(flag),
  version: z.optional(number),
  state: z.optional(text),
  vault: z.optional(z.union([text, z.object({ id: z.optional(text), name: z.optional(text) })])),
  tags: list(text),
  urls: list(
    z.union([text, z.object({ href: text, label: z.optional(text), primary: z.optional(flag) })]),
  ),
  sections: list(z.object({ id: text, label: z.optional(text) })),
  fields: z.optional(
    z.nullable(
      z.union([z.array(fieldSchema), z.record(text, z.nullable(z.union([scalar, fieldSchema])))]),
    ),
  ),
  notes: z.optional(text),
  files: list(fileSchema),
  created_at: z.optional(text),
  updated_at: z.optional(text),
  createdAt: z.optional(text),
  updatedAt: z.optional(text),
})
type ItemText = z.infer<typeof itemSchema>

const vaultSchema = z.object({
  id: z.optional(text),
  vault: z.optional(text),
  name: z.optional(text),
  description: z.optional(text),
  items: list(itemSchema),
})
const documentSchema = z.union([
  z.object({ vaults: z.array(vaultSchema) }),
  // Items first: they have a title, while every member of a vault may be absent.
  z.array(z.union([itemSchema, vaultSchema])),
  itemSchema,
  vaultSchema,
])

/**
 * Reads what `op item get --format json` and `op item list --format json` print (one object, a
 * list, or several one after the other), what `keyferry connect export` writes, and the YAML
 * of docs/connect.md.
 * @param vault name of the vault for items that name none
 * @throws KeyferryError INPUT_INVALID with the place of the mistake
 */
export function readImport(source: string, vault: string | undefined): ReadImport {
  const vaults = new Map<string, { head: Omit<ReadVault, 'items'>; items: ReadItem[] }>()
  const bare: string[] = []
  const contentless: string[] = []
  const add = (head: Omit<ReadVault, 'items'>, items: readonly ItemText[]) => {
    const entry = vaults.get(head.id ?? head.name) ?? { head, items: [] }
    vaults.set(head.id ?? head.name, entry)
    for (const item of items) {
      if (item.fields === undefined && item.notes === undefined) bare.push(item.title)
      for (const file of item.files ?? []) {
        if (!hasContent(file)) contentless.push(file.name ?? '')
      }
      entry.items.push(readItem(item))
    }
  }
  for (const document of documentsOf(source)) {
    for (const part of partsOf(document)) {
      if ('title' in part) add(vaultOf(part, vault), [part])
      else add(headOf(part, vault), part.items ?? [])
    }
  }
  return {
    vaults: [...vaults.values()].map(({ head, items }) => ({ ...head, items })),
    itemsWithoutFields: bare,
    filesWithoutContent: contentless,
  }
}

type VaultText = z.infer<typeof vaultSchema>

function partsOf(document: unknown): (VaultText | ItemText)[] {
  const parsed = z.safeParse(documentSchema, document)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw invalid(
      `the file is no list of vaults or items: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`,
      'docs/connect.md shows the forms.',
    )
  }
  const { data } = parsed
  if (Array.isArray(data)) return data
  return 'vaults' in data ? data.vaults : [data]
}

/**
 * Every scalar is taken as it is written: in a file of secrets, 0123, yes and 1e3 are values,
 * not numbers or booleans.
 */
function documentsOf(source: string): unknown[] {
  try {
    return [JSON.parse(source)]
  } catch {
    // Not one JSON value: several of them, or YAML.
  }
  const several = jsonValues(source)
  if (several) return several
  const documents = parseAllDocuments(source, { schema: 'failsafe' })
  if (!Array.isArray(documents)) return []
  return documents.map((document) => {
    const [problem] = document.errors
    if (problem) {
      // The first line of the message names the place; those after it quote the file.
      const [where = ''] = problem.message.split('\n')
      throw invalid(`the file is neither JSON nor YAML: ${where}`, 'Correct it.')
    }
    return document.toJS({ maxAliasCount: 100 }) as unknown
  })
}

/** JSON objects one after the other, as `op` prints them for several items. */
function jsonValues(source: string): unknown[] | undefined {
  if (!/^\s*\{/.test(source)) return undefined
  const values: unknown[] = []
  let start = 0
  let depth = 0
  let quoted = false
  for (let i = 0; i < source.length; i++) {
    const char = source[i]
    if (quoted && char === '\\') i += 1
    else if (char === '"') quoted = !quoted
    else if (!quoted && char === '{') depth += 1
    else if (!quoted && char === '}' && --depth === 0) {
      try {
        values.push(JSON.parse(source.slice(start, i + 1)))
      } catch {
        return undefined
      }
      start = i + 1
    }
  }
  return source.slice(start).trim() === '' ? values : undefined
}

function vaultOf(item: ItemText, vault: string | undefined): Omit<ReadVault, 'items'> {
  const named = typeof item.vault === 'string' ? { name: item.vault } : item.vault
  if (vault !== undefined) return { name: vault }
  const name = named?.name ?? named?.id
  if (name === undefined) throw invalid(`item ${item.title} names no vault`, 'Give --vault NAME.')
  return { name, ...(named?.id && isId(named.id) ? { id: named.id } : {}) }
}

function headOf(part: VaultText, vault: string | undefined): Omit<ReadVault, 'items'> {
  const name = vault ?? part.vault ?? part.name
  if (name === undefined) throw invalid('a vault without a name', 'Add vault: NAME.')
  const { id, description } = part
  return {
    name,
    ...(id && isId(id) && vault === undefined ? { id } : {}),
    ...(description ? { description } : {}),
  }
}

function readItem(item: ItemText): ReadItem {
  const { id, title, category, favorite, tags, urls, version, state } = item
  const sections = new Map((item.sections ?? []).map((section) => [section.id, section]))
  const sectionFor = (named: FieldText['section']): { id: string; label?: string } | undefined => {
    if (named === undefined) return undefined
    const known =
      typeof named === 'string'
        ? [...sections.values()].find(({ id: own, label }) => own === named || label === named)
        : sections.get(named.id)
    const found = known ?? (typeof named === 'string' ? { id: named, label: named } : exact(named))
    sections.set(found.id, found)
    return exact(found)
  }
  const fields = fieldsOf(item, category ?? 'LOGIN', sectionFor)
  const files = (item.files ?? []).flatMap((file) => readFile(file, sectionFor))
  const input = {
    title,
    category: (category ?? 'LOGIN').toUpperCase() as ItemInput['category'],
    favorite: isTrue(favorite),
    tags: tags ?? [],
    urls: (urls ?? []).map((url) =>
      typeof url === 'string'
        ? { href: url }
        : exact({ ...url, primary: isTrue(url.primary) || undefined }),
    ) as NonNullable<ItemInput['urls']>,
    sections: [...sections.values()].map((section) => exact(section)),
    fields,
  } satisfies ItemInput
  const created = item.created_at ?? item.createdAt
  const updated = item.updated_at ?? item.updatedAt
  return {
    ...(id && isId(id) ? { id } : {}),
    ...(version === undefined ? {} : { version: Math.max(1, Math.floor(Number(version)) || 1) }),
    ...(state === 'ARCHIVED' ? { state } : {}),
    ...(created ? { createdAt: readDate(created) } : {}),
    ...(updated ? { updatedAt: readDate(updated) } : {}),
    input,
    files,
  }
}

type SectionFor = (named: FieldText['section']) => { id: string; label?: string } | undefined

function fieldsOf(item: ItemText, category: string, sectionFor: SectionFor): FieldInput[] {
  const given = item.fields ?? []
  const listed: FieldText[] = Array.isArray(given)
    ? given
    : Object.entries(given).map(([label, value]) => shortField(label, value, category))
  if (item.notes !== undefined) listed.push({ purpose: 'NOTES', value: item.notes })
  const ids = new Set<string>()
  return listed.map((field) => {
    const id = field.id !== undefined && !ids.has(field.id) ? field.id : ''
    if (id !== '') ids.add(id)
    const section = sectionFor(field.section)
    return {
      id,
      label: field.label ?? '',
      type: field.type ?? '',
      purpose: (field.purpose ?? '') as NonNullable<FieldInput['purpose']>,
      value: field.value === undefined || field.value === null ? '' : String(field.value),
      ...(section ? { section } : {}),
      ...recipeOf(field.generate),
    }
  })
}

/** `label: value`, or `label: {value: …, type: …}`. */
function shortField(
  label: string,
  value: FieldText | string | number | boolean | null,
  category: string,
): FieldText {
  const field: FieldText = typeof value === 'object' && value !== null ? value : { value }
  const builtIn = { username: 'USERNAME', password: 'PASSWORD' }[label]
  const owns = category === 'LOGIN' || (category === 'PASSWORD' && label === 'password')
  return {
    label,
    ...(/^[A-Za-z0-9_-]{1,64}$/.test(label) ? { id: label } : {}),
    ...(label === 'password' ? { type: 'CONCEALED' } : {}),
    ...(builtIn && owns ? { purpose: builtIn } : {}),
    ...field,
  }
}

function recipeOf(generate: FieldText['generate']): Pick<FieldInput, 'generate' | 'recipe'> {
  if (generate === undefined) return {}
  if (typeof generate !== 'object') return { generate: isTrue(generate) }
  const { length, characterSets, excludeCharacters } = generate
  const sets = characterSets?.map((set) => set.toUpperCase())
  const recipe = {
    ...(length === undefined ? {} : { length: Number(length) }),
    ...(sets ? { characterSets: sets as NonNullable<RecipeInput>['characterSets'] } : {}),
    ...(excludeCharacters === undefined ? {} : { excludeCharacters }),
  }
  return { generate: true, recipe: recipe as RecipeInput }
}

type FileText = z.infer<typeof fileSchema>

const hasContent = (file: FileText): boolean =>
  file.text !== undefined || file.base64 !== undefined || file.path !== undefined

function readFile(file: FileText, sectionFor: SectionFor): ReadFile[] {
  if (!hasContent(file)) return []
  const section = sectionFor(file.section)
  const source: FileSource =
    file.path !== undefined
      ? { kind: 'path', path: file.path }
      : {
          kind: 'bytes',
          bytes:
            file.text === undefined
              ? Buffer.from(file.base64 ?? '', 'base64')
              : Buffer.from(file.text),
        }
  const name = file.name ?? file.path?.split('/').at(-1) ?? 'file'
  return [{ name, source, ...(section ? { section: section.id } : {}) }]
}

function readDate(date: string): string {
  const ms = Date.parse(date)
  if (Number.isNaN(ms)) throw invalid('a date is not in RFC 3339 form', 'Correct it.')
  return timestamp(ms)
}

const isTrue = (value: boolean | string | undefined): boolean => value === true || value === 'true'

function exact<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(value).filter(([, member]) => member !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> }
}
