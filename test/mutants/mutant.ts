/**
 * Planted bugs: small changes of the sources that break a promise, each with the tests that must
 * notice it. A suite that lets one of them pass would let the same mistake of a person pass.
 */

/** What the operator promises: safety (S), liveness and calm (L), bounds (B). */
export const PROMISES = {
  S1: 'nothing that is not ours is created over, changed or deleted',
  S2: 'the data of a Secret is that of one item version which Connect really served',
  S3: 'the version that is applied never goes back unconfirmed',
  S4: 'no failure removes or blanks data that is there',
  S5: 'a namespace gets only what it may have, and only because of an object in it',
  S6: 'no secret shows anywhere but in the data of Secrets and the sealed store',
  S7: 'a workload is restarted once for a content at most',
  S8: 'who no longer holds the Lease writes nothing',
  S9: 'authors of resources gain no right that they lack',
  S10: 'the store is sealed, and a change of it is noticed',
  L1: 'once faults end the state matches, and stays',
  L2: 'every workload that asked for it carries the digest of its Secrets in the end',
  L3: 'every bad state can be left by correcting the resource or the item',
  L4: 'what is deleted goes, also without the operator',
  L5: 'a steady state costs no writes, and a poll one request for each vault that moved',
  L6: 'what fails for good costs little, and holds up nobody else',
  B1: 'memory, sockets and timers are bounded whatever a server answers',
} as const

/** What the former operator gets wrong, as it would look here. */
export const DEFECTS = {
  P1: 'a restart is lost when something else than the poll writes the new content',
  P2: 'a restart is lost when a workload cannot be patched at that moment',
  P3: 'a foreign Secret is overwritten, then deleted',
  P4: 'a Secret that was changed or deleted stays so',
  P5: 'an operator works that does not hold the Lease',
  P6: 'one of several items of a title is chosen by the order of a list',
  P7: 'a failed read becomes another lookup; a name goes before an id',
  P8: 'finalizers hold resources and workloads of an operator that is gone',
  P9: 'annotations on a Secret decide what is read or whose it is',
  P10: 'every namespace may draw from every vault',
  P11: 'a resource makes Secrets of types that mint credentials',
  P12: 'keys that collide, and their order, are left to chance',
  P13: 'a server that refuses or asks for a pause is asked again at once',
  P14: 'only Deployments are restarted',
} as const

/** A key of {@link PROMISES} or {@link DEFECTS}. */
export type Broken = keyof typeof PROMISES | keyof typeof DEFECTS

/** Tests that are to notice a mutant. */
export interface Killer {
  /** Project of vitest: `unit` wherever it can be, because a cluster costs half a minute. */
  readonly project: string
  readonly file: string
  /** A part of the names of the tests; all of the file without. */
  readonly name?: string
}

/** A planted bug. */
export interface Mutant {
  /** Unique: what somebody did wrong. */
  readonly id: string
  readonly breaks: readonly Broken[]
  readonly file: string
  /** Text that is in the file exactly once. */
  readonly find: string
  readonly replace: string
  /** What goes wrong then. */
  readonly harm: string
  readonly killers: readonly Killer[]
  /** Why no test notices it; undefined for all that must be noticed. */
  readonly why?: string
}

/** A killer in the unit suite. @param file below `test/unit`, without `.test.ts` */
export function unit(file: string, name?: string): Killer {
  return { project: 'unit', file: `test/unit/${file}.test.ts`, ...(name ? { name } : {}) }
}

/** A killer among the contract tests. */
export function contract(file: string, name: string): Killer {
  return { project: 'contract', file: `test/contract/${file}.test.ts`, name }
}

/** @throws Error when the text to be changed is not there exactly once */
export function mutate(source: string, { id, find, replace }: Mutant): string {
  const [before, after, ...more] = source.split(find)
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(
      `mutant ${id}: its text is in the file ${more.length + (after === undefined ? 0 : 1)} times`,
    )
  }
  return before + replace + after
}
