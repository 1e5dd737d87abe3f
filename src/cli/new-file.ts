import { existsSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { KeyferryError } from '../errors.ts'
import { renameDurably } from '../server/store/keyfile.ts'

/**
 * Makes a new file whole or not at all: it gets its name once it is complete and on the disk, so
 * that no crash leaves a half that looks like a whole.
 * @param fill makes the file at the path it is given
 * @throws KeyferryError INPUT_INVALID when there is such a file already; it is left as it is
 */
export async function newFile(
  file: string,
  fill: (draft: string) => Promise<unknown>,
): Promise<void> {
  const target = path.resolve(file)
  assertFree(target)
  const draft = `${target}.${process.pid}.tmp`
  try {
    await fill(draft)
    const handle = await open(draft, 'r')
    await handle.sync()
    await handle.close()
    assertFree(target)
    await renameDurably(draft, target)
  } finally {
    await rm(draft, { force: true })
  }
}

function assertFree(file: string): void {
  if (!existsSync(file)) return
  throw new KeyferryError('INPUT_INVALID', {
    message: `${file} exists already`,
    remedy: 'Choose another name, or remove the file.',
    retry: 'on-change',
  })
}
