import { describe, expect, test } from 'vitest'
import type { Change, Row, Write } from '../../../../src/server/store/engine.ts'
import { decideGroup, type Pending, wanted } from '../../../../src/server/store/group.ts'

const aRow = (id: string, version: number): Row => ({
  kind: 'item',
  scope: 'v',
  id,
  version,
  sealed: new Uint8Array([version]),
})
const put = (row: Row): Write => ({ op: 'put', row })

const aPending = (change: Partial<Change<unknown>>): Pending => ({
  change: { keys: [], decide: () => ({ writes: [], result: undefined }), ...change },
  resolve: () => undefined,
  reject: () => undefined,
})
/** Raises the version of item a by one. */
const raise = () =>
  aPending({
    decide(seen) {
      const version = (seen.get('item', 'v', 'a')?.version ?? 0) + 1
      return { writes: [put(aRow('a', version))], result: version }
    },
  })

describe('a group of changes', () => {
  test('decides each on what those before it left, and writes a row once', () => {
    const { writes, accepted } = decideGroup([raise(), raise(), raise()], [aRow('a', 4)])
    expect(accepted.map(({ result }) => result)).toEqual([5, 6, 7])
    expect(writes).toEqual([put(aRow('a', 7))])
  })

  test('refuses a change that throws alone, and keeps nothing of it', () => {
    const failing = aPending({
      decide() {
        throw new Error('no')
      },
    })
    const { writes, accepted, refused } = decideGroup([raise(), failing, raise()], [])
    expect(accepted.map(({ result }) => result)).toEqual([1, 2])
    expect(refused).toEqual([{ pending: failing, error: new Error('no') }])
    expect(writes).toEqual([put(aRow('a', 2))])
  })

  test('shows drops and clears to the changes after them', () => {
    const drop = aPending({
      decide: () => ({
        writes: [{ op: 'drop', key: aRow('a', 0) }],
        result: undefined,
      }),
    })
    const clear = aPending({
      decide: () => ({ writes: [{ op: 'clear', kind: 'item', scope: 'v' }], result: undefined }),
    })
    const look = () =>
      aPending({
        decide: (seen) => ({ writes: [], result: seen.range('item', 'v').map(({ id }) => id) }),
      })
    const rows = [aRow('a', 1), aRow('b', 1)]
    const seen = (group: Pending[]) => decideGroup(group, rows).accepted.map(({ result }) => result)
    expect(seen([look()])).toEqual([['a', 'b']])
    expect(seen([drop, look()])).toEqual([undefined, ['b']])
    expect(seen([clear, look()])).toEqual([undefined, []])
    expect(seen([clear, raise(), look()])).toEqual([undefined, 1, ['a']])
  })

  test('asks for every key and range once', () => {
    const key = { kind: 'item', scope: 'v', id: 'a' } as const
    const range = { kind: 'item', scope: 'v' } as const
    const group = [
      aPending({ keys: [key], ranges: [range] }),
      aPending({ keys: [key, { ...key, id: 'b' }], ranges: [range] }),
    ]
    expect(wanted(group)).toEqual({ keys: [key, { ...key, id: 'b' }], ranges: [range] })
  })
})
