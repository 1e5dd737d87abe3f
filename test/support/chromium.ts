/**
 * Chromium as the machine has it, or that of Debian where that can be installed.
 */
import { aptInstall } from './apt.ts'
import { which } from './processes.ts'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

/** Path of a Chromium. @throws Error where there is none and none can be installed */
export async function findChromium(): Promise<string> {
  const [found] = (await Promise.all(NAMES.map(which))).filter((one) => one !== undefined)
  if (found) return found
  await aptInstall('chromium', 'install Chromium, or leave this suite out: KEYFERRY_SKIP=browser')
  const installed = await which('chromium')
  if (installed === undefined) throw new Error('Debian’s package chromium has no program chromium')
  return installed
}
