/** Once for all browser tests: a browser, besides what tests on a cluster need. */
import { findChromium } from './chromium.ts'

export async function setup(): Promise<void> {
  await findChromium()
}
