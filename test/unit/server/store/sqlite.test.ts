import { rm } from 'node:fs/promises'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test, vi } from 'vitest'
import { openSqlite } from '../../../../src/server/store/sqlite.ts'
import { tempDir } from '../../../support/server.ts'

test('a store asks SQLite for what makes a commit durable, and gets it', async () => {
  const dir = await tempDir()
  const exec = vi.spyOn(DatabaseSync.prototype, 'exec')
  const engine = openSqlite(path.join(dir, 'store.sqlite'))
  try {
    const [db] = exec.mock.contexts
    if (!(db instanceof DatabaseSync)) throw new Error('no database was opened')
    const pragma = (name: string) => db.prepare(`PRAGMA ${name}`).get()?.[name]
    // 2 is FULL: the log reaches the disk before a commit is acknowledged.
    expect(pragma('synchronous')).toBe(2)
    expect(pragma('fullfsync')).toBe(1)
    expect(pragma('journal_mode')).toBe('wal')
    expect(pragma('locking_mode')).toBe('exclusive')
  } finally {
    exec.mockRestore()
    await engine.close()
    await rm(dir, { recursive: true })
  }
})
