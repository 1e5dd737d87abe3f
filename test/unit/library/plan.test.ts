import { expect, test } from 'vitest'
import { parse } from 'yaml'
import {
  contentDigest,
  contentOfItem,
  digestKey,
  filesOf,
  isFault,
  type ItemContent,
  keyOfLabel,
  parseClaim,
  parseItem,
  pathsOf,
  render,
  SecretValue,
} from '../../../src/library/plan.ts'

const RESOURCE = `
apiVersion: onepassword.com/v1
kind: OnePasswordItem
metadata: { name: database, namespace: shop }
type: kubernetes.io/basic-auth
spec:
  itemPath: op://Production/Database
  data: { url: "db://{{ op://Production/Database/username }}@h" }
`
/** As `op item get --format json` prints it. */
const ITEM = {
  id: 'i'.repeat(26),
  title: 'Database',
  vault: { id: 'v'.repeat(26), name: 'Production' },
  version: 3,
  created_at: '2026-01-01T00:00:00Z',
  fields: [
    { id: 'username', type: 'STRING', purpose: 'USERNAME', label: 'username', value: 'app' },
    { id: 'password', type: 'CONCEALED', label: 'pass word', value: 'secret' },
  ],
  files: [{ id: 'f'.repeat(26), name: 'ca.pem', size: 3 }],
}

test('a tool computes a Secret from a resource and an item, without any I/O', () => {
  const claim = parseClaim(parse(RESOURCE))
  const paths = pathsOf(claim)
  if (isFault(paths)) throw new Error(paths.message)
  expect([...paths]).toEqual([
    ['op://Production/Database', { vault: 'Production', item: 'Database' }],
  ])
  expect(filesOf(claim, 'op://Production/Database')).toBe('all')
  const item = parseItem(ITEM)
  if (item === undefined) throw new Error('no item')
  const files = new Map([['f'.repeat(26), SecretValue.fromText('pem')]])
  const whole: ItemContent = { item, files }
  const content = render(claim, new Map([...paths.keys()].map((path) => [path, whole])), false)
  if (isFault(content)) throw new Error(content.message)
  const data = Object.fromEntries(
    [...content.data].map(([key, value]) => [key, Buffer.from(value.reveal()).toString()]),
  )
  expect(data).toEqual({
    username: 'app',
    'pass-word': 'secret',
    password: 'secret',
    'ca.pem': 'pem',
    url: 'db://app@h',
  })
  expect(JSON.stringify([...content.data])).not.toContain('secret"')
  expect(contentOfItem(whole, false).data.has(keyOfLabel('pass word') ?? '')).toBe(true)
  const key = digestKey(Buffer.alloc(32, 1))
  const secret = { namespace: 'shop', name: 'database', type: claim.type, data: content.data }
  expect(contentDigest(key, secret)).toMatch(new RegExp(`^${key.id}\\.[0-9a-f]{64}$`))
})

test('what cannot be served is a fault with a reason', () => {
  const fault = pathsOf(parseClaim({ metadata: { name: 'x' }, spec: { itemPath: 'nonsense' } }))
  expect(isFault(fault) && fault.reason).toBe('InvalidItemPath')
  expect(parseItem({ title: 'no ids' })).toBeUndefined()
})
