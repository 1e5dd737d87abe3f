/**
 * From a reference to the value it means in an item.
 */
import type { File, Item } from '../../connect/model.ts'
import { SecretValue } from '../../connect/secret-value.ts'
import { KeyferryError } from '../../errors.ts'
import type { ItemContent } from './content.ts'
import { toOpenSsh } from './openssh.ts'
import type { Attribute, Reference } from './reference.ts'

type Field = Item['fields'][number]

/**
 * The value of a reference. Among fields an id goes before a label, an exact label before one that
 * differs in case only, a field outside of sections before one inside; then files by id and name;
 * then URLs by label.
 *
 * @returns undefined for a file that was not fetched because no Secret can hold it
 * @throws KeyferryError FIELD_NOT_FOUND when nothing or more than one thing is meant, VALUE_UNFIT
 */
export function valueOf(reference: Reference, content: ItemContent): SecretValue | undefined {
  const value = findValue(reference, content)
  if (value === undefined || !reference.openSsh) return value
  return SecretValue.fromBytes(toOpenSsh(value.reveal()))
}

function findValue(reference: Reference, { item, files }: ItemContent): SecretValue | undefined {
  const field = choose(item.fields, reference, item, ({ label }) => label)
  if (field) return attributeOf(field, reference.attribute, reference)
  const file = choose(item.files, reference, item, ({ name }) => name)
  if (file) return fileAttribute(file, reference.attribute, reference, files)
  const url = item.urls.find(
    ({ label }) => reference.section === undefined && label === reference.field,
  )
  if (url) return url.href
  throw notFound(reference, item, 'has no')
}

interface Placed {
  readonly id: string
  readonly section?: { readonly id: string } | undefined
}

/** The one thing that is meant; undefined when none is. */
function choose<T extends Placed>(
  things: readonly T[],
  reference: Reference,
  item: Item,
  labelOf: (thing: T) => string,
): T | undefined {
  const inSection = things.filter((thing) => isIn(thing, reference.section, item))
  const wanted = reference.field.toLowerCase()
  const ranks: ((thing: T) => boolean)[] = [
    ({ id }) => id === reference.field,
    (thing) => labelOf(thing) === reference.field,
    (thing) => labelOf(thing).toLowerCase() === wanted,
  ]
  for (const rank of ranks) {
    const found = inSection.filter(rank)
    const outside = found.filter(({ section }) => section === undefined)
    const [only, ...more] = outside.length > 0 ? outside : found
    if (only && more.length === 0) return only
    if (only) throw notFound(reference, item, 'has more than one')
  }
  return undefined
}

/** Without a section in the reference, any place will do. */
function isIn({ section }: Placed, wanted: string | undefined, { sections }: Item): boolean {
  if (wanted === undefined) return true
  if (section === undefined) return false
  const label = sections.find(({ id }) => id === section.id)?.label ?? ''
  return section.id === wanted || label.toLowerCase() === wanted.toLowerCase()
}

function attributeOf(
  field: Field,
  attribute: Attribute | undefined,
  reference: Reference,
): SecretValue {
  const none = SecretValue.fromText('')
  switch (attribute) {
    case undefined:
    case 'value':
      return field.value ?? none
    case 'type':
      return SecretValue.fromText(field.type)
    case 'id':
      return SecretValue.fromText(field.id)
    case 'purpose':
      return SecretValue.fromText(field.purpose ?? '')
    case 'label':
      return SecretValue.fromText(field.label)
    case 'content':
    case 'name':
    case 'size':
      throw noAttribute(attribute, 'field', reference)
  }
}

function fileAttribute(
  file: File,
  attribute: Attribute | undefined,
  reference: Reference,
  files: ItemContent['files'],
): SecretValue | undefined {
  switch (attribute) {
    case undefined:
    case 'content':
      return files.get(file.id)
    case 'name':
      return SecretValue.fromText(file.name)
    case 'size':
      return SecretValue.fromText(String(file.size))
    case 'id':
      return SecretValue.fromText(file.id)
    case 'value':
    case 'type':
    case 'purpose':
    case 'label':
      throw noAttribute(attribute, 'file', reference)
  }
}

function noAttribute(attribute: string, what: string, { field }: Reference): KeyferryError {
  return new KeyferryError('FIELD_NOT_FOUND', {
    message: `${what} "${field}" has no attribute ${attribute}`,
    remedy:
      'Fields have value, type, id, purpose and label; files have content, name, size and id.',
    retry: 'on-change',
  })
}

const SHOWN = 20

function notFound({ field, section }: Reference, item: Item, problem: string): KeyferryError {
  const place = section === undefined ? '' : ` in section "${section}"`
  const labels = [...item.fields.map(({ label }) => label), ...item.files.map(({ name }) => name)]
  const known = [...new Set(labels.filter(Boolean))].toSorted()
  const list = known.slice(0, SHOWN).map((label) => `"${label}"`)
  const more = known.length > SHOWN ? ', …' : ''
  return new KeyferryError('FIELD_NOT_FOUND', {
    message: `item "${item.title}" ${problem} field or file "${field}"${place}; it has ${list.join(', ')}${more}`,
    remedy: 'Correct the reference; name the section, or use the id, where a label occurs twice.',
    retry: 'on-change',
  })
}
