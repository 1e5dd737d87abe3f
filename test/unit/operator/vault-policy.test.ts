import { expect, test } from 'vitest'
import { parseVaultPolicy } from '../../../src/operator/vault-policy.ts'

const ID = 'a1'.repeat(13)
const OTHER_ID = 'b2'.repeat(13)
const vault = (name: string, id = OTHER_ID) => ({ id, name })

const policy = (mode: string) =>
  parseVaultPolicy(`
mode: ${mode}
rules:
  - namespaces: [payments, payments-eu]
    vaults: [Payments]
  - namespaces: [team-*]
    vaults: ["Team *", ${ID}]
  - namespaces: ["*"]
    vaults: [Shared]
`)

test.each([
  ['payments', vault('Payments'), true],
  ['payments', vault('PAYMENTS'), true],
  ['payments-us', vault('Payments'), false],
  ['team-a', vault('Team A'), true],
  ['team-a', vault('team b'), true],
  ['team', vault('Team A'), false],
  ['team-a', vault('Anything', ID), true],
  ['payments', vault('Anything', ID), false],
  ['nobody', vault('Shared'), true],
])('namespace %s and vault %o: %s, whatever the mode', (namespace, asked, allowed) => {
  for (const mode of ['open', 'closed']) {
    expect(policy(mode).allows(namespace, asked)).toBe(allowed)
  }
})

test('a vault that no rule names is open in mode open alone', () => {
  expect(policy('open').allows('payments', vault('Else'))).toBe(true)
  expect(policy('closed').allows('payments', vault('Else'))).toBe(false)
})

test('a vault that is named like the id of another gains nothing by that', () => {
  const closed = policy('closed')
  expect(closed.allows('team-a', vault(ID))).toBe(false)
  expect(closed.allows('team-a', vault(ID.toUpperCase()))).toBe(false)
})

test('a policy without rules closes or opens everything', () => {
  expect(parseVaultPolicy('mode: closed\nrules: []').allows('a', vault('b'))).toBe(false)
  expect(parseVaultPolicy('{"mode":"open","rules":[]}').allows('a', vault('b'))).toBe(true)
})

const bomb = `a: &a [x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]
d: [*c, *c, *c, *c, *c, *c, *c, *c, *c]`

test.each([
  ['', 'the document'],
  ['mode: strict\nrules: []', 'mode'],
  ['rules: []', 'mode'],
  ['mode: open', 'rules'],
  ['mode: open\nrules: []\nextra: 1', 'the document'],
  ['mode: open\nrules: [{ namespaces: [a] }]', 'rules.0.vaults'],
  ['mode: open\nrules: [{ namespaces: a, vaults: [b] }]', 'rules.0.namespaces'],
  ['mode: open\nrules: [{ namespaces: [], vaults: [b] }]', 'rules.0.namespaces'],
  ['mode: open\nrules: [{ namespaces: [""], vaults: [b] }]', 'rules.0.namespaces.0'],
  ['mode: open\nmode: closed\nrules: []', 'it is no YAML'],
  ['mode: [', 'it is no YAML'],
  [bomb, 'it is no YAML'],
  ['mode: open\nrules: &r []\n__proto__: *r', 'it is no YAML'],
])('the text %j is refused and its mistake named', (text, place) => {
  expect(() => parseVaultPolicy(text)).toThrow(`VAULT_POLICY_FILE cannot be used: ${place}`)
  expect('rules' in {}).toBe(false)
})
