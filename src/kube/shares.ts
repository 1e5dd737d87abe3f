/** The workers that one group holds in one priority. */
export interface Share {
  readonly name: string
  running: number
}

/**
 * Who holds how many workers. A share may grow while it is smaller than what it leaves free: it
 * takes half of the workers when it is alone, and when its runs hang there is still a worker for
 * another group, and for the next.
 * Source: Choudhury and Hahne, "Dynamic Queue Length Thresholds" (1998), with factor 1.
 */
export interface Shares {
  mayStart(name: string): boolean
  start(name: string): Share
  end(share: Share): void
}

/** All workers are free. */
export function createShares(workers: number): Shares {
  const shares = new Map<string, Share>()
  let free = workers
  return {
    mayStart: (name) => (shares.get(name)?.running ?? 0) < free,
    start(name) {
      const share = shares.get(name) ?? { name, running: 0 }
      shares.set(name, share)
      share.running += 1
      free -= 1
      return share
    },
    end(share) {
      share.running -= 1
      free += 1
      if (share.running === 0) shares.delete(share.name)
    },
  }
}
