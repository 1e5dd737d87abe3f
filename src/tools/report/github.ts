import type { ReportInput } from './report.ts'

/**
 * Annotations of a pull request.
 * Source: GitHub documentation, "Workflow commands for GitHub Actions".
 */
export function github({ findings }: ReportInput): string {
  return findings
    .map(({ rule, level, message, file, place }) => {
      const at = {
        file,
        line: place.line,
        col: place.column,
        endLine: place.endLine,
        // A column of the end is read for the line of the start.
        ...(place.endLine === place.line ? { endColumn: place.endColumn } : {}),
        title: `keyferry ${rule}`,
      }
      const members = Object.entries(at).map(
        ([name, value]) => `${name}=${property(String(value))}`,
      )
      return `::${level} ${members.join(',')}::${text(message)}\n`
    })
    .join('')
}

function text(value: string): string {
  return value.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
}

function property(value: string): string {
  return text(value).replaceAll(':', '%3A').replaceAll(',', '%2C')
}
