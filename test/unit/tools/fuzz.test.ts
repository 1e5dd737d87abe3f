/**
 * Whatever a text holds, it is judged: no crash, no place outside of the text.
 */
import * as fc from 'fast-check'
import { expect } from 'vitest'
import { parseManifests } from '../../../src/tools/manifest/parse.ts'
import { FORMATS, report } from '../../../src/tools/report/report.ts'
import { plain } from '../../../src/tools/report/text.ts'
import { validate } from '../../../src/tools/validate/validate.ts'
import { readCorpus } from '../../support/corpus.ts'
import { property } from '../../support/property.ts'

const texts = readCorpus()
  .map(({ text }) => text)
  .filter((text) => text.length < 4_000)

/** A text of the corpus with a piece of it replaced. */
const mutated = fc
  .record({
    text: fc.constantFrom(...texts),
    at: fc.nat(1_500),
    cut: fc.nat(40),
    put: fc.oneof(
      fc.constantFrom(
        '',
        ' ',
        ':',
        '- ',
        '{',
        '[',
        '"',
        '&a ',
        '*a',
        '!!binary ',
        '? ',
        '<<: ',
        '---\n',
        '\t',
        '\u0000',
        '{{',
        '}}',
        '|',
      ),
      fc.string({ unit: 'binary', maxLength: 6 }),
    ),
  })
  .map(({ text, at, cut, put }) => text.slice(0, at) + put + text.slice(at + cut))

/** Objects whose members may be anything. */
const anyObject = fc.record({
  apiVersion: fc.constantFrom('onepassword.com/v1', 'apps/v1', 'v1', 'argoproj.io/v1alpha1'),
  kind: fc.constantFrom('OnePasswordItem', 'Deployment', 'Secret', 'Rollout', 'List', 'Namespace'),
  type: fc.oneof(fc.constantFrom('toString', '__proto__', 'kubernetes.io/tls'), fc.jsonValue()),
  metadata: anyMembers('name', 'namespace', 'labels', 'annotations', 'ownerReferences'),
  spec: fc.oneof(
    anyMembers('itemPath', 'data', 'secretName', 'secretMetadata', 'requiredKeys', 'template'),
    fc.record({
      itemPath: fc.constantFrom('op://a/b', 'x'),
      data: fc.dictionary(
        fc.oneof(fc.constantFrom('__proto__', 'a', 'A', 'constructor'), fc.string()),
        fc.oneof(fc.constantFrom('op://a/b/c', '{{ op://a/b/c | trim }}', '{{'), fc.string()),
      ),
    }),
    fc.record({
      template: fc.record({ spec: anyMembers('containers', 'initContainers', 'volumes') }),
    }),
  ),
  items: fc.jsonValue(),
})

function anyMembers(...names: string[]) {
  const value = fc.oneof(
    fc.jsonValue(),
    fc.dictionary(
      fc.constantFrom('operator.1password.io/item-path', 'a b', 'a', '__proto__'),
      fc.jsonValue(),
    ),
    fc.string(),
  )
  return fc.oneof(
    fc.record(Object.fromEntries(names.map((name) => [name, value])), { requiredKeys: [] }),
    fc.jsonValue(),
  )
}

function isJudged(text: string): void {
  const sources = [{ name: 'a.yaml', text }]
  const found = validate(sources, { namespace: 'shop' })
  const lines = text.split('\n').length
  for (const { place } of found.findings) {
    expect(place.line).toBeGreaterThanOrEqual(1)
    expect(place.column).toBeGreaterThanOrEqual(1)
    expect(place.endLine).toBeLessThanOrEqual(lines)
    const isForward = place.line < place.endLine || place.column <= place.endColumn
    expect(isForward).toBe(true)
  }
  const input = {
    ...found,
    texts: new Map([['a.yaml', text]]),
    skipped: [],
    version: '0',
    paint: plain,
  }
  for (const format of FORMATS) expect(() => report(format, input)).not.toThrow()
}

property('a damaged manifest is judged', fc.property(mutated, isJudged), 300)

property(
  'a manifest with any members is judged',
  fc.property(anyObject, (object) => isJudged(JSON.stringify(object, undefined, 2))),
  300,
)

property(
  'any text is read or refused',
  fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
    expect(() => parseManifests({ name: '-', text })).not.toThrow()
  }),
  300,
)
