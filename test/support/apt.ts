import process from 'node:process'
import { which } from './processes.ts'
import { run } from './run.ts'
import { tell } from './skip.ts'

/**
 * Installs a package of Debian.
 *
 * @param instead what to do where the tests may not install, for the message
 * @throws Error without root or apt
 */
export async function aptInstall(name: string, instead: string): Promise<void> {
  const mayInstall = process.getuid?.() === 0 && (await which('apt-get')) !== undefined
  if (!mayInstall) throw new Error(`${name} is missing: ${instead}`)
  tell(`installing ${name} (apt-get)`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  await run('apt-get', ['update', '-q'], { env })
  await run('apt-get', ['install', '-y', '-q', '--no-install-recommends', name], { env })
}
