/**
 * Random mutants that nothing notices, and why nothing has to: by file, kind and change, as
 * `run.ts random` prints them, without the line.
 */
export const EQUAL: Readonly<Record<string, string>> = {}
