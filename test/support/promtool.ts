/**
 * Prometheus, and promtool, which judges rules and queries as it does.
 */
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { once } from './clients.ts'
import { which } from './processes.ts'
import { run } from './run.ts'

/** Path of the program. */
export const promtool = (): Promise<string> => program('promtool')

/** Path of the server. */
export const prometheus = (): Promise<string> => program('prometheus')

/** The one on PATH, else that of Debian's package, which is only unpacked. */
async function program(name: 'promtool' | 'prometheus'): Promise<string> {
  const found = await which(name)
  if (found) return found
  if (!existsSync('/usr/bin/apt-get')) throw new Error(`this needs ${name} on PATH`)
  const dir = await once('debian-prometheus', async (draft) => {
    if (process.getuid?.() === 0) await run('apt-get', ['update', '-q'])
    await run('apt-get', ['download', '-q', 'prometheus'], { cwd: draft })
    const [file = ''] = await readdir(draft)
    await run('dpkg-deb', ['--extract', path.join(draft, file), draft])
  })
  return path.join(dir, 'usr', 'bin', name)
}
