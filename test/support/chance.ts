/** Chance that a seed and a name decide: a change of one thing does not change what others get. */
import { createHash } from 'node:crypto'

/**
 * As many of the things as are wanted, the same for one seed wherever in the list they are.
 *
 * @param nameOf what a thing is drawn by: unique, and the same as long as the thing is
 */
export function draw<T>(
  things: readonly T[],
  count: number,
  { seed, nameOf }: { readonly seed: number; readonly nameOf: (thing: T) => string },
): T[] {
  const lot = (thing: T) =>
    createHash('sha256')
      .update(`${seed} ${nameOf(thing)}`)
      .digest('hex')
  return things
    .map((thing) => ({ thing, lot: lot(thing) }))
    .toSorted((a, b) => (a.lot < b.lot ? -1 : 1))
    .slice(0, count)
    .map(({ thing }) => thing)
}

/** Numbers in [0, 1), the same for the same seed. */
export function chance(seed: string): () => number {
  let n = 0
  return () => {
    n += 1
    return createHash('sha256').update(`${seed} ${n}`).digest().readUInt32BE() / 2 ** 32
  }
}
