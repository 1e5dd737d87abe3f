import type { Manifest, MemberPath, Place } from '../manifest/parse.ts'
import { type Level, type RuleId, RULES } from './rules.ts'

/** What is wrong, and where. */
export interface Finding {
  readonly rule: RuleId
  readonly level: Level
  /** One sentence without a value of a Secret. */
  readonly message: string
  /** Name of the text, see `Source`. */
  readonly file: string
  readonly place: Place
}

/** A finding about a member of a manifest. */
export function findingAt(
  rule: RuleId,
  manifest: Manifest,
  at: { readonly path: MemberPath; readonly what?: 'name' | 'value' },
  message: string,
): Finding {
  const place = manifest.place(at.path, at.what)
  return { rule, level: RULES[rule].level, message, file: manifest.source.name, place }
}

/** By file as it was read, then by place. */
export function inOrder(findings: readonly Finding[], files: readonly string[]): Finding[] {
  const rank = new Map(files.map((file, n) => [file, n]))
  return findings.toSorted(
    (a, b) =>
      (rank.get(a.file) ?? 0) - (rank.get(b.file) ?? 0) ||
      a.place.line - b.place.line ||
      a.place.column - b.place.column,
  )
}
