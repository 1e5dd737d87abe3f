/**
 * From an item to the data of a Secret. Pure and deterministic: equal items give equal data,
 * whatever happened before. The mapping is a contract, see {@link MAPPING_VERSION}.
 */
import type { Item, Url } from '../../connect/model.ts'
import { SecretValue } from '../../connect/secret-value.ts'
import { keyOfLabel } from './names.ts'

/** Changes with any change of the rules in this file: then content is made anew without restarts. */
export const MAPPING_VERSION = 1

/** Bytes of all values together that a Secret may have. Source: Kubernetes `MaxSecretSize`. */
export const MAX_SECRET_BYTES = 1_048_576

/**
 * An item as it was read: with the content of its files, by file id. A file that is not there was
 * not fetched because no Secret can hold it.
 */
export interface ItemContent {
  readonly item: Item
  readonly files: ReadonlyMap<string, SecretValue>
}

/** The data of a Secret, with what is to be told about it. */
export interface Content {
  readonly data: ReadonlyMap<string, SecretValue>
  /** Labels that give no legal key. */
  readonly skipped: readonly string[]
  /** Labels that lost their key to another field, URL or file. */
  readonly overruled: readonly string[]
  /** Bytes by key, of the values and of what there is no value of because it is too large. */
  readonly sizes: ReadonlyMap<string, number>
}

/** A value on its way to a key. */
interface Candidate {
  readonly label: string
  readonly key: string
  readonly value: SecretValue
}

/**
 * All fields, URLs and files of an item as keys. Fields win over URLs over files; among fields the
 * last wins, among URLs the primary one, else the last, among files the first.
 * Source: onepassword-operator 1.12.0, `BuildKubernetesSecretData`; where that depends on the order
 * of a map, the order of the item's own list counts here.
 *
 * @param emptyValues whether empty values become keys
 */
export function contentOfItem({ item, files }: ItemContent, emptyValues: boolean): Content {
  const wanted = (value: SecretValue) => emptyValues || value.byteLength > 0
  const skipped: string[] = []
  const candidates = (pairs: Iterable<readonly [string, SecretValue]>): Candidate[] => {
    const found: Candidate[] = []
    for (const [label, value] of pairs) {
      if (!wanted(value)) continue
      const key = keyOfLabel(label)
      if (key === undefined) skipped.push(label)
      else found.push({ label, key, value })
    }
    return found
  }

  const data = new Map<string, SecretValue>()
  const sizes = new Map<string, number>()
  const overruled: string[] = []
  const place = (ranked: readonly Candidate[]) => {
    // Ranked from the winner down: the first of a key takes it.
    for (const { label, key, value } of ranked) {
      if (data.has(key)) overruled.push(label)
      else data.set(key, value)
      sizes.set(key, data.get(key)?.byteLength ?? 0)
    }
  }
  const none = SecretValue.fromText('')
  place(candidates(item.fields.map((field) => [field.label, field.value ?? none])).toReversed())
  const chosen = new Set(rankUrls(item.urls))
  place(candidates([...chosen].map((url) => [url.label, url.href])))
  for (const url of item.urls) {
    if (chosen.has(url) || !wanted(url.href)) continue
    const lost = keyOfLabel(url.label) === undefined ? skipped : overruled
    lost.push(url.label)
  }
  for (const { id, name, size } of item.files) {
    const value = files.get(id)
    const bytes = value?.byteLength ?? size
    if (bytes === 0 && !emptyValues) continue
    const key = keyOfLabel(name)
    if (key === undefined) skipped.push(name)
    else if (sizes.has(key)) overruled.push(name)
    else {
      sizes.set(key, bytes)
      if (value) data.set(key, value)
    }
  }
  return { data, sizes, skipped: unique(skipped), overruled: unique(overruled) }
}

/**
 * One URL for each label, primary ones first, then the last first. A label's choice is made before
 * empty URLs are left out, as the incumbent makes it.
 */
export function rankUrls(urls: readonly Url[]): Url[] {
  const ranked = [
    ...urls.filter(({ primary }) => primary).toReversed(),
    ...urls.filter(({ primary }) => !primary).toReversed(),
  ]
  const chosen = new Map<string, Url>()
  for (const url of ranked) if (!chosen.has(url.label)) chosen.set(url.label, url)
  return [...chosen.values()]
}

/** Whether a Secret can hold the content, and it is all there. */
export function fits({ data, sizes }: Content): boolean {
  const whole = [...sizes].every(([key, size]) => size === 0 || data.has(key))
  return whole && sizes.values().reduce((sum, size) => sum + size, 0) <= MAX_SECRET_BYTES
}

function unique(labels: readonly string[]): string[] {
  return [...new Set(labels)].toSorted()
}
