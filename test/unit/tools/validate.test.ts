import { expect, test, describe } from 'vitest'
import { CRD_TEXT } from '../../../src/tools/crd.ts'
import { type RuleId, RULES } from '../../../src/tools/validate/rules.ts'
import { validate } from '../../../src/tools/validate/validate.ts'
import { judge, readCorpus } from '../../support/corpus.ts'

const corpus = readCorpus().map((one) => ({ ...one, findings: judge(one).findings }))

describe('corpus', () => {
  test.each(Object.keys(RULES) as RuleId[])(
    'rule %s has three bad cases and a near miss',
    (rule) => {
      const cases = corpus.filter((one) => one.rule === rule)
      expect(cases.filter(({ isBad }) => isBad).length).toBeGreaterThanOrEqual(3)
      expect(cases.filter(({ isBad }) => !isBad).length).toBeGreaterThanOrEqual(1)
    },
  )

  test.each(corpus)('$rule: $title', (one) => {
    const rules = one.findings.map(({ rule }) => rule)
    if (one.isBad) expect(new Set(rules)).toEqual(new Set([one.rule]))
    else expect(rules).toEqual([])
  })

  test('every finding has its exact place and words', async () => {
    const lines = corpus.flatMap((one) => [
      `${one.rule}: ${one.title}`,
      ...one.findings.map(
        ({ rule, place, message }) =>
          `  ${place.line}:${place.column}-${place.endLine}:${place.endColumn} ${rule} ${message}`,
      ),
    ])
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('corpus/golden.txt')
  })
})

describe('the CRD', () => {
  const text = corpus.find(({ title }) => title === 'data alone')?.text ?? ''
  const rulesFor = (crd: string) =>
    validate([{ name: 'a.yaml', text }], { crd }).findings.map(({ rule }) => rule)

  test('decides as it stands: another rule gives another verdict', () => {
    expect(rulesFor(CRD_TEXT)).toEqual([])
    expect(rulesFor(CRD_TEXT.replace(' || has(self.spec.data))', ')'))).toEqual(['cel'])
  })

  test('decides as it stands: another bound gives another verdict', () => {
    expect(rulesFor(CRD_TEXT.replace('maxLength: 16384', 'maxLength: 4'))).toEqual(['schema'])
  })

  test('cannot hold a rule that nobody can judge here', () => {
    const crd = CRD_TEXT.replace('has(self.spec) &&', 'quantity("1").isInteger() &&')
    expect(() => rulesFor(crd)).toThrow(/quantity/)
  })
})

describe('objects of several texts', () => {
  const text = corpus.find(({ title }) => title === 'data alone')?.text ?? ''
  const rulesOf = (...names: readonly string[]) =>
    validate(names.map((name) => ({ name, text }))).findings.map(({ rule, file }) => [rule, file])

  test('are judged together in one folder, and apart in two', () => {
    expect(rulesOf('prod/a.yaml', 'prod/b.yaml')).toEqual([['duplicate-object', 'prod/b.yaml']])
    expect(rulesOf('prod/a.yaml', 'staging/a.yaml', '-')).toEqual([])
  })

  test('a vault that a policy names by its id is not judged by its name', () => {
    const id = 'abcdefghijklmnopqrstuvwxyz'
    const policy = {
      name: 'p.yaml',
      text: `mode: closed\nrules: [{ namespaces: [a], vaults: [${id}] }]\n`,
    }
    const { findings } = validate([{ name: 'a.yaml', text }], { policy, namespace: 'shop' })
    expect(findings).toEqual([])
  })
})

test('YAML is read as kubectl reads it: yes is a boolean, a date is a text, anchors are followed', () => {
  const head = 'apiVersion: onepassword.com/v1\nkind: OnePasswordItem\nmetadata: { name: a }\n'
  const rulesFor = (spec: string) =>
    validate([{ name: 'a.yaml', text: `${head}spec: ${spec}\n` }]).findings.map(({ rule }) => rule)
  expect(rulesFor('{ data: { a: 2026-01-02, b: 12:30:45 } }')).toEqual([])
  expect(rulesFor('{ data: { a: on } }')).toEqual(['schema'])
  expect(rulesFor('{ data: { a: &x text, b: *x } }')).toEqual([])
  expect(rulesFor('{ data: { a: !!binary aGk= } }')).toEqual([])
  for (const number of ['0o7', '017', '1_000', '.5', '0x1f', '1e3']) {
    expect(rulesFor(`{ data: { a: ${number} } }`)).toEqual(['schema'])
  }
})
