/**
 * Notices that the whole machine stood still, as a virtual machine does that its host puts aside:
 * the clock goes on, and whoever waited for something within some seconds gives up, rightly.
 */

const LOOK_MS = 1_000
/** A look that is later than a busy machine makes it. */
const LATE_MS = 1_000

/** See the head of this file. */
export interface Stalls {
  /** Seconds that the machine has stood still since the watch began. */
  seconds(): number
}

export function watchStalls(): Stalls {
  let stalled = 0
  let last = Date.now()
  function look(): void {
    const now = Date.now()
    const late = now - last - LOOK_MS
    if (late > LATE_MS) stalled += late
    last = now
  }
  setInterval(look, LOOK_MS).unref()
  return {
    seconds() {
      look()
      return stalled / 1000
    },
  }
}
