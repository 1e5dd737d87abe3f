import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { summarise } from '../../../../src/server/items/output.ts'
import type { Item } from '../../../../src/server/items/model.ts'
import type { Engine, Row } from '../../../../src/server/store/engine.ts'
import { rowCache } from '../../../../src/server/store/rowcache.ts'
import { collectSummaries, createSummaries } from '../../../../src/server/store/summaries.ts'
import { anItem } from '../../../support/store.ts'

const aRow = (id: string, bytes: number, kind: Row['kind'] = 'item'): Row => ({
  kind,
  scope: 'v',
  id,
  version: 1,
  sealed: new Uint8Array(bytes),
})

describe('rows in memory', () => {
  test('are the last that were put, or nothing', () => {
    const operations = fc.array(
      fc.record({
        op: fc.constantFrom('put', 'drop', 'get', 'clear'),
        id: fc.constantFrom('a', 'b', 'c', 'd'),
        bytes: fc.integer({ min: 1, max: 40 }),
      }),
    )
    const truthful = fc.property(operations, (steps) => {
      const cache = rowCache(100)
      const last = new Map<string, Row>()
      for (const { op, id, bytes } of steps) {
        const row = aRow(id, bytes)
        if (op === 'put') {
          cache.put(row)
          last.set(id, row)
        } else if (op === 'drop') {
          cache.drop(row)
          last.delete(id)
        } else if (op === 'clear') {
          cache.clear()
          last.clear()
        }
        const found = cache.get(row)
        if (found !== undefined && found !== last.get(id)) return false
      }
      return true
    })
    expect(() => fc.assert(truthful, { numRuns: 1_000 })).not.toThrow()
  })

  test('stay while they are used, and go when others need the room', () => {
    const cache = rowCache(1_000)
    cache.put(aRow('used', 10))
    for (let n = 0; n < 1_000; n++) {
      cache.put(aRow(`n${n}`, 10))
      expect(cache.get(aRow('used', 0))).toBeDefined()
    }
    const left = Array.from({ length: 1_000 }, (_, n) => cache.get(aRow(`n${n}`, 0)))
    expect(left.filter((row) => row !== undefined).length).toBeLessThan(110)
  })

  test('are never contents or activity', () => {
    const cache = rowCache(1_000)
    for (const kind of ['chunk', 'activity'] as const) {
      cache.put(aRow('x', 1, kind))
      expect(cache.get(aRow('x', 1, kind))).toBeUndefined()
    }
  })
})

describe('summaries in memory', () => {
  /** An engine that holds items in plain form, and counts what it is asked. */
  function plainEngine() {
    const items = new Map<string, Item>()
    const asked = { pages: 0, rows: 0, versions: 0 }
    const toRow = (item: Item): Row => ({ ...aRow(item.id, 0), version: item.version })
    const sorted = () => [...items.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1))
    const engine = {
      async page(_: unknown, after: string, limit: number) {
        asked.pages += 1
        return sorted()
          .filter(({ id }) => id > after)
          .slice(0, limit)
          .map(toRow)
      },
      async get({ id }: { id: string }) {
        asked.rows += 1
        const item = items.get(id)
        return item && toRow(item)
      },
      async versions() {
        asked.versions += 1
        return sorted().map(({ id, version }) => ({ scope: 'v', id, version }))
      },
    } as unknown as Engine
    const open = (row: Row) => items.get(row.id) ?? anItem('v')
    return { items, asked, summaries: createSummaries(engine, open, summarise, 1_000_000) }
  }
  const vault = (contentVersion: number, createdAt = 'then') => ({
    id: 'v',
    createdAt,
    contentVersion,
  })

  test('are read once per content version, and after that only what changed', async () => {
    const { items, asked, summaries } = plainEngine()
    for (let n = 0; n < 1_200; n++) items.set(`i${n}`, anItem('v', { id: `i${n}`, title: `${n}` }))
    expect(await summaries.list(vault(5))).toHaveLength(1_200)
    expect(asked).toEqual({ pages: 3, rows: 0, versions: 0 })
    await summaries.list(vault(5))
    expect(asked.pages).toBe(3)
    items.set('i7', anItem('v', { id: 'i7', title: 'changed', version: 2 }))
    items.delete('i8')
    const after = await summaries.list(vault(6))
    expect(asked).toEqual({ pages: 3, rows: 1, versions: 1 })
    expect(after).toHaveLength(1_199)
    expect(after.find(({ id }) => id === 'i7')?.title).toBe('changed')
  })

  test('take over a write that follows on, and no other', async () => {
    const { asked, summaries } = plainEngine()
    await summaries.list(vault(1))
    const item = anItem('v', { id: 'new', title: 'noted' })
    summaries.note(vault(2), 'new', item)
    expect((await summaries.list(vault(2))).map(({ title }) => title)).toEqual(['noted'])
    expect(asked.versions).toBe(0)
    // Someone else wrote version 3: what this process wrote as 4 says nothing about it.
    summaries.note(vault(4), 'other', anItem('v', { id: 'other' }))
    await summaries.list(vault(4))
    expect(asked.versions).toBe(1)
  })

  test('are known from the start for whole vaults that fit, and then only kept up', async () => {
    const { items, asked, summaries } = plainEngine()
    const collector = collectSummaries(summarise, 4_000)
    for (const vaultId of ['v', 'w']) {
      for (let n = 0; n < 6; n++) {
        const item = anItem(vaultId, { id: `i${n}`, title: `${vaultId}${n}` })
        if (vaultId === 'v') items.set(item.id, item)
        collector.item(item)
      }
    }
    for (const id of ['v', 'w']) collector.vault({ ...vault(5), id })
    // The second vault does not fit: half of it must not be taken for the whole.
    expect(collector.vaults().map((listed) => [listed.vault.id, listed.byId.size])).toEqual([
      ['v', 6],
    ])
    summaries.learn(collector.vaults())
    expect(await summaries.list(vault(5))).toHaveLength(6)
    expect(asked).toEqual({ pages: 0, rows: 0, versions: 0 })
    items.delete('i0')
    expect(await summaries.list(vault(6))).toHaveLength(5)
    expect(asked).toEqual({ pages: 0, rows: 0, versions: 1 })
  })

  test('of a vault that was made anew under its id are read anew', async () => {
    const { items, summaries } = plainEngine()
    items.set('a', anItem('v', { id: 'a' }))
    expect(await summaries.list(vault(9))).toHaveLength(1)
    items.clear()
    expect(await summaries.list(vault(1, 'later'))).toHaveLength(0)
  })

  test('of one vault are read once for all who ask at the same time', async () => {
    const { items, asked, summaries } = plainEngine()
    items.set('a', anItem('v', { id: 'a' }))
    const lists = await Promise.all(Array.from({ length: 10 }, () => summaries.list(vault(1))))
    expect(lists.every((list) => list.length === 1)).toBe(true)
    expect(asked.pages).toBe(1)
  })
})
