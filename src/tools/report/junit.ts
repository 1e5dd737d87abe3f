import type { Finding } from '../validate/finding.ts'
import type { ReportInput } from './report.ts'

/** A test case for each finding, and one that passes for each file without. */
export function junit({ findings, texts }: ReportInput): string {
  const byFile = Map.groupBy(findings, ({ file }) => file)
  const files = new Set([...texts.keys(), ...byFile.keys()])
  const suites = [...files].map((file) => suite(file, byFile.get(file) ?? []))
  const counts = `tests="${suites.reduce((sum, { tests }) => sum + tests, 0)}" failures="${findings.length}"`
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="keyferry validate" ${counts}>\n${suites.map(({ xml }) => xml).join('')}</testsuites>\n`
}

function suite(file: string, findings: readonly Finding[]): { xml: string; tests: number } {
  const name = escaped(file)
  const cases = findings.map(({ rule, level, message, place }) => {
    const at = `${place.line}:${place.column}`
    const failure = `<failure type="${level}" message="${escaped(message)}">${name}:${at}: ${escaped(message)}</failure>`
    return `    <testcase classname="${name}" name="${rule} ${at}">${failure}</testcase>\n`
  })
  if (cases.length === 0) cases.push(`    <testcase classname="${name}" name="no findings"/>\n`)
  const counts = `tests="${cases.length}" failures="${findings.length}"`
  return {
    xml: `  <testsuite name="${name}" ${counts}>\n${cases.join('')}  </testsuite>\n`,
    tests: cases.length,
  }
}

// What XML 1.0 cannot hold, not even escaped.
// oxlint-disable-next-line no-control-regex
const IMPOSSIBLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g

function escaped(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(IMPOSSIBLE, '\uFFFD')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll('\n', '&#10;')
}
