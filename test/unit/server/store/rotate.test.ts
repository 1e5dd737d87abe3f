import { cp, readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isKeyferryError } from '../../../../src/errors.ts'
import { summarise } from '../../../../src/server/items/output.ts'
import type { Engine } from '../../../../src/server/store/engine.ts'
import { openStore, type OpenStore } from '../../../../src/server/store/open.ts'
import { openSqlite } from '../../../../src/server/store/sqlite.ts'
import { tempDir } from '../../../support/server.ts'
import { anItem, testStore, write } from '../../../support/store.ts'

/** An engine that dies at its n-th commit, before or after it took effect. */
function mortal(engine: Engine, at: number, when: 'before' | 'after'): Engine {
  let commits = 0
  return {
    ...engine,
    async commit(change) {
      commits += 1
      if (commits >= at && when === 'before') throw new Error('died')
      const result = await engine.commit(change)
      if (commits >= at) throw new Error('died')
      return result
    },
  }
}

describe('a rotation of the keys', () => {
  let source: string

  beforeAll(async () => {
    const store = await testStore()
    const { id } = await store.admin.createVault('V')
    await store.admin.createVault('Empty')
    for (let n = 0; n < 8; n++) await write(store, anItem(id, { title: `t${n}` }))
    const content = Buffer.alloc(600_000, 1)
    await store.admin.addFile({ vault: 'V', item: 't0', name: 'f', content })
    await store.admin.createToken({ vaults: { V: 'r' }, form: 'jwt' })
    await store.close()
    source = store.dir
  })
  afterAll(() => rm(source, { recursive: true, force: true }))

  const open = (dir: string, wrap: (engine: Engine) => Engine = (engine) => engine) => {
    const engine = wrap(openSqlite(path.join(dir, 'connect.sqlite')))
    const key = { kind: 'managed', dir } as const
    const opened = openStore({ engine, key, summarise, warn: () => undefined })
    return opened.catch(async (error: unknown) => {
      await engine.close()
      throw error
    })
  }
  const copy = async (): Promise<string> => {
    const dir = await tempDir()
    await cp(source, dir, { recursive: true })
    return dir
  }
  /** @returns whether the rotation reached its end */
  const rotate = async (dir: string, at: number, when: 'before' | 'after'): Promise<boolean> => {
    const opened: OpenStore = await open(dir, (engine) => mortal(engine, at, when))
    try {
      await opened.rotate(undefined, () => undefined)
      return true
    } catch (error) {
      if (!(error instanceof Error) || error.message !== 'died') throw error
      return false
    } finally {
      await opened.store.close()
    }
  }

  test.each(['before', 'after'] as const)(
    'that dies %s any of its steps is finished at the next start, and loses nothing',
    async (when) => {
      let deaths = 0
      for (let at = 1; ; at++) {
        const dir = await copy()
        const finished = await rotate(dir, at, when)
        const opened = await open(dir)
        const counts = (await opened.store.vaults()).map(({ active }) => active)
        expect(new Set(counts)).toEqual(new Set([0, 8]))
        expect(await opened.verify()).toMatchObject({ vaults: 2, rows: opened.verified.rows })
        await opened.store.close()
        const again = await open(dir)
        await again.store.close()
        expect((await readdir(dir)).filter((name) => name.includes('next'))).toEqual([])
        await rm(dir, { recursive: true })
        if (finished) break
        deaths += 1
      }
      expect(deaths).toBeGreaterThanOrEqual(6)
    },
  )

  test('leaves nothing that the old key opens', async () => {
    const [dir, before] = [await copy(), await copy()]
    await rotate(dir, Number.POSITIVE_INFINITY, 'before')
    await cp(path.join(before, 'store.key'), path.join(dir, 'store.key'))
    const refusal: unknown = await open(dir).catch((error: unknown) => error)
    expect(isKeyferryError(refusal, 'STORE_KEY')).toBe(true)
    for (const each of [dir, before]) await rm(each, { recursive: true })
  })
})
