import { expect, test } from 'vitest'
import type { ConnectClient } from '../../../../src/connect/client.ts'
import { type Item, itemSummarySchema, parse, vaultSchema } from '../../../../src/connect/model.ts'
import { KeyferryError } from '../../../../src/errors.ts'
import { createCatalog } from '../../../../src/operator/intake/catalog.ts'
import { createVirtualClock, settled } from '../../../support/virtual-clock.ts'

const SIGNAL = new AbortController().signal
const A = 'a'.repeat(26)
const B = 'b'.repeat(26)
const idOf = (name: string) => name.padEnd(26, '0')

interface Vault {
  version: number
  /** Versions of items by title. */
  items: Record<string, number>
}

/** A catalog over vaults that a test changes, all allowed to everybody. */
function aCatalog() {
  const clock = createVirtualClock()
  const vaults: Record<string, Vault> = {
    [A]: { version: 1, items: { one: 1, two: 1 } },
    [B]: { version: 1, items: { three: 1 } },
  }
  const asked: string[] = []
  const hooks: { items?: (vaultId: string) => Promise<void> } = {}
  const vault = (id: string) => vaults[id] ?? { version: 0, items: {} }
  const client: Partial<ConnectClient> = {
    vaults() {
      asked.push('vaults')
      return Promise.resolve(
        Object.entries(vaults).map(([id, { version }]) => {
          const name = id === A ? 'A' : 'B'
          return parse(vaultSchema, { id, name, contentVersion: version, attributeVersion: 1 })!
        }),
      )
    },
    async items(vaultId) {
      asked.push(vaultId)
      const seen = Object.entries(vault(vaultId).items)
      await hooks.items?.(vaultId)
      return seen.map(([title, version]) => {
        const summary = { id: idOf(title), title, vault: { id: vaultId }, version }
        return parse(itemSummarySchema, summary)!
      })
    },
  }
  const policy = () => ({ allows: () => true })
  const catalog = createCatalog({
    client: client as ConnectClient,
    clock,
    policy,
    end: SIGNAL,
  })
  const question = (title: string, where = 'A') => ({
    namespace: 'shop',
    path: { vault: where, item: title },
    boundId: undefined,
    askedAt: clock.now(),
    fresh: false,
  })
  return {
    clock,
    vaults,
    vault,
    asked,
    hooks,
    catalog,
    resolve: (title: string, where?: string) => catalog.resolve(question(title, where), SIGNAL),
    /** Version that a title means by what is held. */
    version(title: string, where?: string): number | undefined {
      const found = catalog.peek(question(title, where))
      return found?.kind === 'found' ? (found.item as Item).version : undefined
    },
    /** @returns whether it was told that something moved */
    async look(...used: string[]): Promise<boolean> {
      let moved = false
      await catalog.refresh(new Set(used), SIGNAL, () => {
        moved = true
      })
      return moved
    },
    /** Changes an item, and its vault with it. */
    edit(vaultId: string, title: string, version: number): void {
      vault(vaultId).items[title] = version
      vault(vaultId).version += 1
    },
  }
}

test('a look in which nothing moved is one request and tells nothing', async () => {
  const { catalog: _, asked, look } = aCatalog()
  expect(await look(A)).toBe(true)
  asked.length = 0
  expect(await look(A)).toBe(false)
  expect(asked).toEqual(['vaults'])
})

test('who stops waiting for a list leaves it to the others who wait', async () => {
  const { catalog, asked, hooks } = aCatalog()
  const come = Promise.withResolvers<void>()
  hooks.items = () => come.promise
  const question = (askedAt: number) => ({
    namespace: 'shop',
    path: { vault: 'A', item: 'one' },
    boundId: undefined,
    askedAt,
    fresh: false,
  })
  const leaver = new AbortController()
  const left = catalog.resolve(question(0), leaver.signal)
  const stayed = catalog.resolve(question(0), SIGNAL)
  await settled()
  leaver.abort(new Error('enough'))
  await expect(left).rejects.toThrow('enough')
  come.resolve()
  expect(await stayed).toMatchObject({ kind: 'found' })
  expect(asked.filter((one) => one === A)).toHaveLength(1)
})

test('a change that a list for somebody else has shown is told by the next look', async () => {
  const { clock, edit, look, resolve, version, asked } = aCatalog()
  await look(A)
  await look(A)
  await clock.advance(3_000)
  edit(A, 'one', 2)
  edit(A, 'new', 1)
  // Nothing but this question made the list.
  expect(await resolve('new')).toMatchObject({ kind: 'found' })
  expect(version('one')).toBe(2)
  asked.length = 0
  expect(await look(A)).toBe(true)
  expect(asked).toEqual(['vaults'])
  expect(await look(A)).toBe(false)
})

test('a vault that moved before its items did is listed again', async () => {
  const { vault, look, version, asked } = aCatalog()
  await look(A)
  // One replica of Connect has the new version, the other still lists the old items.
  vault(A).version = 2
  await look(A)
  expect(version('one')).toBe(1)
  vault(A).items['one'] = 2
  await look(A)
  expect(version('one')).toBe(2)
  asked.length = 0
  await look(A)
  expect(asked).toEqual(['vaults'])
})

test('a vault that moves alone is listed three times, not for ever', async () => {
  const { vault, look, asked } = aCatalog()
  await look(A)
  vault(A).version = 2
  asked.length = 0
  for (let n = 0; n < 10; n += 1) await look(A)
  expect(asked.filter((one) => one === A)).toHaveLength(3)
})

test('two replicas of which one lags behind make no version go back in 200 looks', async () => {
  const { edit, vaults, vault, look, version } = aCatalog()
  await look(A)
  const old = structuredClone(vault(A))
  edit(A, 'one', 2)
  const fresh = structuredClone(vault(A))
  const seen: (number | undefined)[] = []
  for (let n = 0; n < 200; n += 1) {
    vaults[A] = structuredClone(n % 2 ? old : fresh)
    await look(A)
    seen.push(version('one'))
  }
  expect(new Set(seen)).toEqual(new Set([2]))
})

test('a vault that hangs keeps no look waiting, and is told when it answers', async () => {
  const { clock, hooks, edit, look, version } = aCatalog()
  await look(A, B)
  let answer: (() => void) | undefined
  hooks.items = (id) =>
    id === A ? new Promise<void>((resolve) => (answer = resolve)) : Promise.resolve()
  edit(A, 'one', 2)
  edit(B, 'three', 2)
  const first = look(A, B)
  await clock.advance(1_000)
  expect(await first).toBe(true)
  const second = look(A, B)
  await clock.advance(1_000)
  expect(await second).toBe(false)
  answer?.()
  await clock.advance(0)
  expect(await look(A, B)).toBe(true)
  expect(version('one')).toBe(2)
})

test('what has moved elsewhere is told although a vault hangs', async () => {
  const { clock, catalog, hooks, edit, look, version } = aCatalog()
  await look(A, B)
  hooks.items = (id) => (id === A ? new Promise<void>(() => {}) : Promise.resolve())
  edit(A, 'one', 2)
  edit(B, 'three', 2)
  const told: (number | undefined)[] = []
  const ended = catalog.refresh(new Set([A, B]), SIGNAL, () => told.push(version('three', 'B')))
  await clock.advance(50)
  expect(told).toEqual([2])
  await clock.advance(1_000)
  await ended
  expect(told).toEqual([2])
})

test('thousands who need a list that fails ask for it once a second', async () => {
  const { clock, hooks, resolve, asked, catalog } = aCatalog()
  hooks.items = () =>
    Promise.reject(
      new KeyferryError('CONNECT_FORBIDDEN', { message: 'no', remedy: 'x', retry: 'soon' }),
    )
  for (let n = 0; n < 1_000; n += 1) {
    expect(await resolve(`item ${n}`)).toMatchObject({ kind: 'unknown' })
    await clock.advance(10)
  }
  expect(asked.filter((one) => one === A)).toHaveLength(10)
  expect(catalog.outage([A])?.ms).toBeGreaterThanOrEqual(9_900)
  delete hooks.items
  await clock.advance(1_000)
  expect(await resolve('one')).toMatchObject({ kind: 'found' })
  expect(catalog.outages().size).toBe(0)
})
