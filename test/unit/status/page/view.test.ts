import { expect, test } from 'vitest'
import type { Health, Row } from '../../../../src/status/model.ts'
import { after, NOTHING_YET, type View } from '../../../../src/status/page/view.ts'

const health = (now: number) => ({ now }) as Health
const row = (name: string, reason = 'Synced') => ({ namespace: 'shop', name, reason }) as Row

const first = after(NOTHING_YET, {
  kind: 'snapshot',
  at: 1,
  snapshot: { health: health(10), advice: {}, rows: [row('one'), row('two')] },
})
const change = (view: View, rows: readonly Row[], gone: readonly string[] = []) =>
  after(view, { kind: 'change', at: 2, change: { health: health(20), rows, gone } })

test('a snapshot is all that is known', () => {
  expect(first).toMatchObject({ connection: 'live', at: 1, health: { now: 10 } })
  expect([...first.rows.keys()]).toEqual(['shop/one', 'shop/two'])
  const next = after(first, {
    kind: 'snapshot',
    at: 3,
    snapshot: { health: health(30), advice: {}, rows: [] },
  })
  expect(next.rows.size).toBe(0)
})

test('a change replaces, adds and takes away rows, and leaves the others as they are', () => {
  const next = change(first, [row('two', 'Frozen'), row('three')], ['shop/one'])
  expect([...next.rows.values()]).toEqual([row('two', 'Frozen'), row('three')])
  expect(next).toMatchObject({ at: 2, health: { now: 20 } })
  // Whoever compares sees that the view before did not change.
  expect([...first.rows.values()]).toEqual([row('one'), row('two')])
  expect(change(first, []).rows).toBe(first.rows)
  expect(change(first, [row('three')]).rows.get('shop/one')).toBe(first.rows.get('shop/one'))
})

test('what was known stays when the connection is lost, and lives again with the next news', () => {
  const lost = after(first, { kind: 'lost' })
  expect(lost).toMatchObject({ connection: 'lost', at: 1, rows: first.rows })
  expect(change(lost, []).connection).toBe('live')
  expect(after(NOTHING_YET, { kind: 'lost' }).connection).toBe('connecting')
})
