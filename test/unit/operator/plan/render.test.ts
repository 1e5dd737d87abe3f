import { describe, expect, test } from 'vitest'
import { SecretValue } from '../../../../src/connect/secret-value.ts'
import {
  type Fault,
  filesOf,
  isFault,
  pathsOf,
  render,
} from '../../../../src/operator/plan/render.ts'
import type { Content, ItemContent } from '../../../../src/operator/plan/content.ts'
import { aClaim, aContent, anItem, PATH, textsOf } from '../../../builders/snapshot.ts'

const recipe = (spec: Record<string, unknown>, type?: string) =>
  aClaim({ spec, ...(type ? { type } : {}) })
const ofData = (data: Record<string, string>, more = {}) =>
  recipe({ itemPath: undefined, data, ...more })

const item = anItem({
  fields: [
    { id: 'u', label: 'username', value: 'app' },
    { id: 'p', label: 'password', value: 'secret' },
    { id: 'e', label: 'empty', value: '' },
    { id: 'o', label: 'odd', value: 'x!' },
  ],
})
const items = (path = 'op://v/i', content: ItemContent = aContent(item)) =>
  new Map([[path, content]])

function textsFor(claim: ReturnType<typeof recipe>, of = items(), emptyValues = false) {
  const content = render(claim, of, emptyValues)
  if ('reason' in content) throw new Error(content.message)
  return textsOf(content.data)
}

const faultOf = (content: Content | Fault) => ('reason' in content ? content : undefined)

describe('the paths of a resource', () => {
  test('are those of itemPath and of every reference, each once', () => {
    const paths = pathsOf(
      recipe({
        data: { a: 'op://v/i/x', b: '{{ op://v/i/y }}{{ op://w/i/z | trim }}', c: 'literal' },
      }),
    )
    expect(isFault(paths)).toBe(false)
    expect([...(paths as Map<string, unknown>).keys()]).toEqual([PATH, 'op://v/i', 'op://w/i'])
  })

  test('are none for literals alone, and those of data alone without an itemPath', () => {
    expect(pathsOf(ofData({ type: 'git' }))).toEqual(new Map())
    expect(pathsOf(ofData({ a: 'op://v/i/x' }))).toEqual(
      new Map([['op://v/i', { vault: 'v', item: 'i' }]]),
    )
  })

  test.each([
    [recipe({ itemPath: '' }), 'InvalidItemPath', 'cannot be used'],
    [recipe({ itemPath: 'x' }), 'InvalidItemPath', 'cannot be used'],
    [recipe({}, 'helm.sh/release.v1'), 'TypeRefused', 'helm.sh/release.v1'],
    [ofData({ 'a b': 'x' }), 'InvalidReference', '"a b" in spec.data is no legal key'],
    [ofData({ '..x': 'x' }), 'InvalidReference', '"..x"'],
    [ofData({ a: 'op://v/i' }), 'InvalidReference', 'op://v/i'],
    [ofData({ a: 'op://v/i/f?attribute=otp' }), 'VolatileReference', '30 seconds'],
    [
      recipe({ secretMetadata: { labels: { 'app.kubernetes.io/instance': 'x' } } }),
      'InvalidMetadata',
      'Label app.kubernetes.io/instance in spec.secretMetadata',
    ],
    [
      recipe({ secretMetadata: { annotations: { 'kubernetes.io/service-account.name': 'x' } } }),
      'InvalidMetadata',
      'Annotation kubernetes.io/service-account.name',
    ],
  ])('are a fault for some resources: %#', (claim, reason, message) => {
    const fault = pathsOf(claim)
    expect(fault).toMatchObject({ reason })
    expect((fault as Fault).message).toContain(message)
    expect((fault as Fault).message).toMatch(/^["A-Z].*\.$/s)
  })
})

describe('the files that are fetched', () => {
  test('are all of itemPath and of types that are built, else those that references name', () => {
    const data = { a: 'op://v/i/CA.pem', b: '{{ op://v/i/x }}', c: 'op://w/i/y' }
    expect(filesOf(recipe({ data }), PATH)).toBe('all')
    expect(filesOf(recipe({ data }), 'op://v/i')).toEqual(new Set(['ca.pem', 'x']))
    expect(filesOf(recipe({ data }, 'kubernetes.io/tls'), 'op://v/i')).toBe('all')
  })
})

describe('the content of a resource', () => {
  test('has literals, bare references and texts with references and pipes', () => {
    const data = {
      type: 'git',
      nothing: '',
      user: 'op://v/i/username',
      url: 'db://{{ op://v/i/username }}:{{ op://v/i/password | base64 | urlencode }}@h',
      braces: '\\{{ {{op://v/i/username}}',
    }
    expect(textsFor(ofData(data))).toEqual({
      type: 'git',
      nothing: '',
      user: 'app',
      url: 'db://app:c2VjcmV0@h',
      braces: '{{ app',
    })
  })

  test('has keys of data over those of itemPath, also to take one away', () => {
    const both = new Map([...items(PATH), ...items()])
    const spec = { data: { username: 'op://v/i/password', password: 'op://v/i/empty' } }
    expect(textsFor(recipe(spec), both)).toEqual({ username: 'secret', odd: 'x!' })
    expect(textsFor(recipe(spec), both, true)).toEqual({
      username: 'secret',
      password: '',
      empty: '',
      odd: 'x!',
    })
  })

  test('keeps binary files as they are', () => {
    const bytes = Buffer.from([0, 255, 128, 13, 10])
    const file = { id: 'f'.padEnd(26, '0'), name: 'store.p12', size: 5 }
    const files = new Map([[file.id, SecretValue.fromBytes(bytes)]])
    const content = { item: anItem({ files: [file] }), files }
    const made = render(ofData({ k: 'op://v/i/store.p12' }), items('op://v/i', content), false)
    expect(Buffer.from((made as Content).data.get('k')?.reveal() ?? [])).toEqual(bytes)
  })

  test.each([
    [ofData({ k: 'op://v/i/hidden' }), 'FieldNotFound', 'Key "k": '],
    [ofData({ k: '{{ op://v/i/odd | base64decode }}' }), 'InvalidValue', 'Key "k": '],
    [ofData({ k: 'op://v/i/password?ssh-format=openssh' }), 'InvalidValue', 'Key "k": '],
    [ofData({ k: 'op://v/i/empty' }), 'NoKeys', 'No field'],
    [ofData({ k: 'x' }, { requiredKeys: ['k', 'a', 'b'] }), 'MissingKeys', '"a", "b"'],
    [
      ofData({ k: 'op://v/i/empty', l: 'x' }, { requiredKeys: ['k'] }),
      'MissingKeys',
      'Required keys are missing: "k".',
    ],
  ])('is a fault for some items: %#', (claim, reason, message) => {
    const fault = faultOf(render(claim, items(), false))
    expect(fault).toMatchObject({ reason })
    expect(fault?.message).toContain(message)
    expect(fault?.message).not.toContain('secret')
  })

  test('is too large by one byte, and then names the sizes', () => {
    const value = 'x'.repeat(1_048_576 - 1)
    const large = items('op://v/i', aContent(anItem({ fields: [{ label: 'a', value }] })))
    expect(textsFor(ofData({ a: 'op://v/i/a', b: '1' }), large)).toHaveProperty('b')
    const fault = faultOf(render(ofData({ a: 'op://v/i/a', b: '12' }), large, false))
    expect(fault).toEqual({
      reason: 'TooLarge',
      message: 'The values have more than 1048576 bytes; the largest: a 1048575, b 2.',
    })
  })

  test('is too large with a file that no Secret can hold', () => {
    const file = { id: 'f'.padEnd(26, '0'), name: 'dump', size: 9_999_999 }
    const large = items('op://v/i', aContent(anItem({ files: [file] })))
    expect(faultOf(render(ofData({ a: 'op://v/i/dump' }), large, false))?.reason).toBe('TooLarge')
    expect(textsFor(ofData({ a: 'op://v/i/dump?attribute=size' }), large)).toEqual({ a: '9999999' })
  })

  test('is too large with the keys that a type adds', () => {
    const value = 'x'.repeat(600_000)
    const large = items(PATH, aContent(anItem({ fields: [{ label: 'private key', value }] })))
    expect(textsFor(recipe({}), large)).toHaveProperty('private-key')
    expect(faultOf(render(recipe({}, 'kubernetes.io/ssh-auth'), large, false))).toEqual({
      reason: 'TooLarge',
      message:
        'The values have more than 1048576 bytes; the largest: private-key 600000, ssh-privatekey 600000.',
    })
  })

  test('names the keys that a type demands and no field gives', () => {
    const fault = faultOf(render(recipe({}, 'kubernetes.io/tls'), items(PATH), false))
    expect(fault).toEqual({
      reason: 'MissingKeys',
      message: 'Type kubernetes.io/tls demands tls.crt and tls.key, and no field gives it.',
    })
  })

  test('of a type that is built counts built keys among the required ones', () => {
    const claim = recipe({ requiredKeys: ['.dockercfg'] }, 'kubernetes.io/dockercfg')
    expect(textsFor(claim, items(PATH))).toHaveProperty('.dockercfg')
  })
})
