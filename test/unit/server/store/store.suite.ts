import { describe, expect, test } from 'vitest'
import { SecretValue } from '../../../../src/connect/secret-value.ts'
import { isKeyferryError } from '../../../../src/errors.ts'
import { newId } from '../../../../src/server/ids.ts'
import { anItem, type TestStore, write } from '../../../support/store.ts'

const UNKNOWN = 'a'.repeat(26)

/** What every store must do, whatever it is built on. @param open a new, empty store */
export function storeSuite(name: string, open: () => Promise<TestStore>, skip = false): void {
  describe.skipIf(skip)(`the store on ${name}`, () => {
    test('is empty at first and warns about the key it made', async () => {
      await using store = await open()
      expect(await store.admin.vaults()).toEqual([])
      expect(store.warnings.join()).toContain('store.key')
    })

    test('gives back what was written, also after it was closed', async () => {
      await using store = await open()
      const vault = await store.admin.createVault('V', 'described')
      const item = await write(store, anItem(vault.id, { title: 'Ünïcode \0 "x"', tags: ['a'] }))
      await store.reopen()
      expect(await store.opened.store.item(vault.id, item.id)).toEqual(item)
      const [kept] = await store.admin.vaults()
      expect(kept).toMatchObject({ name: 'V', description: 'described', active: 1 })
    })

    test('accepts a token again, with the rights that are named now', async () => {
      await using store = await open()
      const vault = await store.admin.createVault('V')
      const form = { given: SecretValue.fromText('t'.repeat(40)) }
      const mayWrite = async () => {
        const grant = await store.opened.tokens.check('t'.repeat(40))
        return grant && grant.mayRead(vault.id) && grant.mayWrite(vault.id)
      }
      const { id } = await store.admin.createToken({ vaults: { V: 'r' }, form })
      const [first] = await store.admin.tokens()
      expect(await mayWrite()).toBe(false)
      for (const right of ['rw', 'rw', 'r', 'rw'] as const) {
        expect((await store.admin.createToken({ vaults: { V: right }, form })).id).toBe(id)
        // Opens and verifies all that is kept.
        await store.reopen()
        expect(await mayWrite()).toBe(right === 'rw')
      }
      const [again, ...others] = await store.admin.tokens()
      expect(others).toEqual([])
      expect(again?.createdAt).toBe(first?.createdAt)
    })

    test('does not accept a token again that was revoked', async () => {
      await using store = await open()
      await store.admin.createVault('V')
      const token = {
        vaults: { V: 'r' } as const,
        form: { given: SecretValue.fromText('t'.repeat(40)) },
      }
      const { id } = await store.admin.createToken(token)
      await store.admin.revokeToken(id)
      await expect(store.admin.createToken(token)).rejects.toThrow('revoked')
      await store.reopen()
      expect(await store.opened.tokens.check('t'.repeat(40))).toBeUndefined()
    })

    test('raises the content version with every write, the other with a rename', async () => {
      await using store = await open()
      const { id } = await store.admin.createVault('V')
      const versions = async () => {
        const vault = await store.opened.store.vault(id)
        return [vault?.contentVersion, vault?.attributeVersion, vault?.active]
      }
      expect(await versions()).toEqual([1, 1, 0])
      const item = await write(store, anItem(id))
      expect(await versions()).toEqual([2, 1, 1])
      await write(store, item)
      expect(await versions()).toEqual([3, 1, 1])
      await store.admin.renameVault('v', 'W')
      expect(await versions()).toEqual([3, 2, 1])
      await store.opened.store.deleteItem(id, item.id)
      expect(await versions()).toEqual([4, 2, 0])
    })

    test('lists what is there after every kind of write', async () => {
      await using store = await open()
      const { id } = await store.admin.createVault('V')
      const titles = async () => {
        const vault = await store.opened.store.vault(id)
        if (vault === undefined) throw new Error('the vault is gone')
        return (await store.opened.store.summaries(vault)).map(({ title }) => title).toSorted()
      }
      const items = []
      for (let i = 0; i < 5; i++) {
        items.push(await write(store, anItem(id, { title: `t${i}` })))
        expect(await titles()).toHaveLength(i + 1)
      }
      const [first, second] = items
      if (!first || !second) throw new Error('no items')
      await write(store, { ...first, title: 'changed' })
      await store.opened.store.deleteItem(id, second.id)
      expect(await titles()).toEqual(['changed', 't2', 't3', 't4'])
      await store.reopen()
      expect(await titles()).toEqual(['changed', 't2', 't3', 't4'])
    })

    test('leaves archived items out of lists and counts', async () => {
      await using store = await open()
      const { id } = await store.admin.createVault('V')
      const item = await write(store, anItem(id, { state: 'ARCHIVED' }))
      const vault = await store.opened.store.vault(id)
      expect(vault?.active).toBe(0)
      expect(vault && (await store.opened.store.summaries(vault))).toEqual([])
      expect((await store.opened.store.item(id, item.id))?.state).toBe('ARCHIVED')
    })

    test('answers 404 for vaults and items that are not there', async () => {
      await using store = await open()
      const { id } = await store.admin.createVault('V')
      const status = async (work: Promise<unknown>) => {
        const error: unknown = await work.catch((caught: unknown) => caught)
        return isKeyferryError(error, 'REQUEST_REFUSED') ? error.status : error
      }
      expect(await status(write(store, anItem(UNKNOWN)))).toBe(404)
      expect(await status(store.opened.store.deleteItem(id, UNKNOWN))).toBe(404)
      expect(await status(store.opened.store.deleteItem(UNKNOWN, UNKNOWN))).toBe(404)
      expect(await store.opened.store.item(id, UNKNOWN)).toBeUndefined()
      expect(await store.opened.store.vault(UNKNOWN)).toBeUndefined()
    })

    test('loses no update of many at once', async () => {
      await using store = await open()
      const { id: vault } = await store.admin.createVault('V')
      const item = await write(store, anItem(vault, { tags: [] }))
      const writers = Array.from({ length: 50 }, (_, i) =>
        store.opened.store.writeItem(vault, item.id, (before) => {
          if (before === undefined) throw new Error('the item is gone')
          return { ...before, version: before.version + 1, tags: [...before.tags, String(i)] }
        }),
      )
      const seen = (await Promise.all(writers)).map(({ before }) => before?.version)
      expect(new Set(seen).size).toBe(50)
      const last = await store.opened.store.item(vault, item.id)
      expect(last?.version).toBe(51)
      expect(new Set(last?.tags).size).toBe(50)
    })

    test('keeps files, whole, and forgets them with their item', async () => {
      await using store = await open()
      const { id: vault } = await store.admin.createVault('V')
      const item = await write(store, anItem(vault, { sections: [{ id: 's', label: 'Sec' }] }))
      const sizes = [0, 1, 256 * 1024, 256 * 1024 + 1, 1_000_000]
      for (const size of sizes) {
        const content = Buffer.from(Array.from({ length: size }, (_, i) => (i * 7) & 255))
        const added = await store.admin.addFile({
          vault: 'V',
          item: 'An item',
          name: `file ${size}`,
          section: 'Sec',
          content,
        })
        expect(added).toMatchObject({ size, section: 's' })
        const parts: Buffer[] = []
        for await (const part of store.opened.store.files.content(added)) parts.push(part)
        expect(Buffer.concat(parts).equals(content)).toBe(true)
      }
      const held = await store.opened.store.item(vault, item.id)
      expect(held?.files).toHaveLength(sizes.length)
      expect(held?.version).toBe(1 + sizes.length)
      await store.admin.removeFile('V', item.id, 'file 1')
      expect((await store.opened.store.item(vault, item.id))?.files).toHaveLength(4)
      const rows = await store.admin.verify()
      await store.opened.store.deleteItem(vault, item.id)
      expect(await store.admin.verify()).toBeLessThan(rows)
      await store.reopen()
    })

    test('records activity and shows it newest first, also after a restart', async () => {
      await using store = await open()
      const entry = (requestId: string) => ({
        requestId,
        timestamp: '2024-01-01T00:00:00Z',
        action: 'READ' as const,
        result: 'SUCCESS' as const,
        actor: 'a',
        jti: 'j',
        userAgent: '',
        requestIp: '',
        type: 'VAULT' as const,
      })
      for (const id of ['1', '2', '3']) store.opened.store.activity.record(entry(id))
      const page = { limit: 2, offset: 0 }
      const all = () => true
      const first = await store.opened.store.activity.list(all, page)
      expect(first.total).toBe(3)
      expect(first.entries.map(({ requestId }) => requestId)).toEqual(['3', '2'])
      store.opened.store.activity.record(entry('4'))
      await store.reopen()
      const later = await store.opened.store.activity.list(all, { limit: 9, offset: 1 })
      expect(later.entries.map(({ requestId }) => requestId)).toEqual(['3', '2', '1'])
    })

    test('makes vaults of different names only, and deletes full ones only by force', async () => {
      await using store = await open()
      const vault = await store.admin.createVault('V')
      await expect(store.admin.createVault('v')).rejects.toThrow('already')
      await expect(store.admin.createVault(' ')).rejects.toThrow('needs a name')
      await write(store, anItem(vault.id))
      await expect(store.admin.deleteVault('V', false)).rejects.toThrow('holds 1 items')
      await store.admin.deleteVault('V', true)
      expect(await store.admin.vaults()).toEqual([])
      expect(await store.opened.store.itemIds(vault.id)).toEqual([])
      await store.admin.createVault('V')
      await store.reopen()
    })

    test('seals everything anew under another key', async () => {
      await using store = await open()
      const { id: vault } = await store.admin.createVault('V')
      const items = []
      for (let i = 0; i < 250; i++) items.push(anItem(vault, { title: `t${i}` }))
      await Promise.all(items.map((item) => write(store, item)))
      await store.admin.addFile({ vault, item: 't1', name: 'f', content: Buffer.alloc(600_000, 1) })
      await store.admin.createToken({ vaults: { V: 'r' }, form: 'jwt' })
      const rows = await store.admin.verify()
      const progress: number[] = []
      const work = store.admin.rotateKey(undefined, (done) => progress.push(done))
      // Writes go on while it runs.
      const writes = Array.from({ length: 20 }, () => write(store, anItem(vault)))
      await Promise.all([work, ...writes])
      expect(progress.length).toBeGreaterThan(2)
      expect(await store.admin.verify()).toBe(rows + 20)
      await store.reopen()
      expect(store.opened.verified.rows).toBe(rows + 20)
      await write(store, anItem(vault))
    })

    test('can be written while it is sealed anew', async () => {
      await using store = await open()
      const { id } = await store.admin.createVault('V')
      const writer = async (name: number) => {
        for (let n = 0; n < 25; n++) await write(store, anItem(id, { title: `${name}.${n}` }))
      }
      await Promise.all([
        store.admin.rotateKey(undefined, () => undefined),
        ...Array.from({ length: 4 }, (_, name) => writer(name)),
      ])
      // What was sealed must fit together: opening checks every record.
      await store.reopen()
      expect(await store.admin.vaults()).toMatchObject([{ active: 100, contentVersion: 101 }])
    })

    test('refuses another key and leaves the data as it is', async () => {
      await using store = await open()
      const { id } = await store.admin.createVault('V')
      await store.close()
      const other = { kind: 'file', file: `${store.dir}/other.key` } as const
      const { writeKey, newKey } = await import('../../../../src/server/store/keyfile.ts')
      await writeKey(other.file, newKey())
      await expect(store.open({ key: other })).rejects.toMatchObject({ code: 'STORE_KEY' })
      await store.open()
      expect((await store.admin.vaults()).map((vault) => vault.id)).toEqual([id])
    })

    test('comes back from a backup, and refuses to replace vaults unasked', async () => {
      await using store = await open()
      const { restore } = await import('../../../../src/server/admin/restore.ts')
      const { id } = await store.admin.createVault('V')
      const item = await write(store, anItem(id))
      const file = `${store.dir}/backup-${newId()}`
      await store.admin.backup(file)
      await store.opened.store.deleteItem(id, item.id)
      const options = store.options
      await store.close()
      const warn = () => undefined
      await expect(restore(file, options, false, warn)).rejects.toThrow('holds 1 vaults')
      expect(await restore(file, options, true, warn)).toBe(1)
      await store.open()
      expect(await store.opened.store.item(id, item.id)).toEqual(item)
      await write(store, item)
      await store.reopen()
    })
  })
}
