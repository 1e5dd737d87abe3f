import { describe, expect, test } from 'vitest'
import { readImport } from '../../../../src/server/admin/formats.ts'

const ID = 'abcdefghijklmnopqrstuvwxy2'
const VAULT = 'zbcdefghijklmnopqrstuvwxy2'

/** As `op item get --format json` prints a login. Source: 1Password CLI reference, item get */
const OP_ITEM = {
  id: ID,
  title: 'Site',
  favorite: true,
  tags: ['a'],
  version: 7,
  vault: { id: VAULT, name: 'Op' },
  category: 'LOGIN',
  last_edited_by: 'X',
  created_at: '2021-04-15T17:19:51.123Z',
  updated_at: '2022-04-15T17:19:51Z',
  additional_information: 'wendy',
  urls: [{ label: 'website', primary: true, href: 'https://a.b' }],
  sections: [{ id: 'add more', label: 'More' }, { id: 'x' }],
  fields: [
    { id: 'username', type: 'STRING', purpose: 'USERNAME', label: 'username', value: 'wendy' },
    {
      id: 'password',
      type: 'CONCEALED',
      purpose: 'PASSWORD',
      label: 'password',
      value: 'p',
      entropy: 100,
      password_details: { strength: 'FANTASTIC', history: ['old'] },
    },
    {
      id: 'TOTP_1',
      section: { id: 'add more', label: 'More' },
      type: 'OTP',
      label: 'otp',
      value: 'otpauth://totp/a?secret=JBSWY3DPEHPK3PXP',
      totp: '123456',
      reference: 'op://Op/Site/otp',
    },
  ],
  files: [{ id: 'f', name: 'a.txt', size: 3, content_path: '/v1/x' }],
}

const one = (source: string, vault?: string) => {
  const { vaults } = readImport(source, vault)
  const [first] = vaults
  if (first === undefined) throw new Error('nothing was read')
  return first
}

describe('what op prints', () => {
  const source = JSON.stringify(OP_ITEM)

  test('is read with ids, version, dates, sections and values', () => {
    const read = readImport(source, undefined)
    expect(read.vaults).toHaveLength(1)
    expect(read.vaults[0]).toMatchObject({ id: VAULT, name: 'Op' })
    expect(read.vaults[0]?.items[0]).toMatchObject({
      id: ID,
      version: 7,
      createdAt: '2021-04-15T17:19:51Z',
      updatedAt: '2022-04-15T17:19:51Z',
      input: {
        title: 'Site',
        category: 'LOGIN',
        favorite: true,
        tags: ['a'],
        urls: [{ href: 'https://a.b', label: 'website', primary: true }],
        fields: [
          { id: 'username', purpose: 'USERNAME', value: 'wendy' },
          { id: 'password', purpose: 'PASSWORD', value: 'p' },
          { id: 'TOTP_1', type: 'OTP', section: { id: 'add more', label: 'More' } },
        ],
      },
    })
    expect(read.filesWithoutContent).toEqual(['a.txt'])
  })

  test.each([
    ['a list', `[${source},${source.replaceAll(ID, VAULT)}]`],
    ['one after the other', `${source}\n${source.replaceAll(ID, VAULT)}\n`],
    ['one after the other, indented', `${JSON.stringify(OP_ITEM, null, 2)} ${source}`],
  ])('is read as %s', (_, text) => {
    expect(one(text).items.length + readImport(text, undefined).vaults.length).toBe(3)
  })

  test('of several vaults becomes several vaults, or the one that is asked for', () => {
    const other = source.replaceAll(VAULT, ID).replace('"Op"', '"Other"')
    const text = `[${source},${other}]`
    expect(readImport(text, undefined).vaults.map(({ name }) => name)).toEqual(['Op', 'Other'])
    expect(readImport(text, 'Mine').vaults).toMatchObject([{ name: 'Mine', items: [{}, {}] }])
    expect(readImport(text, 'Mine').vaults[0]).not.toHaveProperty('id')
  })

  test('as a list without fields is read, and said so', () => {
    const summary = { id: ID, title: 'Site', vault: { id: VAULT, name: 'Op' }, category: 'LOGIN' }
    const read = readImport(JSON.stringify([summary]), undefined)
    expect(read.itemsWithoutFields).toEqual(['Site'])
  })

  test('about an archived item keeps its state', () => {
    const text = JSON.stringify({ ...OP_ITEM, state: 'ARCHIVED' })
    expect(one(text).items[0]?.state).toBe('ARCHIVED')
  })
})

describe('a vault in YAML', () => {
  test('is read with short forms, and scalars as they are written', () => {
    const read = one(`
vault: Production
description: for tests
items:
  - title: Database
    category: database
    fields:
      username: app
      password: hunter2
      "quoted label": 'x'
      port: 0123
      flag: yes
      big: 1e3
      empty:
      secret: { value: s, type: CONCEALED, section: Admin }
    tags: [a, b]
    urls: [https://a, { href: https://b, primary: true }]
    favorite: true
    files:
      - { name: a.txt, text: "hello" }
      - { base64: AAEC, name: b.bin, section: Admin }
      - { path: dir/c.pem }
`)
    expect(read).toMatchObject({ name: 'Production', description: 'for tests' })
    const [item] = read.items
    const fields = item?.input.fields ?? []
    expect(Object.fromEntries(fields.map(({ label, value }) => [label, value]))).toEqual({
      username: 'app',
      password: 'hunter2',
      'quoted label': 'x',
      port: '0123',
      flag: 'yes',
      big: '1e3',
      empty: '',
      secret: 's',
    })
    expect(item?.input).toMatchObject({
      category: 'DATABASE',
      favorite: true,
      tags: ['a', 'b'],
      urls: [{ href: 'https://a' }, { href: 'https://b', primary: true }],
      sections: [{ id: 'Admin', label: 'Admin' }],
    })
    expect(fields.find(({ label }) => label === 'username')?.purpose).toBe('')
    expect(item?.files).toEqual([
      { name: 'a.txt', source: { kind: 'bytes', bytes: Buffer.from('hello') } },
      { name: 'b.bin', section: 'Admin', source: { kind: 'bytes', bytes: Buffer.from([0, 1, 2]) } },
      { name: 'c.pem', source: { kind: 'path', path: 'dir/c.pem' } },
    ])
  })

  test('gives logins their built-in fields, and notes', () => {
    const source = '{vault: V, items: [{title: t, notes: n, fields: {username: u, password: p}}]}'
    const [item] = one(source).items
    expect(item?.input.category).toBe('LOGIN')
    expect(item?.input.fields).toMatchObject([
      { id: 'username', purpose: 'USERNAME', value: 'u' },
      { id: 'password', purpose: 'PASSWORD', type: 'CONCEALED', value: 'p' },
      { purpose: 'NOTES', value: 'n' },
    ])
  })

  test('takes recipes for values', () => {
    const [item] = one(`
vault: V
items:
  - title: t
    category: SERVER
    fields:
      a: { generate: true }
      b: { generate: { length: 12, characterSets: [digits], excludeCharacters: "0" } }
`).items
    expect(item?.input.fields).toMatchObject([
      { label: 'a', generate: true },
      {
        label: 'b',
        generate: true,
        recipe: { length: 12, characterSets: ['DIGITS'], excludeCharacters: '0' },
      },
    ])
  })

  test('may be one of several, in documents or a list', () => {
    const names = (source: string) => readImport(source, undefined).vaults.map(({ name }) => name)
    expect(names('vault: A\nitems: []\n---\nvault: B\nitems: []\n')).toEqual(['A', 'B'])
    expect(names('vaults: [{name: A}, {name: B, items: []}]')).toEqual(['A', 'B'])
    expect(names('- {vault: A}\n- {title: t, vault: B}')).toEqual(['A', 'B'])
    expect(one('- {title: t, vault: B}').items).toHaveLength(1)
  })

  test.each([
    ['items: [', 'neither JSON nor YAML'],
    ['{"vault": "V", "items": [{"title": 1}]}', 'no list of vaults or items'],
    ['just text', 'no list of vaults or items'],
    ['- title: t', 'names no vault'],
    ['items: []', 'a vault without a name'],
    ['vault: V\nitems: [{title: t, created_at: yesterday}]', 'a date is not in RFC 3339'],
  ])('with a mistake is refused: %j', (source, message) => {
    expect(() => readImport(source, undefined)).toThrow(message)
  })

  test('does not quote its text in a message', () => {
    const source = 'vault: V\nitems:\n  - title: [hunter2-secret'
    const read = () => {
      try {
        return readImport(source, undefined)
      } catch (error) {
        return String(error)
      }
    }
    expect(read()).toContain('YAML')
    expect(read()).not.toContain('hunter2')
  })

  test('that repeats itself without end is refused', () => {
    const bomb = ['a: &a [x]']
    for (let n = 1; n < 30; n++) {
      const [name, last] = [`b${n}`, n === 1 ? 'a' : `b${n - 1}`]
      bomb.push(`${name}: &${name} [${Array.from({ length: 9 }, () => `*${last}`).join(',')}]`)
    }
    expect(() => readImport(bomb.join('\n'), undefined)).toThrow(/alias/)
  })
})
