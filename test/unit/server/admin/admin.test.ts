import { describe, expect, test } from 'vitest'
import { SecretValue } from '../../../../src/connect/secret-value.ts'
import { writeExport } from '../../../../src/server/admin/export.ts'
import { readImport } from '../../../../src/server/admin/formats.ts'
import type { ExportedVault, ImportVault } from '../../../../src/server/admin/transfer.ts'
import { adminProxy, callAdmin, decode, encode } from '../../../../src/server/admin/wire.ts'
import { textOf } from '../../../support/server.ts'
import { anItem, testStore, write } from '../../../support/store.ts'

/** What an import text holds, with the contents of its files. */
function contents(source: string): ImportVault[] {
  return readImport(source, undefined).vaults.map((vault) => ({
    ...vault,
    items: vault.items.map((item) => ({
      ...item,
      files: item.files.map(({ source: from, ...file }) => ({
        ...file,
        content: from.kind === 'bytes' ? from.bytes : Buffer.alloc(0),
      })),
    })),
  }))
}

const yaml = (items: string) => contents(`vault: V\nitems:\n${items}`)

describe('an import', () => {
  test('makes the vault and its items, in one change', async () => {
    await using store = await testStore()
    const files = 'files: [{name: f, text: hello}]'
    const items = `  - {title: a, fields: {x: "1"}, ${files}}\n  - {title: b}`
    expect(await store.admin.importVaults(yaml(items), false)).toEqual({
      vaults: 1,
      created: 2,
      replaced: 0,
      files: 1,
    })
    const [vault] = await store.admin.vaults()
    expect(vault).toMatchObject({ name: 'V', active: 2 })
    await store.reopen()
  })

  test('is all or nothing', async () => {
    await using store = await testStore()
    const bad = '{title: bad, fields: [{label: d, type: DATE, value: never}]}'
    const items = yaml(`  - {title: good}\n  - ${bad}`)
    await expect(store.admin.importVaults(items, false)).rejects.toThrow('item bad: ')
    expect(await store.admin.vaults()).toEqual([])
    const category = yaml('  - {title: x, category: NOPE}')
    await expect(store.admin.importVaults(category, false)).rejects.toThrow('Invalid item category')
  })

  test('takes documents and custom items, which the API does not', async () => {
    await using store = await testStore()
    const items = '  - {title: d, category: DOCUMENT}\n  - {title: c, category: CUSTOM}'
    expect((await store.admin.importVaults(yaml(items), false)).created).toBe(2)
  })

  test('adds to a vault of the same name, and replaces when asked to', async () => {
    await using store = await testStore()
    const vault = await store.admin.createVault('v')
    const first = yaml('  - {title: a, fields: {x: "1"}, files: [{name: f, text: old}]}')
    await store.admin.importVaults(first, false)
    await store.admin.importVaults(first, false)
    expect(await store.opened.store.itemIds(vault.id)).toHaveLength(2)
    const [one, two] = await store.opened.store.itemIds(vault.id)
    await store.opened.store.deleteItem(vault.id, two ?? '')
    const again = yaml('  - {title: a, fields: {x: "2"}}')
    expect(await store.admin.importVaults(again, true)).toMatchObject({ created: 0, replaced: 1 })
    const item = await store.opened.store.item(vault.id, one ?? '')
    expect(item).toMatchObject({ version: 2, files: [] })
    expect(item?.fields.find(({ label }) => label === 'x')?.value).toBe('2')
    await store.reopen()
  })

  test('keeps ids, versions and dates, and refuses an id that is taken', async () => {
    await using store = await testStore()
    const id = 'a'.repeat(26)
    const items = `  - {id: ${id}, title: a, version: 9, created_at: "2020-01-01T00:00:00Z"}`
    await store.admin.importVaults(yaml(items), false)
    const [vault] = await store.admin.vaults()
    expect(await store.opened.store.item(vault?.id ?? '', id)).toMatchObject({
      version: 9,
      createdAt: '2020-01-01T00:00:00Z',
    })
    await expect(store.admin.importVaults(yaml(items), false)).rejects.toThrow('exists already')
    await store.admin.importVaults(yaml(items), true)
    expect((await store.opened.store.item(vault?.id ?? '', id))?.version).toBe(10)
  })
})

describe('an export', () => {
  /** Without what an import decides anew. */
  const comparable = (vault: ExportedVault | undefined): unknown =>
    JSON.parse(
      JSON.stringify(vault, (name, value: unknown) =>
        name === 'lastEditedBy' || name === 'entropy' ? undefined : value,
      ),
    )

  test('reads back without loss', async () => {
    await using store = await testStore()
    const { id } = await store.admin.createVault('V', 'described: yes')
    const odd = 'line one\n  "two" \\ \u0007 ünï: {x}\n# three\r\n\ttab'
    const whole = anItem(id, {
      title: 'null',
      favorite: true,
      tags: ['yes', '0123'],
      urls: [{ href: 'https://a', label: 'l', primary: true }],
      sections: [{ id: 's', label: '- S' }],
      fields: [
        { id: 'a b', type: 'CONCEALED', label: 'p', value: odd, section: 's' },
        { id: 'n', type: 'STRING', label: '1e3', value: '007' },
      ],
    })
    await write(store, whole)
    await write(store, anItem(id, { title: 'old', state: 'ARCHIVED' }))
    const content = Buffer.from(Array.from({ length: 300 }, (_, n) => n & 255))
    await store.admin.addFile({ vault: 'V', item: 'null', name: 'f.bin', section: 's', content })
    const before = await store.admin.exportVaults()
    await using other = await testStore()
    await other.admin.importVaults(contents(writeExport(before)), false)
    const after = await other.admin.exportVaults()
    expect(comparable(after[0])).toEqual(comparable(before[0]))
  })
})

describe('administration over a wire', () => {
  test('carries bytes and secrets, which JSON would not', () => {
    const sent = { a: Buffer.from([0, 255]), b: SecretValue.fromText('s'), c: [{ d: 1 }], e: null }
    const got = decode(encode(sent)) as typeof sent
    expect(Buffer.from(got.a).equals(sent.a)).toBe(true)
    expect(textOf(got.b)).toBe('s')
    expect(got.c).toEqual([{ d: 1 }])
    expect(encode({ a: new Uint8Array([1]) })).toContain('$bytes')
  })

  test('carries a file of 64 MiB without growing with each of its bytes', () => {
    const content = Buffer.alloc(64 * 1024 * 1024, 7)
    const text = encode({ content })
    expect(text.length).toBeLessThan(content.length * 1.4)
    expect((decode(text) as { content: Buffer }).content.equals(content)).toBe(true)
  })

  test('does what the same calls do here', async () => {
    await using store = await testStore()
    const remote = adminProxy(async (call) => {
      const travelled = decode(encode(call)) as typeof call
      const result = await callAdmin(store.admin, travelled, () => undefined)
      return (decode(encode({ result })) as { result: unknown }).result
    })
    const vault = await remote.createVault('V')
    expect(await remote.vaults()).toEqual([vault])
    const { token, id } = await remote.createToken({ vaults: { V: 'rw' }, form: 'jwt' })
    expect(textOf(token)).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/)
    await write(store, anItem(vault.id))
    const content = Buffer.from([1, 2, 3])
    await remote.addFile({ vault: 'V', item: 'An item', name: 'f', content })
    const [exported] = await remote.exportVaults('V')
    expect(exported?.items[0]?.files[0]?.content).toEqual(content)
    expect(await remote.removeFile('V', 'An item', 'f')).toMatchObject({ name: 'f' })
    expect(await remote.revokeToken(id)).toBe(true)
    const revokedAt: unknown = expect.any(String)
    expect(await remote.tokens()).toMatchObject([{ id, revokedAt }])
    const imported = yaml('  - {title: b, files: [{name: g, text: x}]}')
    expect(await remote.importVaults(imported, false)).toMatchObject({ created: 1, files: 1 })
    expect(await remote.renameVault('V', 'W')).toMatchObject({ name: 'W' })
    await remote.rotateKey(undefined, () => undefined)
    expect(await remote.verify()).toBeGreaterThan(5)
    expect(await remote.deleteVault('W', true)).toMatchObject({ name: 'W' })
  })

  test('refuses methods and arguments that do not exist', async () => {
    await using store = await testStore()
    const call = async (method: string, ...args: unknown[]) =>
      callAdmin(store.admin, { method, args }, () => undefined)
    await expect(call('constructor')).rejects.toThrow('no administration method')
    await expect(call('createVault', 7)).rejects.toThrow('invalid_type')
    const token = { vaults: { V: 'x' }, form: 'jwt' }
    await expect(call('createToken', token)).rejects.toThrow('invalid_value')
  })
})
