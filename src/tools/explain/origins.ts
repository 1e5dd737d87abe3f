import type { Item } from '../../connect/model.ts'
import type { SecretValue } from '../../connect/secret-value.ts'
import { isKeyferryError } from '../../errors.ts'
import { contentOfItem, type ItemContent } from '../../operator/plan/content.ts'
import { parseText } from '../../operator/plan/reference.ts'
import type { Snapshot } from '../../operator/plan/types.ts'

/** Where each key of a claim's Secret comes from, in words without a value. */
export function originsOf({ claim, content }: Snapshot): Readonly<Record<string, string>> {
  const { spec, type, status } = claim
  const whole = content.kind === 'read' ? content.items.get(spec.itemPath) : undefined
  const found = new Map<string, string>()
  for (const key of status.keys ?? []) {
    found.set(key, spec.itemPath === '' ? `made for type ${type}` : `item ${spec.itemPath}`)
  }
  if (whole) {
    // An item that is applied with empty values has them as keys, too.
    const { data } = contentOfItem(whole, true)
    for (const [key, value] of data) {
      if (!status.keys || found.has(key))
        found.set(key, placeOf(value, whole) ?? found.get(key) ?? '')
    }
  }
  for (const [key, text] of Object.entries(spec.data)) found.set(key, wordsFor(text))
  return Object.fromEntries([...found].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/** The part of the item that holds this very value. */
function placeOf(value: SecretValue, { item, files }: ItemContent): string | undefined {
  const field = item.fields.find((one) => one.value === value)
  if (field) return `field "${field.label}"${sectionOf(field.section?.id, item)}`
  const url = item.urls.find(({ href }) => href === value)
  if (url) return `URL "${url.label}"`
  const file = item.files.find(({ id }) => files.get(id) === value)
  return file && `file "${file.name}"`
}

function sectionOf(id: string | undefined, { sections }: Item): string {
  const label = sections.find((section) => section.id === id)?.label
  return label ? ` in section "${label}"` : ''
}

function wordsFor(text: string): string {
  try {
    const parts = parseText(text).flatMap((part) => {
      if (part.kind === 'literal') return []
      const { vault, item, section, field } = part.reference
      const path = ['op:/', vault, item, section, field].filter((name) => name !== undefined)
      return [[path.join('/'), ...part.pipes].join(' | ')]
    })
    return parts.length === 0 ? 'literal in spec.data' : `spec.data: ${parts.join(', ')}`
  } catch (error) {
    if (!isKeyferryError(error)) throw error
    return `spec.data: ${error.message}`
  }
}
