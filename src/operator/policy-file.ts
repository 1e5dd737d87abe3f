import { readFile } from 'node:fs/promises'
import { isKeyferryError, KeyferryError } from '../errors.ts'
import { type Clock, sleep } from '../kube/clock.ts'
import { OPEN_POLICY, parseVaultPolicy, type VaultPolicy } from './vault-policy.ts'

/** The vault policy of this moment. */
export interface PolicyFile {
  readonly current: () => VaultPolicy
  /** Reads the file again; the last good policy outlives a bad file. */
  reread(handlers: PolicyHandlers): Promise<void>
  /** Reads the file again as it changes, until `signal` aborts. */
  follow(clock: Clock, handlers: PolicyHandlers, signal: AbortSignal): Promise<void>
}

/** Who is told of changes. */
export interface PolicyHandlers {
  readonly onChange: () => void
  /** The file is bad now; the last good one stays. Called once for each fault, not for each look. */
  readonly onFailure: (error: KeyferryError) => void
}

const REREAD_MS = 5_000

/**
 * The policy in a file; without one everything is allowed.
 *
 * @throws KeyferryError SETTING_INVALID when the file cannot be read or used: a start without the
 *   policy that was asked for would open every vault
 */
export async function openPolicyFile(file: string | undefined): Promise<PolicyFile> {
  if (file === undefined) {
    const nothing = () => Promise.resolve()
    return { current: () => OPEN_POLICY, reread: nothing, follow: nothing }
  }
  let text = await read(file)
  let policy = parseVaultPolicy(text)
  let fault: string | undefined

  async function reread({ onChange, onFailure }: PolicyHandlers): Promise<void> {
    try {
      const now = await read(file as string)
      if (now !== text) {
        policy = parseVaultPolicy(now)
        text = now
        onChange()
      }
      fault = undefined
    } catch (error) {
      if (!isKeyferryError(error)) throw error
      if (error.message !== fault) onFailure(error)
      fault = error.message
    }
  }

  return {
    current: () => policy,
    reread,
    async follow(clock, handlers, signal) {
      for (; !signal.aborted; await sleep(clock, REREAD_MS, signal)) await reread(handlers)
    },
  }
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new KeyferryError('SETTING_INVALID', {
      message: `VAULT_POLICY_FILE cannot be read (${(cause as { code?: string }).code ?? 'unknown'})`,
      remedy: 'Mount the file, or leave the setting out to allow every vault everywhere.',
      retry: 'on-change',
      cause,
    })
  }
}
