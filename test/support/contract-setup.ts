/** Once for all contract tests: builds the program that they start. */
import { buildProgram } from './program.ts'

export const setup = buildProgram
