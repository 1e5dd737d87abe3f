/**
 * The pages of docs/rules, made from the rules of `keyferry validate` and their corpus.
 */
import { type RuleId, RULES } from '../src/tools/validate/rules.ts'
import { readCorpus } from '../test/support/corpus.ts'

/** The pages, by path. */
export function rulePages(): Readonly<Record<string, string>> {
  return {
    'docs/rules/README.md': rulesPage(),
    ...Object.fromEntries(ruleIds().map((rule) => [`docs/rules/${rule}.md`, rulePage(rule)])),
  }
}

function ruleIds(): RuleId[] {
  return Object.keys(RULES) as RuleId[]
}

function rulesPage(): string {
  const rows = ruleIds().map(
    (rule) => `| [${rule}](${rule}.md) | ${RULES[rule].level} | ${RULES[rule].title} |`,
  )
  return [
    '# Rules of `keyferry validate`',
    '',
    'An error is what the API server refuses or the operator marks; a warning is what both take although it hardly does what was meant.',
    '',
    '| rule | level | what it demands |',
    '| --- | --- | --- |',
    ...rows,
    '',
  ].join('\n')
}

/** Examples are the first cases of the rule's corpus, as far as a page can show them. */
function rulePage(rule: RuleId): string {
  const { level, title, meaning, remedy } = RULES[rule]
  const cases = readCorpus().filter((one) => one.rule === rule)
  const example = (heading: string, isBad: boolean): string[] => {
    const found = cases.find((one) => one.isBad === isBad && one.text.length < 4_000)
    return found
      ? [
          `## ${heading}`,
          '',
          `${sentence(found.title)}:`,
          '',
          '```yaml',
          found.text.trimEnd(),
          '```',
          '',
        ]
      : []
  }
  return [
    `# ${rule}`,
    '',
    `${title} (${level}).`,
    '',
    meaning,
    '',
    `**Remedy:** ${remedy}`,
    '',
    ...example('Found', true),
    ...example('Not found', false),
  ].join('\n')
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
