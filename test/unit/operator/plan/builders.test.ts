import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  completeForType,
  isBuiltType,
  isRefusedType,
} from '../../../../src/operator/plan/builders.ts'
import { contentOfItem, type ItemContent } from '../../../../src/operator/plan/content.ts'
import { anyContent } from '../../../builders/arbitrary.ts'
import { aContent, aData, anItem, textsOf } from '../../../builders/snapshot.ts'
import { property } from '../../../support/property.ts'

const TYPES = ['basic-auth', 'ssh-auth', 'tls', 'dockercfg', 'dockerconfigjson'].map(
  (name) => `kubernetes.io/${name}`,
)
/** No key: what looks like one is not in OpenSSH form and stays as it is. */
const LOGIN = [
  { id: 'u', label: 'username', value: 'app' },
  { id: 'p', label: 'password', value: 'secret' },
]

function build(type: string, content: ItemContent) {
  const { data, missing } = completeForType(
    `kubernetes.io/${type}`,
    contentOfItem(content, false).data,
    [content],
  )
  return { data: textsOf(data), missing }
}

const ofFields = (...fields: readonly object[]) => aContent(anItem({ fields }))

describe('a Secret of type', () => {
  test.each([
    ['basic-auth', [{ label: 'USERNAME', value: 'a' }], { username: 'a' }],
    ['basic-auth', [{ label: 'Api-Key', value: 'a' }], { password: 'a' }],
    ['basic-auth', [{ label: 'x', purpose: 'PASSWORD', value: 'a' }], { password: 'a' }],
    ['basic-auth', [{ id: 'username', label: 'Benutzer', value: 'a' }], { username: 'a' }],
    ['ssh-auth', [{ label: 'id_rsa', value: 'no PEM' }], { 'ssh-privatekey': 'no PEM' }],
    [
      'tls',
      [
        { label: 'cert', value: 'c' },
        { label: 'privkey.pem', value: 'k' },
      ],
      { 'tls.crt': 'c', 'tls.key': 'k' },
    ],
    [
      'dockercfg',
      [...LOGIN, { label: 'server', value: 'r.example' }, { label: 'email', value: 'a@b' }],
      {
        '.dockercfg':
          '{"r.example":{"username":"app","password":"secret","email":"a@b","auth":"YXBwOnNlY3JldA=="}}',
      },
    ],
    [
      'dockerconfigjson',
      LOGIN,
      {
        '.dockerconfigjson':
          '{"auths":{"https://index.docker.io/v1/":{"username":"app","password":"secret","auth":"YXBwOnNlY3JldA=="}}}',
      },
    ],
  ])('%s is made of the usual fields', (type, fields, expected) => {
    const { data, missing } = build(type, ofFields(...fields))
    expect(data).toMatchObject(expected)
    expect(missing).toEqual([])
  })

  test.each([
    ['basic-auth', [{ label: 'host', value: 'x' }], ['username', 'password']],
    ['ssh-auth', LOGIN, ['ssh-privatekey']],
    ['tls', [{ label: 'cert', value: 'c' }], ['tls.key']],
    ['tls', [{ label: 'cert', value: 'c' }, { label: 'key' }], ['tls.key']],
    ['dockercfg', [{ label: 'username', value: 'a' }], ['.dockercfg']],
    ['dockerconfigjson', [{ label: 'password', value: 'a' }], ['.dockerconfigjson']],
  ])('%s names what is missing', (type, fields, missing) => {
    expect(build(type, ofFields(...fields)).missing).toEqual(missing)
  })

  test('dockerconfigjson takes the registry of a URL, the primary one first', () => {
    const urls = [
      { href: 'https://second.example', label: 'other' },
      { href: 'https://first.example', label: 'site', primary: true },
    ]
    const { data } = build('dockerconfigjson', aContent(anItem({ fields: LOGIN, urls })))
    expect(JSON.parse(data['.dockerconfigjson'] ?? '')).toHaveProperty([
      'auths',
      'https://first.example',
    ])
    const named = [{ href: 'r.example', label: 'Registry' }, ...urls]
    const other = build('dockerconfigjson', aContent(anItem({ fields: LOGIN, urls: named })))
    expect(JSON.parse(other.data['.dockerconfigjson'] ?? '')).toHaveProperty(['auths', 'r.example'])
  })

  test('tls takes files by the names they usually have', () => {
    const files = ['fullchain.pem', 'privkey.pem'].map((name, n) => {
      return { id: `f${n}`.padEnd(26, '0'), name, size: 3 }
    })
    const item = anItem({ fields: [], files })
    const content = aContent(item, { 'fullchain.pem': 'all', 'privkey.pem': 'key' })
    expect(build('tls', content).data).toMatchObject({ 'tls.crt': 'all', 'tls.key': 'key' })
  })

  test('is never built over keys that are there, of the item or of data', () => {
    const own = { 'tls.crt': 'mine', key: 'k' }
    const { data } = completeForType('kubernetes.io/tls', aData(own), [ofFields(...LOGIN)])
    expect(textsOf(data)).toEqual({ ...own, 'tls.key': 'k' })
  })

  test.each(['Opaque', 'example.com/own', 'constructor', 'toString', '__proto__', ''])(
    '%j is left as it is',
    (type) => {
      expect(isBuiltType(type)).toBe(false)
      const { data, missing } = completeForType(type, aData({ a: 'b' }), [ofFields(...LOGIN)])
      expect([textsOf(data), missing]).toEqual([{ a: 'b' }, []])
    },
  )

  property(
    'that demands keys keeps all that any item gives',
    fc.property(anyContent, fc.constantFrom(...TYPES), (content, type) => {
      const before = contentOfItem(content, false).data
      const { data, missing } = completeForType(type, before, [content])
      for (const [key, value] of before) expect(data.get(key)).toBe(value)
      expect(missing.filter((key) => data.has(key))).toEqual([])
    }),
  )
})

test.each([
  ['kubernetes.io/service-account-token', true],
  ['bootstrap.kubernetes.io/token', true],
  ['helm.sh/release.v1', true],
  ['Opaque', false],
  ['kubernetes.io/tls', false],
  ['example.com/helm.sh/x', false],
  ['Kubernetes.io/Service-Account-Token', false],
])('whether %s is refused: %s', (type, refused) => {
  expect(isRefusedType(type)).toBe(refused)
})
