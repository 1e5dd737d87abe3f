import { createHash } from 'node:crypto'
import { newId } from '../ids.ts'
import type { StoredFile } from '../items/model.ts'
import { notFound } from '../refusals.ts'
import type { Draft } from './draft.ts'
import { itemKey } from './draft.ts'
import type { Key } from './engine.ts'
import { damaged } from './failures.ts'
import { vaultKey } from './ledger.ts'
import { nameOf, openBytes } from './records.ts'
import type { ItemChange, Store, StoreParts } from './store.ts'

/** Bytes of content per record: what a download holds in memory at a time. */
const CHUNK_BYTES = 256 * 1024

/** A file to be stored. */
export interface NewFile {
  readonly name: string
  readonly content: Uint8Array
  /** Id of the section, which must exist in the item. */
  readonly section?: string
}

/** Contents of files, in sealed parts. */
export interface Files {
  /** Adds a file to an item, which becomes a new version of it. */
  add(vault: string, item: string, file: NewFile): Promise<StoredFile>
  /** @returns the file that was removed */
  remove(vault: string, item: string, file: string): Promise<StoredFile>
  /**
   * The content, part by part.
   * @throws KeyferryError STORE_DAMAGED when a part is missing or not what was stored
   */
  content(file: StoredFile): AsyncGenerator<Buffer>
}

/** The files of a store. @param note called with every item that got or lost a file */
export function createFiles(
  parts: StoreParts,
  change: Store['change'],
  note: (done: ItemChange) => void,
): Files {
  const { engine, ring } = parts
  const edit = async (
    vault: string,
    id: string,
    decide: (d: Draft, files: readonly StoredFile[]) => { file: StoredFile; files: StoredFile[] },
  ): Promise<StoredFile> => {
    const done = await change({ keys: [vaultKey(vault), itemKey(vault, id)] }, (d) => {
      const before = d.items.get(vault, id)
      if (before === undefined) throw notFound('item', id)
      const { file, files } = decide(d, before.files)
      const after = { ...before, files, version: before.version + 1, updatedAt: d.now }
      d.items.put(after)
      const owner = d.vaults.get(vault)
      if (owner === undefined) throw notFound('vault', vault)
      return { before, after, vault: owner, file }
    })
    note(done)
    return done.file
  }
  return {
    add: (vault, item, file) =>
      edit(vault, item, (d, files) => {
        const stored = putFile(d, file)
        return { file: stored, files: [...files, stored] }
      }),
    remove: (vault, item, id) =>
      edit(vault, item, (d, files) => {
        const file = files.find((candidate) => candidate.id === id)
        if (file === undefined) throw notFound('file', id)
        d.rows.clear('chunk', id)
        return { file, files: files.filter((candidate) => candidate.id !== id) }
      }),
    async *content(file) {
      const hash = createHash('sha256')
      for (let part = 0; part < file.chunks; part++) {
        const key = chunkKey(file.id, part)
        const row = await engine.get(key)
        if (row === undefined) throw damaged(nameOf(key))
        const plain = openBytes(ring().all, row)
        hash.update(plain)
        // Checked before the last part leaves: a download either ends right or breaks off.
        if (part === file.chunks - 1 && hash.digest('base64') !== file.sha256) {
          throw damaged(`file ${file.id}`)
        }
        yield plain
      }
    },
  }
}

/** Stores the content of a file within a draft; the caller puts the result into its item. */
export function putFile(d: Draft, file: NewFile): StoredFile {
  const id = newId()
  const { content } = file
  const chunks = Math.ceil(content.length / CHUNK_BYTES)
  for (let part = 0; part < chunks; part++) {
    const bytes = content.subarray(part * CHUNK_BYTES, (part + 1) * CHUNK_BYTES)
    d.rows.put(d.seal({ ...chunkKey(id, part), version: 0 }, bytes))
  }
  return {
    id,
    name: file.name,
    size: content.length,
    sha256: createHash('sha256').update(content).digest('base64'),
    chunks,
    ...(file.section === undefined ? {} : { section: file.section }),
  }
}

function chunkKey(file: string, part: number): Key {
  return { kind: 'chunk', scope: file, id: String(part).padStart(8, '0') }
}
