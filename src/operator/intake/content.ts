import type { ConnectClient, ItemId } from '../../connect/client.ts'
import type { File, Item, ItemHead } from '../../connect/model.ts'
import { SecretValue } from '../../connect/secret-value.ts'
import { badAnswer } from '../../connect/transport.ts'
import { contentOfItem, type ItemContent, MAX_SECRET_BYTES } from '../plan/content.ts'
import { keyOfLabel } from '../plan/names.ts'
import { waitFor } from './shared.ts'

/** Reads whole items: fields, URLs and files. */
export interface ContentReader {
  /**
   * @param wants which files are needed
   * @throws KeyferryError when the item or one of its files cannot be read: never a part of it
   */
  read(item: ItemHead, wants: FilesWanted, signal: AbortSignal): Promise<ItemContent>
}

/** All files of an item, or those with one of these ids or names in lower case. */
export type FilesWanted = 'all' | ReadonlySet<string>

/**
 * One read for an item and version at a time, however many resources ask. Nothing is kept.
 *
 * @param end ends reads under way: they are not those of one who asks
 */
export function createContentReader(client: ConnectClient, end: AbortSignal): ContentReader {
  const running = new Map<string, Promise<ItemContent>>()

  async function fetch(id: ItemId, wants: FilesWanted): Promise<ItemContent> {
    const item = await client.item(id, { signal: end })
    const files = new Map<string, SecretValue>()
    for (const { id: fileId, size } of fetchable(item, wants)) {
      const bytes = await client.fileContent(id, fileId, { limit: MAX_SECRET_BYTES, signal: end })
      // Its key would vanish from the Secret. Other sizes are not judged: what they count is not ours.
      if (bytes.length === 0 && size > 0) throw badAnswer('file content', 'it is empty')
      files.set(fileId, SecretValue.fromBytes(bytes))
    }
    return { item, files }
  }

  return {
    read({ id: itemId, vault, version }, wants, signal) {
      const files = wants === 'all' ? 'all' : [...wants].toSorted().join('\0')
      const key = `${vault.id}/${itemId}@${version}:${files}`
      const present = running.get(key)
      if (present) return waitFor(present, signal)
      const started = fetch({ vaultId: vault.id, itemId }, wants).finally(() => {
        running.delete(key)
      })
      running.set(key, started)
      return waitFor(started, signal)
    },
  }
}

/** The wanted files, as many as a Secret can hold; those that become keys before all others. */
function* fetchable(item: Item, wants: FilesWanted): Generator<File> {
  let total = 0
  for (const file of wants === 'all' ? keysFirst(item) : item.files) {
    if (wants !== 'all' && !wants.has(file.id) && !wants.has(file.name.toLowerCase())) continue
    if (total + file.size > MAX_SECRET_BYTES) continue
    total += file.size
    yield file
  }
}

/** A file whose name gives no key, or one that is taken, may be large and still harm nobody. */
function keysFirst(item: Item): readonly File[] {
  const { data } = contentOfItem({ item: { ...item, files: [] }, files: new Map() }, false)
  const taken = new Set(data.keys())
  const becomesKey = ({ name, size }: File) => {
    const key = keyOfLabel(name)
    if (key === undefined || taken.has(key)) return false
    if (size > 0) taken.add(key)
    return true
  }
  const [keys, others]: [File[], File[]] = [[], []]
  for (const file of item.files) (becomesKey(file) ? keys : others).push(file)
  return [...keys, ...others]
}
