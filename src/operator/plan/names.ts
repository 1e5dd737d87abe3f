/**
 * From the label of a field to the key of a Secret. These rules are the incumbent's, byte for
 * byte: changing them changes Secrets of unchanged items, so it takes a major release.
 * Source: onepassword-operator 1.12.0, `formatSecretDataName`; Kubernetes `IsConfigMapKey`.
 */

const LEGAL = /^[-._a-zA-Z0-9]+$/
const MAX_LENGTH = 253

/** Whether the API server takes `key` as a key of a Secret. */
export function isLegalKey(key: string): boolean {
  return key.length <= MAX_LENGTH && LEGAL.test(key) && key !== '.' && !key.startsWith('..')
}

const LEGAL_NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

/**
 * The name of the Secret that a workload's annotation asks for: a legal name stays; otherwise
 * capitals become small, each run of illegal characters `-`, cut at 253, and `-` and `.` go at both
 * ends. Source: onepassword-operator 1.12.0, `formatSecretName`.
 */
export function secretNameOf(text: string): string {
  if (text.length <= MAX_LENGTH && LEGAL_NAME.test(text)) return text
  const name = text
    .toLowerCase()
    .replaceAll(/[^-.a-z0-9]+/g, '-')
    .slice(0, MAX_LENGTH)
  return name.replace(/^[-.]+/, '').replace(/[-.]+$/, '')
}

/**
 * The key for `label`: a legal label stays as it is; otherwise illegal characters at both ends go
 * and each run of them inside becomes `-`, cut at 253. Undefined when even that is no legal key
 * (an empty label, `.`, `..x`).
 */
export function keyOfLabel(label: string): string | undefined {
  if (isLegalKey(label)) return label
  // Taken apart rather than trimmed: a pattern for the end of a text takes time by its square.
  const runs = label.match(/[-._a-zA-Z0-9]+/g) ?? []
  const key = runs.join('-').slice(0, MAX_LENGTH)
  return isLegalKey(key) ? key : undefined
}
