/** Texts that were met, each once. */
const texts = new Map<string, string>()
/** Where texts turn out to be all different, pooling them must not cost more than it spares. */
const MOST = 10_000

/**
 * The same text, as one string in memory: each object of the API server brings its own copy of its
 * namespace, kinds, messages. Never for what is secret.
 */
export function pooled<T extends string | undefined>(text: T): T {
  if (text === undefined) return text
  const known = texts.get(text)
  if (known !== undefined) return known as T
  if (texts.size >= MOST) texts.clear()
  texts.set(text, text)
  return text
}
