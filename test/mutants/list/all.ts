import type { Mutant } from '../mutant.ts'
import { connectMutants } from './connect.ts'
import { intakeMutants } from './intake.ts'
import { kubeMutants } from './kube.ts'
import { planMutants } from './plan.ts'
import { serverMutants } from './server.ts'
import { statusMutants } from './status.ts'
import { writeMutants } from './write.ts'

/** All mutants, by the part of the program that they are in. */
export const GROUPS: Readonly<Record<string, readonly Mutant[]>> = {
  plan: planMutants,
  intake: intakeMutants,
  write: writeMutants,
  kube: kubeMutants,
  connect: connectMutants,
  server: serverMutants,
  status: statusMutants,
}

/** All mutants. */
export const MUTANTS: readonly Mutant[] = Object.values(GROUPS).flat()
