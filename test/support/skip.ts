import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'

/**
 * Whether the person who runs the tests asked to leave a part out: KEYFERRY_SKIP is a list of
 * names with commas. Parts that are left out count as skipped; parts that cannot run fail.
 */
export function isSkipped(part: string): boolean {
  const names = (process.env['KEYFERRY_SKIP'] ?? '').split(',').map((name) => name.trim())
  return names.includes(part)
}

/** A directory for what the tests fetch once: tools and clients, not results. */
export async function cacheDir(...parts: string[]): Promise<string> {
  const base = process.env['XDG_CACHE_HOME'] || path.join(os.homedir(), '.cache')
  const dir = path.join(base, 'keyferry', ...parts)
  if (!existsSync(dir)) await mkdir(dir, { recursive: true })
  return dir
}

/** A number from the environment, for longer or shorter runs. */
export function rounds(variable: string, usual: number): number {
  const value = Number(process.env[variable])
  return Number.isInteger(value) && value > 0 ? value : usual
}

/** Says on standard error what a slow test is doing. */
export function tell(message: string): void {
  process.stderr.write(`  ${message}\n`)
}
