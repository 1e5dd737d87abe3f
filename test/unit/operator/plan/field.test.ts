import { describe, expect, test } from 'vitest'
import type { KeyferryError } from '../../../../src/errors.ts'
import { valueOf } from '../../../../src/operator/plan/field.ts'
import { parseReference } from '../../../../src/operator/plan/reference.ts'
import { aContent, anItem } from '../../../builders/snapshot.ts'

const item = anItem({
  sections: [{ id: 's1', label: 'Admin' }, { id: 's2', label: 'Reader' }, { id: 's3' }],
  fields: [
    { id: 'u', label: 'username', value: 'app', purpose: 'USERNAME', type: 'STRING' },
    { id: 'username2', label: 'Username', value: 'by case' },
    { id: 'a', label: 'token', value: 'admin', section: { id: 's1' } },
    { id: 'r', label: 'token', value: 'reader', section: { id: 's2' } },
    { id: 'n', label: 'nothing' },
    { id: 'x', label: 'outside', value: 'outside' },
    { id: 'y', label: 'outside', value: 'inside', section: { id: 's1' } },
    { id: 'z1', label: 'twice', value: '1' },
    { id: 'z2', label: 'twice', value: '2' },
    { id: 'other', label: 'u', value: 'labelled like an id' },
    { id: 'f', label: 'both.pem', value: 'field' },
  ],
  urls: [{ href: 'https://a.example', label: 'site', primary: true }],
  files: [
    { id: 'f1'.padEnd(26, '0'), name: 'ca.pem', size: 3 },
    { id: 'f2'.padEnd(26, '0'), name: 'both.pem', size: 4 },
    { id: 'f3'.padEnd(26, '0'), name: 'large.bin', size: 5_000_000 },
    { id: 'f4'.padEnd(26, '0'), name: 'in.pem', size: 2, section: { id: 's2' } },
  ],
})
const content = aContent(item, { 'ca.pem': 'pem', 'both.pem': 'file', 'in.pem': 'in' })

const find = (path: string) => valueOf(parseReference(`op://v/i/${path}`), content)
const text = (path: string) => Buffer.from(find(path)?.reveal() ?? []).toString()

function refusal(path: string): KeyferryError {
  try {
    find(path)
  } catch (error) {
    return error as KeyferryError
  }
  throw new Error('something was found')
}

describe('a reference finds', () => {
  test.each([
    ['u', 'app', 'an id before a label'],
    ['username', 'app', 'an exact label before one in another case'],
    ['uSERNAME', undefined, 'no one of two that differ in case'],
    ['USERNAME2', undefined, 'nothing by an id in another case'],
    ['Admin/token', 'admin', 'a section by its label'],
    ['admin/TOKEN', 'admin', 'section and label in another case'],
    ['s2/token', 'reader', 'a section by its id'],
    ['outside', 'outside', 'what is outside of sections before what is inside'],
    ['Admin/outside', 'inside', 'what is inside when the section is named'],
    ['nothing', '', 'a field without a value as an empty one'],
    ['ca.pem', 'pem', 'a file by its name'],
    ['CA.PEM', 'pem', 'a file by its name in another case'],
    ['f1'.padEnd(26, '0'), 'pem', 'a file by its id'],
    ['both.pem', 'field', 'a field before a file'],
    ['Reader/in.pem', 'in', 'a file in its section'],
    ['site', 'https://a.example', 'a URL by its label'],
    ['twice', undefined, 'no one of two with one label'],
    ['token', undefined, 'no one of two in different sections'],
    ['Nowhere/token', undefined, 'nothing in a section that is not there'],
    ['Admin/site', undefined, 'no URL in a section'],
    ['hidden', undefined, 'nothing that is not there'],
  ])('%s: %s, %s', (path, expected, _why) => {
    if (expected === undefined) expect(refusal(path).code).toBe('FIELD_NOT_FOUND')
    else expect(text(path)).toBe(expected)
  })

  test('nothing for a file that was not fetched', () => {
    expect(find('large.bin')).toBeUndefined()
  })
})

describe('an attribute', () => {
  test.each([
    ['username?attribute=value', 'app'],
    ['username?attribute=type', 'STRING'],
    ['username?attribute=id', 'u'],
    ['username?attribute=purpose', 'USERNAME'],
    ['nothing?attribute=purpose', ''],
    ['username?attribute=label', 'username'],
    ['ca.pem?attribute=content', 'pem'],
    ['ca.pem?attribute=name', 'ca.pem'],
    ['ca.pem?attribute=size', '3'],
    ['large.bin?attribute=size', '5000000'],
    ['ca.pem?attribute=id', 'f1'.padEnd(26, '0')],
  ])('%s is %j', (path, expected) => expect(text(path)).toBe(expected))

  test.each([
    ['username?attribute=content', 'field "username" has no attribute content'],
    ['username?attribute=name', 'field "username" has no attribute name'],
    ['username?attribute=size', 'field "username" has no attribute size'],
    ['ca.pem?attribute=value', 'file "ca.pem" has no attribute value'],
    ['ca.pem?attribute=purpose', 'file "ca.pem" has no attribute purpose'],
    ['ca.pem?attribute=label', 'file "ca.pem" has no attribute label'],
  ])('%s is refused: %s', (path, message) => {
    expect(refusal(path)).toMatchObject({ code: 'FIELD_NOT_FOUND', message })
  })
})

describe('what is not found', () => {
  test('is told with what there is, in order and never with a value', () => {
    const { message } = refusal('hidden')
    expect(message).toContain('has no field or file "hidden"')
    expect(message).toContain('"both.pem", "ca.pem"')
    expect(message).not.toContain('reader,')
    expect(refusal('Nowhere/token').message).toContain('in section "Nowhere"')
    expect(refusal('twice').message).toContain('has more than one')
  })

  test('is told with twenty labels at most', () => {
    const fields = Array.from({ length: 50 }, (_, n) => ({ id: `${n}`, label: `label ${n}` }))
    const many = aContent(anItem({ fields }))
    expect(() => valueOf(parseReference('op://v/i/hidden'), many)).toThrow(/"label 26", …$/)
  })
})

test('a value comes in OpenSSH form where it is asked for', () => {
  const pem = '-----BEGIN OPENSSH PRIVATE KEY-----\nYQ==\n-----END OPENSSH PRIVATE KEY-----\n'
  const key = aContent(anItem({ fields: [{ id: 'k', label: 'private key', value: pem }] }))
  const reference = parseReference('op://v/i/private key?ssh-format=openssh')
  expect(Buffer.from(valueOf(reference, key)?.reveal() ?? []).toString()).toBe(pem)
  expect(refusal('username?ssh-format=openssh').code).toBe('VALUE_UNFIT')
  expect(valueOf(parseReference('op://v/i/large.bin?ssh-format=openssh'), content)).toBeUndefined()
})
