/**
 * Findings in the forms that people and pipelines read.
 */
import type { Finding } from '../validate/finding.ts'
import { github } from './github.ts'
import { human } from './human.ts'
import { junit } from './junit.ts'
import { sarif } from './sarif.ts'
import { asJson, type Paint } from './text.ts'

/** What a report tells of. */
export interface ReportInput {
  readonly findings: readonly Finding[]
  /** Texts by name, in the order in which they were read. */
  readonly texts: ReadonlyMap<string, string>
  readonly objects: number
  readonly resources: number
  /** Folders with Helm templates, which were passed over. */
  readonly skipped: readonly string[]
  /** Version of this program. */
  readonly version: string
  /** How the form for people sets things off. */
  readonly paint: Paint
}

/** The forms of a report. */
export const FORMATS = ['human', 'json', 'sarif', 'github', 'junit'] as const
/** One of {@link FORMATS}. */
export type Format = (typeof FORMATS)[number]

/** A whole report, with a line feed at its end. */
export function report(format: Format, input: ReportInput): string {
  switch (format) {
    case 'human':
      return human(input)
    case 'json':
      return json(input)
    case 'sarif':
      return sarif(input)
    case 'github':
      return github(input)
    case 'junit':
      return junit(input)
  }
}

function json({ findings, objects, resources, skipped, texts }: ReportInput): string {
  const flat = findings.map(({ place, ...finding }) => ({ ...finding, ...place }))
  const whole = { findings: flat, files: texts.size, objects, resources, skipped }
  return asJson(whole)
}
