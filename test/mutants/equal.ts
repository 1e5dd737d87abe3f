/**
 * Random mutants that nothing notices, and why nothing has to: by file, kind and change, as
 * `run.ts random` prints them, without the line.
 */
export const EQUAL: Readonly<Record<string, string>> = {
  'src/operator/terms.ts number: const KEY_RETRY_MS = [2_000] becomes (2_000 * 2 + 1)':
    'How long the operator waits for its API server before it asks again is a matter of taste.',
}
