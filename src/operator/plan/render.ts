/**
 * From a claim and its items to the data of its Secret.
 */
import { type ItemPath, parseItemPath } from '../../connect/item-path.ts'
import { SecretValue } from '../../connect/secret-value.ts'
import { isKeyferryError, type KeyferryError } from '../../errors.ts'
import { isNotCopied, isReservedAnnotation } from '../annotations.ts'
import type { Claim } from '../item.ts'
import type { Reason } from '../reasons.ts'
import { completeForType, isBuiltType, isRefusedType } from './builders.ts'
import { type Content, contentOfItem, fits, type ItemContent, MAX_SECRET_BYTES } from './content.ts'
import { valueOf } from './field.ts'
import { isLegalKey } from './names.ts'
import { applyPipe } from './pipes.ts'
import { itemPathOf, type Part, parseText } from './reference.ts'

/** What a claim says, as far as content goes. */
export type Recipe = Pick<Claim, 'type' | 'spec'>

/** Why a claim cannot be served. */
export interface Fault {
  readonly reason: Reason
  readonly message: string
}

/** The items that a claim draws from, by the path under which statuses carry them. */
export type Paths = ReadonlyMap<string, ItemPath>

/** The paths of a claim, or the fault of the claim that no look at the world can mend. */
export function pathsOf(recipe: Recipe): Paths | Fault {
  const { spec, type } = recipe
  if (isRefusedType(type)) {
    return { reason: 'TypeRefused', message: `Secrets of type ${type} are never written.` }
  }
  const illegal = Object.keys(spec.data).find((key) => !isLegalKey(key))
  if (illegal !== undefined) {
    return { reason: 'InvalidReference', message: `"${illegal}" in spec.data is no legal key.` }
  }
  const reserved = reservedMetadata(recipe)
  if (reserved !== undefined) {
    return { reason: 'InvalidMetadata', message: `${reserved} in spec.secretMetadata is reserved.` }
  }
  try {
    return collectPaths(recipe)
  } catch (error) {
    if (!isKeyferryError(error)) throw error
    return { reason: reasonOfInput(error), message: sentenceOf(error) }
  }
}

/** Whether {@link pathsOf} or {@link render} found a fault. */
export function isFault(found: Paths | Content | Fault): found is Fault {
  return 'reason' in found
}

function collectPaths({ spec }: Recipe): Paths {
  const paths = new Map<string, ItemPath>()
  const keys = Object.entries(spec.data)
  if (spec.itemPath !== '' || keys.length === 0) {
    paths.set(spec.itemPath, parseItemPath(spec.itemPath))
  }
  for (const [, text] of keys) {
    for (const part of parseText(text)) {
      if (part.kind === 'literal') continue
      const { vault, item } = part.reference
      paths.set(itemPathOf(part.reference), { vault, item })
    }
  }
  return paths
}

/** Which files of the item at `path` the claim needs: all, or those with one of these names. */
export function filesOf({ spec, type }: Recipe, path: string): 'all' | ReadonlySet<string> {
  // A builder looks for files by the names they usually have.
  if (path === spec.itemPath || isBuiltType(type)) return 'all'
  const names = new Set<string>()
  for (const text of Object.values(spec.data)) {
    for (const part of parseText(text)) {
      if (part.kind === 'literal' || itemPathOf(part.reference) !== path) continue
      names.add(part.reference.field.toLowerCase())
    }
  }
  return names
}

function reservedMetadata({ spec }: Recipe): string | undefined {
  const label = Object.keys(spec.secretLabels).find((name) => isNotCopied(name, []))
  const annotation = Object.keys(spec.secretAnnotations).find(isReservedAnnotation)
  if (label !== undefined) return `Label ${label}`
  return annotation === undefined ? undefined : `Annotation ${annotation}`
}

/** The content of a claim, or why there is none. `items`: by path. */
export function render(
  { type, spec }: Recipe,
  items: ReadonlyMap<string, ItemContent>,
  emptyValues: boolean,
): Content | Fault {
  const whole = items.get(spec.itemPath)
  const base = whole && spec.itemPath !== '' ? contentOfItem(whole, emptyValues) : NOTHING
  const data = new Map(base.data)
  const sizes = new Map(base.sizes)
  for (const [key, text] of Object.entries(spec.data)) {
    const value = renderKey(key, text, items)
    if ('reason' in value) return value
    data.delete(key)
    if (value.value.byteLength > 0 || emptyValues || value.literal) data.set(key, value.value)
    sizes.set(key, value.size)
  }
  const content = { ...base, data, sizes }
  if (!fits(content)) return tooLarge(content)
  return complete({ type, spec }, content, [...items.values()])
}

const NOTHING: Content = { data: new Map(), sizes: new Map(), skipped: [], overruled: [] }

function complete(
  { type, spec }: Recipe,
  content: Content,
  items: readonly ItemContent[],
): Content | Fault {
  const { data, missing } = completeForType(type, content.data, items)
  const built = [...data].filter(([key]) => !content.data.has(key))
  const sizes = built.map(([key, { byteLength }]) => [key, byteLength] as const)
  const whole = { ...content, data, sizes: new Map([...content.sizes, ...sizes]) }
  if (!fits(whole)) return tooLarge(whole)
  if (missing.length > 0) {
    const keys = missing.join(' and ')
    return {
      reason: 'MissingKeys',
      message: `Type ${type} demands ${keys}, and no field gives it.`,
    }
  }
  const absent = spec.requiredKeys.filter((key) => !data.has(key))
  if (absent.length > 0) {
    const keys = absent.map((key) => `"${key}"`).join(', ')
    return { reason: 'MissingKeys', message: `Required keys are missing: ${keys}.` }
  }
  if (data.size === 0) return { reason: 'NoKeys', message: 'No field gives a key with a value.' }
  return whole
}

interface Rendered {
  readonly value: SecretValue
  readonly size: number
  /** Whether the text has no reference: then an empty one is meant. */
  readonly literal: boolean
}

function renderKey(
  key: string,
  text: string,
  items: ReadonlyMap<string, ItemContent>,
): Rendered | Fault {
  try {
    const parts = parseText(text)
    const values = parts.map((part) => renderPart(part, items))
    const value = SecretValue.fromBytes(Buffer.concat(values.map(({ bytes }) => bytes)))
    const size = values.reduce((sum, part) => sum + part.size, 0)
    return { value, size, literal: parts.every(({ kind }) => kind === 'literal') }
  } catch (error) {
    if (!isKeyferryError(error)) throw error
    return { reason: reasonOfInput(error), message: `Key "${key}": ${error.message}.` }
  }
}

function renderPart(
  part: Part,
  items: ReadonlyMap<string, ItemContent>,
): { readonly bytes: Uint8Array; readonly size: number } {
  if (part.kind === 'literal') {
    const bytes = Buffer.from(part.text, 'utf8')
    return { bytes, size: bytes.length }
  }
  const content = items.get(itemPathOf(part.reference))
  const value = content && valueOf(part.reference, content)
  // A file that is too large to be fetched is too large to be written.
  if (value === undefined) return { bytes: Buffer.alloc(0), size: MAX_SECRET_BYTES + 1 }
  const bytes = part.pipes.reduce((all, pipe) => applyPipe(pipe, all), value.reveal())
  return { bytes, size: bytes.byteLength }
}

function tooLarge({ sizes }: Content): Fault {
  const largest = [...sizes].toSorted(([, a], [, b]) => b - a).slice(0, 10)
  const list = largest.map(([key, bytes]) => `${key} ${bytes}`).join(', ')
  const message = `The values have more than ${MAX_SECRET_BYTES} bytes; the largest: ${list}.`
  return { reason: 'TooLarge', message }
}

function reasonOfInput({ code }: KeyferryError): Reason {
  switch (code) {
    case 'REFERENCE_VOLATILE':
      return 'VolatileReference'
    case 'FIELD_NOT_FOUND':
      return 'FieldNotFound'
    case 'VALUE_UNFIT':
      return 'InvalidValue'
    case 'REFERENCE_INVALID':
      return 'InvalidReference'
    default:
      return 'InvalidItemPath'
  }
}

/** What an error says, as a sentence for a condition. */
export function sentenceOf({ message }: KeyferryError): string {
  const text = message.charAt(0).toUpperCase() + message.slice(1)
  return text.endsWith('.') ? text : `${text}.`
}
