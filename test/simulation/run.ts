/** Runs thousands of histories on all processors. */
import os from 'node:os'
import { Worker } from 'node:worker_threads'
import type { Report, Share } from './worker.ts'

/** @param onReport told of the sums so far */
export async function runHistories(
  { first, count, workers = os.availableParallelism() }: RunOptions,
  onReport: (sums: Report) => void = () => {},
): Promise<Report> {
  let sums: Report = { histories: 0, operations: 0, faults: 0, ms: 0, broken: [] }
  const add = (more: Report) => {
    sums = {
      histories: sums.histories + more.histories,
      operations: sums.operations + more.operations,
      faults: sums.faults + more.faults,
      ms: sums.ms + more.ms,
      broken: [...sums.broken, ...more.broken],
    }
    onReport(sums)
  }
  const shares = Array.from({ length: workers }, (_, n): Share => {
    return { first: first + n, last: first + count - 1, step: workers }
  })
  await Promise.all(shares.map((share) => runShare(share, add)))
  return sums
}

/** Which histories, and how many at a time. */
export interface RunOptions {
  /** Seed of the first; the others have the numbers after it. */
  readonly first: number
  readonly count: number
  readonly workers?: number
}

/** Megabytes for what lives shortly: most of a history does. */
const YOUNG_MB = 64

function runShare(share: Share, onReport: (report: Report) => void): Promise<void> {
  const worker = new Worker(new URL('worker.ts', import.meta.url), {
    workerData: share,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
  })
  return new Promise((resolve, reject) => {
    worker.on('message', onReport)
    worker.on('error', reject)
    worker.on('exit', (code) => {
      if (code === 0) resolve()
      else reject(new Error(`a worker of the simulation ended with ${code}`))
    })
  })
}

/** The command that runs a history again and tells everything that happens in it. */
export function replayOf(seed: number): string {
  return `npm run simulate -- --replay ${seed}`
}
