import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { isKeyferryError } from '../errors.ts'
import type { Admin } from '../server/admin/admin.ts'
import type { StoreOptions } from '../server/listen.ts'
import { type ConnectFlags, storeOptions } from './connect-settings.ts'
import { say } from './output.ts'
import type { Report } from './progress.ts'

/** Milliseconds to wait for a server that has the store but does not answer yet. */
const STARTING_MS = 10_000

/** Makes one sub-command of `keyferry connect`. */
export type CommandFactory = (env: NodeJS.ProcessEnv) => Command

/**
 * Runs `work` on the store that the flags name: through the server that has it open, or, when
 * there is none, by opening it here.
 * @throws KeyferryError STORE_*, and what `work` throws
 */
export async function withAdmin<T>(
  command: Command,
  env: NodeJS.ProcessEnv,
  work: (admin: Admin) => Promise<T>,
  report: Report = () => undefined,
): Promise<T> {
  const options = storeOptions(command.optsWithGlobals<ConnectFlags>(), env)
  const { remoteAdmin } = await import('../server/admin/socket.ts')
  const { adminProxy } = await import('../server/admin/wire.ts')
  const deadline = Date.now() + STARTING_MS
  for (;;) {
    const remote = options.url ? undefined : await remoteAdmin(options.dir, report)
    if (remote) {
      try {
        return await work(adminProxy((call) => remote.send(call)))
      } finally {
        await remote.close()
      }
    }
    try {
      return await withLocal(options, work)
    } catch (error) {
      // A server holds the lock from its first moment, and answers a moment later.
      if (!isKeyferryError(error, 'STORE_BUSY') || Date.now() > deadline) throw error
      await sleep(100)
    }
  }
}

async function withLocal<T>(options: StoreOptions, work: (admin: Admin) => Promise<T>): Promise<T> {
  const { openStoreAt } = await import('../server/listen.ts')
  const opened = await openStoreAt(options, say)
  try {
    return await work(opened.admin)
  } finally {
    await opened.store.close()
  }
}
