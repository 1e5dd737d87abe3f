import { cp, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { openStoreAt, type OpenedStore } from '../../../../src/server/listen.ts'
import { SCHEMA_VERSION } from '../../../../src/server/store/schema.ts'
import { tempDir } from '../../../support/server.ts'
import { contentOf } from '../../../support/store.ts'

/**
 * Stores as released versions of the program wrote them, one for each version of the schema, with
 * their key and what they hold. They are never made anew: what they say must stay readable.
 */
const FIXTURES = fileURLToPath(new URL('../../../fixtures/stores', import.meta.url))
const dirs: string[] = []

afterEach(async () => {
  for (const dir of dirs.splice(0)) await rm(dir, { recursive: true, force: true })
})

async function copyOf(version: number): Promise<string> {
  const dir = await tempDir()
  dirs.push(dir)
  await cp(path.join(FIXTURES, `schema-${version}`), dir, { recursive: true })
  return dir
}

const open = (dir: string): Promise<OpenedStore> =>
  openStoreAt({ dir, key: { kind: 'managed', dir } }, () => undefined)

describe('a store that another version of the program wrote', () => {
  const versions = Array.from({ length: SCHEMA_VERSION }, (_, n) => n + 1)

  test.each(versions)('with schema %i holds what it held, and takes writes', async (version) => {
    const dir = await copyOf(version)
    const wanted: unknown = JSON.parse(await readFile(path.join(dir, 'content.json'), 'utf8'))
    const opened = await open(dir)
    expect(JSON.parse(await contentOf(opened))).toMatchObject(wanted as object)
    const { id } = await opened.admin.createVault('later')
    await opened.store.close()
    const again = await open(dir)
    expect(await again.store.vault(id)).toMatchObject({ name: 'later' })
    await again.store.close()
  })

  test('with a later schema is refused and left as it is', async () => {
    const dir = await copyOf(SCHEMA_VERSION)
    const file = path.join(dir, 'connect.sqlite')
    const db = new DatabaseSync(file)
    db.exec(`PRAGMA user_version=${SCHEMA_VERSION + 1}`)
    db.close()
    const before = await readFile(file)
    const refusal: unknown = await open(dir).catch((error: unknown) => error)
    expect(refusal).toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(String(refusal)).toContain(`has schema ${SCHEMA_VERSION + 1}`)
    expect((await readFile(file)).equals(before)).toBe(true)
  })
})
