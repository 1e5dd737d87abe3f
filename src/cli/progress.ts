import process from 'node:process'

/** Milliseconds of silence: quicker work says nothing. */
const QUIET_MS = 2_000
/** Milliseconds between two lines where standard error is no terminal. */
const LINE_MS = 15_000

/** Says how far a long work has come. @param done things done so far */
export type Report = (done: number) => void

/**
 * Runs `work` and, once it takes longer than two seconds, says on standard error that it goes
 * on: a counter on a terminal, a line every 15 s elsewhere.
 * @param title in the present participle: `importing`
 */
export async function step<T>(title: string, work: (report: Report) => Promise<T>): Promise<T> {
  const tty = process.stderr.isTTY
  const started = Date.now()
  let done = 0
  let said = false
  const say = (tail: string, end: boolean) => {
    const line = `  ${title}${done > 0 ? ` (${done})` : ''} … ${tail}`
    process.stderr.write(tty ? `\r\u001B[2K${line}${end ? '\n' : ''}` : `${line}\n`)
    said = true
  }
  const seconds = () => `${((Date.now() - started) / 1000).toFixed(0)} s`
  const timer = setInterval(
    () => {
      if (Date.now() - started >= QUIET_MS) say(seconds(), false)
    },
    tty ? 500 : LINE_MS,
  )
  const first = setTimeout(() => say(seconds(), false), QUIET_MS)
  try {
    const result = await work((count) => {
      done = count
    })
    if (said) say(`done in ${seconds()}`, true)
    return result
  } catch (error) {
    if (said) say(`failed after ${seconds()}`, true)
    throw error
  } finally {
    clearInterval(timer)
    clearTimeout(first)
  }
}
