import sarifSchema from '@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json' with {
  type: 'json',
}
import { Ajv } from 'ajv'
import { expect, test, describe } from 'vitest'
import { FORMATS, report, type ReportInput } from '../../../src/tools/report/report.ts'
import { coloured, plain } from '../../../src/tools/report/text.ts'
import { validate } from '../../../src/tools/validate/validate.ts'
import { readCorpus } from '../../support/corpus.ts'

/** All bad cases, each as a file of its own folder. */
const sources = readCorpus()
  .filter(({ isBad }) => isBad)
  .map(({ rule, text }, n) => ({ name: `${rule}/${n}, a & b/file:name.yaml`, text }))
const whole: ReportInput = {
  ...validate(sources),
  texts: new Map(sources.map(({ name, text }) => [name, text])),
  skipped: ['charts/shop/templates'],
  version: '1.2.3',
  paint: plain,
}

const one = validate([
  {
    name: 'shop.yaml',
    text: 'apiVersion: onepassword.com/v1\nkind: OnePasswordItem\nmetadata:\n  name: a\nspec:\n  itemPath: nowhere\n',
  },
])
const small: ReportInput = {
  ...whole,
  ...one,
  texts: new Map([['shop.yaml', '\n\n\n\n\n  itemPath: nowhere\n']]),
  skipped: [],
}

describe('human', () => {
  test('shows where, what, the line and the remedy', () => {
    expect(report('human', small)).toMatchInlineSnapshot(`
      "shop.yaml:6:13 error item-path
        Item path "nowhere" cannot be used: it is neither vaults/<vault>/items/<item> nor op://<vault>/<item>.
          6 |   itemPath: nowhere
            |             ^^^^^^^
        Write vaults/<vault>/items/<item> or op://<vault>/<item>, with names or ids.

      1 error, 0 warnings: 1 resource among 1 object in 1 file
      "
    `)
  })

  test('has colour only where it is wanted', () => {
    const escape = '\u001B['
    expect(report('human', small)).not.toContain(escape)
    expect(report('human', { ...small, paint: coloured })).toContain(escape)
  })

  test('prints no control character of a manifest', () => {
    const text = 'apiVersion: onepassword.com/v1\nkind: "x\u001B[2J\u202Ey"\n'
    const found = validate([{ name: 'a.yaml', text }])
    const printed = report('human', { ...whole, ...found, texts: new Map([['a.yaml', text]]) })
    expect(printed).toContain('api-version')
    expect(['\u001B', '\u202E'].filter((one) => printed.includes(one))).toEqual([])
  })
})

test('SARIF conforms to its schema', () => {
  const { $schema: _draft4, id: _id, ...schema } = sarifSchema
  const check = new Ajv({ strict: false, validateFormats: false, unicodeRegExp: false }).compile(
    schema,
  )
  const log = JSON.parse(report('sarif', whole))
  expect(check(log), JSON.stringify(check.errors?.slice(0, 3))).toBe(true)
  expect(log.runs[0].results).toHaveLength(whole.findings.length)
  expect(check({ ...log, runs: [{ results: [] }] })).toBe(false)
  for (const { ruleId, ruleIndex } of log.runs[0].results) {
    expect(log.runs[0].tool.driver.rules[ruleIndex].id).toBe(ruleId)
  }
})

test('GitHub commands stay on one line and escape what has a meaning there', () => {
  const lines = report('github', whole).trimEnd().split('\n')
  expect(lines).toHaveLength(whole.findings.length)
  const form =
    /^::(error|warning) file=[^,:]+,line=\d+,col=\d+,endLine=\d+(,endColumn=\d+)?,title=keyferry [a-z-]+::.+$/
  expect(lines.filter((line) => !form.test(line))).toEqual([])
})

test('JUnit has a failure for each finding and a passing case for each clean file', () => {
  const clean = { ...whole, texts: new Map([...whole.texts, ['clean.yaml', '']]) }
  const xml = report('junit', clean)
  expect(xml.match(/<failure /g)).toHaveLength(whole.findings.length)
  expect(xml).toContain('<testcase classname="clean.yaml" name="no findings"/>')
  expect(xml).toContain('a &amp; b')
  expect(xml).toContain(`failures="${whole.findings.length}"`)
})

test('JSON has every finding with its place', () => {
  const { findings, files } = JSON.parse(report('json', whole))
  expect(findings).toHaveLength(whole.findings.length)
  expect(files).toBe(sources.length)
  expect(JSON.parse(report('json', small)).findings).toEqual([
    {
      rule: 'item-path',
      level: 'error',
      file: 'shop.yaml',
      line: 6,
      column: 13,
      endLine: 6,
      endColumn: 20,
      message: expect.any(String),
    },
  ])
})

test.each(FORMATS)('%s of nothing is whole', (format) => {
  const nothing = { ...whole, findings: [], texts: new Map() }
  expect(report(format, nothing)).toMatch(format === 'github' ? /^$/ : /\n$/)
})
