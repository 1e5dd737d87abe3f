import { copyFile, mkdir, rm } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { openEngine, openStoreAt, type StoreOptions } from '../listen.ts'
import { openStore } from '../store/open.ts'
import { openSqlite } from '../store/sqlite.ts'
import { summarise } from '../items/output.ts'
import { invalid } from './names.ts'

/**
 * Puts a backup in the place of the store of `options`, once the backup has proved whole and
 * readable with the key. The state it brings counts as current from then on.
 * @param force also over a store that holds vaults
 * @returns the number of vaults in it
 * @throws KeyferryError STORE_BUSY while a server has the store open, STORE_KEY, STORE_DAMAGED
 */
export async function restore(
  file: string,
  options: StoreOptions,
  force: boolean,
  warn: (message: string) => void,
): Promise<number> {
  await mkdir(options.dir, { recursive: true, mode: 0o700 })
  const target = await openEngine(options)
  // A copy: opening a store writes to it, and a backup must stay what it is.
  const draft = path.join(options.dir, `restore-${process.pid}.sqlite`)
  try {
    const held = (await target.versions('vault')).length
    if (held > 0 && !force) {
      throw invalid(`the store holds ${held} vaults already`, 'Use --force to replace it.')
    }
    await copyFile(file, draft)
    const source = openSqlite(draft)
    try {
      const { store } = await openStore({ engine: source, key: options.key, summarise, warn })
      await store.activity.close()
      await target.replace(source)
    } finally {
      await source.close()
    }
  } finally {
    await target.close()
    for (const end of ['', '-wal', '-shm']) await rm(draft + end, { force: true })
  }
  const opened = await openStoreAt({ ...options, acceptRollback: true }, warn)
  await opened.store.close()
  return opened.verified.vaults
}
