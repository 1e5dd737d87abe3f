/**
 * The restart that is owed for a Secret's content, as its annotation carries it. It is written in
 * the same request as the content, so that no crash can separate them.
 */

/** An open debt. */
export interface Debt {
  /** Digest of the content for which workloads are to restart. */
  readonly digest: string
  /** The API server's clock just before the content was written. RFC 3339. */
  readonly since: string
  /** Workloads that cannot be restarted, as `Kind/name`: they no longer hold the debt open. */
  readonly gaveUp: readonly string[]
}

/** The annotation's value. */
export function formatDebt({ digest, since, gaveUp }: Debt): string {
  return JSON.stringify({ digest, since, ...(gaveUp.length > 0 ? { gaveUp } : {}) })
}

/** The debt in an annotation; undefined when there is none, or none that makes sense. */
export function parseDebt(text: string | undefined): Debt | undefined {
  if (text === undefined) return undefined
  try {
    const { digest, since, gaveUp } = JSON.parse(text) as Record<string, unknown>
    if (typeof digest !== 'string' || typeof since !== 'string') return undefined
    if (Number.isNaN(Date.parse(since))) return undefined
    const names = Array.isArray(gaveUp) ? gaveUp.filter((name) => typeof name === 'string') : []
    return { digest, since, gaveUp: names }
  } catch {
    return undefined
  }
}

/** Seconds since the epoch as RFC 3339, the precision of the API server's own timestamps. */
export function timestamp(ms: number): string {
  return new Date(Math.floor(ms / 1000) * 1000).toISOString().replace('.000Z', 'Z')
}
