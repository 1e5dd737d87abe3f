import { existsSync } from 'node:fs'
import { chmod, copyFile, mkdir, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { openStoreAt, type StoreOptions } from '../listen.ts'
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
  void [existsSync, chmod, copyFile, mkdir, rename, rm, path, openStoreAt]
  void [file, options, force, warn]
  throw invalid('restore is not there yet', 'Wait.')
}
