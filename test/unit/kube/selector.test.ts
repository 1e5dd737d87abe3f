import { expect, test } from 'vitest'
import { parseSelector } from '../../../src/kube/selector.ts'

const LABELS = { app: 'web', 'example.com/tier': 'front', empty: '' }

test.each([
  ['', true],
  ['app', true],
  ['!app', false],
  ['! none', true],
  ['app=web', true],
  ['app == web', true],
  ['app=api', false],
  ['app!=api', true],
  ['none!=api', true],
  ['empty=', true],
  ['none=', false],
  ['app in (api, web)', true],
  ['app in (api)', false],
  ['app notin (api)', true],
  ['none notin (web)', true],
  ['none in (web)', false],
  ['example.com/tier=front,app in (web),!none', true],
  ['example.com/tier=front,app in (api,db)', false],
])('%j: %s', (text, selected) => {
  expect(parseSelector(text)(LABELS)).toBe(selected)
})

test.each(['=', 'a>1', 'a<1', 'a in', 'a in b', 'a in (b', 'a=b c', 'a,', ',', 'ä=1', 'a=(b)'])(
  '%j is refused: the API server might take it in another way',
  (text) => {
    expect(() => parseSelector(text)).toThrow('is no requirement of a label selector')
  },
)

test('an absurd selector is refused', () => {
  expect(() => parseSelector(`${'a '.repeat(500_000)}(`)).toThrow('is no requirement')
  expect(() => parseSelector(`a in ${'('.repeat(500_000)}`)).toThrow('is no requirement')
})
