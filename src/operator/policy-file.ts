import { readFile } from 'node:fs/promises'
import { isKeyferryError, KeyferryError } from '../errors.ts'
import { type Clock, sleep } from '../kube/clock.ts'
import { OPEN_POLICY, parseVaultPolicy, type VaultPolicy } from './vault-policy.ts'

/** The vault policy of this moment. */
export interface PolicyFile {
  readonly current: () => VaultPolicy
  /** Reads the file again as it changes, until `signal` aborts. */
  follow(clock: Clock, handlers: PolicyHandlers, signal: AbortSignal): Promise<void>
}

/** Who is told of changes. */
export interface PolicyHandlers {
  readonly onChange: () => void
  /** The file is bad now; the last good one stays. */
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
  if (file === undefined) return { current: () => OPEN_POLICY, follow: () => Promise.resolve() }
  let text = await read(file)
  let policy = parseVaultPolicy(text)
  return {
    current: () => policy,
    async follow(clock, { onChange, onFailure }, signal) {
      for (; !signal.aborted; await sleep(clock, REREAD_MS, signal)) {
        try {
          const now = await read(file)
          if (now === text) continue
          text = now
          policy = parseVaultPolicy(now)
          onChange()
        } catch (error) {
          if (!isKeyferryError(error)) throw error
          onFailure(error)
        }
      }
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
