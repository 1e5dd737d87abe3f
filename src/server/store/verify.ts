import type { Item, Vault } from '../items/model.ts'
import type { Engine, Kind, Row } from './engine.ts'
import { damaged } from './failures.ts'
import {
  EMPTY_DIGEST,
  fingerprintOf,
  HEAD,
  type HeadRecord,
  type Keyring,
  KEYRING,
  nameOf,
  openBytes,
  openRecord,
  toggle,
  type VaultRecord,
} from './records.ts'

/** What a verified store holds. */
export interface Verified {
  /** Counter of the head: rises with every change. */
  readonly counter: number
  readonly rows: number
  readonly vaults: number
}

/** Gets to see what is verified, which has been opened anyway. */
export interface Visitor {
  item(item: Item): void
  vault(vault: Pick<Vault, 'id' | 'createdAt' | 'contentVersion'>): void
}

interface Tally {
  rows: number
  vaultsSeen: number
  vaults: string
  tokens: string
  readonly items: Map<string, string>
  readonly chunks: Map<string, number>
  readonly files: Map<string, number>
}

/**
 * Opens every record and compares the fingerprints of all vaults, items and tokens with those
 * in the sealed head: finds changed, exchanged, missing, added and outdated rows. File contents
 * are opened when they are at most `contentLimit` bytes in all; reads check them in any case.
 * @throws KeyferryError STORE_DAMAGED, naming the first record that is wrong
 */
export async function verify(
  engine: Engine,
  ring: Keyring,
  contentLimit: number,
  visitor?: Visitor,
): Promise<Verified> {
  const tally: Tally = {
    rows: 0,
    vaultsSeen: 0,
    vaults: EMPTY_DIGEST,
    tokens: EMPTY_DIGEST,
    items: new Map(),
    chunks: new Map(),
    files: new Map(),
  }
  let headRow: Row | undefined
  const withContents = (await engine.size('chunk')) <= contentLimit
  const kinds: Kind[] = ['item', 'vault', 'token', 'activity', 'meta']
  // One snapshot for everything: other replicas may be writing.
  await engine.snapshot(withContents ? [...kinds, 'chunk'] : kinds, (rows) => {
    for (const row of rows) {
      tally.rows += 1
      if (row.id === HEAD.id && row.kind === 'meta') headRow = row
      else if (row.id !== KEYRING.id || row.kind !== 'meta') checkRow(row, { ring, tally, visitor })
    }
  })
  if (headRow === undefined) throw damaged(nameOf(HEAD))
  const head = openRecord(ring.all, headRow) as HeadRecord
  if (head.vaults !== tally.vaults) throw damaged('the list of vaults')
  if (head.tokens !== tally.tokens) throw damaged('the list of tokens')
  for (const vault of tally.items.keys()) throw damaged(`vault ${vault}`)
  if (withContents) checkFiles(tally)
  return { counter: headRow.version, rows: tally.rows, vaults: tally.vaultsSeen }
}

interface Checks {
  readonly ring: Keyring
  readonly tally: Tally
  readonly visitor: Visitor | undefined
}

function checkRow(row: Row, { ring, tally, visitor }: Checks): void {
  switch (row.kind) {
    case 'item': {
      const content = openRecord(ring.all, row) as Omit<Item, 'id' | 'vault' | 'version'>
      for (const file of content.files) tally.files.set(file.id, file.chunks)
      visitor?.item({ ...content, id: row.id, vault: row.scope, version: row.version })
      const sum = tally.items.get(row.scope) ?? EMPTY_DIGEST
      tally.items.set(row.scope, toggle(sum, fingerprintOf(ring.all, row)))
      return
    }
    case 'vault': {
      const { digest, createdAt } = openRecord(ring.all, row) as VaultRecord
      if (digest !== (tally.items.get(row.id) ?? EMPTY_DIGEST)) {
        throw damaged(`the list of items of vault ${row.id}`)
      }
      tally.items.delete(row.id)
      tally.vaultsSeen += 1
      visitor?.vault({ id: row.id, createdAt, contentVersion: row.version })
      tally.vaults = toggle(tally.vaults, fingerprintOf(ring.all, row))
      return
    }
    case 'token':
      openBytes(ring.all, row)
      tally.tokens = toggle(tally.tokens, fingerprintOf(ring.all, row))
      return
    case 'chunk':
      openBytes(ring.all, row)
      tally.chunks.set(row.scope, (tally.chunks.get(row.scope) ?? 0) + 1)
      return
    case 'activity':
    case 'meta':
      openBytes(ring.all, row)
  }
}

/** Every file of an item has all its parts, and there are no others. */
function checkFiles(tally: Tally): void {
  for (const [file, chunks] of tally.files) {
    if ((tally.chunks.get(file) ?? 0) !== chunks) throw damaged(`file ${file}`)
    tally.chunks.delete(file)
  }
  for (const file of tally.chunks.keys()) throw damaged(`file ${file}`)
}
