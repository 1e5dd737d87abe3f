import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isKeyferryError } from '../../src/errors.ts'
import { readImport } from '../../src/server/admin/formats.ts'
import { restore } from '../../src/server/admin/restore.ts'
import { isFull } from '../support/gates.ts'
import { keyferry, plainEnv, PROGRAM } from '../support/program.ts'
import { ended } from '../support/run.ts'
import { tempDir } from '../support/server.ts'
import { contentOf, testStore, type TestStore } from '../support/store.ts'

/** Kills of each command. */
const KILLS = isFull ? 10 : 3
const ITEMS = 1_500

const document = (name: string) => ({
  vaults: [
    {
      name,
      items: Array.from({ length: ITEMS }, (_, n) => ({
        title: `${name} ${n}`,
        category: 'SERVER',
        fields: [{ label: 'value', value: 'v'.repeat(200) }],
        files: n % 500 === 0 ? [{ name: 'f', text: 'content' }] : [],
      })),
    },
  ],
})

describe('a command that is killed in the middle', () => {
  let store: TestStore
  let place: string
  let kept: string

  beforeAll(async () => {
    store = await testStore()
    place = await tempDir()
    for (const name of ['Kept', 'More']) {
      const file = path.join(place, `${name}.json`)
      await writeFile(file, JSON.stringify(document(name)))
      await store.close()
      if (name === 'Kept') await keyferry(['connect', 'import', '--data', store.dir, file])
      await store.open()
    }
    kept = await contentOf(store.opened)
    await store.admin.backup(path.join(place, 'kept.sqlite'))
    await store.close()
  })
  afterAll(async () => {
    await store[Symbol.asyncDispose]()
    await rm(place, { recursive: true, force: true })
  })

  /** Runs a command whole for its time, then again and again, killed ever later. */
  const killed = async (
    args: (round: number) => string[],
    check: (round: number) => Promise<unknown>,
  ) => {
    const command = (round: number) => ['connect', ...args(round), '--data', store.dir]
    const started = performance.now()
    expect(await keyferry(command(0))).toMatchObject({ code: 0 })
    const whole = performance.now() - started
    await check(0)
    for (let round = 1; round <= KILLS; round++) {
      const words = [PROGRAM, ...command(round)]
      const child = spawn(process.execPath, words, { env: plainEnv(), stdio: 'ignore' })
      const end = ended(child)
      await sleep(whole * (0.4 + (0.6 * round) / (KILLS + 1)))
      child.kill('SIGKILL')
      await end
      await check(round)
    }
  }

  test('imports everything or nothing', { timeout: 300_000 }, async () => {
    await killed(
      () => ['import', path.join(place, 'More.json')],
      async () => {
        const opened = await store.open()
        const added = (await opened.admin.vaults()).filter(({ name }) => name === 'More')
        expect(added.map(({ active }) => active)).toEqual(added.map(() => ITEMS))
        for (const { id } of added) await opened.admin.deleteVault(id, true)
        expect(await contentOf(opened)).toBe(kept)
        await store.close()
      },
    )
  })

  test('writes a whole backup or none', { timeout: 300_000 }, async () => {
    const file = (round: number) => path.join(place, `backup-${round}`)
    await killed(
      (round) => ['backup', file(round)],
      async (round) => {
        if (!existsSync(file(round))) return
        const elsewhere = await testStore()
        await elsewhere.close()
        const key = { kind: 'managed', dir: store.dir } as const
        await restore(file(round), { dir: elsewhere.dir, key }, true, () => undefined)
        expect(await contentOf(await elsewhere.open({ key }))).toBe(kept)
        await elsewhere[Symbol.asyncDispose]()
      },
    )
    expect(existsSync(file(0))).toBe(true)
  })

  test('writes a whole export or none', { timeout: 300_000 }, async () => {
    const file = (round: number) => path.join(place, `export-${round}`)
    await killed(
      (round) => ['export', '--out', file(round)],
      async (round) => {
        if (!existsSync(file(round))) return
        const { vaults } = readImport(await readFile(file(round), 'utf8'), undefined)
        expect(vaults.map(({ items }) => items.length)).toEqual([ITEMS])
      },
    )
    expect(existsSync(file(0))).toBe(true)
  })

  test('restores everything or nothing', { timeout: 300_000 }, async () => {
    const more = async () => {
      const opened = await store.open()
      await opened.admin.createVault('More')
      const content = await contentOf(opened)
      await store.close()
      return content
    }
    let before = await more()
    await killed(
      () => ['restore', '--force', path.join(place, 'kept.sqlite')],
      async (round) => {
        // Between the exchange and the end, the head file still names the later state.
        const opened = await store.open().catch((error: unknown) => {
          if (!isKeyferryError(error, 'STORE_DAMAGED')) throw error
          return store.open({ acceptRollback: true })
        })
        const content = await contentOf(opened)
        await store.close()
        expect(round === 0 ? [kept] : [kept, before]).toContain(content)
        if (content === kept) before = await more()
      },
    )
  })
})
