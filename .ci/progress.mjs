// Progress for steps that a person waits for. Plain JavaScript: the bootstrap runs it on Node 18.

import process from 'node:process'

const tty = process.stderr.isTTY
const QUIET_MS = 2_000
const HEARTBEAT_MS = tty ? 500 : 15_000

/** @param {number} ms */
const seconds = (ms) => `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`

/**
 * Runs `work` and, once it takes longer than two seconds, says on standard error that it is
 * still running: a counter on a terminal, a line every 15 s elsewhere.
 *
 * @template T
 * @param {string} title what is being done, in the present participle
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function step(title, work) {
  const started = Date.now()
  let announced = false
  const say = () => {
    const elapsed = Date.now() - started
    if (tty) process.stderr.write(`\r\x1b[2K  ${title} … ${seconds(elapsed)}`)
    else if (!announced) process.stderr.write(`  ${title} …\n`)
    else process.stderr.write(`  ${title} … ${seconds(elapsed)}\n`)
    announced = true
  }
  const first = setTimeout(say, QUIET_MS)
  const beat = setInterval(() => announced && say(), HEARTBEAT_MS)
  try {
    const result = await work()
    if (announced) finish(`  ${title}: done in ${seconds(Date.now() - started)}`)
    return result
  } catch (error) {
    if (announced) finish(`  ${title}: failed after ${seconds(Date.now() - started)}`)
    throw error
  } finally {
    clearTimeout(first)
    clearInterval(beat)
  }
}

/** @param {string} line */
function finish(line) {
  process.stderr.write(tty ? `\r\x1b[2K${line}\n` : `${line}\n`)
}
