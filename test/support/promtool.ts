/**
 * promtool, which judges rules and queries as Prometheus itself does.
 */
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { once } from './clients.ts'
import { which } from './processes.ts'
import { run } from './run.ts'

/** Path of the program: the one on PATH, else that of Debian's package, which is only unpacked. */
export async function promtool(): Promise<string> {
  const found = await which('promtool')
  if (found) return found
  if (!existsSync('/usr/bin/apt-get')) throw new Error('these tests need promtool on PATH')
  const dir = await once('debian-prometheus', async (draft) => {
    if (process.getuid?.() === 0) await run('apt-get', ['update', '-q'])
    await run('apt-get', ['download', '-q', 'prometheus'], { cwd: draft })
    const [name = ''] = await readdir(draft)
    await run('dpkg-deb', ['--extract', path.join(draft, name), draft])
  })
  return path.join(dir, 'usr', 'bin', 'promtool')
}
