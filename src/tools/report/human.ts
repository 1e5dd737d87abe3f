import type { Finding } from '../validate/finding.ts'
import { RULES } from '../validate/rules.ts'
import type { ReportInput } from './report.ts'
import { counted, type Paint, printable } from './text.ts'

/** For people: each finding with the line that it is about, and a summary. */
export function human(input: ReportInput): string {
  const { paint } = input
  const findings = input.findings.map((finding) => block(finding, input, paint))
  const skipped = input.skipped.map(
    (folder) => `${folder} was skipped: pipe the output of helm template to keyferry validate -\n`,
  )
  return [...findings, ...skipped, summary(input, paint)].join('\n')
}

function block(
  { rule, level, message, file, place }: Finding,
  { texts }: ReportInput,
  paint: Paint,
): string {
  const where = paint('bold', `${file}:${place.line}:${place.column}`)
  const head = `${where} ${paint(level === 'error' ? 'red' : 'yellow', level)} ${rule}`
  const advice = paint('dim', RULES[rule].remedy)
  return `${head}\n  ${printable(message)}\n${frame(texts.get(file) ?? '', place, paint)}  ${advice}\n`
}

/** Columns that a line may take before it is cut. */
const WIDTH = 100

/** The one line: those around it may hold what is nobody's business. */
function frame(text: string, place: Finding['place'], paint: Paint): string {
  const line = text.split(/\r?\n/, place.line)[place.line - 1]
  if (line === undefined || line.trim() === '') return ''
  const start = Math.max(0, place.column - 1 - WIDTH / 2)
  const shown = printable(line.slice(start, start + WIDTH))
  const gutter = `${String(place.line).padStart(5)} | `
  const indent = ' '.repeat(gutter.length - 2)
  const at = place.column - 1 - start
  const end = place.endLine === place.line ? place.endColumn - 1 - start : shown.length
  const marks = '^'.repeat(Math.max(1, Math.min(end, shown.length) - at))
  return `${paint('dim', gutter)}${shown}\n${paint('dim', `${indent}| `)}${' '.repeat(at)}${paint('red', marks)}\n`
}

function summary({ findings, objects, resources, texts }: ReportInput, paint: Paint): string {
  const errors = findings.filter(({ level }) => level === 'error').length
  const warnings = findings.length - errors
  const checked = `${counted(resources, 'resource')} among ${counted(objects, 'object')} in ${counted(texts.size, 'file')}`
  if (findings.length === 0) return `${paint('green', 'No findings')}: ${checked}\n`
  return `${counted(errors, 'error')}, ${counted(warnings, 'warning')}: ${checked}\n`
}
