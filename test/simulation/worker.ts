/** Runs every n-th history of a range, and tells of those that broke a promise. */
import { setImmediate } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { type Result, runHistory } from './history.ts'

/** Which histories: `first`, `first + step`, … up to `last`. */
export interface Share {
  readonly first: number
  readonly last: number
  readonly step: number
}

/** What came of some histories. */
export interface Report {
  readonly histories: number
  readonly operations: number
  readonly faults: number
  /** Virtual milliseconds. */
  readonly ms: number
  /** Those that broke a promise. */
  readonly broken: readonly Result[]
}

/** Histories between two reports. */
const BATCH = 50

/** Nobody reads stacks here, and making them takes a tenth of the time. */
Error.stackTraceLimit = 0

async function work({ first, last, step }: Share): Promise<void> {
  let results: Result[] = []
  const report = () => {
    const sum = (of: (one: Result) => number) => results.reduce((all, one) => all + of(one), 0)
    const message: Report = {
      histories: results.length,
      operations: sum(({ operations }) => operations),
      faults: sum(({ faults }) => faults),
      ms: sum(({ ms }) => ms),
      broken: results.filter(({ violations }) => violations.length > 0),
    }
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- to a thread, not a window
    parentPort?.postMessage(message)
    results = []
  }
  for (let seed = first; seed <= last; seed += step) {
    results.push(await runHistory(seed))
    if (results.length < BATCH) continue
    report()
    // A history is one turn of the event loop: what ends with a turn would pile up.
    await setImmediate()
  }
  report()
}

await work(workerData as Share)
