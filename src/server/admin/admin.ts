import type { SecretValue } from '../../connect/secret-value.ts'
import { newId } from '../ids.ts'
import type { Item, Right, StoredFile, Token, Vault } from '../items/model.ts'
import type { OpenStore } from '../store/open.ts'
import type { Progress } from '../store/rotate.ts'
import type { Store } from '../store/store.ts'
import type { IssuedToken, Tokens } from '../tokens.ts'
import { findVault, invalid, newVault, notEmpty, only, sameName, unknown } from './names.ts'
import { exportVaults, importVaults } from './transfer.ts'
import type { ExportedVault, ImportResult, ImportVault } from './transfer.ts'

/** A token to be made, by names. */
export interface NewToken {
  readonly name?: string
  /** Rights by vault name or id. */
  readonly vaults: Readonly<Record<string, Right>>
  /** Unix seconds. */
  readonly expires?: number
  readonly form: 'jwt' | 'opaque' | { readonly given: SecretValue }
}

/** A file to be added to an item. */
export interface FileUpload {
  /** Name or id. */
  readonly vault: string
  /** Title or id. */
  readonly item: string
  readonly name: string
  /** Label or id of a section of the item. */
  readonly section?: string
  readonly content: Uint8Array
}

/**
 * What the person who runs the server can do with its store, beyond the API. The same interface
 * whether the store is open in this process or in the server's.
 * @throws KeyferryError INPUT_INVALID for names that are unknown, ambiguous or taken
 */
export interface Admin {
  createVault(name: string, description?: string): Promise<Vault>
  vaults(): Promise<Vault[]>
  renameVault(vault: string, name: string): Promise<Vault>
  /** @param force also when it holds items */
  deleteVault(vault: string, force: boolean): Promise<Vault>
  createToken(token: NewToken): Promise<IssuedToken>
  tokens(): Promise<Token[]>
  /** @returns whether it was in force until now */
  revokeToken(id: string): Promise<boolean>
  addFile(upload: FileUpload): Promise<StoredFile>
  removeFile(vault: string, item: string, file: string): Promise<StoredFile>
  importVaults(vaults: readonly ImportVault[], replace: boolean): Promise<ImportResult>
  /** With all values and file contents. */
  exportVaults(vault?: string): Promise<ExportedVault[]>
  /** Writes a sealed copy of the store to a new file. */
  backup(file: string): Promise<void>
  rotateKey(next: SecretValue | undefined, progress: Progress): Promise<void>
  /** @returns the number of records, all of them intact */
  verify(): Promise<number>
}

/** Administration of a store that is open in this process. */
export function createAdmin(open: OpenStore, tokens: Tokens): Admin {
  const { store } = open
  return {
    ...vaultAdmin(store),
    ...fileAdmin(store),
    async createToken({ name = '', vaults, form, expires }) {
      const rights: Record<string, Right> = {}
      for (const [vault, right] of Object.entries(vaults)) {
        rights[(await findVault(store, vault)).id] = right
      }
      const limit = expires === undefined ? {} : { expires }
      return tokens.issue({ name, rights, form, ...limit })
    },
    tokens: () => store.tokens(),
    async revokeToken(id) {
      const revoked = await tokens.revoke(id)
      if (revoked === undefined) throw unknown('token', id)
      return revoked
    },
    importVaults: (vaults, replace) => importVaults(store, vaults, replace),
    async exportVaults(vault) {
      const chosen = vault === undefined ? await store.vaults() : [await findVault(store, vault)]
      return exportVaults(store, chosen)
    },
    backup: (file) => store.backup(file),
    rotateKey: (next, progress) => open.rotate(next, progress),
    verify: async () => (await open.verify()).rows,
  }
}

function vaultAdmin(
  store: Store,
): Pick<Admin, 'createVault' | 'vaults' | 'renameVault' | 'deleteVault'> {
  const everyVault = { ranges: [{ kind: 'vault', scope: '' }] } as const
  return {
    createVault: (name, description) =>
      store.change(everyVault, (d) => {
        assertFree(d.vaults.all(), name)
        const vault = newVault(newId(), name, d.now, description)
        d.vaults.set(vault)
        return vault
      }),
    vaults: () => store.vaults(),
    async renameVault(vault, name) {
      const { id } = await findVault(store, vault)
      return store.change(everyVault, (d) => {
        const old = d.vaults.get(id)
        if (old === undefined) throw unknown('vault', vault)
        assertFree(
          d.vaults.all().filter((other) => other.id !== id),
          name,
        )
        const attributeVersion = old.attributeVersion + 1
        const renamed = { ...old, name, attributeVersion, updatedAt: d.now }
        d.vaults.set(renamed)
        return renamed
      })
    },
    async deleteVault(vault, force) {
      const { id } = await findVault(store, vault)
      const ranges = [...everyVault.ranges, { kind: 'item', scope: id } as const]
      return store.change({ ranges }, (d) => {
        const old = d.vaults.get(id)
        if (old === undefined) throw unknown('vault', vault)
        if (old.active > 0 && !force) throw notEmpty(old)
        for (const item of d.items.all(id)) d.items.drop(id, item.id)
        d.vaults.drop(id)
        return old
      })
    },
  }
}

function fileAdmin(store: Store): Pick<Admin, 'addFile' | 'removeFile'> {
  return {
    async addFile({ vault, item, name, section, content }) {
      const owner = await findItem(store, vault, item)
      const id = section === undefined ? undefined : sectionId(owner, section)
      return store.files.add(owner.vault, owner.id, {
        name,
        content,
        ...(id === undefined ? {} : { section: id }),
      })
    },
    async removeFile(vault, item, file) {
      const owner = await findItem(store, vault, item)
      const found = owner.files.filter(({ id, name }) => id === file || name === file)
      return store.files.remove(owner.vault, owner.id, only(found, 'file', file).id)
    },
  }
}

async function findItem(store: Store, vault: string, titleOrId: string): Promise<Item> {
  const owner = await findVault(store, vault)
  const byId = await store.item(owner.id, titleOrId)
  if (byId) return byId
  const found = (await store.summaries(owner)).filter(({ title }) => title === titleOrId)
  const item = await store.item(owner.id, only(found, 'item', titleOrId).id)
  if (item === undefined) throw unknown('item', titleOrId)
  return item
}

function sectionId(item: Item, labelOrId: string): string {
  const found = item.sections.filter(({ id, label }) => id === labelOrId || label === labelOrId)
  return only(found, 'section', labelOrId).id
}

function assertFree(vaults: readonly Vault[], name: string): void {
  if (!vaults.some(sameName(name))) return
  throw invalid(`there is a vault named ${name} already`, 'Choose another name.')
}
