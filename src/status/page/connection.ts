/**
 * The way to the operator: a stream of events that is opened again whenever it ends or falls silent.
 * Each one begins with the whole state, so nothing is lost in between.
 */
import type { Change, Snapshot } from '../model.ts'
import type { News } from './view.ts'

/** Milliseconds after which a stream that ended is opened again. */
const RETRY_MS = 1_000
/** The operator sends something every 5 s: a forwarded port may die without a word. */
const SILENCE_MS = 15_000

/** Follows the operator for as long as the page is open. */
export function follow(url: string, tell: (news: News) => void): void {
  let silence: number | undefined
  const source = new EventSource(url)
  const again = () => {
    source.close()
    clearTimeout(silence)
    tell({ kind: 'lost' })
    setTimeout(() => follow(url, tell), RETRY_MS)
  }
  const heard = () => {
    clearTimeout(silence)
    silence = setTimeout(again, SILENCE_MS)
  }
  source.addEventListener('error', again, { once: true })
  source.addEventListener('snapshot', ({ data }: MessageEvent<string>) => {
    heard()
    tell({ kind: 'snapshot', snapshot: JSON.parse(data) as Snapshot, at: Date.now() })
  })
  source.addEventListener('change', ({ data }: MessageEvent<string>) => {
    heard()
    tell({ kind: 'change', change: JSON.parse(data) as Change, at: Date.now() })
  })
  heard()
}
