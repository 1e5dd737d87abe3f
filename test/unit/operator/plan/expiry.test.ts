import { expect, test } from 'vitest'
import { expiryOf } from '../../../../src/operator/plan/expiry.ts'
import {
  anItem,
  aSnapshot,
  aSynced,
  found,
  planOf,
  read,
  withItem,
} from '../../../builders/snapshot.ts'

const item = (...fields: { label?: string; id?: string; type?: string; value?: string }[]) =>
  anItem({ fields: fields.map((field) => ({ id: 'x', label: 'x', type: 'DATE', ...field })) })

test.each([
  ['id', { id: 'expires', value: '1893456000' }],
  ['label', { label: 'expires', value: '1893456000' }],
  ['label of several words', { label: 'Expiry date', value: '1893456000' }],
  ['id with an underscore', { id: 'expiry_date', value: '1893456000' }],
  ['name that people choose', { label: 'expiration-date', value: '1893456000' }],
])('a date is found by its %s', (_what, field) => {
  expect(expiryOf(item(field))).toBe('2030-01-01T00:00:00Z')
})

test('a month lasts to its end', () => {
  const month = (value: string) => expiryOf(item({ label: 'expiry', type: 'MONTH_YEAR', value }))
  expect(month('203012')).toBe('2031-01-01T00:00:00Z')
  expect(month('202402')).toBe('2024-03-01T00:00:00Z')
})

test('the earliest of several dates counts', () => {
  const dates = [
    { label: 'expires', value: '1893456000' },
    { id: 'expiry', type: 'MONTH_YEAR', value: '202402' },
  ]
  expect(expiryOf(item(...dates))).toBe('2024-03-01T00:00:00Z')
})

test.each([
  ['another name', { label: 'created', value: '1893456000' }],
  ['a name that only contains it', { label: 'never expires', value: '1893456000' }],
  [
    'text, which is a value like any other',
    { label: 'expires', type: 'STRING', value: '1893456000' },
  ],
  ['a concealed value', { label: 'expires', type: 'CONCEALED', value: '1893456000' }],
  ['no value', { label: 'expires' }],
  ['an empty value', { label: 'expires', value: '' }],
  ['no date', { label: 'expires', value: 'tomorrow' }],
  ['a date before the epoch', { label: 'expires', value: '-1' }],
  ['no month', { label: 'expiry', type: 'MONTH_YEAR', value: '203013' }],
  ['a year of five digits', { label: 'expires', value: '999999999999' }],
])('%s gives none', (_what, field) => {
  expect(expiryOf(item(field))).toBeUndefined()
})

test('the status tells it, and keeps it until the content is read again', () => {
  const dated = item({ label: 'expires', value: '1893456000' })
  const first = aSnapshot({ references: found(dated), content: read(dated) })
  expect(planOf(first).status?.items).toMatchObject([{ expires: '2030-01-01T00:00:00Z' }])
  const { seen } = aSynced(first)
  // Nothing has changed, so nothing is read and nothing written.
  expect(planOf(seen).status).toBeUndefined()
  const undated = { ...anItem(), version: 2 }
  const [after] = planOf(withItem(seen, undated)).status?.items ?? []
  expect(after).toMatchObject({ version: 2 })
  expect(after).not.toHaveProperty('expires')
})

test('what was synchronised without it has it after a refresh that is asked for', () => {
  const dated = item({ label: 'expires', value: '1893456000' })
  const { seen } = aSynced(aSnapshot({ references: found(dated), content: read(dated) }))
  const items = (seen.claim.status.items ?? []).map(({ path, vaultId, itemId, version }) => {
    return { path, vaultId, itemId, version }
  })
  const claim = {
    ...seen.claim,
    annotations: { 'keyferry.dev/refresh': 'now' },
    status: { ...seen.claim.status, items },
  }
  const plan = planOf({ ...seen, claim, content: read(dated) })
  expect(plan.secret).toBeUndefined()
  expect(plan.status?.items).toMatchObject([{ expires: '2030-01-01T00:00:00Z' }])
})
