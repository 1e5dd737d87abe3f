import { type RuleId, RULES } from '../validate/rules.ts'
import type { ReportInput } from './report.ts'
import { asJson } from './text.ts'

/**
 * For code scanning.
 * Source: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0".
 */
export function sarif({ findings, version }: ReportInput): string {
  const ids = Object.keys(RULES) as RuleId[]
  const rules = ids.map((id) => ({
    id,
    shortDescription: { text: RULES[id].title },
    fullDescription: { text: RULES[id].meaning },
    help: { text: RULES[id].remedy },
    defaultConfiguration: { level: RULES[id].level },
  }))
  const results = findings.map(({ rule, level, message, file, place }) => ({
    ruleId: rule,
    ruleIndex: ids.indexOf(rule),
    level,
    message: { text: message },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: uriOf(file) },
          region: {
            startLine: place.line,
            startColumn: place.column,
            endLine: place.endLine,
            endColumn: place.endColumn,
          },
        },
      },
    ],
  }))
  const driver = { name: 'keyferry', version, rules }
  const log = {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [{ tool: { driver }, columnKind: 'utf16CodeUnits', results }],
  }
  return asJson(log)
}

function uriOf(file: string): string {
  return file.toWellFormed().replaceAll('\\', '/').split('/').map(encodeURIComponent).join('/')
}
