import type { FieldInput, PatchOperation } from '../api.ts'
import { badInput, refuse } from '../refusals.ts'
import type { Item } from './model.ts'

/** An item as a patch works on it: the input form, so that the result is read like a PUT. */
type Editable = Record<string, unknown> & { fields: FieldInput[] }

const MEMBERS: ReadonlySet<string> = new Set([
  'title',
  'category',
  'favorite',
  'tags',
  'urls',
  'sections',
  'fields',
])
const FIELD_MEMBERS: ReadonlySet<string> = new Set([
  'label',
  'value',
  'type',
  'purpose',
  'section',
  'generate',
  'recipe',
])
/** Members of the entries of other lists. */
const ENTRY_MEMBERS: Readonly<Record<string, ReadonlySet<string>>> = {
  urls: new Set(['href', 'label', 'primary']),
  sections: new Set(['label']),
}
/** Members of a field that can be changed without learning anything about what is stored. */
const BLIND_MEMBERS: ReadonlySet<string> = new Set(['label', 'value'])

/** Whether the caller may know what is stored. */
export type Sight = 'sighted' | 'blind'

/**
 * Applies a patch to an item and gives what it becomes, in the form of a PUT body, which the
 * caller must check like one. Fields are addressed by id, other lists by position, sections also
 * by id. A blind
 * caller is never told that a field is missing: changing it makes it, removing it does nothing.
 * @throws KeyferryError REQUEST_REFUSED 400 for a path that does not exist, 403 for a blind
 * caller's operation whose outcome would depend on what is stored
 * Source: 1Password Connect API, "Update a subset of Item attributes"; RFC 6901, RFC 6902
 */
export function applyPatch(item: Item, patch: readonly PatchOperation[], sight: Sight): unknown {
  // Without a value, an operation that was cut short would empty what it names.
  if (patch.some((operation) => operation.op !== 'remove' && !('value' in operation))) {
    throw badInput('A patch operation that adds or replaces needs a value')
  }
  if (sight === 'blind') assertBlind(patch)
  let document = editable(item)
  for (const operation of patch) {
    const [member = '', ...rest] = pointer(operation.path)
    if (member === '') document = replaceAll(document, operation)
    else if (!MEMBERS.has(member)) throw badInput('The patch names a member that cannot be changed')
    else if (rest.length === 0 && !(member === 'fields' && isAppended(operation))) {
      setMember(document, member, operation)
    } else if (member === 'fields') patchFields(document, rest, operation, sight)
    else patchList(document, member, rest, operation)
  }
  return document
}

/** Adding one field to the list appends it; a list takes the place of the whole list. */
const isAppended = ({ op, value }: PatchOperation): boolean => op === 'add' && !Array.isArray(value)

/** A type, for instance, can be changed only if the stored value fits: that would tell. */
function assertBlind(patch: readonly PatchOperation[]): void {
  for (const { path, value } of patch) {
    const [member = '', position, attribute] = pointer(path)
    const tells =
      member === 'fields'
        ? attribute !== undefined && !BLIND_MEMBERS.has(attribute)
        : position !== undefined
    if (tells || (member === 'fields' && isObject(value) && value['purpose'])) {
      throw refuse(403, 'Authorization: token does not have permission to perform read on the item')
    }
  }
}

function pointer(path: string): string[] {
  if (path === '' || path === '/') return []
  if (!path.startsWith('/')) throw badInput('The path of a patch operation must start with /')
  const parts = path.slice(1).split('/')
  return parts.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function editable(item: Item): Editable {
  const { title, category, favorite, tags, urls, sections, fields } = item
  return {
    title,
    category,
    favorite,
    tags: [...tags],
    urls: [...urls],
    sections: [...sections],
    fields: fields.map(({ id, type, label, purpose, value, section }) => ({
      id,
      type,
      label,
      ...(purpose ? { purpose } : {}),
      ...(value ? { value } : {}),
      ...(section ? { section: { id: section } } : {}),
    })),
  }
}

function replaceAll(document: Editable, { op, value }: PatchOperation): Editable {
  if (op === 'remove') throw badInput('The item itself cannot be removed by a patch')
  if (!isObject(value)) throw badInput('The value for the whole item must be an object')
  const fields = Array.isArray(value['fields']) ? (value['fields'] as FieldInput[]) : []
  return { ...value, category: value['category'] ?? document['category'], fields }
}

function setMember(document: Editable, member: string, { op, value }: PatchOperation): void {
  if (op === 'remove') {
    if (member === 'fields') document.fields = []
    else delete document[member]
  } else if (member === 'fields') {
    if (!Array.isArray(value)) throw badInput('The value for /fields must be a list')
    document.fields = value as FieldInput[]
  } else {
    document[member] = value
  }
}

function patchFields(
  document: Editable,
  [id = '-', attribute, ...more]: readonly string[],
  operation: PatchOperation,
  sight: Sight,
): void {
  const { op, value } = operation
  const { fields } = document
  if (more.length > 0) throw badInput('The path of a patch operation leads nowhere')
  const isNew = op === 'add' && id === '-' && attribute === undefined
  const index = isNew ? -1 : fields.findIndex((field) => field.id === id)
  const field = fields[index]
  const mayMiss = isNew || sight === 'blind' || (op === 'add' && attribute === undefined)
  if (field === undefined && !mayMiss) {
    throw badInput('The patch names a field that does not exist')
  }
  if (op === 'remove' && attribute === undefined) {
    if (field) fields.splice(index, 1)
    return
  }
  const next = attribute === undefined ? fieldValue(value, isNew ? undefined : id) : undefined
  const changed = next ?? patchField(field ?? { id }, attribute ?? '', operation)
  if (field === undefined) fields.push(changed)
  else fields[index] = changed
}

function fieldValue(value: unknown, id: string | undefined): FieldInput {
  if (!isObject(value)) throw badInput('The value for a field must be an object')
  return id === undefined ? value : { ...value, id }
}

function patchField(field: FieldInput, attribute: string, operation: PatchOperation): FieldInput {
  if (!FIELD_MEMBERS.has(attribute)) {
    throw badInput('The patch names a member of a field that cannot be changed')
  }
  return withMember(field, attribute, operation)
}

function withMember<T extends object>(entry: T, name: string, { op, value }: PatchOperation): T {
  const others = Object.entries(entry).filter(([known]) => known !== name)
  return Object.fromEntries(op === 'remove' ? others : [...others, [name, value]]) as T
}

function patchList(
  document: Editable,
  member: string,
  [position = '', attribute, ...more]: readonly string[],
  operation: PatchOperation,
): void {
  const { op, value } = operation
  const list = document[member]
  if (!Array.isArray(list) || more.length > 0) {
    throw badInput('The path of a patch operation leads nowhere')
  }
  const isInsert = op === 'add' && attribute === undefined
  const index = isInsert && position === '-' ? list.length : indexIn(list, position)
  if (index < 0 || index > (isInsert ? list.length : list.length - 1)) {
    throw badInput('The patch names a position that does not exist')
  }
  if (attribute !== undefined) list[index] = patchEntry(list[index], member, attribute, operation)
  else if (op === 'add') list.splice(index, 0, value)
  else if (op === 'remove') list.splice(index, 1)
  else list[index] = value
}

/** The index that a position or an id means; -1: none. */
function indexIn(list: readonly unknown[], position: string): number {
  if (/^(0|[1-9]\d{0,6})$/.test(position)) return Number(position)
  return list.findIndex((entry) => isObject(entry) && entry['id'] === position)
}

function patchEntry(
  entry: unknown,
  member: string,
  attribute: string,
  operation: PatchOperation,
): object {
  if (!isObject(entry) || !ENTRY_MEMBERS[member]?.has(attribute)) {
    throw badInput('The path of a patch operation leads nowhere')
  }
  return withMember(entry, attribute, operation)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
