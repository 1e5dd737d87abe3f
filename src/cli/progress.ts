import process from 'node:process'
import { painter } from '../tools/report/text.ts'

/** Milliseconds of silence: quicker work says nothing. */
const QUIET_MS = 2_000
/** Milliseconds between two lines where standard error is no terminal. */
const LINE_MS = 15_000
/** Milliseconds between two looks of a terminal. */
const LOOK_MS = 500
/** Characters of a bar. */
const WIDTH = 24

/** Says how far a long work has come. @param done things done so far, of `total` */
export type Report = (done: number, total: number) => void

/** Where progress is told. */
export type Screen = Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'hasColors'>

/**
 * Runs `work` and, once it takes longer than two seconds, says on standard error that it goes
 * on: a bar on a terminal where the end is known, a line every 15 s elsewhere.
 * @param title in the present participle: `importing`
 */
export async function step<T>(
  title: string,
  work: (report: Report) => Promise<T>,
  screen: Screen = process.stderr,
): Promise<T> {
  const started = Date.now()
  let come = { done: 0, total: 0 }
  let said = false
  const say = (tail: string, end: boolean) => {
    const line = `  ${title} ${progressText(come, screen)}${tail}`
    screen.write(screen.isTTY ? `\r\u001B[2K${line}${end ? '\n' : ''}` : `${line}\n`)
    said = true
  }
  const seconds = () => `${((Date.now() - started) / 1000).toFixed(0)} s`
  const look = () => {
    if (Date.now() - started >= QUIET_MS) say(seconds(), false)
  }
  const timer = setInterval(look, screen.isTTY ? LOOK_MS : LINE_MS)
  const first = setTimeout(look, QUIET_MS)
  try {
    const result = await work((done, total) => {
      come = { done, total }
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

interface Come {
  readonly done: number
  /** 0: unknown. */
  readonly total: number
}

/** `████████░░░░ 450 of 900, ` on a terminal. */
function progressText({ done, total }: Come, screen: Screen): string {
  if (total === 0) return '… '
  const counts = `${done} of ${total}, `
  if (!screen.isTTY) return counts
  const full = Math.round((WIDTH * Math.min(done, total)) / total)
  const paint = painter(screen)
  return `${paint('green', '█'.repeat(full))}${paint('dim', '░'.repeat(WIDTH - full))} ${counts}`
}
